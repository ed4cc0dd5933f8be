"""Reconciling: everything that follows from the journal, against everything that stands elsewhere.

What is compared goes up to the journal's end as it was at the beginning. What lags behind it is given time;
what comes while it runs is left for the next time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

from msgspec import Struct
from sqlalchemy import Engine

from services.cli.audit import reconcile_billing, reconcile_journal, reconcile_outcomes
from services.cli.audit.reconcile_books import read_books, read_sent
from services.cli.audit.reconcile_kinds import Compared, Difference
from services.cli.audit.reconcile_log import OUTCOMES, SOURCES, Log
from services.cli.audit.reconcile_sheet import Progress, Sheet
from shared.kafka import open_reader
from shared.settings import KafkaSettings
from shared.topics import DEAD_LETTERS, JOURNAL, UPTIME_CHANGES

_LEAST_PAUSE_S = 0.3


class Reconciled(Struct, frozen=True):
    """What was compared, and every difference. `unprobed` are the partitions of probe.results of which the
    broker no longer keeps the beginning: no state of theirs was compared."""

    compared: tuple[Compared, ...]
    differences: tuple[Difference, ...]
    unprobed: tuple[int, ...] = ()


def reconcile(
    settings: KafkaSettings,
    engine: Engine,
    settle_s: float,
    say: Progress = lambda _: None,
    *,
    probes: bool = True,
) -> Reconciled:
    """Compares the log with itself and with billing's books; writes nothing.

    What is missing is looked for again for `settle_s` seconds before it is a difference. `probes` says
    whether probe.results are folded, too. Raises NeedsAPerson, JournalBroken, and what Kafka's client and
    the database raise.
    """
    with closing(Sheet()) as sheet, open_reader(settings) as reader:
        read_sent(engine, sheet)  # first: what billing has published by now must be on the log by then
        log = Log(settings, reader, sheet, say)
        for partition, end in log.ends.items():
            sheet.add("ends", partition, end, end)
        log.replay()
        if probes:
            log.observe()
        log.read(*SOURCES, DEAD_LETTERS, *OUTCOMES)
        say("reading billing's books")
        read_books(engine, sheet)
        _settle(log, engine, sheet, settle_s, say)
        for partition, (_, end) in log.kept(JOURNAL)[JOURNAL].items():
            sheet.add("ends", partition, log.ends.get(partition, 0), end)
        say("comparing")
        return Reconciled(
            tuple(_compared(sheet)),
            tuple(_differences(log, engine, sheet)),
            tuple(log.unprobed),
        )


def _settle(log: Log, engine: Engine, sheet: Sheet, settle_s: float, say: Progress) -> None:
    """Reads on where something is missing, until nothing is or the time is over."""
    deadline = time.monotonic() + settle_s
    while True:
        began = time.monotonic()
        topics = [topic for topic in OUTCOMES if topic.name in reconcile_outcomes.lacking(sheet)]
        if reconcile_journal.lacking(sheet):
            topics += [JOURNAL, DEAD_LETTERS]
        if reconcile_journal.unchanged(sheet):
            topics.append(UPTIME_CHANGES)
        behind = reconcile_billing.behind(sheet)
        if not (topics or behind) or began >= deadline:
            return
        missing = [topic.name for topic in topics] + (["billing"] if behind else [])
        say(f"waiting up to {deadline - began:.0f} s for what is missing: {', '.join(missing)}")
        time.sleep(max(_LEAST_PAUSE_S, min(deadline - began, time.monotonic() - began)))
        log.read(*topics)
        if behind:
            read_books(engine, sheet)


def _differences(log: Log, engine: Engine, sheet: Sheet) -> Iterator[Difference]:
    yield from reconcile_outcomes.differences(log.settings, sheet)
    yield from reconcile_billing.differences(log.settings, engine, sheet)
    yield from reconcile_journal.differences(log, sheet)


def _compared(sheet: Sheet) -> Iterator[Compared]:
    yield from reconcile_journal.compared(sheet)
    yield from reconcile_outcomes.compared(sheet)
    yield from reconcile_billing.compared(sheet)
