"""What has been said so far, and whether a new fact makes sense (events, "Outcomes", last paragraph)."""

from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from typing import Any

from tests.oracle.clock import day_start, local_date, parse

Fact = dict[str, Any]

FIRST_TERMS: dict[str, Any] = {
    "zone": "Europe/Zurich",
    "uptime": {
        "target_percent": "99.5",
        "close_after_hours": 6,
        "bridge_hours": 6,
        "maintenance": {"excluded": False, "notice_hours": 48},
        "credit": {"rule": "started-day"},
    },
    "outage": {"longer_than_hours": 24, "credit": {"rule": "started-day"}},
    "support": {
        "week": {day: [["08:00", "17:00"]] for day in ("mon", "tue", "wed", "thu", "fri")},
        "business_day_minutes": 540,
        "holidays": [],
        "at_risk_percent": 75,
        "news_grace_minutes": 5,
        "first_response": {
            "cloud": {"down": "1h", "serious": "4h", "moderate": "1bd", "limited": "2bd"},
            "on-premises": {"down": "4h", "serious": "1bd", "moderate": "2bd", "limited": "3bd"},
        },
    },
    "quota": {"chf_per_hour": "1000", "warn_percent": [75, 90, 100]},
}

SUPPORT = {
    "RequestOpened",
    "SeverityChanged",
    "RequestClassified",
    "FirstResponseSent",
    "WorkLogged",
    "WorkCorrected",
    "RequestClosed",
    "RequestReopened",
    "RequestWithdrawn",
}


@dataclass(frozen=True)
class Terms:
    version: str
    effective_on: date
    body: dict[str, Any]


BUILT_IN = Terms("2023-02-02", date.min, FIRST_TERMS)


@dataclass(frozen=True)
class Request:
    """A request and what was said of it: (recorded_at, fact), the opening first.

    What covers it is pinned when it is recorded: `subscription` and `terms` are None when nothing does.
    """

    subscription: str | None
    terms: Terms | None
    deployment: str
    facts: list[tuple[int, Fact]]

    def kind(self) -> str:
        """account, bug, global or unclassified: as said last, whatever the order of `at`."""
        return str([fact["kind"] for _, fact in self.facts if "kind" in fact][-1])

    def entries(self) -> dict[str, tuple[int, int]]:
        """(minutes, at) of each entry of work, as corrected last."""
        return {
            fact["entry"]: (fact["minutes"], parse(fact["at"])) for _, fact in self.facts if "entry" in fact
        }


@dataclass
class Known:
    """Every accepted fact, in the order said, sorted by what it speaks of."""

    starts: dict[str, Fact] = field(default_factory=dict)
    changes: dict[str, list[Fact]] = field(default_factory=dict)
    cancels: dict[str, list[Fact]] = field(default_factory=dict)
    states: dict[str, list[Fact]] = field(default_factory=dict)
    seen: dict[str, list[Fact]] = field(default_factory=dict)
    corrections: dict[str, list[Fact]] = field(default_factory=dict)
    maintenance: dict[str, list[Fact]] = field(default_factory=dict)
    published: list[Terms] = field(default_factory=list)
    requests: dict[str, Request] = field(default_factory=dict)
    highest: dict[Any, list[str]] = field(default_factory=dict)  # a memory of `support`, nothing said

    def terms_on(self, day: date) -> Terms:
        """The terms in force on a local date: the latest effective, of those the latest said."""
        found = BUILT_IN
        for terms in self.published:
            if found.effective_on <= terms.effective_on <= day:
                found = terms
        return found


def makes_sense(known: Known, fact: Fact, recorded_at: int) -> bool:
    """False for a fact that is to be rejected; it then changes nothing."""
    kind = fact["type"]
    if kind in ("ClockAdvanced", "TargetStateChanged", "TargetObserved"):
        return True
    if kind in SUPPORT:
        return _support_makes_sense(known, fact)
    if kind == "SubscriptionStarted":
        return fact["subscription"] not in known.starts and Fraction(fact["price"]) >= 0
    if kind in ("SubscriptionChanged", "SubscriptionCancelled"):
        start = known.starts.get(fact["subscription"])
        if start is None or start["account"] != fact["account"]:
            return False
        if kind == "SubscriptionCancelled":
            return bool(fact["ends_on"] >= start["starts_on"])
        return Fraction(fact.get("price") or "0") >= 0
    if kind in ("MaintenanceAnnounced", "DowntimeCorrected"):
        return parse(fact["starts_at"]) <= parse(fact["ends_at"])
    if kind == "MaintenanceCancelled":
        return any(
            said["type"] == "MaintenanceAnnounced" and said["maintenance"] == fact["maintenance"]
            for said in known.maintenance.get(fact["target"], [])
        )
    if kind == "TermsPublished":
        body = fact["terms"]
        if not _complete(FIRST_TERMS, body) or body["zone"] != FIRST_TERMS["zone"]:
            return False
        return not known.published or date.fromisoformat(fact["effective_on"]) >= local_date(recorded_at)
    return False


