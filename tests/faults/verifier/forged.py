"""Dumps as a right product would have left them, and as a wrong one would: what the verifier is tried on.

`forged` does by the model what the services do: it journals the records of the topics, concludes, stamps and
books. What a test wants broken it changes before (then all that follows fits what was broken) or after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from random import Random
from typing import Any
from zlib import crc32

from tests.faults.stories.telling import Said, Story, encoded
from tests.faults.verifier.concluded import Journal, Log, Source, forged
from tests.faults.verifier.dump import DEAD, SOURCES, Dump, Record, Row
from tests.faults.verifier.forms import fate, parsed
from tests.faults.verifier.report import Told
from tests.oracle.clock import parse, show
from tests.oracle.slots import uptime

BEGUN = parse("2026-11-20T09:00:00.000Z")
ACCOUNT_PARTITIONS, TARGET_PARTITIONS = 2, 3


def partition_of(topic: str, key: str | None) -> int:
    if topic in ("terms.events", "sla.rejected", DEAD):
        return 0
    count = TARGET_PARTITIONS if topic in ("probe.results", "uptime.changes") else ACCOUNT_PARTITIONS
    return crc32((key or "").encode()) % count


def told_log(stories: Sequence[Story], more: Iterable[Said] = ()) -> tuple[Log, Told, list[Row]]:
    """The topics of facts after the stories were told, what the teller knows, and billing's declarations."""
    log, declared = Log(), []
    for sequence, fact in enumerate((fact for story in stories for fact in story.declarations), start=1):
        value, account = encoded(fact), fact["account"]
        declared.append({"sequence": sequence, "subscription": fact["subscription"], "fact": value.decode()})
        topic = "subscription.events"
        log.append(
            topic, partition_of(topic, account), account, value, origin=f"billing.outbox/0/{sequence}/0"
        )
    said = [*(record for story in stories for record in story.records()), *more]
    for topic, key, value in said:
        log.append(topic, partition_of(topic, key), key, value)
    facts = [fact for story in stories for fact in story.declarations]
    return log, Told(acknowledged=said, declared=facts), declared


def say_results(log: Log) -> None:
    """What the uptime fold says of the results that stand on the log, and its dead letters."""
    lines: dict[tuple[int, str], list[Record]] = {}
    for record in log.records.get("probe.results", []):
        if fate(record.topic, record.value) == "dead":
            log.append(DEAD, 0, None, record.value, origin=f"{record.place}/0", reason="dirt")
        else:
            lines.setdefault((record.partition, str((parsed(record.value) or {})["target"])), []).append(
                record
            )
    said: list[tuple[int, int, int, str, dict[str, Any]]] = []
    for (partition, target), records in lines.items():
        steps: dict[int, int] = {}
        for index, fact in uptime([{"fact": parsed(record.value)} for record in records]):
            offset, step = records[index].offset, steps.get(index, 0)
            steps[index] = step + 1
            if fact["type"] == "TargetStateChanged":
                fact = {**fact, "confirmed_at": fact["at"], "because": []}
            said.append((partition, offset, step, target, fact))
    for partition, offset, step, target, fact in sorted(said, key=lambda one: one[:3]):
        origin = f"probe.results/{partition}/{offset}/{step}"
        log.append("uptime.changes", partition, target, encoded(fact), origin=origin)


def journalled(log: Log, rng: Random, *, repeats_by_origin: bool = False, twins: float = 0) -> Journal:
    """One order of what is usable, for each partition another; dead letters are written to the log.

    `repeats_by_origin`: the mistake of taking a fact again that was said before under another offset.
    `twins`: how often a stale twin writes an earlier entry once more, which is no mistake.
    """
    journal: Journal = {}
    for partition in range(ACCOUNT_PARTITIONS):
        streams: dict[tuple[str, int], list[Record]] = {}
        for topic in SOURCES[1:]:
            everywhere = topic in ("uptime.changes", "terms.events")
            for record in log.records.get(topic, []):
                if everywhere or record.partition == partition:
                    streams.setdefault((topic, record.partition), []).append(record)
        now, highest = BEGUN, dict[str, int]()
        entries: list[tuple[str, Source | None, dict[str, Any]]] = []
        while streams:
            places = sorted(streams)
            # Mostly one stream after the other, so that subscriptions are known before their requests.
            first = ("subscription.events", partition)
            place = first if first in streams and rng.random() < 0.7 else rng.choice(places)
            record = streams[place].pop(0)
            if not streams[place]:
                del streams[place]
            if fate(record.topic, record.value) == "dead":
                if record.topic not in ("uptime.changes", "terms.events") or partition == 0:
                    log.append(DEAD, 0, None, record.value, origin=f"{record.place}/0", reason="dirt")
                continue
            stream, _, step = record.headers.get("origin", "").rpartition("/")
            stream, _, offset = stream.rpartition("/")
            if stream:
                number = int(offset) * 1000 + int(step)
                if number <= highest.get(stream, -1) and not repeats_by_origin:
                    continue
                highest[stream] = number
            now += rng.choice((0, 1, 20, 500))
            fact = parsed(record.value) or {}
            entries.append((show(now), (record.topic, record.partition, record.offset), fact))
            if rng.random() < 0.05:
                entries.append((show(now), None, {"type": "ClockAdvanced"}))
            if rng.random() < twins:
                entries.append((show(now), *rng.choice(entries)[1:]))
        journal[partition] = entries
    return journal


def forge(stories: Sequence[Story], seed: int = 0, more: Iterable[Said] = ()) -> tuple[Dump, Told]:
    """A dump in which everything is right, and what was told for it."""
    log, told, declared = told_log(stories, more)
    say_results(log)
    return forged(log, journalled(log, Random(f"forge {seed}")), declared), told


def rewritten(dump: Dump, topic: str, change: Callable[[list[Record]], list[Record]]) -> Dump:
    """The dump with the records of one topic changed."""
    return replace(dump, records={**dump.records, topic: change(list(dump.of(topic)))})
