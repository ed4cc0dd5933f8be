"""The trace a record stands in: the header `traceparent`, derived from what the record follows from.

Never random: history is said again after a crash, and must be the same bytes, headers too. So the header is
there whether spans are told or not, and no setting changes it (docs/adr/0016). Each record has one span, of
its being said; its parent is that of the record it follows from.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from hashlib import sha256
from typing import Any, NamedTuple

from shared.cloudevents import Origin

TRACEPARENT = "traceparent"
"""Header name, in the form of W3C Trace Context."""
_FORM = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-[0-9a-f]{2}(?:-.*)?")


class Trace(NamedTuple):
    """A place in a trace: its id (32 hexadecimal digits) and that of a span in it (16)."""

    trace_id: str
    span_id: str

    @property
    def header(self) -> str:
        """As it stands in the header. Its last digits say that somebody may keep the trace, always: who keeps
        it decides by its id, and what is said may not depend on that."""
        return f"00-{self.trace_id}-{self.span_id}-01"

    def then(self, *what: object) -> Trace:
        """The span of `what` follows from this one; the same words give the same span."""
        return Trace(self.trace_id, _digest(*self, *what)[:16])


def begun(place: object, value: bytes) -> Trace:
    """The trace that begins with the record `value` at `place`. Both are in its id: two installations have
    the same places, and what is seen again elsewhere leads to other things."""
    digest = _digest(place, sha256(value).hexdigest())
    return Trace(digest[:32], digest[32:48])


def trace_in(found: Iterable[tuple[str, bytes]]) -> Trace | None:
    """The trace among a record's headers as the client gives them; None where none can be read."""
    for name, value in found:
        if name == TRACEPARENT:
            match = _FORM.fullmatch(value or b"")
            return Trace(match[1].decode(), match[2].decode()) if match is not None else None
    return None


class Cause(NamedTuple):
    """The trace of a record that others follow from; `told` where who said it has a span for it."""

    trace: Trace
    told: bool

    @property
    def parent(self) -> Trace | None:
        """The span that what follows is a child of."""
        return self.trace if self.told else None


def cause_in(record: Any, topic: str) -> Cause:
    """The trace of a record as the client gives it: that of its headers, or one that begins with it. `topic`
    is its name without a prefix."""
    found = trace_in(record.headers)
    if found is not None:
        return Cause(found, told=True)
    return Cause(begun(Origin(topic, record.partition, record.offset), record.value or b""), told=False)


def carry(headers: dict[str, str], cause: Trace, where: object = "") -> Trace:
    """Puts the trace of `cause` into the `headers` of a record that follows from it, and returns the record's
    own. `where` tells apart what is said in several places under one id."""
    own = cause.then(headers["ce_source"], headers["ce_id"], where)
    headers[TRACEPARENT] = own.header
    return own


def _digest(*words: object) -> str:
    return sha256("\n".join(map(str, words)).encode()).hexdigest()
