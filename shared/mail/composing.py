"""A letter becomes bytes: the same letter, the same bytes; no value can become a header of its own."""

from __future__ import annotations

import binascii
import re
from datetime import UTC, datetime, timedelta
from email.errors import MessageError, MultipartInvariantViolationDefect
from email.header import decode_header, make_header
from email.parser import BytesParser
from email.policy import compat32
from email.utils import format_datetime
from hashlib import sha256

from msgspec import Struct

from shared.mail.address import address
from shared.mail.encoded import CONTROL, carries_control, harmless, words

__all__ = ["HeaderInjection", "Letter", "compose", "harmless", "ids_in", "message_id", "own_message_id"]

_PLAIN = re.compile(r"[!-~]{1,70}(?: [!-~]{1,70})*")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_ID = re.compile(r"<[!-;=?-~]{1,250}>")
_LINK = re.compile(r"<https?://[!-;=?-~]{1,900}>")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,60}")
_KEY = re.compile(r"(?!_)[A-Za-z0-9/+=_-]+(?:\.[A-Za-z0-9/+=_-]+)*")
_OURS = re.compile(r"<([a-z][a-z0-9-]*)\.([A-Za-z0-9/+=_.-]{1,60})@([A-Za-z0-9.-]{1,200})>")
_BODY_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_LINE = 76
_SET_HERE = {
    *("from", "to", "cc", "bcc", "sender", "subject", "date", "message-id", "in-reply-to", "references"),
    *("mime-version", "return-path", "received"),
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class HeaderInjection(ValueError):
    """A value that would make another header, or that no header can carry; says which, not what it holds."""


class Letter(Struct, frozen=True):
    """What goes to one recipient. `sender` and `to` are addresses, names may be empty; `date_ms` is ms since
    the epoch; ids (`message_id`, `in_reply_to`, `references`) stand in angle brackets; `headers` are further
    ones, such as ("Auto-Submitted", "auto-replied"). `html` None makes a plain text letter."""

    message_id: str
    sender_name: str
    sender: str
    to_name: str
    to: str
    subject: str
    text: str
    date_ms: int
    html: str | None = None
    in_reply_to: str | None = None
    references: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()


def compose(letter: Letter) -> bytes:
    """The letter as RFC 5322 bytes: CRLF, lines of at most 998 bytes, UTF-8 in quoted-printable. Control
    characters in the bodies are left out.

    Raises HeaderInjection, BadAddress.
    """
    date = format_datetime(_EPOCH + timedelta(seconds=letter.date_ms // 1_000))
    headers = [
        ("Date", date.split(" ")),
        ("From", _mailbox("From", letter.sender_name, letter.sender)),
        ("To", _mailbox("To", letter.to_name, letter.to)),
        ("Subject", _unstructured("Subject", letter.subject)),
        ("Message-ID", [_id("Message-ID", letter.message_id)]),
    ]
    if letter.in_reply_to is not None:
        headers.append(("In-Reply-To", [_id("In-Reply-To", letter.in_reply_to)]))
    if letter.references:
        headers.append(("References", [_id("References", each) for each in letter.references]))
    for name, value in letter.headers:
        if not _NAME.fullmatch(name) or name.lower() in _SET_HERE or name.lower().startswith("content-"):
            raise HeaderInjection("a further header has a name that is none, or is set by the letter itself")
        headers.append((name, _unstructured(name, value)))
    headers.append(("MIME-Version", ["1.0"]))
    body = _body(letter, headers)
    data = b"".join(_folded(name, tokens) for name, tokens in headers) + b"\r\n" + body
    _checked(data, [name for name, _ in headers])
    return data


def _body(letter: Letter, headers: list[tuple[str, list[str]]]) -> bytes:
    text = ("text/plain;", "charset=utf-8")
    if letter.html is None:
        headers.append(("Content-Type", list(text)))
        headers.append(("Content-Transfer-Encoding", ["quoted-printable"]))
        return _quoted(letter.text)
    # "=_" cannot occur in quoted-printable: the boundary is none of the bodies' lines, whatever they say.
    boundary = "=_" + sha256(letter.message_id.encode()).hexdigest()[:40]
    headers.append(("Content-Type", ["multipart/alternative;", f'boundary="{boundary}"']))
    out = b""
    for kind, content in (text, letter.text), (("text/html;", "charset=utf-8"), letter.html):
        out += b"--" + boundary.encode() + b"\r\n" + _folded("Content-Type", list(kind))
        out += _folded("Content-Transfer-Encoding", ["quoted-printable"]) + b"\r\n" + _quoted(content)
    return out + b"--" + boundary.encode() + b"--\r\n"


def _quoted(text: str) -> bytes:
    text = _BODY_CONTROL.sub("", re.sub(r"\r\n?|\n", "\n", text)).rstrip("\n") + "\n"
    return binascii.b2a_qp(text.replace("\n", "\r\n").encode("utf-8", "replace"), istext=True)


def _refused(name: str, value: str) -> None:
    if carries_control(value):
        raise HeaderInjection(f"{name} holds a line end or another control character")


def _unstructured(name: str, value: str) -> list[str]:
    _refused(name, value)
    if not value:
        return []
    if "=?" not in value and (_PLAIN.fullmatch(value) or _LINK.fullmatch(value)):
        return value.split(" ")  # a link (List-Unsubscribe) stays one, however long: machines read it
    return words(value)


def _mailbox(header: str, name: str, at: str) -> list[str]:
    _refused(header, name)
    spec = f"<{address(at)}>" if name else address(at)
    if not name:
        return [spec]
    if "=?" in name or not _PLAIN.fullmatch(name):
        return [*words(name), spec]
    if _ATOMS.fullmatch(name):
        return [*name.split(" "), spec]
    quoted = name.replace("\\", "\\\\").replace('"', '\\"')
    return [*f'"{quoted}"'.split(" "), spec]


def _id(header: str, value: str) -> str:
    _refused(header, value)
    if not _ID.fullmatch(value):
        raise HeaderInjection(f"{header} holds what is no message id")
    return value


def _folded(name: str, tokens: list[str]) -> bytes:
    lines, line = [], f"{name}:"
    for token in tokens:
        if len(line) + 1 + len(token) > _LINE and line != f"{name}:":
            lines.append(line)
            line = ""
        line += f" {token}"
    return "\r\n".join([*lines, line]).encode() + b"\r\n"


def _checked(data: bytes, names: list[str]) -> None:
    """What was written is what a reader reads.

    Values were checked one by one, and nothing here asks the email package to write: the EmailMessage of
    Python 3.11 decodes an encoded word of an assigned value and writes the line end in it as it is, so that
    "=?utf-8?q?x=0ABcc=3A_...?=" becomes a Bcc. But readers count, so the bytes are read back: the headers
    must be the intended ones and no others, and none may say a control character, decoded.
    """
    read = BytesParser(policy=compat32).parsebytes(data, headersonly=True)
    # Where only headers are asked for, Python up to 3.11.2 (Debian 12's) misses the parts of every multipart.
    defects = [one for one in read.defects if not isinstance(one, MultipartInvariantViolationDefect)]
    if read.keys() != names or defects:
        raise HeaderInjection("the letter's headers would be read as others")
    for name, value in read.items():
        unfolded = re.sub(r"\r\n(?=[ \t])", "", value)
        try:
            said = str(make_header(decode_header(unfolded)))
        except (MessageError, LookupError, ValueError):
            raise HeaderInjection(f"{name} cannot be read back") from None
        if CONTROL.search(unfolded) or CONTROL.search(said):
            raise HeaderInjection(f"{name} would be read with a control character")


def ids_in(text: str) -> list[str]:
    """The message ids in what anybody wrote, with their brackets; only such as a letter can refer to."""
    return [found for found in _ID.findall(text) if "=?" not in found or not carries_control(found)]


def message_id(kind: str, key: str, domain: str) -> str:
    """`<kind.key@domain>`, always the same for the same key; a key that is long or no safe text is hashed.

    `kind` is a lower-case word (`ack`, `reply`, `letter`). Raises ValueError for another.
    """
    if not re.fullmatch("[a-z][a-z0-9-]*", kind):
        raise ValueError(f"{kind!r} is no kind of message id; use a lower-case word")
    if not (len(key) <= 60 and _KEY.fullmatch(key)):
        key = "_" + sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:40]
    return f"<{kind}.{key}@{domain.lower()}>"


def own_message_id(text: str, domain: str) -> tuple[str, str] | None:
    """(kind, key or its hash) if `text` is an id as `message_id` makes for `domain`. Anyone can forge one."""
    found = _OURS.fullmatch(text.strip())
    return (found[1], found[2]) if found and found[3].lower() == domain.lower() else None
