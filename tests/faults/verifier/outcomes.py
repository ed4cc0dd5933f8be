"""The outcomes that stand on the topics: each place once, in order, and the digests that bind them."""

from __future__ import annotations

from collections import defaultdict
from hashlib import sha256
from typing import Any, NamedTuple

from tests.faults.verifier.dump import JOURNAL, OUTCOMES, REJECTED, Dump, Record
from tests.faults.verifier.forms import parsed
from tests.faults.verifier.report import Report, Told, triple

Outcome = dict[str, Any]


class Found(NamedTuple):
    """An outcome that stands on a topic, once for its place."""

    offset: int
    index: int
    outcome: Outcome
    record: Record


def read_outcomes(dump: Dump, told: Told, report: Report) -> dict[int, list[Found]]:
    """Unique outcomes by journal partition, in order of place; says what is doubled or out of order."""
    dirt = {(one.topic, one.key, one.value) for one in told.dirt}
    places: dict[tuple[int, int, int], Found] = {}
    for topic in OUTCOMES:
        highest: dict[tuple[int, int], tuple[int, int]] = {}
        for record in dump.of(topic):
            if triple(record) in dirt:
                continue
            said = parsed(record.value)
            stamp = said.get("journal") if said else None
            if said is None or not isinstance(stamp, dict):
                report.add("V4", "wrong", record.place, f"no outcome: {record.value!r:.200}")
                continue
            place = (stamp["partition"], stamp["offset"], stamp["index"])
            one = Found(stamp["offset"], stamp["index"], said, record)
            first = places.setdefault(place, one)
            if first is not one:
                report.counts[f"repeats {topic}"] += 1
                if first.record.value != record.value:
                    text = f"{record.place} and {first.record.place} say different things of one place"
                    report.add("V4", "doubled", name_of(said), text)
                continue
            # A reader keeps the highest place it has taken and would drop this one.
            before = highest.get((record.partition, place[0]), (-1, -1))
            if place[1:] < before:
                report.add("V4", "lost", name_of(said), f"{record.place} comes after a later outcome")
            highest[record.partition, place[0]] = max(place[1:], before)
            if topic != REJECTED and record.partition != place[0]:
                report.add("V4", "wrong", name_of(said), f"{record.place} is of journal partition {place[0]}")
    found: dict[int, list[Found]] = defaultdict(list)
    for place in sorted(places):
        found[place[0]].append(places[place])
        report.counts[str(places[place].outcome["type"])] += 1
    report.counts["outcomes"] += len(places)
    return found


def name_of(outcome: Outcome) -> str:
    """A readable id of what is concluded: a credit's revision, a month's, a request's due, a warning."""
    kind = outcome["type"]
    about = outcome.get("subscription") or outcome.get("account") or ""
    if "credit" in outcome:
        return f"{outcome['credit']}#{outcome['revision']}"
    if kind == "MonthClosed":
        return f"{about}/month/{outcome['month']}#{outcome['revision']}"
    if kind == "FactRejected":
        source = outcome.get("source")
        return "/".join(["rejected", *(str(part) for part in (source or {}).values())])
    if "year_starts_on" in outcome:
        more = outcome.get("percent", outcome.get("ticket", ""))
        used = f"{outcome['used_minutes']}of{outcome['quota_minutes']}"
        return f"{about}/{kind}/{outcome['year_starts_on']}/{more}/{used}"
    parts = (outcome.get(name) for name in ("ticket", "revision", "due_at", "at", "version"))
    return "/".join([about, kind, *(str(part) for part in parts if part is not None)])


def check_chain(dump: Dump, found: list[Found], partition: int, report: Report) -> None:
    """Indexes without a hole, and the running digest (docs/reference/digest.md), up to the first error."""
    by_offset: dict[int, list[Found]] = defaultdict(list)
    for one in found:
        by_offset[one.offset].append(one)
    digest, broken = sha256(b"").digest(), False
    for record in dump.of(JOURNAL):
        if record.partition != partition:
            continue
        digest = sha256(digest + (record.value or b"")).digest()
        for index, one in enumerate(sorted(by_offset.get(record.offset, []), key=lambda one: one.index)):
            if one.index != index:
                about = f"{JOURNAL}/{partition}/{record.offset}/{index}"
                report.add("V4", "lost", about, f"{one.index} stands there, {index} does not")
                return
            if one.outcome["journal"].get("digest") != digest.hex() and not broken:
                broken = True
                text = f"{one.record.place} has another digest than what came before it gives"
                report.add("V4", "wrong", name_of(one.outcome), text)
            digest = sha256(digest + (one.record.value or b"")).digest()
