"""The independent check: what stands on the topics and in the books is what follows from what was told.

    dump = read_dump("127.0.0.1:29092", "f3-", "/path/billing.db")
    report = verify(dump, Told(acknowledged, perhaps, declared, dirt))
    assert report.ok, str(report)

V1  every acknowledged fact stands on its topic, every accepted declaration in the books and on its topic
V2  the journal holds each usable record once where it belongs, in its order; the rest is on dead.letters
V3  uptime.changes says of each probed target what its results give
V4  the outcomes are what the slow model of tests/oracle concludes from the journal, and the digests fit
V5  billing's ledger holds every credit, its warnings every warning, once and with the same amounts

It shares no code with the product: kafka-python-ng, plain SQL, and the model.
"""

from __future__ import annotations

from tests.faults.verifier.books import check_books
from tests.faults.verifier.dump import JOURNAL, Dump, Record, read_books, read_dump
from tests.faults.verifier.journal import check_journal, read_journal
from tests.faults.verifier.outcomes import read_outcomes
from tests.faults.verifier.promises import check_promises
from tests.faults.verifier.report import Problem, Report, Told
from tests.faults.verifier.slots import check_uptime
from tests.faults.verifier.told import check_told

__all__ = ["Dump", "Problem", "Record", "Report", "Told", "read_books", "read_dump", "verify"]


def verify(dump: Dump, told: Told, accounts: str | None = None) -> Report:
    """Everything that is lost, doubled or wrong. With `accounts`, V4 looks only at groups with an id that
    begins with it; the rest looks at all."""
    report = Report()
    check_told(dump, told, report)
    journal = read_journal(dump, report)
    partitions = [partition for topic, partition in dump.begins if topic == JOURNAL]
    count = len(partitions) or max((record.partition + 1 for record in dump.of(JOURNAL)), default=0)
    check_journal(dump, told, journal, count, report)
    check_uptime(dump, told, report)
    found = read_outcomes(dump, told, report)
    check_promises(dump, journal, found, accounts, report)
    if dump.has_books:
        check_books(dump, found, told, report)
    report.counts["credits"] = report.counts["CreditGranted"] + report.counts["CreditAdjusted"]
    report.counts["warnings"] = report.counts["QuotaWarned"]
    return report
