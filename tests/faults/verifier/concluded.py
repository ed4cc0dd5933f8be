"""What follows from a journal by the model, written as the services write it: outcomes, ledger, warnings."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from tests.faults.stories.telling import encoded
from tests.faults.verifier.books import hundredths
from tests.faults.verifier.dump import JOURNAL, Dump, Record, Row
from tests.faults.verifier.forms import well_formed
from tests.oracle.model import outcomes

TOPIC_OF = {
    **{"MonthClosed": "sla.months", "CreditGranted": "sla.credits", "CreditAdjusted": "sla.credits"},
    **{"TermsNoticeDue": "sla.notices", "FactRejected": "sla.rejected"},
}

Source = tuple[str, int, int]
Journal = dict[int, list[tuple[str, Source | None, dict[str, Any]]]]  # (recorded_at, source, fact)


@dataclass
class Log:
    """Topics being written: `append` gives the new record its offset."""

    records: dict[str, list[Record]] = field(default_factory=dict)
    ends: dict[tuple[str, int], int] = field(default_factory=dict)

    def copy(self) -> Log:
        return Log({topic: list(records) for topic, records in self.records.items()}, dict(self.ends))

    def append(
        self, topic: str, partition: int, key: str | None, value: bytes | None, **headers: str
    ) -> Record:
        offset = self.ends.get((topic, partition), 0)
        self.ends[topic, partition] = offset + 1
        key_bytes = None if key is None else key.encode()
        record = Record(topic, partition, offset, key_bytes, value, headers)
        self.records.setdefault(topic, []).append(record)
        return record


def forged(log: Log, journal: Journal, declared: list[Row], *, takes_repeats: bool = False) -> Dump:
    """The journal as it is given, and all that follows from it.

    `takes_repeats`: the mistake of a fold that has forgotten which sources it has taken.
    """
    log = log.copy()
    ledger: list[Row] = []
    warnings: list[Row] = []
    for partition, entries in journal.items():
        values = [
            encoded({"recorded_at": at, "source": source and _named(source), "fact": fact})
            for at, source, fact in entries
        ]
        for value in values:
            log.append(JOURNAL, partition, None, value)
        kept = list(range(len(entries))) if takes_repeats else _kept(entries)
        lines = []
        for number in kept:
            at, source, fact = entries[number]
            known = fact.get("type") == "ClockAdvanced" or well_formed(fact)
            lines.append(
                {
                    "recorded_at": at,
                    "source": source and _named(source),
                    "fact": fact if known else {"type": "?"},
                }
            )
        of_entry: dict[int, list[dict[str, Any]]] = {}
        for outcome in outcomes(lines):
            of_entry.setdefault(kept[outcome["journal"]["offset"]], []).append(outcome)
        digest = sha256(b"").digest()
        for offset, value in enumerate(values):
            digest = sha256(digest + value).digest()
            for index, outcome in enumerate(of_entry.get(offset, [])):
                stamp = {"partition": partition, "offset": offset, "index": index, "digest": digest.hex()}
                said = _complete(outcome, stamp)
                topic = _topic(said["type"])
                record = log.append(
                    topic, 0 if topic == "sla.rejected" else partition, said.get("account"), encoded(said)
                )
                digest = sha256(digest + (record.value or b"")).digest()
                _book(said, record, ledger, warnings)
    begins = dict.fromkeys(log.ends, 0) | {(JOURNAL, partition): 0 for partition in journal}
    for found in log.records.values():
        found.sort(key=lambda record: (record.partition, record.offset))
    return Dump(log.records, begins, ledger, warnings, [], declared)


def _named(source: Source) -> dict[str, Any]:
    return dict(zip(("topic", "partition", "offset"), source, strict=True))


def _kept(entries: list[tuple[str, Source | None, dict[str, Any]]]) -> list[int]:
    """What the fold does not skip as a repeat of a source."""
    kept: list[int] = []
    highest: dict[tuple[str, int], int] = {}
    for number, (_, source, _) in enumerate(entries):
        if source is not None:
            if source[2] <= highest.get(source[:2], -1):
                continue
            highest[source[:2]] = source[2]
        kept.append(number)
    return kept


def _topic(kind: str) -> str:
    if kind in TOPIC_OF:
        return TOPIC_OF[kind]
    return "sla.quota" if kind.startswith("Quota") else "sla.deadlines"


def _complete(outcome: dict[str, Any], stamp: dict[str, Any]) -> dict[str, Any]:
    said = {name: value for name, value in outcome.items() if name != "journal"}
    if "credit" in said:
        said["calculation"] = {"rule": "none", "exact": "0"}
    if said["type"] == "FactRejected":
        said = {"type": said["type"], "reason": "makes no sense", "source": said["source"]}
    return {**said, "journal": stamp}


def _book(said: dict[str, Any], record: Record, ledger: list[Row], warnings: list[Row]) -> None:
    place = {f"journal_{name}": said["journal"][name] for name in ("partition", "offset", "index")}
    if "credit" in said:
        names = ("account", "subscription", "credit", "currency", "cause", "period", "revision")
        amounts = {name: hundredths(said[name]) for name in ("amount", "total")}
        text = (record.value or b"").decode()
        row = {"kind": "credit", **{name: said[name] for name in names}, **amounts, **place, "record": text}
        ledger.append({"sequence": len(ledger) + 1, **row})
    if said["type"] in ("QuotaWarned", "QuotaRestored"):
        kind = said["type"].removeprefix("Quota").lower()
        more = {name: value for name, value in said.items() if name not in ("type", "journal")}
        warnings.append({**place, "kind": kind, **more})
