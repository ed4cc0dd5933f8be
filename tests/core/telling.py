"""Tells the promises fold a story, fact by fact, and reads what it concludes.

Written instants are local time of the offices ("2026-11-20 10:00"), as a customer would tell it; an int is
an instant in ms. The plain story: subscription S-1 of account A-1 at CHF 1,200.00 a year from 1 November 2026
(a term of 365 days, CHF 3.2877 a day) depends on the target "app".
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from services.sla.history import History
from services.sla.promises import Promises, entry
from shared import facts, outcomes
from shared.codec import encode
from shared.money import format_amount, parse_amount
from shared.outcomes import Outcome, Source
from shared.terms import BUILT_IN, Maintenance, Terms
from shared.time import Instant, format_instant

HOUR = 3_600_000
OFFICES = ZoneInfo("Europe/Zurich")
When = str | int


def instant(when: When) -> Instant:
    """ms of a local time such as "2026-11-20 10:00" or "2026-11-20 10:00:00.001"."""
    if isinstance(when, int):
        return Instant(when)
    moment = datetime.fromisoformat(when).replace(tzinfo=OFFICES)
    return Instant(int(moment.replace(microsecond=0).timestamp()) * 1000 + moment.microsecond // 1000)


class Telling:
    """A history being told. Each method returns the outcomes of the entries it adds."""

    def __init__(self, history: History | None = None) -> None:
        self.fold = Promises(history or History())
        self.now = 0
        self.entries: list[bytes] = []
        self.said: list[Outcome] = []
        self.bytes_said: list[bytes] = []

    def at(self, when: When) -> Telling:
        """From here on facts are recorded at `when`, never earlier than the last."""
        self.now = max(self.now, instant(when))
        return self

    def tell(self, *told: facts.Fact | bytes, source: Source | None = None) -> list[Outcome]:
        """Records each fact now."""
        found: list[Outcome] = []
        for fact in told:
            data = fact if isinstance(fact, bytes) else encode(fact)
            recorded = entry(self.now, data, source)
            self.entries.append(recorded)
            spoken = self.fold.apply(len(self.entries) - 1, recorded)
            found += [each.outcome for each in spoken]
            self.bytes_said += [each.data for each in spoken]
        self.said += found
        return found

    def passes(self, when: When) -> list[Outcome]:
        """Nothing happens but time, until `when`."""
        return self.at(when).tell(facts.ClockAdvanced())

    def watch(self, since: When, until: When, *cuts: tuple[When, When], target: str = "app") -> list[Outcome]:
        """The target is watched from `since` to `until`, up but for `cuts`; news takes two minutes."""
        found = self.at(since).tell(state(since, "up", target))
        for start, end in cuts:
            found += self.at(instant(start) + 120_000).tell(state(start, "down", target))
            if instant(end) < instant(until):
                found += self.at(instant(end) + 120_000).tell(state(end, "up", target))
        return found + self.at(until).tell(observed(until, target))


def november(*cuts: tuple[When, When], terms: Terms | None = None, price: str = "1200.00") -> Telling:
    """The plain story, watched for the whole of November 2026: 720 hours, the promise allows 3 h 36 min."""
    story = Telling().at("2026-11-01 00:00")
    if terms is not None:
        story.tell(published(terms, "t", "2026-01-01"))
    story.tell(started(price=price))
    story.watch("2026-11-01 00:00", "2026-12-01 00:00", *cuts)
    return story


def closed(story: Telling, when: When = "2026-12-01 06:00") -> list[Outcome]:
    """What the month's close says."""
    return story.passes(when)


def after(start: When, ms: int) -> tuple[Instant, Instant]:
    """A cut from `start` that lasts `ms`."""
    return instant(start), Instant(instant(start) + ms)


def started(
    subscription: str = "S-1",
    account: str = "A-1",
    targets: Iterable[str] = ("app",),
    price: str = "1200.00",
    term: Any = "year",
    starts_on: str = "2026-11-01",
) -> facts.SubscriptionStarted:
    return facts.SubscriptionStarted(
        account,
        subscription,
        "cloud",
        tuple(targets),
        parse_amount(price),
        "CHF",
        term,
        date.fromisoformat(starts_on),
        "fr",
    )


def changed(effective_on: str, subscription: str = "S-1", account: str = "A-1", **of: Any) -> facts.Fact:
    """`price` as text, `targets` as a tuple."""
    if "price" in of:
        of["price"] = parse_amount(of["price"])
    return facts.SubscriptionChanged(account, subscription, date.fromisoformat(effective_on), **of)


