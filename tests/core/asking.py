"""Tells the promises fold of requests and work, and reads what it concludes of deadlines and quota.

The plain story: S-1 of account A-1 at CHF 5,000.00 a year from 1 November 2026, cloud: five hours of support.
Instants are local time of the offices. An outcome is read as a short line, e.g. "due 2026-11-20 17:00".
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from shared import facts, outcomes
from shared.outcomes import Outcome
from shared.terms import BUILT_IN, SupportTerms, Terms
from tests.core.telling import OFFICES, Telling, When, instant, started


def asked(price: str = "5000.00", term: str = "year", starts_on: str = "2026-11-01") -> Telling:
    """The plain story, told on the day the subscription starts."""
    story = Telling().at(f"{starts_on} 00:00")
    story.tell(started(price=price, term=term, starts_on=starts_on))
    return story


def opened(
    received_at: When,
    severity: Any = "down",
    ticket: str = "T-1",
    kind: Any = "account",
    subscription: str | None = "S-1",
    account: str = "A-1",
) -> facts.RequestOpened:
    return facts.RequestOpened(account, subscription, ticket, severity, kind, instant(received_at))


def severity(now: Any, at: When, ticket: str = "T-1", account: str = "A-1") -> facts.SeverityChanged:
    return facts.SeverityChanged(account, ticket, now, instant(at))


def classified(kind: Any, at: When = "2026-11-20 12:00", ticket: str = "T-1") -> facts.RequestClassified:
    return facts.RequestClassified("A-1", ticket, kind, instant(at))


def answered(at: When, ticket: str = "T-1", account: str = "A-1") -> facts.FirstResponseSent:
    return facts.FirstResponseSent(account, ticket, instant(at))


def withdrawn(at: When, ticket: str = "T-1") -> facts.RequestWithdrawn:
    return facts.RequestWithdrawn("A-1", ticket, instant(at))


def logged(minutes: int, at: When, entry: str = "E-1", ticket: str = "T-1") -> facts.WorkLogged:
    return facts.WorkLogged("A-1", ticket, entry, minutes, instant(at))


def recounted(minutes: int, at: When, entry: str = "E-1", ticket: str = "T-1") -> facts.WorkCorrected:
    return facts.WorkCorrected("A-1", ticket, entry, minutes, instant(at))


def support_with(**changed: Any) -> Terms:
    """The built-in terms but for what is named of their support part."""
    return replace(BUILT_IN, support=replace(BUILT_IN.support, **changed))


def local(ms: int) -> str:
    """An instant as a clock in the offices shows it; seconds only where there are any."""
    moment = datetime.fromtimestamp(ms / 1000, tz=UTC).astimezone(OFFICES)
    text = f"{moment:%Y-%m-%d %H:%M:%S}.{ms % 1000:03d}"
    return text.removesuffix(".000").removesuffix(":00")


def told(said: Iterable[Outcome]) -> list[str]:
    """Each outcome about requests and quota as a short line."""
    return [line for one in said if (line := _line(one))]


def _line(one: Outcome) -> str:
    match one:
        case outcomes.ResponseDue():
            return f"{one.severity} due {local(one.due_at)}, at risk {local(one.at_risk_at)} ({one.revision})"
        case outcomes.ResponseAtRisk():
            return f"at risk of {local(one.due_at)}"
        case outcomes.ResponseMet():
            return f"met {local(one.due_at)} at {local(one.at)}"
        case outcomes.ResponseMissed():
            return f"missed {local(one.due_at)}"
        case outcomes.ResponseLate():
            return f"late for {local(one.due_at)} at {local(one.at)} by {one.late_by_ms // 60_000} min"
        case outcomes.RequestUncovered():
            return f"uncovered {one.ticket}"
        case outcomes.QuotaUsed():
            return f"{one.year_starts_on.year} used {one.used_minutes} of {one.quota_minutes} by {one.ticket}"
        case outcomes.QuotaRestored():
            return f"{one.year_starts_on.year} restored {one.percent} %"
        case outcomes.QuotaWarned():
            return f"{one.year_starts_on.year} warned {one.percent} %"
        case outcomes.QuotaChanged():
            return f"{one.year_starts_on.year} quota {one.quota_minutes}, used {one.used_minutes}"
        case outcomes.QuotaOpened():
            return f"{one.year_starts_on.year} opens with {one.quota_minutes}, used {one.used_minutes}"
        case outcomes.FactRejected():
            return f"rejected: {one.reason}"
        case _:
            return ""


def hours(**changed: Any) -> SupportTerms:
    """The built-in support terms but for what is named."""
    return replace(BUILT_IN.support, **changed)
