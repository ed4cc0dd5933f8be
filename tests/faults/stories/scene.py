"""What the parts of a story share: its chance, its time, its names, and what it has said so far."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from random import Random
from typing import Any

from tests.oracle.clock import HOUR, day_start

Fact = dict[str, Any]

MINUTE = 60_000
PROBE, UPTIME, TICKETS = "probe.results", "uptime.changes", "ticket.events"
SUBSCRIPTIONS, TERMS = "subscription.events", "terms.events"


@dataclass
class Scene:
    """One story while it is being made up.

    `said`: for each (topic, key) its facts in the order in which they must be told.
    """

    rng: Random
    prefix: str
    opens: date  # first local date
    ends: date  # after the last one
    said: dict[tuple[str, str], list[Fact]] = field(default_factory=dict)

    @property
    def start(self) -> int:
        """First instant, in ms."""
        return day_start(self.opens)

    @property
    def end(self) -> int:
        """The instant after the last, in ms."""
        return day_start(self.ends)

    def tell(self, topic: str, key: str, kind: str, /, **fields: Any) -> None:
        """Add a fact after what was said under the same key."""
        self.said.setdefault((topic, key), []).append({"type": kind, **fields})

    def slip_in(self, topic: str, key: str, kind: str, /, **fields: Any) -> None:
        """Add a fact anywhere among what was said under the same key."""
        facts = self.said.setdefault((topic, key), [])
        facts.insert(self.rng.randint(0, len(facts)), {"type": kind, **fields})

    def instant(self, since: int | None = None, until: int | None = None) -> int:
        """An instant of the story (or between the two given), mostly a whole hour or right beside one."""
        first, last = since or self.start, until or self.end
        at = self.rng.randrange(first, max(last, first + 1))
        if self.rng.random() < 0.7:
            at = at // HOUR * HOUR + self.rng.choice((0, 0, 0, 1, -1, 30 * MINUTE))
        return min(max(at, first), last)
