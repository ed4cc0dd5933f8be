"""Names and texts of others, made harmless before they are shown.

Markup is escaped where a page is put together; here goes what escaping leaves dangerous.
"""

from __future__ import annotations

import re

from markupsafe import Markup

_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"
    + "".join(f"{chr(plane << 16 | 0xFFFE)}{chr(plane << 16 | 0xFFFF)}" for plane in range(1, 17))
    + "]"
)
_OVERRIDES = re.compile("[\u202a-\u202e\u2066-\u2069]")
_BLANKS = re.compile(r"\s+")

LINE = 120
"""The characters of a name shown in a list; its own page shows all of it."""


def clean(text: str) -> str:
    """`text` with U+FFFD for each character that XML 1.0 or HTML forbid."""
    return _FORBIDDEN.sub("\ufffd", text)


def shown(text: str) -> str:
    """A name or text for a page: clean, without marks that turn the direction of what stands behind it."""
    return _OVERRIDES.sub("", clean(text))


def line(text: str, most: int = LINE) -> str:
    """A name in one line of at most `most` characters, for titles, lists and attributes."""
    flat = _BLANKS.sub(" ", shown(text)).strip()
    return flat if len(flat) <= most else flat[: most - 1].rstrip() + "…"


def paragraphs(text: str) -> list[str]:
    """The paragraphs of plain text: parted by blank lines; lines within them are kept."""
    parts = re.split(r"\n[ \t]*\n", shown(text).replace("\r\n", "\n").replace("\r", "\n"))
    return [part.strip("\n") for part in parts if part.strip()]


def trusted(html: str) -> Markup:
    """Markup of our own, put together of constants and of parts that were escaped."""
    return Markup(html)  # noqa: S704 - the one place where that is said
