"""Replays the live journal: each partition alone, through the code the service runs."""

from __future__ import annotations

from collections.abc import Iterator

from services.sla.history import History
from services.sla.promises import Promises
from services.sla.spoken import Spoken
from shared.kafka import Record, read_topic
from shared.settings import KafkaSettings
from shared.topics import JOURNAL


def replay_journal(
    settings: KafkaSettings, partition: int | None = None
) -> Iterator[tuple[Record, list[Spoken]]]:
    """Every journal record that is there now with its outcomes, partition after partition.

    Raises HistoryGone where the journal no longer begins at its beginning.
    """
    fold = Promises(History(partition=-1))
    for record in read_topic(settings, JOURNAL, partition):
        if record.partition != fold.history.partition:
            fold = Promises(History(partition=record.partition))
        yield record, fold.apply(record.offset, record.value or b"")
