"""Random replay histories, the same for the same seed, with most instants where the contract has an edge."""

import json
from datetime import date, timedelta
from random import Random
from typing import Any

from tests.oracle.clock import DAY, HOUR, day_start, later, local_date, month_first, next_month, parse, show
from tests.oracle.known import FIRST_TERMS

Line = dict[str, Any]
MINUTE = 60_000
ACCOUNTS = ("A-1", "A-2")
TARGETS = ("T-1", "T-2", "T-3")
PRICES = ("1200.00", "1200.00", "900.00", "3650.00", "99.95", "36600.00", "0.01", "0.00")
NEAR = (-HOUR, -1, 0, 0, 1, HOUR)
CUTS = (
    *(hours * HOUR + near for hours in (24, 24, 48, 72) for near in (-1, 0, 0, 1)),
    *(MINUTE, 37 * MINUTE, 2 * HOUR, 3 * HOUR + 36 * MINUTE, 5 * HOUR, 11 * HOUR, 30 * HOUR, 26 * DAY),
)
GAPS = (*(6 * HOUR + near for near in (-1, 0, 0, 1)), 2 * HOUR, 7 * HOUR, 12 * HOUR, 3 * DAY)
DELAYS = (0, 1, 2 * MINUTE, 2 * MINUTE, 2 * MINUTE, 3 * HOUR, 2 * DAY, 40 * DAY, 120 * DAY)
# Both summer-time changes, leap days and the turn of the years between 2024 and 2028.
EDGES = [
    *(date(2024, 3, 31), date(2024, 10, 27), date(2025, 3, 30), date(2025, 10, 26), date(2026, 3, 29)),
    *(date(2026, 10, 25), date(2027, 3, 28), date(2024, 2, 29), date(2025, 1, 1), date(2026, 12, 31)),
]


class Story:
    """Facts being told about some months, in any order; `lines` puts them in the order recorded."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.told: list[tuple[int, dict[str, Any]]] = []
        edge = rng.choice([*EDGES, date(2024, 1, 1) + timedelta(days=rng.randrange(1100))])
        self.opens = month_first(edge - timedelta(days=rng.randrange(60)))
        self.months = rng.choice((2, 3, 4, 6, 9, 14, 24))
        self.start, self.end = day_start(self.opens), day_start(later(self.opens, self.months))
        self.targets = TARGETS[: rng.choice((1, 1, 2, 3))]
        self.marks: list[int] = [day_start(edge) for edge in EDGES if self.opens <= edge]

    def tell(self, recorded_at: int, **fact: Any) -> None:
        self.told.append((recorded_at, fact))

    def instant(self) -> int:
        """Mostly at or beside something that matters: a month's end, a state change, a local midnight."""
        rng, kind = self.rng, self.rng.random()
        if kind < 0.35:
            return day_start(self.month()) + rng.choice((*NEAR, -DAY, -12 * HOUR, 6 * HOUR))
        if kind < 0.75 and self.marks:
            return rng.choice(self.marks) + rng.choice((*NEAR, -24 * HOUR, -30 * HOUR, 24 * HOUR))
        if kind < 0.85:
            return day_start(self.day()) + rng.choice(NEAR)
        return rng.randrange(self.start, self.end)

    def month(self) -> date:
        return later(self.opens, self.rng.randrange(self.months + 1))

    def day(self) -> date:
        near = self.rng.choice(
            (self.month(), self.opens + timedelta(days=self.rng.randrange(30 * self.months)))
        )
        return near + timedelta(days=self.rng.choice((0, 0, 0, 1, -1, 14)))

    def later_than(self, instant: int) -> int:
        return instant + self.rng.choice(DELAYS)

    def lines(self, size: int) -> list[Line]:
        """At most about `size` lines; starts of subscriptions are never left out."""
        rest = [told for told in self.told if told[1]["type"] != "SubscriptionStarted"]
        keep = set(self.rng.sample(range(len(rest)), min(size, len(rest))))
        told = [told for told in self.told if told[1]["type"] == "SubscriptionStarted"]
        told += [one for index, one in enumerate(rest) if index in keep]
        told.sort(key=lambda one: one[0])
        last = max(self.end, told[-1][0]) + 40 * DAY
        told.append((last, {"type": "ClockAdvanced"}))
        return [{"recorded_at": show(at), "fact": fact} for at, fact in told]


