"""V1: everything that was told stands on its topic, and what billing accepted in its books as well."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from tests.faults.verifier.dump import OUTCOMES, SOURCES, Dump, Record, origin_of
from tests.faults.verifier.report import Report, Told, Triple, short, triple

OUTBOX = "billing.outbox/0"


def check_told(dump: Dump, told: Told, report: Report) -> None:
    """V1: what was acknowledged is there as often as it was told, and nobody said anything else."""
    asked = Counter(told.acknowledged)
    known = {*asked, *told.perhaps, *((dirt.topic, dirt.key, dirt.value) for dirt in told.dirt)}
    found: Counter[Triple] = Counter()
    for topic in SOURCES:
        for record in dump.of(topic):
            one = triple(record)
            found[one] += 1
            if told.complete and one not in known and origin_of(record) is None:
                report.add("V1", "wrong", record.place, f"nobody said {short(record.value)}")
    # Dirt is told there, too.
    found += Counter(triple(record) for topic in OUTCOMES for record in dump.of(topic))
    # Only results may go by their age; then nobody can say any more which of them are missing.
    shortened = {topic for (topic, _), begins in dump.begins.items() if begins and topic == "probe.results"}
    report.notes += [f"V1: {topic} no longer begins at offset 0, not compared" for topic in shortened]
    for one, times in asked.items():
        if found[one] < times and one[0] not in shortened:
            text = f"told {times} times, on the topic {found[one]}: {short(one[2])}"
            report.add("V1", "lost", f"{one[0]} {one[1]}", text)
    report.counts["facts"] += sum(len(dump.of(topic)) for topic in SOURCES)
    if dump.has_books:
        _check_declared(dump, told, report)


def _check_declared(dump: Dump, told: Told, report: Report) -> None:
    """What billing accepted is in its books once and on its topic by sequence, word for word."""
    rows = {row["sequence"]: row["fact"] for row in dump.declared}
    booked = Counter(_canonical(json.loads(text)) for text in rows.values())
    accepted = Counter(_canonical(fact) for fact in told.declared)
    for text in accepted | (booked if told.complete else Counter()):
        if booked[text] != accepted[text] and (told.complete or booked[text] < accepted[text]):
            kind = "lost" if booked[text] < accepted[text] else "doubled"
            report.add(
                "V1",
                kind,
                _about(text),
                f"accepted {accepted[text]} times, in the books {booked[text]}: {text}",
            )
    published: dict[int, Record] = {}
    for record in dump.of("subscription.events"):
        origin = origin_of(record)
        if origin and origin[0] == OUTBOX:
            published.setdefault(origin[1][0], record)
    for sequence, text in rows.items():
        record = published.get(sequence)
        if record is None:
            about = f"{OUTBOX}/{sequence}"
            report.add("V1", "lost", about, f"declared, not on subscription.events: {text}")
        elif record.value != text.encode():
            report.add("V1", "wrong", record.place, f"says {short(record.value)}, declared was {text}")
    for sequence in published.keys() - rows.keys():
        report.add("V1", "wrong", published[sequence].place, f"{OUTBOX}/{sequence} is not in the books")


def _canonical(fact: dict[str, Any]) -> str:
    """Without the optional fields that say nothing, in one order."""
    said = {name: value for name, value in fact.items() if value is not None}
    return json.dumps(said, ensure_ascii=False, sort_keys=True)


def _about(text: str) -> str:
    fact = json.loads(text)
    return f"{fact.get('type')} {fact.get('subscription')}"
