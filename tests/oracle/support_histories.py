"""Random histories of support, the same for the same seed, with most instants at an edge of the contract."""

import json
from collections.abc import Callable
from datetime import date, timedelta
from random import Random
from typing import Any

from tests.oracle.clock import DAY, HOUR, day_start, later, show
from tests.oracle.histories import EDGES, MINUTE, Line
from tests.oracle.known import FIRST_TERMS
from tests.oracle.office import office_of
from tests.oracle.support import GRAVITY, allowance

ACCOUNTS = ("A-1", "A-2")
DEPLOYMENTS = ("cloud", "on-premises")
KINDS = ("account", "account", "account", "account", "bug", "global", "unclassified")
YEARLY = (*("900.00", "999.99", "1000.00", "1000.00", "1999.99", "2000.00", "2500.00", "3000.00"), "0.00")
MONTHLY = ("290.00", "290.00", "83.33", "83.34", "166.67", "75.00", "250.00")
MINUTES = (0, 1, 14, 15, 29, 30, 44, 45, 46, 53, 54, 55, 59, 60, 61, 90, 120, 134, 135, 180, 240)
ORIGINS = (date(2024, 2, 29), date(2024, 2, 29), date(2024, 1, 31), date(2024, 8, 31), date(2023, 12, 31))
NEWS = (0, 0, 0, 1, MINUTE, 5 * MINUTE - 1, 5 * MINUTE, 5 * MINUTE + 1, HOUR, DAY, 9 * DAY)
BESIDE = (-HOUR, -MINUTE, -1, 0, 0, 0, 1, 999, MINUTE, 30 * MINUTE, HOUR)

