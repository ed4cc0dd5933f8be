"""Requests and quota years as a function of what was said so far (contract 5 and 6).

Nothing is carried along: what there is to say of a request is told anew from its first fact on, as if nobody
would say anything any more; the oracle prints what of it is due and was not printed yet.
"""

from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from functools import cache
from typing import Any, NamedTuple

from tests.oracle.clock import day_start, later, local_date, next_day, parse, show
from tests.oracle.known import Known, Request, ends_on, in_force, starts_on
from tests.oracle.office import MINUTE, Office, office_of

HOUR_MINUTES = 60
GRAVITY = ("limited", "moderate", "serious", "down")


class Row(NamedTuple):
    """An outcome and the instant it is due at; `own`: said by a fact of the request, not by time."""

    when: int
    own: bool
    outcome: dict[str, Any]


def allowance(body: dict[str, Any], deployment: str, severity: str) -> int:
    """Milliseconds of open time: `4h`, or `2bd` of the terms' business day."""
    text = body["support"]["first_response"][deployment][severity]
    if text.endswith("bd"):
        return int(text[:-2]) * int(body["support"]["business_day_minutes"]) * MINUTE
    return int(text[:-1]) * HOUR_MINUTES * MINUTE


@cache
def _instants(office: Office, since: int, length: int, percent: Fraction) -> tuple[int, int]:
    """(due, at risk) of an allowance that starts at an instant."""
    return office.after(since, length), office.after(since, length * percent / 100)


def story(request: Request) -> list[Row]:
    """All there is to say of a request, in the order said, if nobody says anything more of it."""
    opened = request.facts[0][1]
    if request.subscription is None or request.terms is None:
        about = {"account": opened["account"], "ticket": opened["ticket"]}
        return [Row(request.facts[0][0], True, {"type": "RequestUncovered", **about})]
    return _Waiting(request, request.terms.body).told()


class _Waiting:
    """One telling of a request's story."""

    def __init__(self, request: Request, body: dict[str, Any]) -> None:
        self.request, self.body, self.office = request, body, office_of(body)
        self.grace = body["support"]["news_grace_minutes"] * MINUTE
        opened = request.facts[0][1]
        self.about = {name: opened[name] for name in ("account", "subscription", "ticket")}
        self.rows: list[Row] = []
        self.revision = 0
        self.received = parse(opened["received_at"])
        self.severity = opened["severity"]
        self.due, self.at_risk = self._pair(self.received)
        self.risked: set[int] = set()  # the dues that were said to be at risk
        self.missed = self.withdrawn = False
        self.answered: int | None = None  # the earliest response

    def told(self) -> list[Row]:
        (recorded_at, _), *later_facts = self.request.facts
        self._say_due(recorded_at)
        for at, fact in later_facts:
            self._time(until=at)
            self._say(at, fact)
        self._time(until=None)
        return self.rows

    def _pair(self, since: int) -> tuple[int, int]:
        percent = Fraction(self.body["support"]["at_risk_percent"])
        length = allowance(self.body, self.request.deployment, self.severity)
        return _instants(self.office, since, length, percent)

    def _row(self, when: int, kind: str, own: bool = True, **more: Any) -> None:
        self.rows.append(Row(when, own, {"type": kind, **self.about, **more}))

    def _settled(self) -> bool:
        return self.missed or self.withdrawn or self.answered is not None

    def _time(self, until: int | None) -> None:
        """What is due at or before `until` when nothing is said before it."""
        if self._settled():
            return
        missed_at = self.due + self.grace + 1
        if self.due not in self.risked and self.at_risk <= min(missed_at, until or missed_at):
            self.risked.add(self.due)
            self._row(self.at_risk, "ResponseAtRisk", own=False, due_at=show(self.due))
        if until is None or missed_at <= until:
            self.missed = True
            self._row(missed_at, "ResponseMissed", own=False, due_at=show(self.due))

    def _say(self, now: int, fact: dict[str, Any]) -> None:
        kind = fact["type"]
        if kind == "RequestWithdrawn":
            self.withdrawn = True
        elif kind == "SeverityChanged" and fact["severity"] != self.severity:
            raised = GRAVITY.index(fact["severity"]) > GRAVITY.index(self.severity)
            self.severity, at = fact["severity"], parse(fact["at"])
            if not self._settled() and at <= self.due:
                new = self._pair(at if raised else self.received)
                if (new[0] < self.due) if raised else (new[0] > self.due):
                    self.due, self.at_risk = new
            self._say_due(now)
        elif kind == "FirstResponseSent" and not self.withdrawn:
            at = parse(fact["at"])
            if self.answered is None or at < self.answered:
                self.answered = at
                about = {"due_at": show(self.due), "at": fact["at"]}
                if at <= self.due:
                    self._row(now, "ResponseMet", **about)
                else:
                    self._row(now, "ResponseLate", **about, late_by_ms=self.office.between(self.due, at))

    def _say_due(self, now: int) -> None:
        self.revision += 1
        self._row(
            now,
            "ResponseDue",
            revision=self.revision,
            severity=self.severity,
            due_at=show(self.due),
            at_risk_at=show(self.at_risk),
            terms=self.request.terms.version if self.request.terms else None,
        )


