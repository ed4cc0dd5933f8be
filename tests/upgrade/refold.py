"""What this version's folds conclude from kept records, from their beginning and without a broker."""

from __future__ import annotations

from collections.abc import Iterable

from services.sla.history import History
from services.sla.promises import Promises
from services.sla.states import observe
from shared.codec import Undecodable, decode_probe_fact, encode
from shared.kafka import Record


def outcomes(journal: Iterable[Record]) -> list[bytes]:
    """Every outcome of a journal, each partition's in their order."""
    folds: dict[int, Promises] = {}
    found = []
    for record in journal:
        fold = folds.setdefault(record.partition, Promises(History(partition=record.partition)))
        found += [spoken.data for spoken in fold.apply(record.offset, record.value or b"")]
    return found


def changes(results: Iterable[Record]) -> list[bytes]:
    """Every fact that follows from probe results, each partition's in their order."""
    states: dict[int, dict[str, object]] = {}
    found = []
    for record in results:
        try:
            fact = decode_probe_fact(record.value or b"")
        except Undecodable:
            continue
        targets = states.setdefault(record.partition, {})
        said = observe(targets, fact, record.timestamp_ms, record.offset)  # type: ignore[arg-type]
        found += [encode(each) for each in said]
    return found
