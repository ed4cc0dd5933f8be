"""Random histories for Hypothesis: months of facts about two accounts and two targets, in any order said."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from hypothesis import strategies as st

from shared import facts
from shared.money import Amount
from shared.terms import Exact
from shared.time import Instant
from tests.core.telling import HOUR, instant, published, terms_with

FIRST = instant("2026-10-01 00:00")
LAST = instant("2027-02-01 00:00")
TARGETS = ("app", "db")
SUBSCRIPTIONS = (("A-1", "S-1"), ("A-1", "S-2"), ("A-2", "S-3"))

NEAR = st.sampled_from([0, 0, 0, 1, -1, HOUR, -HOUR, 6 * HOUR])
DAYS = st.integers(0, 122).map(lambda days: date(2026, 10, 1) + timedelta(days=days))
INSTANTS = st.builds(
    lambda day, hours, near: Instant(min(max(instant(f"{day} 00:00") + hours * HOUR + near, FIRST), LAST)),
    DAYS,
    st.sampled_from([0, 0, 6, 12, 23]),
    NEAR,
)
STATES: Any = st.sampled_from(["up", "down", "down", "unmeasured"])
LENGTHS = st.sampled_from(
    [HOUR, 5 * HOUR, 23 * HOUR, 24 * HOUR, 24 * HOUR + 1, 30 * HOUR, 100 * HOUR, 40 * 24 * HOUR]
)
SPANS = st.tuples(INSTANTS, LENGTHS).map(lambda span: (span[0], Instant(span[0] + span[1])))
TARGET = st.sampled_from(TARGETS)
PRICES = st.sampled_from(["1200.00", "99.95", "36500.00", "0.01"]).map(lambda text: Amount(_cents(text)))


def _cents(text: str) -> int:
    return int(text.replace(".", ""))


STATE_CHANGES = st.builds(
    lambda target, at, state: facts.TargetStateChanged(target, at, state, at, ()), TARGET, INSTANTS, STATES
)
OBSERVATIONS = st.builds(facts.TargetObserved, TARGET, INSTANTS)
CORRECTIONS = st.builds(
    lambda target, span, state, at: facts.DowntimeCorrected(
        target, span[0], span[1], state, "", "staff-7", at
    ),
    TARGET,
    SPANS,
    STATES,
    INSTANTS,
)
ANNOUNCEMENTS = st.builds(
    lambda target, name, span, early: facts.MaintenanceAnnounced(
        target, name, span[0], span[1], Instant(span[0] - early * HOUR)
    ),
    TARGET,
    st.sampled_from(["M-1", "M-2", "M-3"]),
    SPANS,
    st.sampled_from([47, 48, 100]),
)
CALLED_OFF = st.builds(facts.MaintenanceCancelled, TARGET, st.sampled_from(["M-1", "M-2", "M-3"]), INSTANTS)


@st.composite
def subscription_changes(draw: st.DrawFn) -> facts.Fact:
    account, subscription = draw(st.sampled_from(SUBSCRIPTIONS))
    day = draw(DAYS)
    what = draw(st.sampled_from(["price", "targets", "end"]))
    if what == "end":
        return facts.SubscriptionCancelled(account, subscription, day)
    if what == "price":
        return facts.SubscriptionChanged(account, subscription, day, price=draw(PRICES))
    targets = draw(st.sampled_from([(), ("app",), ("db",), ("app", "db")]))
    return facts.SubscriptionChanged(account, subscription, day, targets=targets)


@st.composite
def beginnings(draw: st.DrawFn) -> list[facts.Fact]:
    """The subscriptions, under terms of their own or the built-in ones; targets that are mostly watched."""
    told: list[facts.Fact] = []
    for target in TARGETS:
        if draw(st.integers(0, 3)):
            told.append(facts.TargetStateChanged(target, FIRST, "up", FIRST, ()))
            told.append(facts.TargetObserved(target, draw(st.sampled_from([LAST, LAST, FIRST]))))
    if draw(st.booleans()):
        terms = terms_with(
            excluded=draw(st.booleans()),
            uptime_credit=draw(st.sampled_from([None, Exact()])),
            outage_credit=draw(st.sampled_from([None, Exact()])),
        )
        told.append(published(terms, "t", "2026-01-01"))
    for account, subscription in SUBSCRIPTIONS[: draw(st.integers(1, 3))]:
        told.append(
            facts.SubscriptionStarted(
                account,
                subscription,
                "cloud",
                draw(st.sampled_from([("app",), ("db",), ("app", "db")])),
                draw(PRICES),
                "CHF",
                draw(st.sampled_from(["year", "month"])),
                draw(st.sampled_from([date(2026, 10, 1), date(2026, 10, 31), date(2026, 12, 15)])),
                "fr",
            )
        )
    return told


NEWS = st.one_of(
    *(STATE_CHANGES, STATE_CHANGES, OBSERVATIONS, CORRECTIONS, CORRECTIONS, CORRECTIONS),
    *(ANNOUNCEMENTS, CALLED_OFF, subscription_changes()),
)


@st.composite
def histories(draw: st.DrawFn) -> list[tuple[int, facts.Fact]]:
    """(recorded at, fact), in the order recorded; the last entry closes every month."""
    told = draw(beginnings())
    news = draw(st.lists(st.tuples(INSTANTS, NEWS), min_size=6, max_size=25))
    lines = [(int(FIRST), fact) for fact in told]
    lines += [(int(at), fact) for at, fact in sorted(news, key=lambda line: line[0])]
    return [*lines, (LAST + 7 * HOUR, facts.ClockAdvanced())]
