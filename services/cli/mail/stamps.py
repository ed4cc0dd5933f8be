"""What our own mail server writes on top of a message it accepts, and what of the sender's it takes away."""

from __future__ import annotations

import re

_OURS_MAY_SAY = re.compile(rb"(authentication-results|return-path)[ \t]*:", re.IGNORECASE)
_FIELD = re.compile(rb"[!-9;-~]+[ \t]*:.*\r?\n(?:[ \t].*(?:\r?\n|\Z))*")
_COMMENT = re.compile(r"\((?:[^()\\]|\\.)*\)", re.DOTALL)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_TOKEN = re.compile(r"[^\s;()]+")


def without_forgeries(raw: bytes, authserv_id: str) -> bytes:
    """`raw` without its Return-Path fields and without the Authentication-Results that bear our
    `authserv_id` (RFC 8601 section 5): whoever sent it wrote them. Everything else stays byte for byte."""
    kept, at = [], 0
    while (field := _FIELD.match(raw, at)) is not None:
        if not _forged(field.group(), authserv_id):
            kept.append(field.group())
        at = field.end()
    return b"".join(kept) + raw[at:]


def _forged(field: bytes, authserv_id: str) -> bool:
    name = _OURS_MAY_SAY.match(field)
    if name is None:
        return False
    if name.group(1).lower() == b"return-path":
        return True
    return said_by(field[name.end() :].decode("latin-1")).lower() == authserv_id.lower()


def said_by(value: str) -> str:
    """The authserv-id of an Authentication-Results value (RFC 8601 section 2.2), past comments."""
    found = 1
    while found:  # comments may be nested: the innermost go first
        value, found = _COMMENT.subn(" ", value)
    value = value.lstrip()
    if quoted := _QUOTED.match(value):
        return re.sub(r"\\(.)", r"\1", quoted.group(1))
    token = _TOKEN.match(value)
    return token.group() if token else ""


def stamped(
    raw: bytes, *, sender: str, verdict: str, authserv_id: str, client: str, letter_id: str, date: str
) -> bytes:
    """`raw` with Return-Path, Authentication-Results and Received on top, in this order; `verdict` is what
    was verified, for instance "auth=none". The lines end as SMTP's do."""
    top = (
        f"Return-Path: <{sender}>\r\n"
        f"Authentication-Results: {authserv_id}; {verdict}\r\n"
        f"Received: from {client}\r\n by {authserv_id} with ESMTP id {letter_id};\r\n {date}\r\n"
    )
    return top.encode("utf-8", "surrogateescape") + without_forgeries(raw, authserv_id)
