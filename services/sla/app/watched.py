"""What is told of the folds when Prometheus asks: read from their states, nothing is kept for it.

Of a fold at work it is what holds between two records; a partition that is being restored is not there yet.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Protocol

from aiokafka import TopicPartition

from services.sla.app import metrics
from services.sla.app.ownership import Ownership
from services.sla.app.promises_worker import PromisesWorker
from services.sla.app.uptime_worker import UptimeWorker
from services.sla.electorate import Electorate
from services.sla.states import TargetState
from shared.lag import ends_of
from shared.settings import KafkaSettings
from shared.topics import JOURNAL, PROBE_RESULTS, Topic

_LOOK_AGAIN_S = 10.0
"""Walking all targets takes some 25 ms for 100,000: no more often than this."""
_DIGEST_BYTES = 6
"""So many bits a float holds without loss."""


class Placed(Protocol):
    """One partition's fold."""

    @property
    def position(self) -> int: ...


class Watched:
    """Sets the gauges of one instance's folds."""

    def __init__(self, uptime: UptimeWorker, promises: PromisesWorker, settings: KafkaSettings) -> None:
        self._uptime = uptime
        self._promises = promises
        self._settings = settings
        self._looked_at = float("-inf")
        metrics.FOLD_EXPECTED.labels("uptime").set(settings.partitions(PROBE_RESULTS))
        metrics.FOLD_EXPECTED.labels("promises").set(settings.partitions(JOURNAL))

    async def tell(self) -> None:
        """Sets every gauge to what holds now. The broker is asked where its topics end, for 2 s at most."""
        folds = self._uptime.ownership, self._promises.ownership
        shares = self._promises.shares.items()
        intakes = {partition: share.intake for partition, share in shares if share.intake is not None}
        (uptime, promises), behind = await asyncio.gather(
            asyncio.gather(*[ends_of(fold.subscriber.consumer) for fold in folds]),
            asyncio.gather(*[intake.behind() for intake in intakes.values()]),
        )
        for gauge in (metrics.FOLD_POSITION, metrics.FOLD_LAG, metrics.FOLD_AGE):
            gauge.clear()  # partitions that are gone are another's to tell of
        self._tell_fold("uptime", PROBE_RESULTS, self._uptime.shares, folds[0], uptime)
        self._tell_fold("promises", JOURNAL, self._promises.shares, folds[1], promises)
        self._tell_journal(dict(zip(intakes, behind, strict=True)))
        if time.monotonic() - self._looked_at >= _LOOK_AGAIN_S:
            self._looked_at = time.monotonic()
            tell_targets([share.states for share in self._uptime.shares.values()], time.time())

    def _tell_fold(
        self,
        fold: str,
        topic: Topic,
        shares: Mapping[int, Placed],
        ownership: Ownership,
        ends: Mapping[TopicPartition, int],
    ) -> None:
        metrics.FOLD_PARTITIONS.labels(fold).set(len(shares))
        metrics.FOLD_STALLED.labels(fold).set(time.monotonic() - ownership.beat)
        for partition, share in shares.items():
            metrics.FOLD_POSITION.labels(fold, partition).set(share.position)
            end = ends.get(TopicPartition(self._settings.topic(topic), partition))
            if end is not None:
                lag = max(0, end - share.position - 1)
                age = max(0.0, time.time() - ownership.newest.get(partition, time.time())) if lag else 0.0
                metrics.FOLD_LAG.labels(fold, partition).set(lag)
                metrics.FOLD_AGE.labels(fold, partition).set(age)

    def _tell_journal(self, behind: Mapping[int, Mapping[str, int]]) -> None:
        for gauge in (metrics.POSITION, metrics.DIGEST, metrics.NEXT_DUE, metrics.INTAKE_LAG):
            gauge.clear()
        metrics.INTAKES.set(len(behind))
        for partition, share in self._promises.shares.items():
            history = share.snapshot.history
            metrics.POSITION.labels(partition).set(history.position)
            metrics.DIGEST.labels(partition).set(int.from_bytes(history.digest[:_DIGEST_BYTES], "big"))
            if (due := share.promises.next_due) is not None:
                metrics.NEXT_DUE.labels(partition).set(due / 1_000)
            for name, records in behind.get(partition, {}).items():
                metrics.INTAKE_LAG.labels(partition, name).set(records)


def tell_targets(shares: list[dict[str, TargetState]], now_s: float) -> None:
    """Sets what is told of all targets together, at `now_s` (s)."""
    by_state = dict.fromkeys(("up", "down", "unmeasured"), 0)
    electorates: set[Electorate] = set()
    silent: dict[str, int] = {}
    undecided, oldest = 0, now_s * 1_000
    for states in shares:
        for state in states.values():
            by_state[state.standing.stated] += 1
            if state.undecided is not None:
                undecided += len(state.undecided)
                oldest = min(oldest, state.undecided[0].slot)
            electorates.add(state.electorate)
            if state.given_up:
                for location in _silent(state):
                    silent[location] = silent.get(location, 0) + 1
    for name, number in by_state.items():
        metrics.TARGETS.labels(name).set(number)
    metrics.UNDECIDED.set(undecided)
    metrics.OLDEST_UNDECIDED.set(now_s - oldest / 1_000)
    metrics.SILENT.clear()
    for location in {name for each in electorates for name in each.locations}:
        metrics.SILENT.labels(location).set(silent.get(location, 0))


def _silent(state: TargetState) -> list[str]:
    """The locations of which nobody waits for any check's votes."""
    locations = state.electorate.locations
    column = sum(1 << row * len(locations) for row in range(len(state.electorate.checks)))
    return [
        location
        for number, location in enumerate(locations)
        if state.given_up & column << number == column << number
    ]
