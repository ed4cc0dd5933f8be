"""Random histories rich in money, to be told to a live system while it is being broken.

    for fact in story(17, "f3-17").declarations: ...   # through billing's HTTP API, in this order
    for topic, key, value in story(17, "f3-17").records(): ...   # straight to Kafka, in this order

The same seed and prefix give the same bytes on every machine. All ids begin with the prefix; every instant
lies before `now`, so that nothing falls due by time alone while the story is told. See `poison` for dirt.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random
from typing import NamedTuple

from tests.faults.stories import support
from tests.faults.stories import targets as told_targets
from tests.faults.stories.dirt import Dirt, poison
from tests.faults.stories.probes import probed_target
from tests.faults.stories.scene import TERMS, Fact, Scene
from tests.oracle.clock import later
from tests.oracle.known import FIRST_TERMS
from tests.oracle.model import outcomes

__all__ = ["Dirt", "Said", "Story", "encoded", "poison", "promised", "story", "terms_fact"]

NOW = date(2026, 11, 1)
FIRST = date(2024, 1, 1)
YEARLY = ("1200.00", "2500.00", "3650.00", "36600.00")
MONTHLY = ("290.00", "99.95")
PRICES = (*((price, "year") for price in YEARLY), *((price, "month") for price in MONTHLY))


class Said(NamedTuple):
    """A record as it is told to Kafka."""

    topic: str  # without GARANT_KAFKA_PREFIX
    key: str
    value: bytes


@dataclass(frozen=True)
class Story:
    """A history of one or two accounts.

    `declarations` are SubscriptionStarted, -Changed and -Cancelled, to be told through billing's API in this
    order. `facts` are (topic, key, fact) for Kafka; the order within a key must be kept, keys may interleave.
    """

    seed: int
    prefix: str
    accounts: tuple[str, ...]
    targets: tuple[str, ...]
    declarations: tuple[Fact, ...]
    facts: tuple[tuple[str, str, Fact], ...]

    def records(self) -> list[Said]:
        """`facts` as the bytes to publish."""
        return [Said(topic, key, encoded(fact)) for topic, key, fact in self.facts]


def encoded(fact: Fact) -> bytes:
    """The bytes of a fact on the wire: compact JSON in UTF-8, fields in their order."""
    return json.dumps(fact, ensure_ascii=False, separators=(",", ":")).encode()


def story(seed: int, prefix: str, now: date = NOW) -> Story:
    """The story of a seed; everything in it lies between 2024 and ten days before `now`."""
    rng = Random(f"story {seed}")
    real = seed % 4 == 3
    months = 2 if real else rng.choice((3, 3, 4, 5))
    last = now - timedelta(days=10)
    # Rather late than early: every month from then to now is closed once, and restated with every fact.
    latest = later(last, -months)
    opens = latest - timedelta(days=int((latest - FIRST).days * rng.random() ** 3))
    scene = Scene(rng, prefix, opens, later(opens, months))
    targets = tuple(f"{prefix}-T{number + 1}" for number in range(1 if real else rng.choice((1, 1, 2, 2, 3))))
    accounts = tuple(f"{prefix}-A{number + 1}" for number in range(rng.choice((1, 1, 2))))
    starts = [
        _started(scene, account, f"{account}-S{number + 1}", targets)
        for account in accounts
        for number in range(1 if real or len(accounts) > 1 else rng.choice((1, 2)))
    ]
    lasting = not real and now - scene.ends < timedelta(days=150)
    declarations = starts + [fact for start in starts for fact in _changes(scene, start, targets, lasting)]
    for target in targets:
        cuts = (
            probed_target(scene, target)
            if real
            else told_targets.stated_target(scene, target, max(4, rng.choice((9, 11)) // len(targets)))
        )
        told_targets.corrections(scene, target, cuts, rng.choice((3, 4)) if len(targets) < 3 else 2)
        for number in range(rng.choice((0, 1, 1))):
            told_targets.maintenance(scene, target, f"{target}-M{number}")
        if rng.random() < 0.6:
            told_targets.nonsense(scene, target)
    for account in accounts:
        rich, *others = [start for start in starts if start["account"] == account]
        tickets = support.requests(scene, rich, rng.choice((3, 4)))
        same = [fact for fact in declarations if fact["subscription"] == rich["subscription"]]
        prices = [fact["price"] for fact in same if "price" in fact]
        quota = support.quota_minutes(rich, prices)
        support.work(scene, rich, quota, tickets, rng.choice((1, 2, 3)))
        for other in others:
            support.requests(scene, other, 1)
        support.nonsense(scene, account, tickets[0])
    return Story(seed, prefix, accounts, targets, tuple(declarations), tuple(_interleaved(scene)))


def _started(scene: Scene, account: str, subscription: str, targets: tuple[str, ...]) -> Fact:
    rng = scene.rng
    price, term = rng.choice(PRICES)
    starts_on = scene.opens - timedelta(days=rng.choice((0, 0, 1, 31)))
    return {
        "type": "SubscriptionStarted",
        "account": account,
        "subscription": subscription,
        "deployment": rng.choice(("cloud", "on-premises")),
        "targets": sorted(rng.sample(targets, rng.choice((len(targets), rng.randint(1, len(targets)))))),
        "price": price,
        "currency": "CHF",
        "term": term,
        "starts_on": max(starts_on, FIRST).isoformat(),
        "language": rng.choice(("fr", "de", "en")),
    }


def _changes(scene: Scene, start: Fact, targets: tuple[str, ...], lasting: bool) -> list[Fact]:
    """Prices, deployments and targets from dates of the story on; in the end a cancellation.

    `lasting`: half of them are not cancelled; with an early end there are not years of empty months.
    """
    rng, told = scene.rng, []
    whose = {"account": start["account"], "subscription": start["subscription"]}
    for _ in range(rng.choice((0, 1, 1, 2))):
        effective_on = scene.opens + timedelta(days=rng.randrange((scene.ends - scene.opens).days - 10))
        change: Fact = {"type": "SubscriptionChanged", **whose, "effective_on": effective_on.isoformat()}
        kind = rng.random()
        if kind < 0.75:
            change["price"] = rng.choice(YEARLY if start["term"] == "year" else MONTHLY)
        if kind > 0.9:
            change["deployment"] = "on-premises"
        if kind > 0.7:
            change["targets"] = sorted(rng.sample(targets, rng.randint(1, len(targets))))
        told.append(change)
    if not lasting or rng.random() < 0.5:
        ends_on = scene.ends + timedelta(days=rng.choice((-20, -1, 0, 1, 5)))
        told.append({"type": "SubscriptionCancelled", **whose, "ends_on": ends_on.isoformat()})
    return told


def _interleaved(scene: Scene) -> list[tuple[str, str, Fact]]:
    """Each key's facts in their order, the keys in any."""
    waiting = {place: list(reversed(facts)) for place, facts in scene.said.items()}
    told = []
    while waiting:
        places = list(waiting)
        place = scene.rng.choices(places, [len(waiting[place]) for place in places])[0]
        for _ in range(scene.rng.choice((1, 1, 2, 5))):
            if place in waiting:
                told.append((*place, waiting[place].pop()))
                if not waiting[place]:
                    del waiting[place]
    return told


def terms_fact(now: date = NOW) -> Said:
    """New terms, major, in force from July of the year before `now`: to be told once in a run, if at all.

    As the first ever published they may begin in the past: everything concluded so far is restated by them.
    """
    body = json.loads(json.dumps(FIRST_TERMS))
    body["uptime"]["maintenance"] = {"excluded": True, "notice_hours": 48}
    body["uptime"]["target_percent"] = "99.8"
    body["support"]["holidays"] = [f"{now.year - 1}-01-02"]
    effective_on = date(now.year - 1, 7, 1).isoformat()
    fact = {"type": "TermsPublished", "version": "faults-1", "effective_on": effective_on, "major": True}
    return Said(TERMS, "faults-1", encoded({**fact, "terms": body}))


def promised(told: Story, now: str = "2026-11-20T12:00:00.000Z") -> tuple[int, int]:
    """(credits, warnings) that the model concludes when the story is told in its own order at one instant."""
    facts = [*told.declarations, *(fact for _, _, fact in told.facts)]
    said = [one["type"] for one in outcomes([{"recorded_at": now, "fact": fact} for fact in facts])]
    credits = said.count("CreditGranted") + said.count("CreditAdjusted")
    return credits, said.count("QuotaWarned")
