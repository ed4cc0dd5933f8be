"""Mail that says a letter of ours did not arrive: delivery reports (RFC 3464) and what imitates them."""

from __future__ import annotations

import re
from collections.abc import Collection

from msgspec import Struct

from shared.mail.encoded import harmless
from shared.mail.parts import Headers, Part, content_type, head, leaves
from shared.mail.people import one_address, return_path_of, sender_of
from shared.mail.reading import read

_ID = re.compile(rb"^[ \t>]*Message-I[Dd]:\s*(<[!-;=?-~]{1,250}>)", re.MULTILINE | re.IGNORECASE)
_STATUS = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
_CODE = re.compile(r"\b(5\d\d|4\d\d)[ -]")
_DELAYED = re.compile(r"delay|still trying|will retry|will keep trying|warning", re.IGNORECASE)
_REPORT_MOST = 65_536
_QUOTED_MOST = 262_144


class Bounce(Struct, frozen=True):
    """`message_id` is the letter's, in angle brackets; `recipient` the one it did not reach, if told (the
    original one rather than where it was forwarded to); `status` as in RFC 3463; `permanent` False means
    delayed: it may arrive yet. Anyone can forge a bounce."""

    message_id: str
    recipient: str | None
    status: str
    permanent: bool
    diagnostic: str


def bounce_of(raw: bytes, *, ignoring: Collection[str] = ()) -> Bounce | None:
    """The bounce in `raw`, None if it is none or names no letter; never raises.

    What is told of recipients in `ignoring` (our own copy's address) is no bounce.
    """
    headers, body = head(raw)
    kind, parameters = content_type(headers)
    parts = list(leaves(raw, headers, body, []))
    if kind == "multipart/report" and parameters.get("report-type", "delivery-status") == "delivery-status":
        report = next((part for part in parts if part.kind.endswith("/delivery-status")), None)
        if report is not None:
            return _reported(raw, parts, report, {each.lower() for each in ignoring})
    return _imitated(raw, headers, body, {each.lower() for each in ignoring})


def _reported(raw: bytes, parts: list[Part], report: Part, ignoring: set[str]) -> Bounce | None:
    message_id = next((found for part in parts if (found := _original(raw, part))), None)
    if message_id is None:
        return None
    delayed = None
    blocks = re.split(rb"\r?\n[ \t]*\r?\n", report.decoded(raw, _REPORT_MOST)[:_REPORT_MOST])
    for block in blocks[:200]:
        fields, _ = head(block.strip() + b"\n\n")
        action = (fields.first("action") or "").lower()
        recipient = _recipient(fields)
        if action not in ("failed", "delayed") or recipient in ignoring:
            continue
        said = _STATUS.search(fields.first("status") or "")
        status = said[0] if said else ("5.0.0" if action == "failed" else "4.0.0")
        diagnostic = (fields.first("diagnostic-code") or "").partition(";")
        told = harmless(diagnostic[2] or diagnostic[0], 300)
        if action == "failed":
            return Bounce(message_id, recipient, status, True, told)
        delayed = delayed or Bounce(message_id, recipient, status, False, told)
    return delayed


def _original(raw: bytes, part: Part) -> str | None:
    if part.kind not in ("message/rfc822", "text/rfc822-headers", "message/global", "message/global-headers"):
        return None
    return _quoted_id(part.decoded(raw, _QUOTED_MOST))


def _quoted_id(text: bytes) -> str | None:
    found = _ID.search(text)
    return found[1].decode() if found else None


def _recipient(fields: Headers) -> str | None:
    for name in ("original-recipient", "final-recipient"):
        if found := one_address((fields.first(name) or "").partition(";")[2]):
            return found
    return None


def _imitated(raw: bytes, headers: Headers, body: int, ignoring: set[str]) -> Bounce | None:
    """A bounce in nobody's format. An automatic reply, too, has a null return path and may quote our letter:
    so it must come from a mail system, and tell a code or the recipient it failed for (Exim)."""
    local = (sender_of(headers, [])[1] or "").partition("@")[0].lower()
    failed = headers.first("x-failed-recipients")
    if return_path_of(headers) != "" or (local not in ("mailer-daemon", "postmaster") and failed is None):
        return None
    mail = read(raw[: body + _QUOTED_MOST])
    message_id = _quoted_id(raw[body : body + _QUOTED_MOST])
    said, code = _STATUS.search(mail.text), _CODE.search(mail.text)
    recipient = None if failed is None else one_address(failed.partition(",")[0])
    if message_id is None or not (said or code or failed) or recipient in ignoring:
        return None
    kind = said[1] if said else code[1][0] if code else "5"
    permanent = kind == "5" and not _DELAYED.search(mail.subject)
    status = said[0] if said and said[1] != "2" else ("5.0.0" if permanent else "4.0.0")
    line = next((each for each in mail.text.splitlines() if _told(each)), "")
    return Bounce(message_id, recipient, status, permanent, harmless(line, 300))


def _told(line: str) -> bool:
    return bool(_STATUS.search(line) or _CODE.search(line))
