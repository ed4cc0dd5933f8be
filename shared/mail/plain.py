"""HTML stripped to what a person reads, in time linear in its length whatever it says."""

from __future__ import annotations

import html
import re

_NAME = re.compile(r"/?\s*([a-zA-Z][a-zA-Z0-9]*)")
_UNREAD = ("script", "style", "head", "title", "template")
_LINES = {
    *("p", "div", "br", "tr", "li", "ul", "ol", "table", "blockquote", "pre", "hr"),
    *("h1", "h2", "h3", "h4", "h5", "h6", "section", "article", "header", "footer"),
}


def plain(source: str) -> str:
    """The text of `source`: no tags, comments, scripts or styles; blocks on lines of their own.

    It is cut into pieces at each `<`, once: html.parser takes quadratic time on what is never closed.
    """
    first, *pieces = source.split("<")
    out, unread, comment = [_unescaped(first)], "", False
    for piece in pieces:
        if comment:
            closed, _, rest = piece.partition("-->")
            comment = closed == piece
            if not comment and not unread:
                out.append(_unescaped(rest))
            continue
        if piece.startswith("!--"):
            _, mark, rest = piece[3:].partition("-->")
            comment = not mark
            if mark and not unread:
                out.append(_unescaped(rest))
            continue
        found = _NAME.match(piece)
        name = found[1].lower() if found else ""
        closing = piece.startswith("/")
        if unread:
            ended = (closing and name == unread) or (unread == "head" and name == "body")
            if not ended:
                continue
            unread = ""
        elif name in _UNREAD and not closing:
            unread = name
            continue
        if not found and piece[:1] not in ("!", "?", "/"):
            out.append("<" + _unescaped(piece))  # a lone "<" is text
            continue
        if name in _LINES:
            out.append("\n")
        elif name in ("td", "th"):
            out.append(" ")
        out.append(_unescaped(piece.partition(">")[2]))
    text = "".join(out).replace("\xa0", " ")
    lines = [" ".join(line.split()) for line in text.split("\n")]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _unescaped(text: str) -> str:
    # Newlines of the source are blanks in HTML; a line is what a tag makes.
    text = text.replace("\r", " ").replace("\n", " ")
    try:
        return html.unescape(text)
    except ValueError:  # a character reference of thousands of digits
        return text