# Quota years


@dataclass
class Year:
    """What was last said of a subscription year."""

    quota: int
    terms: str
    used: dict[str, int]  # minutes by ticket, none of them 0
    warned: set[Any] = field(default_factory=set)


def years_due(known: Known, subscription: str, until: int) -> list[tuple[int, date]]:
    """(due, first day) of the years that begin at or before `until` and before the service window's end."""
    origin, ends = starts_on(known, subscription), ends_on(known, subscription)
    found, number = [], 0
    while day_start(first := later(origin, 12 * number)) <= until and (ends is None or first < ends):
        found.append((day_start(first), first))
        number += 1
    return found


def price_days(known: Known, subscription: str) -> list[int]:
    """Midnights at which a price said takes effect."""
    changes = known.changes.get(subscription, [])
    return [
        day_start(date.fromisoformat(one["effective_on"])) for one in changes if one.get("price") is not None
    ]


def year_after(known: Known, subscription: str, first: date) -> date:
    """The first day of the year after the one that begins on `first`."""
    origin, number = starts_on(known, subscription), 1
    while later(origin, 12 * number) <= first:
        number += 1
    return later(origin, 12 * number)


def quota_minutes(known: Known, subscription: str, first: date, today: date) -> int:
    """An hour for each full `chf_per_hour` of the highest annual price of the year's dates up to today."""
    highest = _highest(known, subscription, first)
    price = Fraction(highest[min((today - first).days + 1, len(highest)) - 1])
    annual = price * {"year": 1, "month": 12}[known.starts[subscription]["term"]]
    hours = annual // Fraction(known.terms_on(first).body["quota"]["chf_per_hour"])
    return int(hours) * HOUR_MINUTES


def _highest(known: Known, subscription: str, first: date) -> list[str]:
    """For each date of the year the highest price in force on it or before; found once for each change."""
    said = (subscription, first, len(known.changes.get(subscription, [])))
    if said not in known.highest:
        changes = known.changes.get(subscription, [])
        turns = {first} | {date.fromisoformat(one["effective_on"]) for one in changes}
        day, after, highest = first, year_after(known, subscription, first), "0"
        found: list[str] = []
        while day < after:
            if day in turns:
                price = in_force(known, subscription, "price", day)
                highest = max(highest, price, key=Fraction)
            found.append(highest)
            day = next_day(day)
        known.highest[said] = found
    return known.highest[said]


def work(known: Known, subscription: str, first: date) -> dict[str, int]:
    """Minutes of each ticket that count in the year; no ticket with none."""
    after, ends = year_after(known, subscription, first), ends_on(known, subscription)
    found: dict[str, int] = {}
    for ticket, request in known.requests.items():
        if request.subscription != subscription or request.kind() != "account":
            continue
        for minutes, at in request.entries().values():
            day = local_date(at)
            if first <= day < after and (ends is None or day < ends) and minutes:
                found[ticket] = found.get(ticket, 0) + minutes
    return found


def conclude_year(
    known: Known, subscription: str, first: date, today: date, year: Year | None
) -> tuple[Year, list[dict[str, Any]]]:
    """What is to be said of a year, and what was then said last; `year` is None when it opens."""
    terms = known.terms_on(first)
    quota = quota_minutes(known, subscription, first, today)
    used, told = work(known, subscription, first), []
    account = known.starts[subscription]["account"]
    about = {"account": account, "subscription": subscription, "year_starts_on": first.isoformat()}

    before = year.used if year else used
    running = sum(before.values())
    if year is None or (year.quota, year.terms) != (quota, terms.version):
        kind = "QuotaChanged" if year else "QuotaOpened"
        figures = {"quota_minutes": quota, "used_minutes": running, "terms": terms.version}
        told.append({"type": kind, **about, **figures})
    for ticket in sorted(before.keys() | used.keys()):
        if before.get(ticket, 0) != used.get(ticket, 0):
            running += used.get(ticket, 0) - before.get(ticket, 0)
            figures = {"ticket": ticket, "used_minutes": running, "quota_minutes": quota}
            told.append({"type": "QuotaUsed", **about, **figures})
    warned = set()
    for percent in sorted(set(terms.body["quota"]["warn_percent"])):
        crossed = running > 0 and running * 100 >= percent * quota
        was_warned = year is not None and percent in year.warned
        if crossed:
            warned.add(percent)
        if crossed != was_warned:
            kind = "QuotaWarned" if crossed else "QuotaRestored"
            figures = {"percent": percent, "used_minutes": running, "quota_minutes": quota}
            told.append({"type": kind, **about, **figures})
    return Year(quota, terms.version, used, warned), told
