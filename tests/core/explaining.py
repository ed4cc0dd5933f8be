"""A journal made of facts, as the explanation tests need it: the records, and the credits that follow."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal

from msgspec.structs import replace

from services.cli.audit.credit_history import Revision, folded
from services.cli.audit.explanation import Explanation, explained
from services.sla import promises
from services.sla.history import History
from services.sla.promises import Promises
from shared.cloudevents import ORIGIN
from shared.codec import encode
from shared.facts import (
    Because,
    ClockAdvanced,
    Fact,
    State,
    SubscriptionStarted,
    TargetObserved,
    TargetStateChanged,
    TermsPublished,
)
from shared.kafka import Record
from shared.money import Amount
from shared.outcomes import CreditGranted
from shared.terms import BUILT_IN, Exact, StartedDay, Terms, Tier, Tiers
from shared.time import parse_instant

OUTAGE = "S-1/outage/2026-10-10T00:00:00.000Z"
UPTIME = "S-1/uptime/2026-10"
BECAUSE = (Because("tcp:443", "geneva", "refused"), Because("tcp:443", "zurich", "refused"))

Said = Sequence[tuple[str, Fact]]


def changed(at: str, state: State) -> TargetStateChanged:
    because = BECAUSE if state == "down" else ()
    moment = parse_instant(at)
    return TargetStateChanged("shop", moment, state, moment, because)


def started(**more: object) -> SubscriptionStarted:
    usual = SubscriptionStarted(
        "A-1", "S-1", "cloud", ("shop",), Amount(120_000), "CHF", "year", date(2026, 10, 1), "fr"
    )
    return replace(usual, **more)


def cut_of_30_hours() -> list[tuple[str, Fact]]:
    """One cut of thirty hours and one of five in October 2026; the month closes on 1 November."""
    return [
        ("2026-09-30T22:00:00.000Z", started()),
        ("2026-09-30T22:00:00.000Z", changed("2026-09-30T22:00:00.000Z", "up")),
        ("2026-10-10T00:01:00.000Z", changed("2026-10-10T00:00:00.000Z", "down")),
        ("2026-10-11T06:01:00.000Z", changed("2026-10-11T06:00:00.000Z", "up")),
        ("2026-10-20T08:01:00.000Z", changed("2026-10-20T08:00:00.000Z", "down")),
        ("2026-10-20T13:01:00.000Z", changed("2026-10-20T13:00:00.000Z", "up")),
        ("2026-11-01T04:00:00.000Z", TargetObserved("shop", parse_instant("2026-11-01T04:00:00.000Z"))),
        ("2026-11-01T05:00:00.000Z", ClockAdvanced()),
    ]


def terms(rule: str, **uptime: object) -> TermsPublished:
    """Terms from the beginning under which both kinds of credit go by `rule`."""
    rules = {
        "started-day": StartedDay(),
        "exact": Exact(),
        "tiers": Tiers((Tier(Decimal("99.5"), Decimal("12.5")), Tier(Decimal("90"), Decimal("50")))),
    }
    outage = BUILT_IN.outage if rule == "tiers" else replace(BUILT_IN.outage, credit=rules[rule])
    found: Terms = replace(
        BUILT_IN, uptime=replace(BUILT_IN.uptime, credit=rules[rule], **uptime), outage=outage
    )
    return TermsPublished(f"with-{rule}", date(2026, 1, 1), False, found)


def journal(said: Said) -> list[Record]:
    """The facts as records of journal partition 0; changes of state as if concluded from probe results."""
    found = []
    for offset, (recorded_at, fact) in enumerate(said):
        moment = parse_instant(recorded_at)
        headers = {ORIGIN: f"probe.results/2/{offset}/0"} if isinstance(fact, TargetStateChanged) else {}
        found.append(Record(0, offset, moment, None, promises.entry(moment, encode(fact)), headers))
    return found


def credits(records: Sequence[Record]) -> dict[str, list[Revision]]:
    """Every credit the records lead to, with its revisions."""
    fold, found = Promises(History()), dict[str, list[Revision]]()
    for record in records:
        for spoken in fold.apply(record.offset, record.value or b""):
            if isinstance(spoken.outcome, CreditGranted):
                revision = Revision(spoken.outcome, spoken.data)
                found.setdefault(spoken.outcome.credit, []).append(revision)
    return found


def explanation(said: Said, credit: str = OUTAGE) -> Explanation:
    """The explanation of a credit that follows from `said`."""
    records = journal(said)
    revisions = credits(records)[credit]
    return explained(revisions, folded(records, revisions))
