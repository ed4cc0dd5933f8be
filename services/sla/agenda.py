"""What is due when: every instant at which time alone concludes something, the earliest first (contract 1).

What is due at one instant is concluded by account, then subscription; there months and credits first, then
deadlines by ticket, then the quota.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

UPTIME, DEADLINE, QUOTA = 0, 1, 2
"""What kind of thing is due."""


class Due(NamedTuple):
    """A place on the agenda: the instant (ms), whose it is, what kind of thing, and of which ticket."""

    at: int
    account: str
    subscription: str
    kind: int
    ticket: str = ""


class Agenda:
    """What was put off or fell away stays in the heap and is passed over: `_current` says what holds."""

    def __init__(self) -> None:
        self._heap: list[Due] = []
        self._current: tuple[dict[str, int], ...] = ({}, {}, {})
        """By kind, then by subscription or ticket."""

    def put(self, due: Due) -> None:
        """`due` holds from now on, instead of what held for the same thing."""
        self._current[due.kind][_name(due)] = due.at
        heapq.heappush(self._heap, due)

    def at(self, kind: int, name: str) -> int | None:
        """When the thing is due (ms) that is on the agenda for the subscription or ticket `name`."""
        return self._current[kind].get(name)

    def strike(self, kind: int, name: str) -> None:
        """Nothing is due any more for the subscription or ticket `name`."""
        self._current[kind].pop(name, None)

    @property
    def first(self) -> Due | None:
        """What is due first."""
        heap, current = self._heap, self._current
        while heap:
            due = heap[0]
            if current[due.kind].get(due.ticket or due.subscription) == due.at:
                return due
            heapq.heappop(heap)
        return None

    def take(self) -> Due:
        """Takes what is due first off the agenda."""
        due = heapq.heappop(self._heap)
        del self._current[due.kind][_name(due)]
        return due


def _name(due: Due) -> str:
    return due.ticket or due.subscription
