"""What the log says about one credit: its revisions, and the journal partition they follow from, replayed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from msgspec import Struct

from services.sla.history import History
from services.sla.promises import JournalBroken, Promises
from shared.cloudevents import ORIGIN
from shared.codec import Undecodable, decode_credit, decode_entry, decode_fact
from shared.errors import NeedsAPerson
from shared.facts import (
    DowntimeCorrected,
    Fact,
    MaintenanceAnnounced,
    MaintenanceCancelled,
    TargetStateChanged,
)
from shared.kafka import Record, read_topic
from shared.outcomes import Credit, CreditGranted
from shared.settings import KafkaSettings
from shared.time import Instant
from shared.topics import CREDITS, JOURNAL

_LISTED = 10


class UnknownCredit(NeedsAPerson):
    """No credit of that name was ever granted; the message lists the nearest ones."""


class JournalUnreadable(NeedsAPerson):
    """A record of the journal is no entry; the message says which, and what to do."""


class Revision(Struct, frozen=True):
    """One revision of a credit and the bytes that stand on the log."""

    credit: Credit
    data: bytes


class Told(Struct, frozen=True):
    """A fact as the journal has it. `origin` is the probe result it was concluded from, as
    "topic/partition/offset/step", or None where a person or another program said it."""

    offset: int
    recorded_at: Instant
    origin: str | None
    fact: Fact


class Replayed(Struct, frozen=True):
    """A journal partition folded up to a credit's last revision.

    `history` is the fold's state there; `targets` what was told of each target, in the order of the journal,
    without how far it was observed; `causes` the entries that caused a revision, by offset; `said` the
    revisions' bytes as the replay gave them."""

    history: History
    entries: int
    targets: dict[str, list[Told]]
    causes: dict[int, Told]
    said: list[bytes]


def revisions_of(settings: KafkaSettings, name: str) -> list[Revision]:
    """Every revision of credit `name` on the log, in order, repeats dropped. Raises UnknownCredit."""
    found: dict[bytes, Credit] = {}
    names: dict[str, None] = {}
    for record in read_topic(settings, CREDITS):
        data = record.value or b""
        try:
            credit = decode_credit(data)
        except Undecodable:
            continue
        names[credit.credit] = None
        if credit.credit == name:
            found[data] = credit
    if not found:
        raise UnknownCredit(f"No credit {name!r} was granted. {_nearest(name, list(names))}")
    return [
        Revision(credit, data) for data, credit in sorted(found.items(), key=lambda item: item[1].revision)
    ]


def _nearest(name: str, names: Sequence[str]) -> str:
    if not names:
        return (
            "No credit has been granted at all yet: one is when a cut of more than 24 hours ends, or when a "
            "month that missed its uptime closes."
        )
    subscription = name.partition("/")[0]
    near = get_close_matches(name, names, _LISTED, cutoff=0.5)
    near += [one for one in names if one.partition("/")[0] == subscription and one not in near]
    listed = near[:_LISTED] or sorted(names)[-_LISTED:]
    return "Did you mean one of these?" + "".join(f"\n  {one}" for one in listed)


def replayed(settings: KafkaSettings, revisions: Sequence[Revision]) -> Replayed:
    """Replays, from its beginning, the journal partition `revisions` follow from, up to the entry that caused
    the last of them. Raises HistoryGone, JournalUnreadable."""
    records = read_topic(settings, JOURNAL, revisions[-1].credit.journal.partition)
    try:
        return folded(records, revisions)
    except JournalBroken as broken:
        raise JournalUnreadable(str(broken)) from broken


def folded(records: Iterable[Record], revisions: Sequence[Revision]) -> Replayed:
    """What `records`, a journal partition from its beginning, come to by the code of the running service, up
    to the entry that caused the last of `revisions`. Raises JournalBroken."""
    last = revisions[-1].credit
    offsets = {revision.credit.journal.offset for revision in revisions}
    fold = Promises(History(partition=last.journal.partition))
    targets: dict[str, list[Told]] = {}
    causes: dict[int, Told] = {}
    said: list[bytes] = []
    entries = 0
    for record in records:
        if record.offset > max(offsets):
            break
        entries += 1
        for spoken in fold.apply(record.offset, record.value or b""):
            if isinstance(spoken.outcome, CreditGranted) and spoken.outcome.credit == last.credit:
                said.append(spoken.data)
        told = _told(record)
        if told is None:
            continue
        if record.offset in offsets:
            causes[record.offset] = told
        match told.fact:
            case TargetStateChanged() | DowntimeCorrected() | MaintenanceAnnounced() | MaintenanceCancelled():
                targets.setdefault(told.fact.target, []).append(told)
    return Replayed(fold.history, entries, targets, causes, said)


def _told(record: Record) -> Told | None:
    entry = decode_entry(record.value or b"")
    try:
        fact = decode_fact(entry.fact)
    except Undecodable:  # it was rejected at its place
        return None
    return Told(record.offset, entry.recorded_at, record.headers.get(ORIGIN), fact)
