"""The bytes behind a difference, read again: the worksheet keeps digests only."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from services.cli.audit.journal import replay_journal
from services.cli.audit.reconcile_sheet import Place
from shared.kafka import read_topic
from shared.settings import KafkaSettings
from shared.topics import TOPICS

_MOST_NAMED = 6
_BY_NAME = {topic.name: topic for topic in TOPICS}


def replayed_at(settings: KafkaSettings, places: Iterable[Place]) -> dict[Place, bytes]:
    """What the replay gives at each of `places`; the journal is folded once more for it."""
    wanted = set(places)
    found: dict[Place, bytes] = {}
    for partition in sorted({place.partition for place in wanted}):
        last = max(place.offset for place in wanted if place.partition == partition)
        for record, spoken in replay_journal(settings, partition):
            for one in spoken:
                stamp = one.outcome.journal
                place = Place(stamp.partition, stamp.offset, stamp.index)
                if place in wanted:
                    found[place] = one.data
            if record.offset >= last:
                break
    return found


def on_topic(settings: KafkaSettings, topic: str, partition: int, offset: int) -> bytes:
    """The record's value there."""
    for record in read_topic(settings, _BY_NAME[topic], partition, offset):
        return record.value or b""
    return b""


def differing(right: bytes, other: bytes, where: str) -> str:
    """The fields in which `other`, which stands at `where`, is not what the journal gives: `right`."""
    told = [
        f"{name} {_short(mine)} by the journal, {_short(theirs)} {where}"
        for name, mine, theirs in _fields(right, other)
        if mine != theirs
    ]
    if len(told) == 1 and told[0].startswith("journal.digest "):
        return f"only the digest of what was before it is another {where}"
    if not told:
        return f"the same fields, other bytes {where}"
    more = len(told) - _MOST_NAMED
    return "; ".join(told[:_MOST_NAMED]) + (f"; and {more} fields more" if more > 0 else "")


def _fields(right: bytes, other: bytes) -> list[tuple[str, Any, Any]]:
    mine, theirs = _flat(right), _flat(other)
    return [(name, mine.get(name), theirs.get(name)) for name in dict.fromkeys((*mine, *theirs))]


def _flat(data: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {"": data.decode("utf-8", "replace")}
    if not isinstance(found, dict):
        return {"": found}
    flat: dict[str, Any] = {}
    for name, value in found.items():
        if name == "journal" and isinstance(value, dict):
            flat |= {f"journal.{part}": told for part, told in value.items()}
        else:
            flat[name] = value
    return flat


def _short(value: Any) -> str:
    if value is None:
        return "nothing"
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= 60 else f"{text[:57]}..."
