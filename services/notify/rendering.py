"""A letter's template and its values become subject, plain text and HTML; both say the same words.

A template is blocks with blank lines between: first the subject, then paragraphs, `| label | value` rows and
links. Values are one line each and never markup: they cannot add a block, a header or a tag.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from msgspec import Struct

from services.notify.settings import Language
from shared.mail.composing import harmless

_COLUMNS = 72
_LABEL_MOST = 32
_SUBJECT_MOST = 200
_VALUE_MOST = 300


class Rendered(Struct, frozen=True):
    """What a person reads."""

    subject: str
    text: str
    html: str


class Block(Struct, frozen=True):
    """A paragraph, rows of a table, or a link."""

    text: str = ""
    rows: tuple[tuple[str, str], ...] = ()
    link: str = ""


def _environment(*, autoescape: bool) -> Environment:
    return Environment(
        loader=PackageLoader("services.notify"),
        autoescape=autoescape,  # noqa: S701 - what it makes without is plain text
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


_words = _environment(autoescape=False)  # plain text: it is escaped where it becomes HTML, all of it
_pages = _environment(autoescape=True)


def render(
    kind: str, language: Language, values: Mapping[str, Any], value_most: int = _VALUE_MOST
) -> Rendered:
    """The letter `kind` ("quota") in `language`; a value has at most `value_most` characters. Raises
    jinja2.UndefinedError for a value that is missing."""
    said = _words.get_template(f"{kind}.{language}.txt").render(_harmless(values, value_most))
    subject, *blocks = [part for part in re.split(r"\n[ \t]*\n", said.strip()) if part.strip()]
    subject = harmless(subject.replace("\u00a0", " "), _SUBJECT_MOST)
    found = [_block(part) for part in blocks]
    page = _pages.get_template("letter.html").render(language=language, subject=subject, blocks=found)
    return Rendered(subject, "\n\n".join(_plain(block) for block in found) + "\n", page)


def _harmless(value: Any, most: int) -> Any:
    """The same values, each text one line without control characters."""
    if isinstance(value, str):
        return "\u00a0".join(harmless(part, most) for part in value.split("\u00a0")).replace("|", "¦")
    if isinstance(value, Mapping):
        return {name: _harmless(one, most) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_harmless(one, most) for one in value]
    return value


def _block(part: str) -> Block:
    lines = [line.strip() for line in part.splitlines() if line.strip()]
    if all(line.startswith("|") for line in lines):
        rows = [line[1:].split("|", 1) for line in lines]
        return Block(rows=tuple((label.strip(), value.strip()) for label, value in rows))
    text = " ".join(lines)
    if re.fullmatch(r"https?://\S+", text):
        return Block(link=text)
    return Block(text=text)


def _row(label: str, value: str, width: int) -> str:
    """A label and its value beside it; below it where the label takes the room."""
    before = f"{label:<{width}}" if len(label) < width else " " * width
    filled = textwrap.fill(
        before + value,
        _COLUMNS,
        subsequent_indent=" " * width,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return filled if len(label) < width else f"{label}\n{filled}"


def _plain(block: Block) -> str:
    if block.rows:
        width = min(max(len(label) for label, _ in block.rows), _LABEL_MOST) + 2
        text = "\n".join(_row(label + ":", value, width) for label, value in block.rows)
    else:
        text = block.link or textwrap.fill(
            block.text, _COLUMNS, break_long_words=False, break_on_hyphens=False
        )
    return text.replace("\u00a0", " ")
