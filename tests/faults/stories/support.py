"""Requests with their deadlines, and work that crosses the thresholds of a quota, back and forth."""

from __future__ import annotations

from datetime import date

from tests.faults.stories.scene import MINUTE, TICKETS, Fact, Scene
from tests.oracle.clock import DAY, HOUR, day_start, later, show

SEVERITIES = ("down", "serious", "moderate", "limited")
LAST_DAYS = 21 * DAY  # of a story, in which a subscription may end
AFTER = (0, 20 * MINUTE, HOUR, 3 * HOUR, 20 * HOUR, 2 * DAY, 5 * DAY)


def requests(scene: Scene, started: Fact, count: int) -> list[str]:
    """Requests under a subscription: met, late, missed, raised, lowered, withdrawn; gives their ids."""
    rng, account = scene.rng, started["account"]
    found: list[str] = []
    first = max(scene.start, day_start(date.fromisoformat(started["starts_on"])))
    for number in range(count):
        ticket = f"{started['subscription']}-R{number + 1}"
        worked = number < 2  # covered for certain, for work to count
        received = scene.instant(first - (0 if worked else rng.choice((0, DAY))), scene.end - LAST_DAYS)
        subscription = started["subscription"] if worked or rng.random() < 0.9 else None
        scene.tell(
            TICKETS,
            account,
            "RequestOpened",
            account=account,
            subscription=subscription,
            ticket=ticket,
            severity=rng.choice(SEVERITIES),
            kind="account" if worked else rng.choice(("account", "bug", "global", "unclassified")),
            received_at=show(received),
        )
        found.append(ticket)
        about = {"account": account, "ticket": ticket}
        if rng.random() < 0.35:
            at = show(received + rng.choice(AFTER))
            scene.tell(TICKETS, account, "SeverityChanged", **about, severity=rng.choice(SEVERITIES), at=at)
        if rng.random() < 0.75:
            scene.tell(TICKETS, account, "FirstResponseSent", **about, at=show(received + rng.choice(AFTER)))
        if rng.random() < 0.15:
            scene.tell(TICKETS, account, "FirstResponseSent", **about, at=show(received + HOUR))
        ending = rng.choice(("RequestClosed", "RequestReopened", "RequestWithdrawn", "", "", ""))
        if ending:
            scene.tell(TICKETS, account, ending, **about, at=show(received + rng.choice(AFTER)))
    return found


def quota_minutes(started: Fact, prices: list[str]) -> int:
    """What a year holds at the highest of the prices; only to choose minutes near the thresholds."""
    annual = max(float(price) for price in prices) * (12 if started["term"] == "month" else 1)
    return int(annual // 1000) * 60 or 60


def work(scene: Scene, started: Fact, quota: int, tickets: list[str], turns: int) -> None:
    """Work up to and over the quota of the first year, then `turns` times away and back again."""
    rng, account = scene.rng, started["account"]
    opens = date.fromisoformat(started["starts_on"])
    first, last = max(scene.start, day_start(opens)), min(scene.end - LAST_DAYS, day_start(later(opens, 12)))
    entries: list[tuple[str, str]] = []
    for percent in (rng.choice((40, 60, 74)), rng.choice((15, 16, 35)), rng.choice((10, 26)), 12):
        ticket, entry = rng.choice(tickets[:2]), f"E{len(entries) + 1}"
        entries.append((ticket, entry))
        said = {"minutes": -(-quota * percent // 100), "at": show(scene.instant(first, last))}
        scene.tell(TICKETS, account, "WorkLogged", account=account, ticket=ticket, entry=entry, **said)
    for _ in range(turns):
        ticket, entry = rng.choice(entries)
        about = {"account": account, "ticket": ticket}
        at = show(scene.instant(first, last))
        if rng.random() < 0.6:
            away = rng.choice(("bug", "global", "unclassified"))
            scene.tell(TICKETS, account, "RequestClassified", **about, kind=away, at=at)
            if rng.random() < 0.8:
                scene.tell(TICKETS, account, "RequestClassified", **about, kind="account", at=at)
        else:
            for minutes in (rng.choice((0, 1)), -(-quota * rng.choice((60, 80, 101)) // 100)):
                said = {"entry": entry, "minutes": minutes, "at": at}
                scene.tell(TICKETS, account, "WorkCorrected", **about, **said)


def nonsense(scene: Scene, account: str, ticket: str) -> None:
    """Something about a request that must be rejected where it stands."""
    rng, at = scene.rng, show(scene.instant())
    unknown = {"account": account, "ticket": f"{ticket}-none"}
    kind = rng.randrange(6)
    if kind == 0:
        scene.slip_in(TICKETS, account, "FirstResponseSent", **unknown, at=at)
    elif kind == 1:
        said = {"entry": "E-none", "minutes": 5, "at": at}
        scene.slip_in(TICKETS, account, "WorkCorrected", account=account, ticket=ticket, **said)
    elif kind == 2:
        said = {"entry": "E-minus", "minutes": -5, "at": at}
        scene.slip_in(TICKETS, account, "WorkLogged", account=account, ticket=ticket, **said)
    elif kind == 3:
        again = {"severity": "down", "kind": "bug", "received_at": at}
        about = {"account": account, "subscription": None, "ticket": ticket}
        scene.tell(TICKETS, account, "RequestOpened", **about, **again)
    elif kind == 4:
        other = f"{account}-other"
        scene.tell(TICKETS, other, "RequestClosed", account=other, ticket=ticket, at=at)
    else:
        scene.slip_in(TICKETS, account, "RequestSung", account=account, ticket=ticket, at=at)
