"""Is a mail from who it says? Only what our own mail server verified and wrote down counts (RFC 8601).

Header fields are added on top: what stands above the last Received field of our own servers was written by
them, everything below by whoever sent the mail. Nothing the sender wrote is believed, in our name or not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

from shared.mail.address import aligned, domain_of
from shared.mail.parts import Headers

_FIELD = "authentication-results"
_FIELDS_MOST = 20
_VALUE_MOST = 20_000
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_SERVER = re.compile(rf"\s*({_QUOTED}|[^\s;\"=/]+)(?:\s+\d+)?\s*\Z", re.DOTALL)
_PAIR = re.compile(
    rf"\s*([A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)?)(?:/\d+)?\s*=\s*((?:{_QUOTED})?[^\s;\"]*)(?=\s|\Z)", re.DOTALL
)


class Trust(Struct, frozen=True):
    """Whom to believe: our server's `authserv_id` (empty: nobody) and how our servers stamp; see settings."""

    authserv_id: str
    received_hops: int = 1
    stamps_below: bool = False


class Verdict(Struct, frozen=True):
    """`domain` is the sender's, if our own server authenticated it; `method` says by what ("dkim")."""

    domain: str | None
    method: str


class Result(Struct, frozen=True):
    """One result of a field: what was tried, what came out, and the properties it is about."""

    method: str
    result: str
    properties: dict[str, str]


NOBODY = Verdict(None, "none")


def authenticated(headers: Headers, sender: str | None, trust: Trust) -> Verdict:
    """Whether our own mail server vouches for the domain of `sender`, the mail's one From address."""
    if sender is None or not trust.authserv_id:
        return NOBODY
    for value in _ours(headers, trust):
        for one in results(value, trust.authserv_id) or ():
            if one.result == "pass" and _vouches(one, sender):
                return Verdict(domain_of(sender), one.method)
    return NOBODY


def results(value: str, authserv_id: str) -> Sequence[Result] | None:
    """The results of a field said by `authserv_id`, without those that are not well formed; None for a field
    of another server or one that cannot be read."""
    text = _without_comments(value[:_VALUE_MOST])
    parts = _split(text) if text is not None else None
    if parts is None:
        return None
    server = _SERVER.match(parts[0])
    if server is None or _unquoted(server[1]).lower() != authserv_id.lower():
        return None
    return [found for part in parts[1:] if (found := _result(part)) is not None]


def _ours(headers: Headers, trust: Trust) -> list[str]:
    """The fields that stand where only our own servers write."""
    found, hops = [], 0
    for name, value in headers.fields:
        if hops == trust.received_hops and not (trust.stamps_below and name == _FIELD):
            break
        if name == "received":
            hops += 1
        elif name == _FIELD:
            found.append(value.decode("utf-8", "replace"))
    # Fewer Received fields than our servers add: this mail did not come by them, so nobody vouches for it.
    return found[:_FIELDS_MOST] if hops == trust.received_hops else []


def _vouches(one: Result, sender: str) -> bool:
    domain, said = domain_of(sender), one.properties
    match one.method:
        case "dmarc":
            return said.get("header.from", "").lower() == domain
        case "dkim":
            signer = said.get("header.d") or said.get("header.i", "").rpartition("@")[2]
            return aligned(signer, domain)
        case "spf":
            return aligned(said.get("smtp.mailfrom", "").rpartition("@")[2], domain)
        case "auth":
            # Who logged in counts; the envelope only where the server says nobody's name, as it is the
            # server that let this login use it.
            user = said.get("smtp.auth") or said.get("smtp.mailfrom", "")
            return "@" in user and aligned(user.rpartition("@")[2], domain)
    return False


def _result(part: str) -> Result | None:
    pairs, at = [], 0
    while at < len(part.rstrip()):
        found = _PAIR.match(part, at)
        if found is None:
            return None
        pairs.append((found[1].lower(), _unquoted(found[2])))
        at = found.end()
    properties = dict(pairs[1:])
    if not pairs or "." in pairs[0][0] or len(properties) != len(pairs) - 1:
        return None  # the same property twice: which of them was verified?
    return Result(pairs[0][0], pairs[0][1].lower(), properties)


def _unquoted(text: str) -> str:
    """A value without its quotes; a quoted local part keeps what follows it."""
    if not text.startswith('"'):
        return text
    end = re.match(_QUOTED, text, re.DOTALL)
    if end is None:
        return text
    return re.sub(r"\\(.)", r"\1", end[0][1:-1], flags=re.DOTALL) + text[end.end() :]


def _without_comments(value: str) -> str | None:
    """`value` with each comment, nested ones too, made a blank; None where one or a quote is never closed."""
    kept: list[str] = []
    depth, quoted, at = 0, False, 0
    while at < len(value):
        one = value[at]
        if one == "\\" and (quoted or depth):
            if not depth:
                kept.append(value[at : at + 2])
            at += 2
            continue
        if quoted or (one == '"' and not depth):
            quoted = not quoted if one == '"' else quoted
            kept.append(one)
        elif one == "(":
            depth += 1
        elif one == ")":
            if not depth:
                return None
            depth -= 1
            if not depth:
                kept.append(" ")
        elif not depth:
            kept.append(one)
        at += 1
    return None if depth or quoted else "".join(kept)


def _split(text: str) -> list[str] | None:
    """`text` at its semicolons, but for those in quotes."""
    pieces = re.findall(rf"(?:{_QUOTED}|[^;\"])*(?:;|\Z)", text, re.DOTALL)
    if not pieces or "".join(pieces) != text:
        return None
    return [piece.removesuffix(";") for piece in pieces]
