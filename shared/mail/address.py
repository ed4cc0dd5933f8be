"""One mail address: checked and normalised, so that the same person is the same text everywhere."""

from __future__ import annotations

import re
from urllib.parse import unquote

from shared.mail.encoded import CONTROL, carries_control

_LOCAL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_MOST = 254


class BadAddress(ValueError):
    """Text that is no single address one can send to; the message says why, without the address."""


def address(text: str) -> str:
    """The addr-spec in `text`, normalised: local part as it is, domain in lower case and IDNA (ASCII).

    Raises BadAddress: control characters (also encoded: RFC 2047, percent), none or several addresses, a
    name beside it, more than 254 characters, no domain, an address literal, a quoted or non-ASCII local part.
    """
    text = text.strip(" ")
    if carries_control(text) or CONTROL.search(unquote(text)) or carries_control(unquote(unquote(text))):
        raise BadAddress("the address holds control characters")
    if len(text) > _MOST:
        raise BadAddress(f"the address is longer than {_MOST} characters")
    local, at, domain = text.rpartition("@")
    if not at or not local or not domain:
        raise BadAddress("an address has the form name@domain")
    if not _LOCAL.fullmatch(local):
        raise BadAddress("the part before the @ is not one name of letters, digits and marks")
    whole = f"{local}@{_ascii_domain(domain)}"
    if len(whole) > _MOST:
        raise BadAddress(f"the address is longer than {_MOST} characters")
    return whole


def _ascii_domain(domain: str) -> str:
    try:
        ascii_domain = domain.encode("idna").decode().lower().removesuffix(".")
    except UnicodeError:
        raise BadAddress("the part behind the @ is no domain") from None
    if not all(_LABEL.fullmatch(label) for label in ascii_domain.split(".")):
        raise BadAddress("the part behind the @ is no domain")
    return ascii_domain


def domain_of(address: str) -> str:
    """The domain of a normalised address."""
    return address.rpartition("@")[2]


def aligned(a: str, b: str) -> bool:
    """Whether two domains belong together (RFC 7489 relaxed, without a public suffix list): they are equal,
    or one lies under the other and that one has at least two labels."""
    long, short = sorted((a.lower().rstrip("."), b.lower().rstrip(".")), key=len, reverse=True)
    return bool(short) and (long == short or ("." in short and long.endswith("." + short)))
