"""When a check starts: slots aligned to the interval, stamped once, never repeated, never out of order.

A slot is a multiple of the interval in ms since the epoch, so every location has the same ones. The wall
clock is read only to anchor a monotonic one; a wall clock stepped back stretches time a little until the
two agree again, and never brings a slot back.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from typing import NamedTuple

_TOLERANCE_MS = 5.0
_SLOWED = 0.9
"""The pace while the wall clock is behind what was already stamped: slots go on, a tenth slower."""


class SlotClock:
    """Milliseconds since the epoch that never go back. `wall` and `monotonic` give seconds."""

    def __init__(
        self, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        self._anchor = monotonic()
        self._anchor_ms = wall() * 1_000
        self._pace = 1.0

    def now_ms(self) -> float:
        """The time slots are stamped by."""
        return self._anchor_ms + (self._monotonic() - self._anchor) * 1_000 * self._pace

    def until(self, slot_ms: float) -> float:
        """Seconds of the monotonic clock from now to `slot_ms`; negative when it has passed."""
        return (slot_ms - self.now_ms()) / 1_000 / self._pace

    def reanchor(self) -> float:
        """Compares with the wall clock and returns by how many ms it was ahead (negative: behind).

        Ahead, it is followed at once: the slots between are skipped. Behind, this clock slows down until
        they agree.
        """
        mono, wall_ms, now_ms = self._monotonic(), self._wall() * 1_000, self.now_ms()
        drift = wall_ms - now_ms
        self._anchor, self._anchor_ms = mono, max(wall_ms, now_ms)
        self._pace = _SLOWED if drift < -_TOLERANCE_MS else 1.0
        return drift


class Due(NamedTuple):
    """A slot that has come: `interval_ms` names the checks that run in it, `missed` how many slots before it
    passed unseen. Unless `in_time` it is itself too late to begin."""

    slot_ms: int
    interval_ms: int
    missed: int
    in_time: bool


class Schedule:
    """The next slot of each interval. A slot begun too late is skipped: its stamp would be a lie."""

    def __init__(self, intervals_ms: set[int], now_ms: float) -> None:
        self._next = [(_after(now_ms, interval), interval) for interval in intervals_ms]
        heapq.heapify(self._next)

    @property
    def next_slot_ms(self) -> int | None:
        """The earliest slot to come, in ms since the epoch; None when there are no intervals."""
        return self._next[0][0] if self._next else None

    def upcoming(self) -> list[int]:
        """The intervals, in ms, that have a slot at `next_slot_ms`."""
        return [interval for slot, interval in self._next if slot == self.next_slot_ms]

    def due(self, now_ms: float) -> list[Due]:
        """The slots that have come by `now_ms`; of each interval at most one, the latest."""
        found = []
        while self._next and self._next[0][0] <= now_ms:
            slot, interval = self._next[0]
            latest = int(now_ms) // interval * interval
            heapq.heapreplace(self._next, (latest + interval, interval))
            found.append(
                Due(latest, interval, (latest - slot) // interval, now_ms - latest <= late_ms(interval))
            )
        return found

    def restart(self, intervals_ms: set[int], now_ms: float) -> None:
        """Takes other intervals from the next slots on; a slot already begun never begins again."""
        known = {interval: slot for slot, interval in self._next}
        self._next = [(known.get(one, _after(now_ms, one)), one) for one in intervals_ms]
        heapq.heapify(self._next)


def late_ms(interval_ms: int) -> int:
    """How late a slot may begin, in ms: a quarter of the interval, at most a second."""
    return min(1_000, interval_ms // 4)


def _after(now_ms: float, interval_ms: int) -> int:
    return (int(now_ms) // interval_ms + 1) * interval_ms
