"""Reads the log into the worksheet: the journal, replayed, and every topic that must agree with it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from services.cli.audit.journal import replay_journal
from services.cli.audit.reconcile_sheet import Progress, Sheet, digest, figures, subject
from services.sla import states
from services.sla.app.intake import OF_ALL_ACCOUNTS, OF_THE_ACCOUNT
from services.sla.spoken import Spoken
from shared.cloudevents import ORIGIN, Origin
from shared.codec import (
    Undecodable,
    compact,
    decode_entry,
    decode_outcome,
    decode_probe_fact,
    encode,
    is_object,
)
from shared.errors import NeedsAPerson
from shared.kafka import Record, kept, read_topic
from shared.outcomes import CreditGranted
from shared.settings import KafkaSettings
from shared.topics import (
    CREDITS,
    DEAD_LETTERS,
    DEADLINES,
    JOURNAL,
    MONTHS,
    NOTICES,
    PROBE_RESULTS,
    QUOTA,
    REJECTED,
    TOPIC_OF,
    Topic,
)

OUTCOMES = (MONTHS, CREDITS, DEADLINES, QUOTA, NOTICES, REJECTED)
SOURCES = (*OF_THE_ACCOUNT, *OF_ALL_ACCOUNTS)
_SAY_EVERY = 5_000


class NoTopic(NeedsAPerson):
    """A topic of the registry is not on this broker."""


class Gone(Struct, frozen=True):
    """The broker keeps a partition of a topic only from offset `first` on."""

    topic: str
    partition: int
    first: int


class Log:
    """How far each topic has been read into the worksheet.

    `ends` are the journal's when it began to be read: everything is compared up to there. `gone` is what the
    broker no longer keeps of what is kept for ever. `probed` are the partitions of probe.results that still
    begin at their beginning, with the end up to which they were folded; `unprobed` are the others."""

    def __init__(self, settings: KafkaSettings, reader: Any, sheet: Sheet, say: Progress) -> None:
        self.settings = settings
        self.gone: list[Gone] = []
        self.probed: dict[int, int] = {}
        self.unprobed: list[int] = []
        self._reader = reader
        self._sheet = sheet
        self._say = say
        self._next: dict[str, dict[int, int]] = {}
        self.ends = {partition: end for partition, (_, end) in self.kept(JOURNAL)[JOURNAL].items()}

    def kept(self, *topics: Topic) -> dict[Topic, dict[int, tuple[int, int]]]:
        """The first offset and the end of each partition of `topics`. Raises NoTopic."""
        found = kept(self.settings, *topics, reader=self._reader)
        for topic in topics:
            if not found[topic]:
                raise NoTopic(
                    f"There is no topic {self.settings.topic(topic)} at {self.settings.bootstrap}. Set "
                    "GARANT_KAFKA_BOOTSTRAP and GARANT_KAFKA_PREFIX to what the services have, or make it: "
                    "garant topics"
                )
        return found

    def replay(self) -> None:
        """Folds the journal up to `ends`, each partition from its beginning, by the code of the service.

        Raises HistoryGone, JournalBroken."""
        for record, spoken in replay_journal(self.settings):
            end = self.ends.get(record.partition, 0)
            if record.offset < end:
                self._journalled(record)
                for one in spoken:
                    self._concluded(one)
                self._tell(JOURNAL, record, end)
        self._next[JOURNAL.name] = dict(self.ends)

    def _concluded(self, spoken: Spoken) -> None:
        outcome, place = spoken.outcome, spoken.outcome.journal
        credit = outcome if isinstance(outcome, CreditGranted) else None
        self._sheet.add(
            "concluded",
            *(place.partition, place.offset, place.index),
            TOPIC_OF[type(outcome)].name,
            digest(spoken.data),
            subject(outcome),
            *(
                (None, None, None)
                if credit is None
                else (credit.credit, int(credit.amount), int(credit.total))
            ),
            figures(outcome),
        )

    def _journalled(self, record: Record) -> None:
        entry = decode_entry(record.value or b"")
        source = entry.source
        self._sheet.add(
            "journalled",
            *(record.partition, record.offset),
            *((None, None, None) if source is None else (source.topic, source.partition, source.offset)),
            record.headers.get(ORIGIN),
            digest(bytes(entry.fact)),
        )

    def observe(self) -> None:
        """Folds probe.results into states, where the broker still keeps them from the beginning."""
        for partition, (first, end) in self.kept(PROBE_RESULTS)[PROBE_RESULTS].items():
            if first:
                self.unprobed.append(partition)
            else:
                self.probed[partition] = end
        found: dict[str, states.TargetState] = {}
        partition = -1
        starts = dict.fromkeys(self.probed, 0)
        for record in read_topic(self.settings, PROBE_RESULTS, starts=starts, reader=self._reader):
            if record.partition != partition:
                partition, found = record.partition, {}
            if record.offset < self.probed[partition]:
                self._tell(PROBE_RESULTS, record, self.probed[partition])
                self._seen(found, record)

    def _seen(self, found: dict[str, states.TargetState], record: Record) -> None:
        try:
            fact = decode_probe_fact(record.value or b"")
        except Undecodable:
            return
        for step, change in enumerate(states.observe(found, fact, record.timestamp_ms, record.offset)):
            data = encode(change)
            origin = Origin(PROBE_RESULTS.name, record.partition, record.offset, step)
            self._sheet.add("seen", str(origin), digest(data), about(data))

    def read(self, *topics: Topic) -> None:
        """Reads on, from where each of `topics` was read to, up to what is there now."""
        spans = self.kept(*topics) if topics else {}
        for topic in topics:
            late = topic.name in self._next
            for record in self._records(topic, spans[topic]):
                if topic in OUTCOMES:
                    self._said(topic, record)
                elif topic is JOURNAL:
                    self._journalled(record)
                elif topic is DEAD_LETTERS:
                    self._sheet.add("dead", record.headers.get(ORIGIN, ""), digest(record.value or b""))
                else:
                    self._told(topic, record, late)

    def _records(self, topic: Topic, spans: dict[int, tuple[int, int]]) -> Iterator[Record]:
        if topic.name not in self._next:
            self._next[topic.name] = {partition: first for partition, (first, _) in spans.items()}
            if topic.kept_ms is None:
                self.gone += [Gone(topic.name, part, first) for part, (first, _) in spans.items() if first]
        reached = self._next[topic.name]
        for record in read_topic(self.settings, topic, starts=dict(reached), reader=self._reader):
            self._tell(topic, record, spans[record.partition][1])
            yield record
            reached[record.partition] = record.offset + 1

    def _said(self, topic: Topic, record: Record) -> None:
        value, here = record.value or b"", (topic.name, record.partition, record.offset)
        try:
            outcome = decode_outcome(value)
        except Undecodable as error:
            self._sheet.add("unread", *here, str(error))
            return
        place = outcome.journal
        if not all(0 <= number < 2**63 for number in (place.partition, place.offset, place.index)):
            self._sheet.add("unread", *here, "its place in the journal cannot be")
            return
        self._sheet.add(
            "said",
            *here,
            *(place.partition, place.offset, place.index),
            digest(value),
            subject(outcome),
        )

    def _told(self, topic: Topic, record: Record, late: bool) -> None:
        value = record.value or b""
        self._sheet.add(
            "told",
            *(topic.name, record.partition, record.offset),
            record.headers.get(ORIGIN),
            digest(fact_bytes(value)),
            about(value),
            late,
        )

    def _tell(self, topic: Topic, record: Record, end: int) -> None:
        if record.offset % _SAY_EVERY == 0:
            self._say(f"reading {topic.name}/{record.partition}: {record.offset:,} of {end:,}")


class _Named(Struct):
    type: Any = ""
    subscription: Any = None
    ticket: Any = None
    target: Any = None
    version: Any = None


_named = msgspec.json.Decoder(_Named)


def about(fact: bytes) -> str:
    """What a fact is about, as a person names it: "SubscriptionStarted S-1"; of any bytes at all."""
    try:
        named = _named.decode(fact)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "no fact"
    told = named.ticket or named.target or named.subscription or named.version or ""
    return f"{named.type} {told}".strip() or "no fact"


def fact_bytes(value: bytes) -> bytes:
    """A fact's bytes as the journal keeps them; of what is no JSON object, as they are."""
    return compact(value) if is_object(value) else value
