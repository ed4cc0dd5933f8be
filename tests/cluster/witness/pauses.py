"""How long each fold stood still, by the timestamps of what stands on the topics.

An effect names its cause: a change of a target's state the probe result it follows from, a journal entry its
source, an outcome its journal entry. `probe.results` and `sla.journal` carry the broker's append time, the
other topics the time at which a service handed the record to its client. So

    waited   is how long after its cause an effect was said: a stop, and catching up after it
    paused   is how long a partition said nothing although something was waiting: the stop alone

`whole` is from the source of a journal entry to the outcomes that follow: journal and promises fold together.
Repeats are left out: what was said first counts. On several nodes their clocks must agree.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from msgspec import Struct, json

from tests.faults.verifier import Dump, Record
from tests.faults.verifier.dump import JOURNAL, OUTCOMES, origin_of

Effects = dict[int, list["Effect"]]


class Pause(Struct, frozen=True):
    """Of one partition of a fold; seconds. `at` is when the longest pause ended (ms since 1970)."""

    fold: str
    partition: int
    effects: int
    waited: float
    paused: float
    at: int


class Effect(Struct, frozen=True, order=True):
    """Said `at`, because of something said at `since` (ms)."""

    at: int
    since: int


def pauses(dump: Dump, since: int) -> list[Pause]:
    """Of every fold and partition that had work from `since` (ms since 1970) on."""
    found = []
    sources = _sources(dump)
    entries = {(one.partition, one.offset): one.at for one in dump.of(JOURNAL)}
    for fold, effects in (
        ("uptime", _uptime(dump)),
        ("journal", _journal(dump, sources)),
        ("promises", _promises(dump, entries)),
        ("whole", _promises(dump, sources)),
    ):
        for partition, said in sorted(effects.items()):
            recent = [one for one in said if one.since >= since]
            if recent:
                found.append(longest(fold, partition, recent))
    return found


def longest(fold: str, partition: int, effects: Iterable[Effect]) -> Pause:
    """The longest wait and the longest silence of one partition."""
    ordered = sorted(effects)
    waited = max(one.at - one.since for one in ordered)
    last, paused, ended = ordered[0].since, 0, ordered[0].at
    for one in ordered:
        silent = one.at - max(last, one.since)
        if silent > paused:
            paused, ended = silent, one.at
        last = one.at
    return Pause(fold, partition, len(ordered), waited / 1000, paused / 1000, ended)


def worst(found: Iterable[Pause]) -> dict[str, Pause]:
    """The partition with the longest pause, for each fold."""
    of_fold: dict[str, Pause] = {}
    for one in found:
        if one.fold not in of_fold or one.paused > of_fold[one.fold].paused:
            of_fold[one.fold] = one
    return of_fold


def _uptime(dump: Dump) -> Effects:
    causes = {(one.partition, one.offset): one.at for one in dump.of("probe.results")}
    effects: Effects = defaultdict(list)
    seen = set()
    for record in dump.of("uptime.changes"):
        origin = origin_of(record)
        if origin is None or not origin[0].startswith("probe.results/") or origin in seen:
            continue
        seen.add(origin)
        partition = int(origin[0].rpartition("/")[2])
        since = causes.get((partition, origin[1][0]))
        if since is not None:
            effects[partition].append(Effect(record.at, since))
    return effects


def _sources(dump: Dump) -> dict[tuple[int, int], int]:
    """When the source of each journal entry was said; entries that only say that time went on have none."""
    topics = ("uptime.changes", "subscription.events", "ticket.events", "terms.events")
    said = {(one.topic, one.partition, one.offset): one.at for topic in topics for one in dump.of(topic)}
    found, seen = {}, set()
    for record in dump.of(JOURNAL):
        source = json.decode(record.value or b"null")["source"]
        place = None if source is None else (source["topic"], source["partition"], source["offset"])
        if place in said and (record.partition, place) not in seen:
            seen.add((record.partition, place))
            found[record.partition, record.offset] = said[place]
    return found


def _journal(dump: Dump, sources: dict[tuple[int, int], int]) -> Effects:
    effects: Effects = defaultdict(list)
    for record in dump.of(JOURNAL):
        since = sources.get((record.partition, record.offset))
        if since is not None:
            effects[record.partition].append(Effect(record.at, since))
    return effects


def _promises(dump: Dump, causes: dict[tuple[int, int], int]) -> Effects:
    """`causes`: the instant that counts for each journal entry."""
    effects: Effects = defaultdict(list)
    seen = set()
    for topic in OUTCOMES:
        for record in dump.of(topic):
            place = _stamp(record)
            if place is not None and place[:2] in causes and place not in seen:
                seen.add(place)
                effects[place[0]].append(Effect(record.at, causes[place[:2]]))
    return effects


def _stamp(record: Record) -> tuple[int, int, int] | None:
    said = json.decode(record.value or b"null")
    stamp = said.get("journal") if isinstance(said, dict) else None
    return None if stamp is None else (stamp["partition"], stamp["offset"], stamp["index"])
