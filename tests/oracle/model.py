"""Every outcome a replay should print for the facts of contract 1-7, worked out the slow way.

    outcomes(lines) -> [{"type": "MonthClosed", ...}, ...]

Takes the lines of a replay file as dicts. Leaves out what only the product can know: `calculation` of a
credit, `reason` of a rejection, `digest` of the journal place.

Where the contract is silent or can be read in two ways, this model reads:

Order of the outcomes of one entry
 1. Before the fact: for each due instant up to `recorded_at`, in order (a month's close, the end of a service
    window, a request at risk or missed, a quota year's first midnight, the midnight of a price): by account
    and subscription; there the months in order, then the credits by id, then the requests by ticket, then
    the quota years in order.
 2. Of the fact: TermsNoticeDue by account, or what is said of the request; then, by account and subscription,
    restated months, the credits that differ, the quota years that differ; then what the fact made overdue,
    as in 1, each with the figures of `recorded_at`. In 2 a service window whose end is not after
    `recorded_at` is over from the start.
Cuts
 3. "Nothing but excluded time has been said after it": right after its last down millisecond some target is
    silent having last been said down, or the time is excluded; and no later instant is down, or stated and
    not excluded (of a target that is not waiting). So another target's "up" does not end it and a stated
    "unmeasured" does. A target said up inside excluded time parts two cuts, but concludes the first only when
    more than excluded time was said.
 4. A lasting cut is read up to the end of the latest closed month, whatever was the order of closing, and
    also when a fact restates it between two closes; it is not granted before the first close after it began.
 5. A time without targets ends a cut only if down time reaches it or something is said beyond it.
 6. A cut whose whole length is said ahead of the journal's time is concluded when it is said.
 7. A bridge joins target states before corrections: what a correction makes down bridges nothing, and what
    it makes unmeasured is not bridged. The bridge is at most `bridge_hours`, both sides touching.
 8. Excluded time during which the target is silent and unbridged is not "seen down": it parts two cuts. A
    state said at an instant and not yet observed beyond it has no length, and is no side of a bridge.
Months
 9. "First day of (month and service window)" counts days without targets too, also for the fee of tiers,
    and for a month that lost its window it is the later of the month's first day and `starts_on`.
10. Closed stays closed: terms published later for an earlier date restate the month, they do not reopen it.
    A changed `terms` alone restates a month; it does not revise a credit, whose total is the same. A revision
    names the terms that judge the month or cut now, also when the total goes to 0.
11. A restated month without a window: all times 0, no figure, `met` null; its uptime credit goes to 0.
Maintenance
12. Notice is counted from the fact's `announced_at`, not from when it was recorded; exactly
    `notice_hours` is enough. Of two cancellations of one announcement the earlier `at` counts.
13. A maintenance id is known per target. Cancelling an unknown one is rejected.
Subscriptions
14. A change for a date before `starts_on` is accepted and never in force. Of several cancellations the one
    said last counts. A fact with another account than the subscription's is rejected; a second start of
    a known subscription is, under whatever account.
15. An amount of 0.00 is no credit: nothing is granted until a total differs from zero.
Terms
16. The zone is the built-in one, Europe/Zurich, in every history here: terms of any other that come after the
    first subscription are rejected. A rejected
    document is not "the first published". A version said twice is two documents.
17. Complete: every key of the built-in document is there, except under "week"; values are not judged.
18. TermsNoticeDue: accounts with a subscription of which starts_on <= local date < ends_on, once each.
Slots
19. A state that changes nothing is not said; after a gap the old state is said at the next measured slot at
    once, and overruled at the same instant if the run that began there confirms the other.
20. A run that began before a gap of up to six hours and ends after it dates the state before the gap.
21. `through` of TargetObserved is the last full hour reached or passed since the slot before; the first
    slot says none.
Requests
22. Missed is due one millisecond after due + grace. News of a response recorded before that, also of a late
    one, is concluded as met or late and there is no miss. Of two responses only an earlier `at` says more.
23. Every change to another severity says ResponseDue, also when nothing moves; the same severity says
    nothing. Severity, kind and withdrawal are as said last in the journal, whatever their `at`. A change
    moves the due by its own `at`, though that may lie before `received_at`.
24. ResponseAtRisk is said once for each due instant of a ticket, at the first journal time at or after the
    at-risk instant without a response, withdrawal or miss in the journal; so a response that was in time but
    is told after the at-risk instant follows it.
25. Coverage, deployment and terms (of the local date received) are pinned when the opening is recorded; terms
    replaced or a subscription told, changed or cancelled later change none of them.
26. Uncovered requests say RequestUncovered and nothing else; their work never counts, but their facts are
    accepted or rejected like those of others. Entry ids are known per ticket, ticket ids to everyone.
27. Any fact of a known ticket with its account is accepted in any state. Minutes of 0 are no nonsense.
Quota
28. A year is due at its first midnight, if that is before the service window's end by the cancellation said
    last. One of a subscription told late, or that a later end lets begin, is overdue: it stands among the
    overdue months in the order of the midnights, with the figures of `recorded_at`.
29. A year that opens says its used minutes, and warnings at once, but no QuotaUsed.
30. QuotaChanged: when quota_minutes or the version of the terms differs. QuotaUsed: for each ticket whose
    minutes in that year differ, by ticket, `used_minutes` after each. Then for each distinct percent upwards,
    QuotaWarned or QuotaRestored, by the minutes after all of them and the quota after the change.
31. A percent that is no longer in the terms of the year is forgotten: nothing is restored, and it is warned
    of anew if it comes back.
32. The highest price up to today: today is the local date of the due instant, or of `recorded_at` when a fact
    is the cause. Prices in force count whether or not the service window has ended.
33. Work is of the local date of its `at`, also in the future: it counts at once in a year that has opened.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from itertools import takewhile
from typing import Any

from tests.oracle.clock import DAY, local_date, parse
from tests.oracle.credits import View, money, months_due
from tests.oracle.known import SUPPORT, Fact, Known, active, makes_sense, take, window
from tests.oracle.slots import uptime
from tests.oracle.support import Row, Year, conclude_year, price_days, story, years_due

Line = dict[str, Any]


def journal(lines: list[Line]) -> list[Line]:
    """The entries of a replay file: probe facts replaced by what the uptime fold says of them."""
    said: dict[int, list[Fact]] = {}
    for index, fact in uptime(lines):
        said.setdefault(index, []).append(fact)
    entries: list[Line] = []
    for index, line in enumerate(lines):
        if line["fact"]["type"] in ("TargetDeclared", "ProbeResult"):
            entries += [{"recorded_at": line["recorded_at"], "fact": fact} for fact in said.get(index, [])]
        else:
            entries.append(line)
    return entries


@dataclass
class Due:
    """What is due for one subscription at one instant."""

    months: list[date] = field(default_factory=list)
    ends: bool = False  # its service window
    rows: list[Row] = field(default_factory=list)
    years: list[date] = field(default_factory=list)


class Oracle:
    """Everything said and concluded so far."""

    def __init__(self, far: int) -> None:
        self.known = Known()
        self.far = far  # an instant after everything any line speaks of
        self.closed: dict[str, dict[date, list[Any]]] = {}  # subscription -> month -> [revision, figures]
        self.granted: dict[str, dict[str, list[Any]]] = {}  # subscription -> credit -> [revision, total]
        self.stories: dict[str, list[Row]] = {}  # ticket -> its story as the facts said so far tell it
        self.told: dict[str, int] = {}  # ticket -> how much of the story was printed
        self.years: dict[str, dict[date, Year]] = {}  # subscription -> first day -> what was said of the year
        self.now = 0

    def entry(self, line: Line) -> list[dict[str, Any]]:
        """The outcomes of one journal entry, without their place."""
        now, fact = parse(line["recorded_at"]), line["fact"]
        told = self._conclude(now, now_over=None)
        self.now = now
        if not makes_sense(self.known, fact, now):
            told.append({"type": "FactRejected", "source": line.get("source")})
            return told
        take(self.known, fact, now)
        if fact["type"] == "TermsPublished" and fact["major"]:
            told += self._notices(fact, local_date(now))
        if fact["type"] in SUPPORT:
            told += self._of_ticket(fact["ticket"])
        for subscription in self._touched(fact):
            if fact["type"] not in SUPPORT:
                view = View(self.known, subscription, now, self.far)
                for first in sorted(self.closed.get(subscription, {})):
                    told += self._month(view, first)
                told += self._credits(view)
            told += self._years(subscription, now)
        return told + self._conclude(now, now_over=now)

    def _conclude(self, until: int, now_over: int | None) -> list[dict[str, Any]]:
        """What is due at or before `until`, in time order."""
        due: dict[int, dict[str, Due]] = {}

        def at(instant: int, subscription: str) -> Due:
            return due.setdefault(instant, {}).setdefault(subscription, Due())

        for subscription in self.known.starts:
            closed = set(self.closed.get(subscription, {}))
            for instant, first in months_due(self.known, subscription, until, closed):
                at(instant, subscription).months.append(first)
            end = window(self.known, subscription)[1]
            if end is not None and self.now < end <= until:
                at(end, subscription).ends = True
            for instant, first in years_due(self.known, subscription, until):
                if first not in self.years.get(subscription, {}):
                    at(instant, subscription).years.append(first)
            for instant in price_days(self.known, subscription):
                if self.now < instant <= until:
                    at(instant, subscription)
        for ticket in sorted(self.stories):
            for row in self.stories[ticket][self.told[ticket] :]:
                if row.when <= until:
                    at(row.when, row.outcome["subscription"]).rows.append(row)
        told: list[dict[str, Any]] = []
        for instant in sorted(due):
            for subscription in sorted(due[instant], key=self._place):
                here, now = due[instant][subscription], instant if now_over is None else now_over
                if here.months or here.ends:
                    view = View(self.known, subscription, now, self.far)
                    for first in sorted(here.months):
                        told += self._month(view, first)
                    told += self._credits(view)
                for row in here.rows:
                    self.told[row.outcome["ticket"]] += 1
                    told.append(row.outcome)
                told += self._years(subscription, now, here.years)
        return told

    def _of_ticket(self, ticket: str) -> list[dict[str, Any]]:
        """What the last fact of a ticket says of itself."""
        already = self.told.get(ticket, 0)
        self.stories[ticket] = story(self.known.requests[ticket])
        own = list(takewhile(lambda row: row.own, self.stories[ticket][already:]))
        self.told[ticket] = already + len(own)
        return [row.outcome for row in own]

    def _years(self, subscription: str, now: int, opening: Iterable[date] = ()) -> list[dict[str, Any]]:
        """What is new of the opened years of a subscription, and of those that open."""
        years, told = self.years.setdefault(subscription, {}), []
        for first in sorted({*years, *opening}):
            years[first], said = conclude_year(
                self.known, subscription, first, local_date(now), years.get(first)
            )
            told += said
        return told

    def _place(self, subscription: str) -> tuple[str, str]:
        return str(self.known.starts[subscription]["account"]), subscription

    def _touched(self, fact: Fact) -> list[str]:
        """Subscriptions a fact can matter to, by account and id."""
        kind = fact["type"]
        if kind == "TermsPublished":
            found = list(self.known.starts)
        elif "target" in fact:
            found = [
                subscription
                for subscription, start in self.known.starts.items()
                for said in [start, *self.known.changes.get(subscription, [])]
                if fact["target"] in (said.get("targets") or [])
            ]
        elif kind in SUPPORT:
            covering = self.known.requests[fact["ticket"]].subscription
            found = [covering] if covering is not None else []
        else:
            found = [fact["subscription"]] if kind.startswith("Subscription") else []
        return sorted(set(found), key=self._place)

    def _month(self, view: View, first: date) -> list[dict[str, Any]]:
        months, figures = self.closed.setdefault(view.subscription, {}), view.figures(first)
        revision, last = months.get(first, [0, None])
        if figures == last:
            return []
        months[first] = [revision + 1, figures]
        name = {"month": f"{first:%Y-%m}", "revision": revision + 1}
        return [{"type": "MonthClosed", **self._whose(view.subscription), **name, **figures}]

    def _credits(self, view: View) -> list[dict[str, Any]]:
        granted = self.granted.setdefault(view.subscription, {})
        wanted = view.wanted(set(self.closed.get(view.subscription, {})))
        told = []
        for credit in sorted(wanted.keys() | granted.keys()):
            revision, before = granted.get(credit, [0, 0])
            total = wanted[credit].total if credit in wanted else 0
            if total == before:
                continue
            granted[credit] = [revision + 1, total]
            _, cause, period = credit.removeprefix(view.subscription).split("/", 2)
            terms = wanted[credit].terms if credit in wanted else self._old_terms(period)
            told.append(
                {
                    "type": "CreditAdjusted" if revision else "CreditGranted",
                    **self._whose(view.subscription),
                    "credit": credit,
                    "revision": revision + 1,
                    "cause": cause,
                    "period": period,
                    "amount": money(total - before),
                    "total": money(total),
                    "currency": self.known.starts[view.subscription]["currency"],
                    "terms": terms,
                }
            )
        return told

    def _old_terms(self, period: str) -> str:
        """Terms of the day a cut began that is no more (a closed month always has an entry)."""
        return self.known.terms_on(local_date(parse(period))).version

    def _whose(self, subscription: str) -> dict[str, Any]:
        return {"account": self.known.starts[subscription]["account"], "subscription": subscription}

    def _notices(self, fact: Fact, day: date) -> list[dict[str, Any]]:
        starts = self.known.starts
        accounts = {start["account"] for name, start in starts.items() if active(self.known, name, day)}
        about = {"version": fact["version"], "effective_on": fact["effective_on"]}
        return [{"type": "TermsNoticeDue", "account": account, **about} for account in sorted(accounts)]


def outcomes(lines: list[Line]) -> list[dict[str, Any]]:
    """All outcomes of a replay, in order, each with its journal place (partition, offset, index)."""
    entries = journal(lines)
    told = []
    oracle = Oracle(_far(entries))
    for offset, entry in enumerate(entries):
        for index, outcome in enumerate(oracle.entry(entry)):
            told.append({**outcome, "journal": {"partition": 0, "offset": offset, "index": index}})
    return told


def _far(entries: list[Line]) -> int:
    """Some time after every instant of the history, so that every silence has an instant in it."""
    instants = [parse(entry["recorded_at"]) for entry in entries]
    for entry in entries:
        for name in ("at", "through", "ends_at", "starts_at"):
            if name in entry["fact"]:
                instants.append(parse(entry["fact"][name]))
        for name in ("starts_on", "ends_on", "effective_on"):
            if name in entry["fact"]:
                instants.append(parse(entry["fact"][name] + "T00:00:00.000Z"))
    return max(instants, default=0) + 70 * DAY
