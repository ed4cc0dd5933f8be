"""Dirt: records nobody should ever write, for every topic that is read, and what must become of each.

What docs/reference/facts-and-outcomes.md and docs/how-to/billing.md say, and our reading where they do not:

- `dead`: on `dead.letters` with its origin. Other bytes than a JSON object; on `probe.results` whatever is
  no probe fact; a known type on another's topic. We read: a tombstone (no value) and an empty value are such
  bytes; so are NaN and a string that is not UTF-8, which are no JSON. On `sla.credits` whatever is no credit.
- `rejected`: in the journal at its place, and FactRejected there. An unknown type, a field missing or wrong,
  also in a record without a key. We read: no `type` is a field missing, and size does not matter.
- `taken`: a fact like any other. Unknown fields are ignored, blanks too.
- `nothing`: on the other outcome topics dirt may be ignored or become a dead letter; nothing else follows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from random import Random
from typing import Any, NamedTuple

SOURCES = ("probe.results", "uptime.changes", "subscription.events", "ticket.events", "terms.events")
OUTCOMES = ("sla.months", "sla.credits", "sla.deadlines", "sla.quota", "sla.notices", "sla.rejected")
HUGE = 100_000


class Dirt(NamedTuple):
    """A dirty record. `key` or `value` may be None; `fate` is dead, rejected, taken or nothing, see above."""

    topic: str
    key: str | None
    value: bytes | None
    fate: str
    why: str


def poison(rng: Random) -> list[Dirt]:
    """Some of every kind for every topic, in any order; other bytes for another `rng`."""
    name = f"dirt-{rng.randrange(16**8):08x}"
    found = [dirt for topic in SOURCES for dirt in _on_source(topic, name)]
    found += [dirt for topic in OUTCOMES for dirt in _on_outcomes(topic, name)]
    rng.shuffle(found)
    return found


def _broken(name: str) -> Iterator[tuple[bytes | None, str]]:
    """What is no JSON object."""
    yield b"\xff\xfe" + name.encode(), "broken bytes"
    yield b'{"type":"TargetObs' + name.encode(), "cut off"
    yield f'["{name}"]'.encode(), "JSON, but no object"
    yield f'"{name}"'.encode(), "a string"
    yield b"\0\0\0\0" + name.encode(), "null bytes"
    yield b"x" * HUGE + name.encode(), "100 kB of nothing"
    yield b"", "an empty value"
    yield None, "a tombstone"


def _strange(name: str) -> Iterator[tuple[dict[str, Any], str]]:
    """JSON objects that are no fact we know."""
    yield (
        {"type": "TargetPainted", "target": name, "colour": "red", "by": {"whom": [1, None]}},
        "a newer type",
    )
    yield {"type": "SoundHeard", "account": name, "text": "\u00e9" * (HUGE // 2)}, "a newer type of 100 kB"
    yield {"target": name, "account": name}, "no type"
    yield {"type": 7, "account": name}, "a type that is no string"


def _malformed(topic: str, name: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Known types with a field missing or wrong."""
    at = "2026-01-01T00:00:00.000Z"
    if topic == "probe.results":
        yield {"type": "ProbeResult", "target": name, "check": "icmp", "location": "zug"}, "fields missing"
        yield _result(name) | {"slot": "yesterday"}, "an instant that is none"
    elif topic == "uptime.changes":
        yield {"type": "TargetObserved", "target": name}, "a field missing"
        yield {"type": "TargetObserved", "target": name, "through": 5}, "an instant that is a number"
        yield {"type": "TargetObserved", "target": "", "through": at, "by": name}, "an empty id"
    elif topic == "subscription.events":
        wrong = {"account": name, "subscription": name, "ends_on": "2026-02-30"}
        yield {"type": "SubscriptionCancelled", **wrong}, "a date that does not exist"
    elif topic == "ticket.events":
        yield {"type": "RequestClosed", "account": name, "at": at}, "a field missing"
        worked = {"account": name, "ticket": name, "entry": "E", "minutes": "ten", "at": at}
        yield {"type": "WorkLogged", **worked}, "minutes that are a word"
    else:
        yield {"type": "TermsPublished", "version": name, "effective_on": "2026-01-01"}, "fields missing"


def _result(name: str) -> dict[str, Any]:
    about = {"target": name, "check": "icmp", "location": "zug", "slot": "2026-01-01T00:00:00.000Z"}
    return {"type": "ProbeResult", **about, "outcome": "up", "rtt_us": 7, "error": None}


def _with_more(topic: str, name: str) -> Iterator[dict[str, Any]]:
    """Facts with fields of a newer version."""
    at, more = "2026-01-01T00:00:00.000Z", {"x_new": {"a": [1.5, "\u00e9"]}, "x_more": None}
    if topic == "probe.results":
        yield _result(name) | more
    elif topic == "uptime.changes":
        yield {"type": "TargetObserved", "target": name, "through": at, **more}
    elif topic == "subscription.events":
        yield {
            "type": "SubscriptionCancelled",
            "account": name,
            "subscription": name,
            "ends_on": at[:10],
            **more,
        }
    elif topic == "ticket.events":
        opened = {
            "account": name,
            "subscription": None,
            "ticket": f"{name}-R",
            "severity": "down",
            "kind": "bug",
        }
        yield {"type": "RequestOpened", **opened, "received_at": at, **more}


def _elsewhere(topic: str, name: str) -> dict[str, Any]:
    """A fact that belongs on another topic."""
    if topic == "probe.results":
        return {"type": "TargetObserved", "target": name, "through": "2026-01-01T00:00:00.000Z"}
    return _result(f"{name}-elsewhere")


def _on_source(topic: str, name: str) -> Iterator[Dirt]:
    unusable = "dead" if topic == "probe.results" else "rejected"
    for value, why in _broken(name):
        yield Dirt(topic, name, value, "dead", why)
    for fact, why in [*_strange(name), *_malformed(topic, name)]:
        yield Dirt(topic, name, _bytes(fact), unusable, why)
    yield Dirt(topic, name, _bytes({"type": "NotANumber", "account": name}, nan=True), "dead", "NaN")
    yield Dirt(topic, name, b'{"type":"Bytes","account":"\xff' + name.encode() + b'"}', "dead", "no UTF-8")
    yield Dirt(topic, name, _bytes(_elsewhere(topic, name)), "dead", "a known type on another's topic")
    yield Dirt(topic, None, _bytes({"type": "Keyless", "account": name}), unusable, "no key")
    for fact in _with_more(topic, name):
        yield Dirt(topic, name, _bytes(fact), "taken", "unknown fields")
        yield Dirt(topic, name, json.dumps(fact, indent=1).encode(), "taken", "said again with blanks")


def _on_outcomes(topic: str, name: str) -> Iterator[Dirt]:
    fate = "dead" if topic == "sla.credits" else "nothing"
    for value, why in _broken(name):
        yield Dirt(topic, name, value, fate, why)
    for fact, why in _strange(name):
        yield Dirt(topic, name, _bytes(fact), fate, why)
    yield Dirt(topic, None, b"no key " + name.encode(), fate, "no key")
    half = {"type": "CreditGranted", "account": name, "subscription": name, "amount": "1000000.00"}
    yield Dirt(topic, name, _bytes(half), fate, "a credit without most of it")


def _bytes(fact: dict[str, Any], *, nan: bool = False) -> bytes:
    said = {**fact, "n": float("nan")} if nan else fact
    return json.dumps(said, ensure_ascii=False, separators=(",", ":")).encode()