PLAIN = [["08:00", "17:00"]]
LUNCH = [["08:00", "12:00"], ["13:30", "17:00"]]
DAY_HOURS = (
    PLAIN,
    LUNCH,
    [["08:00", "12:00"]],
    [["00:00", "24:00"]],
    [["20:00", "24:00"], ["00:00", "03:00"]],
)
WEEKS: tuple[dict[str, Any], ...] = (
    FIRST_TERMS["support"]["week"],
    dict.fromkeys(("mon", "tue", "wed", "thu", "fri"), LUNCH),
    {**dict.fromkeys(("mon", "tue", "thu", "fri"), PLAIN), "wed": [], "sat": [["09:00", "12:00"]]},
    # Open at the very hours of the summer-time changes.
    {**dict.fromkeys(("mon", "tue", "wed", "thu", "fri"), PLAIN), "sun": [["01:30", "04:00"]]},
    {day: [["00:00", "24:00"]] for day in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")},
)
ALLOWANCES: tuple[dict[str, str], ...] = (
    {"down": "1h", "serious": "4h", "moderate": "1bd", "limited": "2bd"},
    {"down": "4h", "serious": "1bd", "moderate": "2bd", "limited": "3bd"},
    {"down": "1h", "serious": "1h", "moderate": "8h", "limited": "8h"},
    {"down": "2h", "serious": "9h", "moderate": "1bd", "limited": "4bd"},
)


class Story:
    """Facts being told about some weeks up to two years, in any order; `lines` puts them in order."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.told: list[tuple[int, dict[str, Any]]] = []
        edge = rng.choice([*EDGES, date(2024, 3, 1) + timedelta(days=rng.randrange(900))])
        self.opens = edge - timedelta(days=rng.choice((3, 10, 20, 45)))
        self.days = rng.choice((14, 30, 30, 60, 200, 420, 700))
        self.start, self.end = day_start(self.opens), day_start(self.opens + timedelta(days=self.days))
        self.bodies: list[dict[str, Any]] = [FIRST_TERMS]
        self.subscriptions: list[tuple[int, dict[str, Any]]] = []  # (answerable from, start)
        self.tickets: list[tuple[str, str, int]] = []  # (account, ticket, when the opening was recorded)
        self.watched = rng.random() < 0.2  # subscriptions have a target, so months close too
        self.turns: list[date] = []  # first days of subscription years, and of changes

    def tell(self, recorded_at: int, **fact: Any) -> None:
        self.told.append((recorded_at, fact))

    def pick(self, *values: Any) -> Any:
        return self.rng.choice(values)

    def day(self) -> date:
        """Within the story, mostly beside a summer-time change, a turn of a year or a weekend."""
        rng = self.rng
        near = [*[edge for edge in EDGES if 0 <= (edge - self.opens).days < self.days], *self.turns]
        day = self.opens + timedelta(days=rng.randrange(self.days))
        if near and rng.random() < 0.5:
            day = rng.choice(near)
        return day + timedelta(days=rng.choice((0, 0, 0, -1, 1, -2, 2, 3)))

    def instant(self) -> int:
        """At night, around an hour of opening or closing, or around local midnight."""
        day, rng = self.day(), self.rng
        if rng.random() < 0.1:
            return rng.randrange(self.start, self.end)
        hours = rng.choice((0, 2, 3, 8, 8, 9, 12, 13.5, 16, 17, 17, 20, 24))
        return day_start(day) + int(hours * HOUR) + rng.choice(BESIDE)

    def body(self) -> dict[str, Any]:
        """Terms that may judge a request: a guess at what is in force."""
        found: dict[str, Any] = self.rng.choice([self.bodies[-1], *self.bodies])
        return found

    def lines(self) -> list[Line]:
        told = sorted(self.told, key=lambda one: one[0])
        told.append(
            (
                max(self.end, told[-1][0]) + self.pick(0, 0, 30 * DAY, 30 * DAY, 400 * DAY),
                {"type": "ClockAdvanced"},
            )
        )
        return [{"recorded_at": show(at), "fact": fact} for at, fact in told]


def support_history(seed: int) -> list[Line]:
    """A history of some 20 to 120 lines."""
    story = Story(Random(f"support {seed}"))
    rng = story.rng
    if rng.random() < 0.6:
        for number in range(rng.choice((1, 1, 2, 3))):
            _terms(story, number)
    for number in range(rng.choice((1, 1, 2, 3))):
        _subscription(story, f"S-{number + 1}")
    for number in range(rng.choice((1, 2, 3, 5, 8))):
        _request(story, f"R-{number + 1}")
    for _ in range(rng.choice((0, 2, 6))):
        _crossing(story)
    for _ in range(rng.choice((0, 0, 1, 3))):
        _nonsense(story)
    for _ in range(rng.choice((0, 1, 4))):
        story.tell(day_start(story.day()) + rng.choice((-1, 0, 1)), type="ClockAdvanced")
    if story.watched:
        _cut(story)
    return story.lines()


def _terms(story: Story, number: int) -> None:
    rng, body = story.rng, json.loads(json.dumps(FIRST_TERMS))
    support, quota = body["support"], body["quota"]
    support["week"] = rng.choice(WEEKS)
    support["business_day_minutes"] = story.pick(540, 540, 480, 600)
    support["at_risk_percent"] = story.pick(75, 75, 50, 100, 33)
    support["news_grace_minutes"] = story.pick(5, 5, 0, 60)
    support["first_response"] = {deployment: rng.choice(ALLOWANCES) for deployment in DEPLOYMENTS}
    if rng.random() < 0.7:
        for _ in range(rng.choice((1, 2, 4, 8))):
            day = story.day().isoformat()
            hours = story.pick([], *DAY_HOURS)
            support["holidays"].append(day if rng.random() < 0.5 else {"date": day, "hours": hours})
    quota["chf_per_hour"] = story.pick("1000", "1000", "500", "250.50")
    quota["warn_percent"] = story.pick([75, 90, 100], [50, 100], [100], [], [100, 75, 75], [10, 150])
    story.bodies.append(body)
    effective_on = story.pick(story.opens - timedelta(days=50), story.opens, story.day(), story.day())
    at = day_start(effective_on) + story.pick(-30 * DAY, -1, 0, DAY - HOUR, 26 * HOUR, 40 * DAY)
    published = body
    if rng.random() < 0.1:
        published = {name: part for name, part in body.items() if name != story.pick("support", "quota")}
    about = {"version": f"v{number}", "effective_on": effective_on.isoformat(), "major": rng.random() < 0.3}
    story.tell(at, type="TermsPublished", **about, terms=published)


def _subscription(story: Story, subscription: str) -> None:
    rng, account = story.rng, story.rng.choice(ACCOUNTS)
    starts_on = story.pick(
        story.opens - timedelta(days=rng.randrange(1, 400)),
        story.opens - timedelta(days=story.pick(1, 360, 365, 366)),
        story.opens,
        story.day(),
        *ORIGINS[:2],
        rng.choice(ORIGINS),
    )
    term = story.pick("year", "year", "month")
    prices = YEARLY if term == "year" else MONTHLY
    years = [later(starts_on, 12 * number) for number in range(6)]
    story.turns += [day for day in years if story.opens <= day < story.opens + timedelta(days=story.days)]
    whose = {"account": account, "subscription": subscription}
    fact = {
        "type": "SubscriptionStarted",
        **whose,
        "deployment": rng.choice(DEPLOYMENTS),
        "targets": ["T-1"] if story.watched else [],
        "price": rng.choice(prices),
        "currency": "CHF",
        "term": term,
        "starts_on": starts_on.isoformat(),
        "language": "fr",
    }
    usual = min(story.start - DAY, day_start(starts_on))
    unusual = (day_start(starts_on), day_start(starts_on) + story.pick(-1, 0, 1, 3 * DAY), story.instant())
    recorded = story.pick(usual, usual, usual, story.start - DAY, *unusual)
    story.subscriptions.append((max(recorded, day_start(starts_on)), fact))
    story.tell(recorded, **fact)
    for _ in range(rng.choice((0, 0, 1, 2, 4))):
        effective_on = story.day()
        change: dict[str, Any] = {}
        if rng.random() < 0.8:
            change["price"] = rng.choice(prices)
            story.turns.append(effective_on)
        if rng.random() < 0.4:
            change["deployment"] = rng.choice(DEPLOYMENTS)
        at = day_start(effective_on) + story.pick(-20 * DAY, -1, 0, HOUR, DAY, 70 * DAY)
        about = {"type": "SubscriptionChanged", **whose, "effective_on": effective_on.isoformat()}
        story.tell(max(recorded, at), **about, **change)
    for _ in range(rng.choice((0, 0, 0, 0, 0, 1, 2, 3))):
        ends_on = max(starts_on, story.pick(story.day(), story.day(), *years, starts_on))
        at = story.pick(day_start(ends_on) + story.pick(-40 * DAY, -1, 0, 1, 20 * DAY), story.instant())
        story.tell(max(recorded, at), type="SubscriptionCancelled", **whose, ends_on=ends_on.isoformat())


def _request(story: Story, ticket: str) -> None:
    rng = story.rng
    since, start = rng.choice(story.subscriptions)
    account, subscription = start["account"], start["subscription"]
    if rng.random() < 0.1:
        account = rng.choice(ACCOUNTS)
    if rng.random() < 0.05:
        subscription = story.pick(None, "S-9")
    received = next((at for at in (story.instant() for _ in range(5)) if at >= since), story.instant())
    if rng.random() < 0.2:
        received = day_start(date.fromisoformat(start["starts_on"])) + rng.choice(BESIDE)
    opened = received + story.pick(0, 0, 0, 2000, 2000, MINUTE, HOUR, 5 * DAY, -DAY)
    severity = rng.choice(GRAVITY)
    whose = {"account": account, "ticket": ticket}
    story.tickets.append((account, ticket, opened))
    story.tell(
        opened,
        type="RequestOpened",
        account=account,
        subscription=subscription,
        ticket=ticket,
        severity=severity,
        kind=rng.choice(KINDS),
        received_at=show(received),
    )
    due = _waiting(story, opened, received, severity, start["deployment"], whose)
    _work(story, opened, received, whose)
    for kind in ("RequestClosed", "RequestReopened"):
        if rng.random() < 0.2:
            at = due + rng.choice(BESIDE)
            story.tell(max(opened, at), type=kind, **whose, at=show(at))


def _waiting(
    story: Story, opened: int, received: int, severity: str, deployment: str, whose: dict[str, str]
) -> int:
    """Changes, responses, withdrawals and the clock around what may be the due instant, which is returned."""
    rng, body = story.rng, story.body()
    office, support = office_of(body), body["support"]
    if rng.random() < 0.2:
        deployment = rng.choice(DEPLOYMENTS)
    length = allowance(body, deployment, severity)
    due = office.after(received, length)
    grace = support["news_grace_minutes"] * MINUTE
    instants: list[Callable[[], int]] = [
        lambda: due + rng.choice(BESIDE),
        lambda: due + rng.choice(BESIDE),
        lambda: due + grace + story.pick(-1, 0, 1, 2, MINUTE),
        lambda: office.after(received, length * support["at_risk_percent"] // 100) + story.pick(-1, 0, 1),
        lambda: received + story.pick(-MINUTE, 0, 1, MINUTE, HOUR),
        lambda: rng.randrange(received, due + 1),
        lambda: due + story.pick(15 * HOUR, DAY, 3 * DAY, 30 * DAY),
    ]
    for _ in range(rng.choice((0, 0, 1, 1, 2, 3, 5))):
        new = rng.choice(GRAVITY)
        at = rng.choice(instants)()
        if rng.random() < 0.3:
            # A raise that ties with the due it finds, or is beside a tie.
            at = due - allowance(body, deployment, new) + story.pick(-1, 0, 0, 1)
        recorded = max(opened, at + rng.choice(NEWS))
        story.tell(recorded, type="SeverityChanged", **whose, severity=new, at=show(at))
        if rng.random() < 0.7 and at >= received:
            due = office.after(rng.choice((at, received)), allowance(body, deployment, new))
    for _ in range(rng.choice((0, 1, 1, 1, 2, 4))):
        at = rng.choice(instants)()
        story.tell(max(opened, at + rng.choice(NEWS)), type="FirstResponseSent", **whose, at=show(at))
    if rng.random() < 0.2:
        at = rng.choice(instants)()
        story.tell(max(opened, at + rng.choice(NEWS)), type="RequestWithdrawn", **whose, at=show(at))
    for _ in range(rng.choice((0, 0, 1, 2, 4))):
        story.tell(rng.choice(instants)(), type="ClockAdvanced")
    return due


def _work(story: Story, opened: int, received: int, whose: dict[str, str]) -> None:
    """Entries and corrections, many at local midnight of a turn, in the future, or long ago."""
    rng = story.rng
    for number in range(rng.choice((0, 1, 2, 3, 5))):
        entry = f"W-{number + 1 if rng.random() < 0.95 else 1}"
        at = _done_at(story, received)
        recorded = max(opened, story.pick(at, at, at + HOUR, received + HOUR, at + 40 * DAY))
        about = {"type": "WorkLogged", **whose, "entry": entry}
        story.tell(recorded, **about, minutes=rng.choice(MINUTES), at=show(at))
        for _ in range(rng.choice((0, 0, 0, 1, 1, 2))):
            recorded += story.pick(0, 1, HOUR, 20 * DAY)
            if rng.random() < 0.5:
                at = _done_at(story, received)
            corrected = {"minutes": rng.choice(MINUTES), "at": show(at)}
            story.tell(recorded, **{**about, "type": "WorkCorrected"}, **corrected)
    for _ in range(rng.choice((0, 0, 0, 1, 2, 4))):
        at = max(opened, story.pick(received + HOUR, story.instant(), story.instant()))
        story.tell(at, type="RequestClassified", **whose, kind=rng.choice(KINDS), at=show(at))


def _done_at(story: Story, received: int) -> int:
    near = received + story.pick(0, HOUR, DAY, 7 * DAY, -400 * DAY, 400 * DAY)
    turns = [day_start(day) + story.rng.choice(BESIDE) for day in story.turns]
    return int(story.pick(near, story.instant(), *turns))


def _crossing(story: Story) -> None:
    """More work on a known request, so that a quota is crossed and crossed back."""
    account, ticket, opened = story.rng.choice(story.tickets)
    at, entry = story.instant(), f"X-{story.rng.randrange(3)}"
    about = {"account": account, "ticket": ticket, "entry": entry, "at": show(at)}
    for kind in ("WorkLogged", "WorkCorrected"):
        minutes = story.rng.choice(MINUTES)
        story.tell(max(opened, at) + story.pick(0, HOUR, DAY), type=kind, **about, minutes=minutes)


def _nonsense(story: Story) -> None:
    rng, at = story.rng, story.instant()
    account, ticket, _ = rng.choice(story.tickets)
    whose, when = {"account": account, "ticket": ticket}, {"at": show(at)}
    other = {"account": "A-7", "ticket": ticket}
    entry = {"entry": "W-1", "minutes": rng.choice(MINUTES)}
    again = next(fact for _, fact in story.told if fact["type"] == "RequestOpened")
    spoken: list[dict[str, Any]] = [
        {"type": "FirstResponseSent", "account": account, "ticket": "R-99", **when},
        {"type": "RequestWithdrawn", **other, **when},
        {"type": "SeverityChanged", **other, "severity": "down", **when},
        {"type": "WorkLogged", **other, **entry, **when},
        {"type": "WorkLogged", **whose, **entry, **when},
        {"type": "WorkLogged", **whose, "entry": "W-8", "minutes": -1, **when},
        {"type": "WorkCorrected", **whose, **entry, "minutes": -30, **when},
        {"type": "WorkCorrected", **whose, **entry, "entry": "W-77", **when},
        {**again, "received_at": show(at), "account": rng.choice(ACCOUNTS)},
        {**again, "severity": "down"},
        {"type": "CoffeeSpilled", **whose, **when},
    ]
    story.tell(at, **rng.choice(spoken))


def _cut(story: Story) -> None:
    """The target is down for a while, so that months and credits are said among deadlines and quota."""
    at = day_start(story.day())
    for instant, state in ((story.start, "up"), (at, "down"), (at + story.pick(11, 30, 400) * HOUR, "up")):
        about = {"target": "T-1", "at": show(instant), "state": state, "confirmed_at": show(instant)}
        story.tell(instant, type="TargetStateChanged", **about, because=[])
    story.tell(story.end, type="TargetObserved", target="T-1", through=show(story.end))
