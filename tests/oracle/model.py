"""Every outcome a replay should print for the facts of contract 1-4 and 7, worked out the slow way.

    outcomes(lines) -> [{"type": "MonthClosed", ...}, ...]

Takes the lines of a replay file as dicts. Leaves out what only the product can know: `calculation` of a
credit, `reason` of a rejection, `digest` of the journal place. Support facts are accepted and say nothing.

Where the contract is silent or can be read in two ways, this model reads:

Order of the outcomes of one entry
 1. Before the fact: for each due instant up to `recorded_at` (month's close, end of a service window), in
    order: by account, subscription; there the months in order, then the credits by id.
 2. Of the fact: TermsNoticeDue by account; then, by account and subscription, restated months and the
    credits that differ; then each month the fact made overdue, as in 1. In 2 a service window whose end is
    not after `recorded_at` is over from the start.
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
"""

from datetime import date
from typing import Any

from tests.oracle.clock import DAY, local_date, parse
from tests.oracle.credits import View, money, months_due
from tests.oracle.known import Fact, Known, ends_on, makes_sense, starts_on, take, window
from tests.oracle.slots import uptime

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


class Oracle:
    """Everything said and concluded so far."""

    def __init__(self, far: int) -> None:
        self.known = Known()
        self.far = far  # an instant after everything any line speaks of
        self.closed: dict[str, dict[date, list[Any]]] = {}  # subscription -> month -> [revision, figures]
        self.granted: dict[str, dict[str, list[Any]]] = {}  # subscription -> credit -> [revision, total]
        self.now = 0

    def entry(self, line: Line) -> list[dict[str, Any]]:
        """The outcomes of one journal entry, without their place."""
        now, fact = parse(line["recorded_at"]), line["fact"]
        told = self._conclude(now, now_over=None)
        self.now = now
        if not makes_sense(self.known, fact, now):
            told.append({"type": "FactRejected", "source": line.get("source")})
            return told
        take(self.known, fact)
        if fact["type"] == "TermsPublished" and fact["major"]:
            told += self._notices(fact, local_date(now))
        for subscription in self._touched(fact):
            view = View(self.known, subscription, now, self.far)
            for first in sorted(self.closed.get(subscription, {})):
                told += self._month(view, first)
            told += self._credits(view)
        return told + self._conclude(now, now_over=now)

    def _conclude(self, until: int, now_over: int | None) -> list[dict[str, Any]]:
        """What is due at or before `until`, in time order."""
        due: dict[int, dict[str, list[date]]] = {}
        for subscription in self.known.starts:
            for at, first in months_due(
                self.known, subscription, until, set(self.closed.get(subscription, {}))
            ):
                due.setdefault(at, {}).setdefault(subscription, []).append(first)
            end = window(self.known, subscription)[1]
            if end is not None and self.now < end <= until:
                due.setdefault(end, {}).setdefault(subscription, [])
        told: list[dict[str, Any]] = []
        for at in sorted(due):
            for subscription in sorted(due[at], key=self._place):
                view = View(self.known, subscription, at if now_over is None else now_over, self.far)
                for first in sorted(due[at][subscription]):
                    told += self._month(view, first)
                told += self._credits(view)
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
        accounts = set()
        for subscription, start in self.known.starts.items():
            end = ends_on(self.known, subscription)
            if starts_on(self.known, subscription) <= day and (end is None or day < end):
                accounts.add(start["account"])
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