def history(seed: int, size: int = 60) -> list[Line]:
    """A history of about `size` lines over two months to two years."""
    story = Story(Random(seed))
    rng = story.rng
    for number in range(rng.choice((1, 1, 2, 3))):
        _subscription(story, f"S-{number + 1}", rng.choice(ACCOUNTS))
    for target in story.targets:
        _target(story, target, size // len(story.targets))
    if rng.random() < 0.6:
        _terms(story)
    for _ in range(rng.choice((0, 1, 3, 6))):
        _maintenance(story, f"M-{rng.randrange(4)}")
    for _ in range(rng.choice((0, 0, 1, 2, 5))):
        _correction(story)
    for _ in range(rng.choice((0, 0, 1, 3))):
        _nonsense(story)
    for _ in range(rng.choice((0, 2, 5))):
        due = day_start(story.month()) + 6 * HOUR + rng.choice((-1, 0, 1, DAY))
        story.tell(due, type="ClockAdvanced")
    return _with_settled_zone(story.lines(size))


def _with_settled_zone(lines: list[Line]) -> list[Line]:
    """The model knows one zone: terms of another, which may come before the first subscription, get it."""
    settled = False
    for line in lines:
        fact = line["fact"]
        settled = settled or fact["type"] == "SubscriptionStarted"
        if fact["type"] == "TermsPublished" and not settled and "zone" in fact["terms"]:
            fact["terms"]["zone"] = "Europe/Zurich"
    return lines


def _subscription(story: Story, subscription: str, account: str) -> None:
    rng = story.rng
    starts_on = rng.choice((story.day(), story.day(), story.opens, story.opens))
    if rng.random() < 0.2:
        starts_on = rng.choice((date(2024, 2, 29), date(2024, 1, 31), date(2025, 8, 31)))
    recorded = rng.choice(
        (story.start - DAY, day_start(starts_on) - 30 * DAY, story.later_than(story.instant()))
    )
    whose = {"account": account, "subscription": subscription}
    story.tell(
        recorded,
        type="SubscriptionStarted",
        **whose,
        deployment=rng.choice(("cloud", "on-premises")),
        targets=_some(rng, story.targets),
        price=rng.choice(PRICES),
        currency="CHF",
        term=rng.choice(("year", "year", "month")),
        starts_on=starts_on.isoformat(),
        language="fr",
    )
    for _ in range(rng.choice((0, 0, 1, 2, 4))):
        effective_on = max(starts_on, story.day())
        change: dict[str, Any] = {}
        if rng.random() < 0.7:
            change["price"] = rng.choice(PRICES)
        if rng.random() < 0.2:
            change["deployment"] = "cloud"
        if rng.random() < 0.5:
            change["targets"] = _some(rng, story.targets)
        at = day_start(effective_on) + rng.choice((-20 * DAY, -1, 0, DAY, 70 * DAY))
        about = {"type": "SubscriptionChanged", **whose, "effective_on": effective_on.isoformat()}
        story.tell(max(recorded, at), **about, **change)
    if rng.random() < 0.5:
        for _ in range(rng.choice((1, 1, 2, 3))):
            ends_on = max(starts_on, story.day())
            at = day_start(ends_on) + rng.choice((-40 * DAY, -1, 0, 1, 20 * DAY, 90 * DAY))
            story.tell(max(recorded, at), type="SubscriptionCancelled", **whose, ends_on=ends_on.isoformat())


def _some(rng: Random, targets: tuple[str, ...]) -> list[str]:
    """Some targets, now and then none."""
    return [] if rng.random() < 0.08 else sorted(rng.sample(targets, rng.randint(1, len(targets))))


def _target(story: Story, target: str, facts: int) -> None:
    """Up, cuts of interesting lengths, silences within and after them, and observations, some very late."""
    rng, told = story.rng, 0
    at = story.start - rng.choice((0, HOUR, 20 * DAY, -10 * DAY))

    def change(state: str) -> None:
        story.marks.append(at)
        confirmed_at = show(at + 2 * MINUTE)
        about = {"target": target, "at": show(at), "state": state, "confirmed_at": confirmed_at}
        story.tell(story.later_than(at), type="TargetStateChanged", **about, because=[])

    def observe(through: int) -> None:
        through = through // HOUR * HOUR
        story.tell(story.later_than(through), type="TargetObserved", target=target, through=show(through))

    change("up")
    while told < facts and at < story.end:
        planned = story.instant() if rng.random() < 0.6 else 0
        at = planned if planned > at else at + rng.choice((HOUR, DAY, 5 * DAY, 20 * DAY))
        change("down")
        told += 2
        for _ in range(rng.choice((0, 0, 0, 1, 2))):
            at += rng.choice((HOUR, 9 * HOUR, 12 * HOUR))
            change("unmeasured")
            at += rng.choice(GAPS)
            change(rng.choice(("down", "down", "down", "up")))
            told += 2
        length = rng.choice(CUTS)
        while rng.random() < 0.3:
            observe(at + rng.randrange(length + HOUR))
            told += 1
        at += length
        change(rng.choice(("up", "up", "up", "up", "unmeasured")))
        if rng.random() < 0.3:
            observe(at + rng.choice((HOUR, DAY, 9 * DAY)))
            told += 1
    for number in range(1, story.months + 1):
        if rng.random() < 0.5:
            observe(day_start(later(story.opens, number)) + rng.choice((-HOUR, 0, 0, HOUR, 3 * HOUR)))
    if rng.random() < 0.7:
        observe(story.end + HOUR)


def _terms(story: Story) -> None:
    rng = story.rng
    for number in range(rng.choice((1, 1, 2, 3))):
        body = json.loads(json.dumps(FIRST_TERMS))
        uptime, outage = body["uptime"], body["outage"]
        uptime["target_percent"] = rng.choice(("99.5", "99.5", "99.9", "99", "100"))
        uptime["close_after_hours"] = rng.choice((6, 6, 0, 30, 900))
        uptime["bridge_hours"] = rng.choice((6, 6, 0, 12))
        uptime["maintenance"] = {"excluded": rng.random() < 0.8, "notice_hours": rng.choice((48, 48, 0, 72))}
        tiers = [
            {"below_percent": "99.5", "percent_of_fee": "10"},
            {"below_percent": "95", "percent_of_fee": "50"},
        ]
        uptime["credit"] = rng.choice(
            ({"rule": "started-day"}, {"rule": "exact"}, {"rule": "tiers", "tiers": tiers})
        )
        outage["longer_than_hours"] = rng.choice((24, 24, 12, 48, 0))
        outage["credit"] = {"rule": rng.choice(("started-day", "exact"))}
        effective_on = story.day() if number else rng.choice((story.opens - timedelta(days=50), story.day()))
        if rng.random() < 0.15:
            part = rng.choice(("uptime", "outage", "support", "quota", "zone"))
            del body[part]
        elif number and rng.random() < 0.15:
            body["zone"] = "America/New_York"
        at = day_start(effective_on) + rng.choice((-30 * DAY, -1, 0, DAY - 1, 26 * HOUR, 100 * DAY))
        about = {
            "version": f"v{number}",
            "effective_on": effective_on.isoformat(),
            "major": rng.random() < 0.5,
        }
        story.tell(at, type="TermsPublished", **about, terms=body)


def _maintenance(story: Story, maintenance: str) -> None:
    rng = story.rng
    about = {"target": rng.choice(story.targets), "maintenance": maintenance}
    starts = story.instant()
    ends = starts + rng.choice((0, 2 * HOUR, 5 * HOUR, 26 * HOUR, 4 * DAY))
    notice = rng.choice((48 * HOUR, 48 * HOUR, 48 * HOUR - 1, 48 * HOUR + 1, 72 * HOUR, 20 * DAY, 0, -HOUR))
    announced = starts - notice
    recorded = announced + rng.choice((0, 0, MINUTE, 30 * DAY))
    announcement = {"starts_at": show(starts), "ends_at": show(ends), "announced_at": show(announced)}
    story.tell(recorded, type="MaintenanceAnnounced", **about, **announcement)
    if rng.random() < 0.4:
        cancelled = starts + rng.choice((-DAY, -1, 0, 1, HOUR, 30 * HOUR))
        story.tell(max(cancelled, recorded), type="MaintenanceCancelled", **about, at=show(cancelled))
        if rng.random() < 0.4:
            again = {**announcement, "ends_at": show(ends + HOUR)}
            story.tell(max(cancelled, recorded) + HOUR, type="MaintenanceAnnounced", **about, **again)


def _correction(story: Story) -> None:
    rng = story.rng
    starts = story.instant()
    ends = starts + rng.choice((0, 1, HOUR, 3 * HOUR, 24 * HOUR, 24 * HOUR + 1, 3 * DAY, 40 * DAY))
    at = ends + rng.choice((0, HOUR, HOUR, 5 * DAY, 60 * DAY))
    about = {"target": rng.choice(story.targets), "starts_at": show(starts), "ends_at": show(ends)}
    state = rng.choice(("up", "up", "down", "down", "unmeasured"))
    said = {"reason": "seen by hand", "author": "staff-7", "at": show(at)}
    story.tell(
        at + rng.choice((0, 0, HOUR, 30 * DAY)), type="DowntimeCorrected", **about, state=state, **said
    )


def _nonsense(story: Story) -> None:
    rng, at = story.rng, max(story.instant(), story.start)
    day = local_date(at).isoformat()
    s1 = next(fact for _, fact in story.told if fact["type"] == "SubscriptionStarted")
    whose = {"account": s1["account"], "subscription": s1["subscription"]}
    before = (date.fromisoformat(s1["starts_on"]) - timedelta(days=1)).isoformat()
    when = {"starts_at": show(at), "ends_at": show(at - 1)}
    spoken: list[dict[str, Any]] = [
        {
            "type": "SubscriptionChanged",
            "account": "A-1",
            "subscription": "S-9",
            "effective_on": day,
            "price": "1.00",
        },
        {"type": "SubscriptionChanged", **whose, "account": "A-7", "effective_on": day, "price": "1.00"},
        {"type": "SubscriptionChanged", **whose, "effective_on": day, "price": "-1.00"},
        {"type": "SubscriptionCancelled", "account": "A-1", "subscription": "S-9", "ends_on": day},
        {"type": "SubscriptionCancelled", **whose, "ends_on": before},
        {**s1},
        {**s1, "subscription": "S-8", "price": "-0.01"},
        {
            "type": "MaintenanceAnnounced",
            "target": "T-1",
            "maintenance": "M-1",
            **when,
            "announced_at": show(at),
        },
        {
            "type": "DowntimeCorrected",
            "target": "T-1",
            **when,
            "state": "down",
            "reason": "turned around",
            "author": "staff-7",
            "at": show(at),
        },
        {"type": "CoffeeSpilled", "target": "T-1"},
    ]
    story.tell(at, **rng.choice(spoken))


def probe_history(seed: int) -> list[Line]:
    """Some days of slots, every location reporting each in order: ties, unknown, silences, two checks."""
    rng = Random(seed)
    step = rng.choice((15, 30, 60)) * MINUTE
    locations = ["bern", "genf", "zug", "chur"][: rng.choice((1, 2, 2, 3, 4))]
    checks = [{"check": "icmp", "required": True}]
    if rng.random() < 0.5:
        checks.append({"check": "tcp:443", "required": rng.random() < 0.7})
    starts_on = date(2026, 11, rng.randrange(1, 20))
    start = day_start(starts_on)
    ends_on = (starts_on + timedelta(days=5)).isoformat()
    cancelled = {"type": "SubscriptionCancelled", "account": "A-1", "subscription": "S-1", "ends_on": ends_on}
    line = _lines_of([(start - DAY, _plain_subscription(starts_on)), (start - DAY, cancelled)])
    declared = {
        "target": "T-1",
        "name": "app",
        "interval_s": step // 1000,
        "checks": checks,
        "locations": locations,
        "confirm_down": rng.choice((1, 2, 2, 3)),
        "confirm_up": rng.choice((1, 2, 2, 3)),
        "at": show(start - DAY),
    }
    line += _lines_of([(start - DAY, {"type": "TargetDeclared", **declared})])
    slot, mood = start + rng.choice((-2, 0, 3)) * step, "up"
    while slot < start + 5 * DAY:
        kind = rng.random()
        if kind < 0.15:
            mood = rng.choice(("up", "down", "down", "mixed", "unknown"))
        elif kind < 0.22:
            slot += rng.choice((1, 1, 2, 3, 6 * HOUR // step, 6 * HOUR // step + 1, 9 * HOUR // step)) * step
        for check in checks:
            for location in locations:
                outcome = rng.choice(("up", "down", "unknown")) if mood == "mixed" else mood
                if rng.random() < 0.05:
                    outcome = rng.choice(("up", "down", "unknown"))
                about = {"target": "T-1", "check": check["check"], "location": location, "slot": show(slot)}
                result = {**about, "outcome": outcome, "rtt_us": None, "error": None}
                line += _lines_of([(slot + 2000, {"type": "ProbeResult", **result})])
        slot += step
    return line + _lines_of([(day_start(date(2027, 1, 1)), {"type": "ClockAdvanced"})])


def one_cut(
    starts_at: str,
    length_ms: int,
    *,
    starts_on: str,
    ends_on: str | None = None,
    price: str = "1200.00",
    term: str = "year",
    terms: dict[str, Any] | None = None,
    until: str | None = None,
) -> list[Line]:
    """One target, up since the subscription's start but for one cut, watched past `until` (an instant)."""
    first, cut = date.fromisoformat(starts_on), parse(starts_at)
    subscription = _plain_subscription(first, price, term)
    watched = parse(until) if until else day_start(next_month(month_first(local_date(cut + length_ms))))
    facts: list[tuple[int, dict[str, Any]]] = []
    if terms:
        about = {"version": "test", "effective_on": "2023-01-01", "major": False, "terms": terms}
        facts.append((day_start(first), {"type": "TermsPublished", **about}))
    facts.append((day_start(first), subscription))
    if ends_on:
        whose = {"account": "A-1", "subscription": "S-1", "ends_on": ends_on}
        facts.append((day_start(first), {"type": "SubscriptionCancelled", **whose}))
    for at, state in ((day_start(first), "up"), (cut, "down"), (cut + length_ms, "up")):
        about = {"target": "T-1", "at": show(at), "state": state, "confirmed_at": show(at), "because": []}
        facts.append((at, {"type": "TargetStateChanged", **about}))
    facts.append((watched, {"type": "TargetObserved", "target": "T-1", "through": show(watched)}))
    facts.append((watched + 6 * HOUR, {"type": "ClockAdvanced"}))
    return _lines_of(facts)


def exact_promise(extra_ms: int) -> list[Line]:
    """November 2026 (30 days) with exactly 0.5 % down, 3 h 36 min, and `extra_ms` more."""
    length = 30 * DAY * 5 // 1000 + extra_ms
    return one_cut("2026-11-10T10:00:00.000Z", length, starts_on="2026-11-01")


def _plain_subscription(starts_on: date, price: str = "1200.00", term: str = "year") -> dict[str, Any]:
    return {
        "type": "SubscriptionStarted",
        "account": "A-1",
        "subscription": "S-1",
        "deployment": "cloud",
        "targets": ["T-1"],
        "price": price,
        "currency": "CHF",
        "term": term,
        "starts_on": starts_on.isoformat(),
        "language": "fr",
    }


def _lines_of(facts: list[tuple[int, dict[str, Any]]]) -> list[Line]:
    return [{"recorded_at": show(at), "fact": fact} for at, fact in facts]
