"""Text as mail carries it: encoded words (RFC 2047) and charsets, read tolerantly; what a header may hold.

An encoded word is harmless ASCII that becomes something else when it is read: whoever checks a value for
line ends must look at what its words say, and at what the words in those say.
"""

from __future__ import annotations

import binascii
import re

CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""What no value of a header may hold: C0 and C1 controls, line and paragraph separators."""

WORD = re.compile(r"=\?([^?]{1,60})\?([bBqQ])\?((?:[^?]|\?(?!=)){0,2000})\?=")
_BETWEEN = re.compile(r"(\?=)[ \t\r\n]+(?==\?[^?]{1,60}\?[bBqQ]\?)")
_TEXTUAL = re.compile(
    r"utf-?(7|8|16|32)(-?[bl]e)?|us-ascii|ascii|iso-?8859-?\d{1,2}|latin-?\d|windows-?12\d\d|cp-?\d{3,5}"
    r"|koi8-?[rut]|gb-?(2312|k|18030)|hz(-gb-2312)?|big5(-?hkscs)?|euc-?(jp|kr|cn)|ks_c_5601-1987"
    r"|(shift[_-]?jis|sjis)|iso-?2022-?(jp|kr)(-\w+)?|mac-?roman|macintosh|tis-?620|johab"
)
_NESTED = 8


def text_of(data: bytes, charset: str) -> str:
    """`data` read in `charset`, what does not fit replaced. No or an unknown charset: UTF-8 if it is, else
    Windows' Western. Never raises; the text is always valid UTF-8."""
    name = charset.strip().strip("\"'").lower()
    if name in ("", "ascii", "us-ascii", "unknown-8bit", "8bit", "binary") or not _TEXTUAL.fullmatch(name):
        try:
            return data.decode()
        except UnicodeDecodeError:
            name = "cp1252"
    if name in ("iso-8859-1", "iso8859-1", "latin1", "latin-1"):
        name = "cp1252"  # what those who say the former send
    try:
        text = data.decode(name, "replace")
    except (LookupError, ValueError):
        text = data.decode("utf-8", "replace")
    return text.encode("utf-8", "replace").decode()


def known_charset(charset: str) -> bool:
    """Whether `text_of` reads this charset rather than guessing."""
    return not charset or bool(_TEXTUAL.fullmatch(charset.strip().strip("\"'").lower()))


def base64_of(data: bytes) -> bytes:
    """What base64 says, whatever stands between its characters and however it ends."""
    clean = re.sub(rb"[^A-Za-z0-9+/]", b"", data)
    clean = clean[: len(clean) - 1] if len(clean) % 4 == 1 else clean
    return binascii.a2b_base64(clean + b"=" * (-len(clean) % 4))


def decoded(value: str) -> str:
    """`value` with its encoded words read, once; control characters in them are kept. Never raises."""
    value = _BETWEEN.sub(r"\1", value)
    out: list[str] = []
    held: tuple[str, bytes] | None = None
    at = 0
    for word in WORD.finditer(value):
        charset = word[1].partition("*")[0].lower()
        data = _bytes_of(word[2], word[3])
        if held and held[0] == charset and word.start() == at:
            data = held[1] + data  # a character may be split between two words
        elif held:
            out.append(text_of(held[1], held[0]))
        out.append(value[at : word.start()])
        held, at = (charset, data), word.end()
    if held:
        out.append(text_of(held[1], held[0]))
    out.append(value[at:])
    return "".join(out)


def _bytes_of(encoding: str, text: str) -> bytes:
    data = text.encode("utf-8", "replace")
    if encoding in "bB":
        return base64_of(data)
    return binascii.a2b_qp(data.replace(b"_", b" ").replace(b"\n", b"=0A"), header=False)


def carries_control(value: str) -> bool:
    """Whether `value` holds a control character, as it is or in encoded words, however deep."""
    for _ in range(_NESTED):
        if CONTROL.search(value):
            return True
        further = decoded(value)
        if further == value:
            return False
        value = further
    return True


def harmless(text: str, most: int = 300) -> str:
    """`text` as a value that any header can carry: one line of valid UTF-8, at most `most` characters,
    without control characters, encoded ones included."""
    text = text[: most * 4].encode("utf-8", "replace").decode()
    text = " ".join(CONTROL.sub(" ", text).split())[:most].strip()
    if carries_control(text):
        text = text.replace("=?", "= ?")[:most].strip()
    return text


def words(text: str) -> list[str]:
    """`text` as encoded words of at most 64 characters each, UTF-8 in base64."""
    out, chunk = [], b""
    for character in text:
        piece = character.encode("utf-8", "replace")
        if len(chunk) + len(piece) > 39:
            out.append(chunk)
            chunk = b""
        chunk += piece
    return [f"=?utf-8?b?{binascii.b2a_base64(part, newline=False).decode()}?=" for part in [*out, chunk]]
