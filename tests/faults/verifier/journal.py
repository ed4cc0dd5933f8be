"""V2: each usable record stands in the journal once, where it belongs and in its order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from tests.faults.verifier.dump import DEAD, JOURNAL, OUTCOMES, SOURCES, Dump, Record, origin_of
from tests.faults.verifier.forms import fate, parsed, well_formed
from tests.faults.verifier.report import Report, Told, short, triple
from tests.oracle.clock import parse

EVERYWHERE = ("uptime.changes", "terms.events")  # journalled in every partition

Place = tuple[str, int, int]


@dataclass(frozen=True)
class Entry:
    """A journal entry. `now`: the journal's time in ms at it. `taken`: no repeat of an earlier source."""

    offset: int
    now: int
    source: Place | None
    fact: dict[str, Any]
    taken: bool
    value: bytes

    def says(self, value: bytes | None) -> bool:
        """Whether its fact is what a record says: the same bytes, or the same without blanks."""
        return self.value.endswith(b'"fact":' + (value or b"") + b"}") or self.fact == parsed(value)

    @property
    def well_formed(self) -> bool:
        return _formed(self.value)


@lru_cache(1 << 18)
def _formed(entry: bytes) -> bool:
    return well_formed((parsed(entry) or {})["fact"])


def read_journal(dump: Dump, report: Report) -> dict[int, list[Entry]]:
    """The entries of each partition, with what the fold must skip marked; V2 for the journal alone."""
    journal: dict[int, list[Entry]] = {}
    highest: dict[tuple[int, str, int], int] = {}
    seen: set[tuple[int, Place]] = set()
    now: dict[int, int] = {}
    for record in dump.of(JOURNAL):
        said, partition = parsed(record.value), record.partition
        if said is None or not {"recorded_at", "source", "fact"} <= said.keys():
            report.add("V2", "wrong", record.place, f"no journal entry: {short(record.value)}")
            continue
        at = parse(said["recorded_at"])
        source: Place | None = None
        taken = True
        if said["source"] is not None:
            source = (said["source"]["topic"], said["source"]["partition"], said["source"]["offset"])
            stream = (partition, *source[:2])
            taken = source[2] > highest.get(stream, -1)
            if taken:
                highest[stream] = source[2]
            elif (partition, source) in seen:
                report.counts["repeats sla.journal"] += 1
            else:
                name = "/".join(map(str, source))
                report.add(
                    "V2", "lost", name, f"{record.place} comes after a later record: the fold skips it"
                )
            seen.add((partition, source))
        if at < now.get(partition, at):
            report.counts["journal time went back"] += 1
        now[partition] = max(at, now.get(partition, at))
        entry = Entry(record.offset, now[partition], source, said["fact"], taken, record.value or b"")
        journal.setdefault(partition, []).append(entry)
        report.counts["journal entries"] += 1
    return journal


def check_journal(
    dump: Dump, told: Told, journal: dict[int, list[Entry]], partitions: int, report: Report
) -> None:
    """V2: each usable record is journalled once where it belongs, what is not usable is a dead letter."""
    letters: dict[str, list[Record]] = {}
    for record in dump.of(DEAD):
        letters.setdefault(record.headers.get("origin", ""), []).append(record)
        report.counts["dead letters"] += 1
    held: dict[tuple[int, Place], Entry] = {}
    for partition, entries in journal.items():
        for entry in entries:
            if entry.source is not None and entry.taken:
                held[partition, entry.source] = entry
    for topic in SOURCES:
        for record, repeated in _with_repeats(dump.of(topic), report):
            found = fate(topic, record.value, record.headers.get("origin"))
            _check_dead(record, found, letters, report)
            if topic != "probe.results":
                wanted = not repeated and found != "dead"
                for partition in range(partitions) if topic in EVERYWHERE else (record.partition,):
                    _check_held(
                        record, wanted, held.pop((partition, _place(record)), None), partition, report
                    )
    wanted_dead = {(dirt.topic, dirt.key, dirt.value) for dirt in told.dirt if dirt.fate == "dead"}
    for topic in OUTCOMES:
        for record in dump.of(topic):
            if triple(record) in wanted_dead and f"{record.place}/0" not in letters:
                report.add("V2", "lost", record.place, f"not on {DEAD}: {short(record.value)}")
    for (partition, source), entry in held.items():
        text = f"{JOURNAL}/{partition}/{entry.offset} was taken from a record that is not there"
        report.add("V2", "wrong", "/".join(map(str, source)), text)


def _place(record: Record) -> Place:
    return record.topic, record.partition, record.offset


def _with_repeats(records: list[Record], report: Report) -> Iterator[tuple[Record, bool]]:
    """Each record of one topic, and whether it says again, by its origin, what was said before."""
    highest: dict[tuple[int, str], tuple[int, int]] = {}
    said: dict[tuple[int, str, tuple[int, int]], Record] = {}
    for record in records:
        origin = origin_of(record)
        if origin is None:
            yield record, False
            continue
        stream, place = (record.partition, origin[0]), origin[1]
        first = said.setdefault((*stream, place), record)
        repeated = place <= highest.get(stream, (-1, -1))
        if first is not record and first.value != record.value:
            text = f"says {short(record.value)}, {first.place} said {short(first.value)}"
            report.add("V2", "doubled", record.place, f"the same origin with other bytes: {text}")
        elif first is record and repeated:
            report.add("V2", "lost", record.place, f"comes after a later one of {origin[0]}: readers drop it")
        report.counts[f"repeats {record.topic}"] += repeated
        highest[stream] = max(place, highest.get(stream, (-1, -1)))
        yield record, repeated


def _check_dead(record: Record, fated: str, letters: dict[str, list[Record]], report: Report) -> None:
    found = letters.get(f"{record.place}/0", [])
    if fated == "dead":
        if not found:
            report.add("V2", "lost", record.place, f"not on {DEAD}: {short(record.value)}")
        for letter in found:
            if (letter.value or b"") != (record.value or b""):  # of a tombstone nothing is kept
                report.add("V2", "wrong", letter.place, f"is not what stands at {record.place}")
    elif found:
        report.add("V2", "wrong", record.place, f"usable, but on {DEAD}: {short(record.value)}")


def _check_held(record: Record, wanted: bool, entry: Entry | None, partition: int, report: Report) -> None:
    if wanted and entry is None:
        report.add("V2", "lost", record.place, f"not in {JOURNAL}/{partition}: {short(record.value)}")
    elif entry is not None and not wanted:
        text = f"{JOURNAL}/{partition}/{entry.offset} takes what is a repeat or unusable"
        report.add("V2", "doubled", record.place, text)
    elif entry is not None and not entry.says(record.value):
        said = json.dumps(entry.fact, ensure_ascii=False)
        report.add("V2", "wrong", record.place, f"{JOURNAL}/{partition}/{entry.offset} says {said}")
