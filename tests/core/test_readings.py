"""Readings of the promise (docs/adr/0009) that no other test shows alone, as replayed histories."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from services.cli.audit.replay import replay_lines
from services.sla.states import TargetState, observe
from shared.facts import Check, ProbeResult, TargetDeclared, TargetStateChanged
from shared.time import MINUTE, Instant, parse_instant


def said(recorded_at: str, **fact: Any) -> bytes:
    return json.dumps({"recorded_at": recorded_at, "fact": fact}).encode()


def state(at: str, value: str) -> bytes:
    fact = {"target": "shop", "at": at, "state": value, "confirmed_at": at, "because": []}
    return said(at, type="TargetStateChanged", **fact)


def seen(through: str) -> bytes:
    return said(through, type="TargetObserved", target="shop", through=through)


def joined_up_again() -> Iterator[bytes]:
    start = "2026-11-01T00:00:00.000Z"
    subscription = {"account": "A-1", "subscription": "S-1", "deployment": "cloud", "targets": ["shop"]}
    price = {
        "price": "1200.00",
        "currency": "CHF",
        "term": "year",
        "starts_on": "2026-11-01",
        "language": "fr",
    }
    yield said(start, type="SubscriptionStarted", **subscription, **price)
    yield state(start, "up")
    yield state("2026-11-10T09:00:00.000Z", "down")
    yield state("2026-11-11T15:00:00.000Z", "unmeasured")
    yield state("2026-11-11T18:00:00.000Z", "down")
    yield seen("2026-11-11T19:00:00.000Z")
    yield state("2026-11-12T11:00:00.000Z", "up")
    yield seen("2026-11-12T12:00:00.000Z")


def test_a_cut_joined_up_again_by_a_bridge_waits_for_news() -> None:
    """30 h, then unmeasured: granted. Down again within six hours: it goes on, and no month is closed. At its
    end it has 50 h: three started days."""
    outcomes = [json.loads(data) for data in replay_lines(joined_up_again())]
    outcomes = [one for one in outcomes if one["type"] != "QuotaOpened"]
    assert [(one["credit"], one["total"]) for one in outcomes] == [
        ("S-1/outage/2026-11-10T09:00:00.000Z", total) for total in ("6.58", "0.00", "9.86")
    ]


def test_a_slot_off_the_grid_is_believed() -> None:
    """Two slots at :17 of the minute confirm like any others."""
    states: dict[str, TargetState] = {}
    first = parse_instant("2026-11-02T10:00:17.000Z")
    declared = TargetDeclared("shop", "Shop", 60, (Check("icmp", True),), ("zrh",), 2, 2, Instant(first))
    observe(states, declared, first, 0)
    found = [
        fact
        for number in range(2)
        for fact in observe(
            states,
            ProbeResult("shop", "icmp", "zrh", Instant(first + number * MINUTE), "up", 1, None),
            first + number * MINUTE,
            number + 1,
        )
    ]
    assert [(fact.at, fact.state) for fact in found if isinstance(fact, TargetStateChanged)] == [
        (first, "up")
    ]
