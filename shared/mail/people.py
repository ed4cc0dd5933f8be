"""Who wrote and to whom, as the headers claim; in linear time, whatever they say."""

from __future__ import annotations

import re

from shared.mail.address import BadAddress, address
from shared.mail.encoded import CONTROL, decoded, harmless
from shared.mail.parts import Headers

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)', re.DOTALL)
_PHRASE = re.compile(r"=\?[^?\s<>]{1,60}\?[bBqQ]\?[^?\s<>,;\"()]{0,2000}\?=")
_COMMENT = re.compile(r"\([^()]*\)")
_NAMED = re.compile(r"([^<>@]*+)<\s*([^<>\s]+)\s*>\s*")
_BARE = re.compile(r"\s*([^<>\s,;@]+@[^<>\s,;@]+)\s*")
_TWICE = re.compile(r"\s*([^<>\s,;@]+@[^<>\s,;@]+)\s*<\s*([^<>\s]+)\s*>\s*")
_HELD = re.compile("\x00(\\d+)\x00")
_FROM_MOST = 5_000
_LISTED = 50


def sender_of(headers: Headers, problems: list[str]) -> tuple[str, str | None]:
    """The name and the address of the one From; a word is added to `problems` where there is no such.

    Readers of mail differ on what an odd From says, and who is who is decided by it: it counts only where
    there is one way to read it.
    """
    values = headers.all("from")
    if len(values) != 1:
        problems.append("several-from" if values else "no-from")
        return "", None
    held: list[str] = []

    def hold(found: re.Match[str]) -> str:
        held.append(found[0])
        return f"\x00{len(held) - 1}\x00"

    outside = _PHRASE.sub(hold, _QUOTED.sub(hold, CONTROL.sub(" ", values[0][:_FROM_MOST])))
    for _ in range(5):
        outside = _COMMENT.sub(" ", outside)
    name, spec = "", ""
    if found := _BARE.fullmatch(outside):
        spec = found[1]
    elif found := _NAMED.fullmatch(outside):
        name, spec = found[1], found[2]
    elif (found := _TWICE.fullmatch(outside)) and found[1].lower() == found[2].lower():
        spec = found[2]
    sender = one_address(spec)
    if not sender or len(values[0]) > _FROM_MOST:
        problems.append("bad-from")
        return "", None
    name = _HELD.sub(lambda number: _said(held[int(number[1])]), name)
    return harmless(decoded(name), 200), sender


def _said(word: str) -> str:
    return re.sub(r"\\(.)", r"\1", word[1:-1]) if word.startswith('"') else word


def one_address(text: str) -> str | None:
    """The address in `text`, with or without angle brackets; None if it is none."""
    try:
        return address(text.strip().removeprefix("<").removesuffix(">").strip())
    except BadAddress:
        return None


def return_path_of(headers: Headers) -> str | None:
    """The topmost Return-Path: "" for the null path; None if there is none or a bad one."""
    value = headers.first("return-path")
    if value is None:
        return None
    return "" if re.fullmatch(r"<\s*>|", value) else one_address(value[:1_000])


def recipients_of(headers: Headers) -> tuple[tuple[str, ...], int]:
    """The first 50 addresses of To and Cc, and about how many there are."""
    found: list[str] = []
    count = 0
    for value in (*headers.all("to"), *headers.all("cc")):
        for piece in re.split(r"[,;]", _QUOTED.sub("", value)):
            if "@" not in piece:
                continue
            count += 1
            if len(found) < _LISTED and len(piece) < 1_000:
                spec = re.search(r"<([^<>]*)>", piece)
                at = one_address(spec[1] if spec else _COMMENT.sub(" ", piece))
                found += [at] if at else []
    return tuple(found), count