def cancelled(ends_on: str, subscription: str = "S-1", account: str = "A-1") -> facts.Fact:
    return facts.SubscriptionCancelled(account, subscription, date.fromisoformat(ends_on))


def state(at: When, now: Any, target: str = "app") -> facts.TargetStateChanged:
    return facts.TargetStateChanged(target, instant(at), now, instant(at), ())


def observed(through: When, target: str = "app") -> facts.TargetObserved:
    return facts.TargetObserved(target, instant(through))


def corrected(
    starts_at: When, ends_at: When, now: Any, at: When = "2026-12-10 09:00", target: str = "app"
) -> facts.DowntimeCorrected:
    return facts.DowntimeCorrected(
        target, instant(starts_at), instant(ends_at), now, "checked by hand", "staff-7", instant(at)
    )


def announced(
    starts_at: When,
    ends_at: When,
    announced_at: When = "2026-11-01 00:00",
    name: str = "M-1",
    target: str = "app",
) -> facts.MaintenanceAnnounced:
    return facts.MaintenanceAnnounced(
        target, name, instant(starts_at), instant(ends_at), instant(announced_at)
    )


def called_off(at: When, name: str = "M-1", target: str = "app") -> facts.MaintenanceCancelled:
    return facts.MaintenanceCancelled(target, name, instant(at))


def published(
    terms: Terms, version: str = "t", effective_on: str = "2026-01-01", major: bool = False
) -> facts.TermsPublished:
    return facts.TermsPublished(version, date.fromisoformat(effective_on), major, terms)


def terms_with(
    *,
    excluded: bool = False,
    notice_hours: int = 48,
    zone: str = "Europe/Zurich",
    target_percent: str = "99.5",
    uptime_credit: Any = None,
    outage_credit: Any = None,
    longer_than_hours: int = 24,
    **uptime: int,
) -> Terms:
    """The built-in terms but for what is named; `uptime`: close_after_hours, bridge_hours."""
    return replace(
        BUILT_IN,
        zone=zone,
        uptime=replace(
            BUILT_IN.uptime,
            maintenance=Maintenance(excluded, notice_hours),
            target_percent=Decimal(target_percent),
            credit=uptime_credit or BUILT_IN.uptime.credit,
            **uptime,
        ),
        outage=replace(
            BUILT_IN.outage,
            longer_than_hours=longer_than_hours,
            credit=outage_credit or BUILT_IN.outage.credit,
        ),
    )


def months(said: Iterable[Outcome]) -> list[outcomes.MonthClosed]:
    return [one for one in said if isinstance(one, outcomes.MonthClosed)]


def but_quota(said: Iterable[Outcome]) -> list[Outcome]:
    """Without what each subscription year says of its quota."""
    return [one for one in said if not isinstance(one, outcomes.QuotaOpened | outcomes.QuotaChanged)]


def granted(said: Iterable[Outcome]) -> list[outcomes.CreditGranted]:
    return [one for one in said if isinstance(one, outcomes.CreditGranted)]


def credits(said: Iterable[Outcome]) -> list[tuple[str, str, str]]:
    """(which credit, the difference, the total) of each revision; the cut's start in local time."""
    return [(named(one), format_amount(one.amount), format_amount(one.total)) for one in granted(said)]


def named(credit: outcomes.CreditGranted) -> str:
    """ "uptime/2026-11", or "outage/" and the local time at which the cut began."""
    assert credit.credit == f"{credit.subscription}/{credit.cause}/{credit.period}"
    if credit.cause == "uptime":
        return f"uptime/{credit.period}"
    moment = datetime.fromisoformat(credit.period).astimezone(OFFICES)
    assert format_instant(instant(moment.replace(tzinfo=None).isoformat())) == credit.period
    return f"outage/{moment:%Y-%m-%d %H:%M}"


def reasons(said: Iterable[Outcome]) -> list[str]:
    """Why facts were rejected."""
    return [one.reason for one in said if isinstance(one, outcomes.FactRejected)]


def totals(said: Iterable[Outcome]) -> dict[str, str]:
    """The last total of each credit, those at zero left out."""
    last = {one.credit: one.total for one in granted(said)}
    return {credit: format_amount(total) for credit, total in last.items() if total}