def _support_makes_sense(known: Known, fact: Fact) -> bool:
    request, kind = known.requests.get(fact["ticket"]), fact["type"]
    if kind == "RequestOpened":
        return request is None
    if request is None or request.facts[0][1]["account"] != fact["account"]:
        return False
    if kind in ("WorkLogged", "WorkCorrected"):
        is_known = fact["entry"] in request.entries()
        return bool(fact["minutes"] >= 0) and is_known == (kind == "WorkCorrected")
    return True


def _complete(pattern: dict[str, Any], body: dict[str, Any]) -> bool:
    return all(
        key in body and (key == "week" or not isinstance(value, dict) or _complete(value, body[key]))
        for key, value in pattern.items()
    )


def take(known: Known, fact: Fact, recorded_at: int) -> None:
    """Note an accepted fact."""
    kind = fact["type"]
    if kind == "SubscriptionStarted":
        known.starts[fact["subscription"]] = fact
    elif kind == "RequestOpened":
        known.requests[fact["ticket"]] = _request(known, fact, recorded_at)
    elif kind in SUPPORT:
        known.requests[fact["ticket"]].facts.append((recorded_at, fact))
    elif kind == "TermsPublished":
        effective_on = date.fromisoformat(fact["effective_on"])
        known.published.append(Terms(fact["version"], effective_on, fact["terms"]))
    for kinds, shelf, key in (
        (("SubscriptionChanged",), known.changes, "subscription"),
        (("SubscriptionCancelled",), known.cancels, "subscription"),
        (("TargetStateChanged",), known.states, "target"),
        (("TargetObserved",), known.seen, "target"),
        (("DowntimeCorrected",), known.corrections, "target"),
        (("MaintenanceAnnounced", "MaintenanceCancelled"), known.maintenance, "target"),
    ):
        if kind in kinds:
            shelf.setdefault(fact[key], []).append(fact)


def _request(known: Known, fact: Fact, recorded_at: int) -> Request:
    """The request with what covers it: a subscription of the account active on the local date received."""
    subscription, day = fact["subscription"], local_date(parse(fact["received_at"]))
    facts = [(recorded_at, fact)]
    start = known.starts.get(subscription)
    if start is None or start["account"] != fact["account"] or not active(known, subscription, day):
        return Request(None, None, "", facts)
    return Request(subscription, known.terms_on(day), in_force(known, subscription, "deployment", day), facts)


def active(known: Known, subscription: str, day: date) -> bool:
    """The local date lies in the service window."""
    end = ends_on(known, subscription)
    return starts_on(known, subscription) <= day and (end is None or day < end)


def starts_on(known: Known, subscription: str) -> date:
    return date.fromisoformat(known.starts[subscription]["starts_on"])


def ends_on(known: Known, subscription: str) -> date | None:
    """The first local date after the service window, by the cancellation said last; None while it is open."""
    cancels = known.cancels.get(subscription)
    return date.fromisoformat(cancels[-1]["ends_on"]) if cancels else None


def in_force(known: Known, subscription: str, name: str, day: date) -> Any:
    """A subscription's `price`, `deployment` or `targets` on a local date.

    Of two changes for one date the later said counts.
    """
    start = known.starts[subscription]
    value, since = start[name], date.fromisoformat(start["starts_on"])
    for change in known.changes.get(subscription, []):
        effective_on = date.fromisoformat(change["effective_on"])
        if change.get(name) is not None and since <= effective_on <= day:
            value, since = change[name], effective_on
    return value


def window(known: Known, subscription: str) -> tuple[int, int | None]:
    """First instant of the service window and the first one after it (None: open)."""
    end = ends_on(known, subscription)
    return day_start(starts_on(known, subscription)), None if end is None else day_start(end)
