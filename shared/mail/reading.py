"""What came in, read tolerantly: any bytes give an `Incoming`, and none of it is trusted."""

from __future__ import annotations

import re
from datetime import date
from email.utils import mktime_tz, parsedate_tz
from hashlib import sha256

from msgspec import Struct

from shared.mail.automatic import Automatic, automatic, reply_unwanted
from shared.mail.composing import ids_in, own_message_id
from shared.mail.encoded import decoded, harmless, known_charset, text_of
from shared.mail.parts import Headers, Part, head, leaves
from shared.mail.people import recipients_of, return_path_of, sender_of
from shared.mail.plain import plain
from shared.time import DAY

_UNREADABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_FIRST_MS, _LAST_MS = -25_567 * DAY, 376_200 * DAY
_STEP = 1_048_576


class Incoming(Struct, frozen=True):
    """One mail as it claims to be. All texts are valid UTF-8 without NUL.

    `sender` is the one From address, None if there is none, several or a bad one; `return_path` is None if
    unknown, "" for the null path `<>`; `date_ms` is ms since the epoch, as claimed; `references` are the ids
    of References and In-Reply-To (the first and the last ones, at most 100); `recipients` the first 50
    addresses of To and Cc, `recipient_count` how many there are. `automatic` says what kind of machine wrote
    it, None: probably a person; `automatic_because` names the header. `reply_unwanted`: answer nobody by
    machine, although a person may have written it (X-Auto-Response-Suppress, or `automatic`). `own`: its
    Message-ID has the form of ours (anyone can forge that). `content_digest` (hex) is equal for two
    delivered copies of one mail. `problems` are words: what was wrong with it.
    """

    message_id: str | None
    sender: str | None
    sender_name: str
    return_path: str | None
    subject: str
    date_ms: int | None
    references: tuple[str, ...]
    recipients: tuple[str, ...]
    recipient_count: int
    text: str
    attachments: int
    automatic: Automatic | None
    automatic_because: str
    reply_unwanted: bool
    own: bool
    content_digest: str
    problems: tuple[str, ...]


def read(raw: bytes, *, own_domain: str = "", body_bytes: int = 262_144) -> Incoming:
    """Reads any bytes; never raises. `text` is plain text of at most `body_bytes` bytes of UTF-8."""
    try:
        return _read(raw, own_domain, body_bytes)
    except Exception:  # nothing known does this; but a mail nobody foresaw must not stop those behind it
        digest = sha256(raw).hexdigest()
        nothing: tuple[str, ...] = ()
        return Incoming(
            *(None, None, "", None, "", None, nothing, nothing, 0, "", 0, None, "", True, False, digest),
            ("unreadable",),
        )


def _read(raw: bytes, own_domain: str, body_bytes: int) -> Incoming:
    headers, body = head(raw)
    problems = list(headers.problems)
    name, sender = sender_of(headers, problems)
    return_path = return_path_of(headers)
    found = automatic(headers, sender, return_path == "")
    text, attachments = _text(raw, headers, body, body_bytes, problems)
    ids = ids_in((headers.first("message-id") or "")[:2_000])
    if not ids:
        problems.append("no-message-id")
    addresses, count = recipients_of(headers)
    return Incoming(
        message_id=ids[0] if ids else None,
        sender=sender,
        sender_name=name,
        return_path=return_path,
        subject=harmless(decoded((headers.first("subject") or "")[:8_192])),
        date_ms=_date(headers, problems),
        references=_references(headers),
        recipients=addresses,
        recipient_count=count,
        text=text,
        attachments=attachments,
        automatic=found[0] if found else None,
        automatic_because=found[1] if found else "",
        reply_unwanted=found is not None or reply_unwanted(headers),
        own=bool(ids and own_domain and own_message_id(ids[0], own_domain)),
        content_digest=_digest(raw, headers, body),
        problems=tuple(dict.fromkeys(problems)),
    )


def _references(headers: Headers) -> tuple[str, ...]:
    ids: list[str] = []
    for name in ("references", "in-reply-to"):
        for value in headers.all(name)[:5]:
            ids += ids_in(value[:65_536]) + ids_in(value[65_536:][-65_536:])
    ids = list(dict.fromkeys(ids))
    return tuple(ids if len(ids) <= 100 else [*ids[:10], *ids[-90:]])


def _date(headers: Headers, problems: list[str]) -> int | None:
    try:
        parsed = parsedate_tz((headers.first("date") or "")[:100])
        ms = None
        if parsed is not None:
            date(*parsed[:3])  # the 31st of February is no date, though it can be computed with
            ms = mktime_tz(parsed) * 1_000
    except (ValueError, ArithmeticError, LookupError, TypeError):
        ms = None
    if ms is None or not _FIRST_MS <= ms <= _LAST_MS:
        problems.append("bad-date")
        return None
    return ms


def _text(raw: bytes, top: Headers, body: int, most: int, problems: list[str]) -> tuple[str, int]:
    """What there is to read, and how many attachments there are."""
    found: dict[str, list[str]] = {"text/plain": [], "text/html": []}
    attachments, left = 0, most
    for part in leaves(raw, top, body, problems):
        if part.attached:
            attachments += 1
        elif left > 0 and (part.kind == "text/plain" or not found["text/html"]):
            text = _of_part(raw, part, most, problems)
            found[part.kind] += [text] if text.strip() else []
            left -= len(text) if part.kind == "text/plain" else 0
    text = "\n".join(found["text/plain"]) or plain("".join(found["text/html"][:1]))
    text = _UNREADABLE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    data = text.encode("utf-8", "replace")
    if len(data) > most:
        problems.append("cut")
    return data[:most].decode("utf-8", "ignore").strip("\n"), attachments


def _of_part(raw: bytes, part: Part, most: int, problems: list[str]) -> str:
    charset = part.parameters.get("charset", "")
    if not known_charset(charset):
        problems.append("unknown-charset")
    return text_of(part.decoded(raw, most + 1), charset)


def content_digest(raw: bytes) -> str:
    """SHA-256 (hex) of Message-ID, From, Date, Subject and the body: what one mail's copies share."""
    headers, body = head(raw)
    return _digest(raw, headers, body)


def _digest(raw: bytes, headers: Headers, body: int) -> str:
    """Blanks in headers, line ends and the body's last line ends do not count: relays change them."""
    digest = sha256()
    for wanted in ("message-id", "from", "date", "subject"):
        said = [b" ".join(value.split()) for name, value in headers.fields if name == wanted]
        digest.update(wanted.encode() + b"\n" + b"\n".join(said) + b"\n\n")
    end = len(raw)
    while end > body and raw[end - 1] in b"\r\n":
        end -= 1
    while body < end:
        stop = min(end, body + _STEP)
        if stop < end and raw[stop - 1] == 13 and stop - 1 > body:
            stop -= 1  # a line end is not cut in two
        digest.update(raw[body:stop].replace(b"\r\n", b"\n"))
        body = stop
    return digest.hexdigest()
