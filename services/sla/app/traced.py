"""What the SLA service tells of its part in a trace: each record it says, once the broker has it.

A span reaches from the append of the record it follows from to the acknowledgement, and has the id that the
record's `traceparent` names: the next hop is its child, wherever that is told.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from shared.cloudevents import Origin
from shared.codec import decode_probe_fact
from shared.facts import ProbeResult
from shared.topics import PROBE_RESULTS, Topic
from shared.tracing import spans
from shared.tracing.context import Cause, Trace


class Hop(Struct, frozen=True):
    """One record said: `own` is its span, `parent` that of what it follows from, appended at `since` (ms)."""

    type_name: str
    topic: Topic
    own: Trace
    parent: Trace | None
    since: int
    about: Any = None
    """The record itself; its ids become attributes."""


def tell(hops: list[Hop]) -> None:
    """Tells of records that the broker has acknowledged."""
    for hop in hops:
        spans.tell(
            f"say {hop.type_name}",
            hop.own,
            hop.parent,
            hop.since,
            kind="producer",
            attributes=spans.about(hop.about) | {"topic": hop.topic.name},
        )


def tell_result(record: Any, cause: Cause) -> Trace | None:
    """Tells of the probe result that a trace begins with, from its slot to its append, and returns its span.
    Only one that led to something is told of: agents report thousands a second, and cannot know."""
    if not spans.on() or cause.told:
        return cause.parent
    result = decode_probe_fact(record.value or b"")
    if not isinstance(result, ProbeResult):
        return None
    spans.tell(
        "probe ProbeResult",
        cause.trace,
        None,
        result.slot,
        record.timestamp,
        kind="producer",
        attributes={
            "target": result.target,
            "check": result.check,
            "location": result.location,
            "outcome": result.outcome,
            "record": str(Origin(PROBE_RESULTS.name, record.partition, record.offset)),
        },
    )
    return cause.trace
