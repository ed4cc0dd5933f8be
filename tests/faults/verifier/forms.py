"""What must become of a record of a source topic, by its bytes alone (docs/reference/facts-and-outcomes.md).

- `dead`: on `dead.letters`: other bytes than a JSON object, a known type on another's topic, an `origin`
  header that is none; on `probe.results` whatever is no probe fact.
- `rejected`: has its place in the journal and is rejected there: an unknown type, a field missing or wrong.
- `taken`: a fact.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date
from functools import lru_cache
from typing import Any

Fits = Callable[[Any], bool]

INSTANT = re.compile(r"(\d{4})-\d\d-\d\dT([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{3})?Z")
ORIGIN = re.compile(r".+/\d+/\d+/\d+")
MONEY = re.compile(r"-?\d+\.\d\d")


def _id(value: Any) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= 200


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _day(value: Any) -> bool:
    try:
        return isinstance(value, str) and 1900 <= date.fromisoformat(value).year < 3000 and len(value) == 10
    except ValueError:
        return False


def _instant(value: Any) -> bool:
    return isinstance(value, str) and INSTANT.fullmatch(value) is not None and _day(value[:10])


def _money(value: Any) -> bool:
    return isinstance(value, str) and MONEY.fullmatch(value) is not None


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _flag(value: Any) -> bool:
    return isinstance(value, bool)


def _object(value: Any) -> bool:
    return isinstance(value, dict)


def _list_of(fits: Fits) -> Fits:
    return lambda value: isinstance(value, list) and all(fits(one) for one in value)


def _one_of(*values: str) -> Fits:
    return lambda value: value in values


def _or_null(fits: Fits) -> Fits:
    return lambda value: value is None or fits(value)


_STATE = _one_of("up", "down", "unmeasured")
_SEVERITY = _one_of("down", "serious", "moderate", "limited")
_KIND = _one_of("account", "bug", "global", "unclassified")
_DEPLOYMENT = _one_of("cloud", "on-premises")
_WHOSE = {"account": _id, "subscription": _id}
_TICKET = {"account": _id, "ticket": _id, "at": _instant}
_WORK = {"account": _id, "ticket": _id, "entry": _id, "minutes": _whole, "at": _instant}

FORMS: dict[str, tuple[str, dict[str, Fits]]] = {
    "TargetDeclared": (
        "probe.results",
        {
            **{"target": _id, "name": _text, "interval_s": _whole, "checks": _list_of(_object)},
            **{"locations": _list_of(_id), "confirm_down": _whole, "confirm_up": _whole, "at": _instant},
        },
    ),
    "ProbeResult": (
        "probe.results",
        {
            **{"target": _id, "check": _id, "location": _id, "slot": _instant},
            **{"outcome": _one_of("up", "down", "unknown"), "rtt_us": _or_null(_whole)},
            "error": _or_null(_text),
        },
    ),
    "MaintenanceAnnounced": (
        "uptime.changes",
        {
            **{"target": _id, "maintenance": _id, "starts_at": _instant, "ends_at": _instant},
            "announced_at": _instant,
        },
    ),
    "MaintenanceCancelled": ("uptime.changes", {"target": _id, "maintenance": _id, "at": _instant}),
    "TargetStateChanged": (
        "uptime.changes",
        {
            **{"target": _id, "at": _instant, "state": _STATE, "confirmed_at": _instant},
            "because": _list_of(_object),
        },
    ),
    "TargetObserved": ("uptime.changes", {"target": _id, "through": _instant}),
    "DowntimeCorrected": (
        "uptime.changes",
        {
            **{"target": _id, "starts_at": _instant, "ends_at": _instant, "state": _STATE},
            **{"reason": _text, "author": _id, "at": _instant},
        },
    ),
    "SubscriptionStarted": (
        "subscription.events",
        {
            **{**_WHOSE, "deployment": _DEPLOYMENT, "targets": _list_of(_id), "price": _money},
            **{"currency": _text, "term": _one_of("year", "month"), "starts_on": _day, "language": _text},
        },
    ),
    "SubscriptionChanged": ("subscription.events", {**_WHOSE, "effective_on": _day}),
    "SubscriptionCancelled": ("subscription.events", {**_WHOSE, "ends_on": _day}),
    "RequestOpened": (
        "ticket.events",
        {
            **{"account": _id, "subscription": _or_null(_id), "ticket": _id, "severity": _SEVERITY},
            **{"kind": _KIND, "received_at": _instant},
        },
    ),
    "SeverityChanged": ("ticket.events", {**_TICKET, "severity": _SEVERITY}),
    "RequestClassified": ("ticket.events", {**_TICKET, "kind": _KIND}),
    "FirstResponseSent": ("ticket.events", _TICKET),
    "WorkLogged": ("ticket.events", _WORK),
    "WorkCorrected": ("ticket.events", _WORK),
    "RequestClosed": ("ticket.events", _TICKET),
    "RequestReopened": ("ticket.events", _TICKET),
    "RequestWithdrawn": ("ticket.events", _TICKET),
    "TermsPublished": (
        "terms.events",
        {"version": _id, "effective_on": _text, "major": _flag, "terms": _object},
    ),
}
_OPTIONAL: dict[str, dict[str, Fits]] = {
    "SubscriptionChanged": {
        "price": _or_null(_money),
        "deployment": _or_null(_DEPLOYMENT),
        "targets": _or_null(_list_of(_id)),
    }
}


def parsed(value: bytes | None) -> dict[str, Any] | None:
    """The JSON object of a record, or None when it is none."""
    if value is None:
        return None
    try:
        found = json.loads(value.decode(), parse_constant=_refused)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _refused(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def well_formed(fact: dict[str, Any]) -> bool:
    """A known type with every field, each of the form it must have."""
    kind = fact.get("type")
    if not isinstance(kind, str) or kind not in FORMS:
        return False
    _, fields = FORMS[kind]
    optional = _OPTIONAL.get(kind, {})
    return all(name in fact and fits(fact[name]) for name, fits in fields.items()) and all(
        fits(fact[name]) for name, fits in optional.items() if name in fact
    )


@lru_cache(1 << 18)  # a run is verified again and again
def fate(topic: str, value: bytes | None, origin: str | None = None) -> str:
    """`dead`, `rejected` or `taken`, see above; `origin`: what the record's header says, if it has one."""
    if origin is not None and ORIGIN.fullmatch(origin) is None:
        return "dead"
    fact = parsed(value)
    if fact is None:
        return "dead"
    kind = fact.get("type")
    if isinstance(kind, str) and (kind == "ClockAdvanced" or (kind in FORMS and FORMS[kind][0] != topic)):
        return "dead"
    if well_formed(fact):
        return "taken"
    return "dead" if topic == "probe.results" else "rejected"
