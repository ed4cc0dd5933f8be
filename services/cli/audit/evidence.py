"""The probe results behind a change of state: who voted what in the slots that confirmed it (contract 2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from kafka import KafkaConsumer, TopicPartition
from msgspec import Struct

from services.cli.audit.credit_history import Told
from services.sla.states import CLOCK_AHEAD
from shared.cloudevents import Origin, parse_origin
from shared.codec import Undecodable, decode_probe_fact
from shared.facts import ProbeResult, TargetStateChanged
from shared.kafka import read_topic
from shared.security import blocking_arguments
from shared.settings import KafkaSettings
from shared.time import DAY, Instant
from shared.topics import PROBE_RESULTS

MOST_CLAIMS = 12
"""Changes of state that are followed back to their results; a month may have hundreds."""
MOST_FAILURES = 6


class Vote(Struct, frozen=True):
    """How many results said `outcome`."""

    check: str
    location: str
    outcome: str
    results: int


class Evidence(Struct, frozen=True):
    """What was seen of a target from its first confirming slot to the last: all votes counted, the first few
    results that were not up, and a note where there is nothing to show."""

    target: str
    state: str
    first_slot: Instant
    last_slot: Instant
    votes: tuple[Vote, ...]
    failures: tuple[ProbeResult, ...]
    note: str | None


def evidence(settings: KafkaSettings, claims: Sequence[Told]) -> list[Evidence]:
    """The results behind each of the first `MOST_CLAIMS` of `claims`, in their order."""
    claims = claims[:MOST_CLAIMS]
    by_partition: dict[int, list[Told]] = {}
    for one in claims:
        if (origin := _origin(one)) is not None:
            by_partition.setdefault(origin.partition, []).append(one)
    results = {
        partition: list(_results(settings, partition, found)) for partition, found in by_partition.items()
    }
    return [_evidence(one, results) for one in claims]


def _origin(told: Told) -> Origin | None:
    """The probe result a change was concluded from; None where somebody stated it."""
    origin = parse_origin(told.origin) if told.origin else None
    return origin if origin is not None and origin.stream == PROBE_RESULTS.name else None


def _slots(told: Told) -> tuple[str, int, int]:
    assert isinstance(told.fact, TargetStateChanged)  # noqa: S101 - the only facts that are claims
    return told.fact.target, told.fact.at, told.fact.confirmed_at


def _results(settings: KafkaSettings, partition: int, claims: Sequence[Told]) -> Iterator[ProbeResult]:
    """Every result of the claims' slots that had been recorded when the last claim was concluded."""
    wanted = [_slots(one) for one in claims]
    ends = [origin.offset for one in claims if (origin := _origin(one)) is not None]
    keys = {target.encode() for target, _, _ in wanted}
    start = _first_offset(settings, partition, min(first for _, first, _ in wanted) - CLOCK_AHEAD)
    for record in read_topic(settings, PROBE_RESULTS, partition, start):
        if record.offset > max(ends):
            return
        if record.key not in keys:
            continue
        try:
            fact = decode_probe_fact(record.value or b"")
        except Undecodable:
            continue
        if isinstance(fact, ProbeResult) and any(
            fact.target == target and first <= fact.slot <= last for target, first, last in wanted
        ):
            yield fact


def _first_offset(settings: KafkaSettings, partition: int, since_ms: int) -> int:
    """The first record appended at or after `since_ms`: no result is recorded long before its slot."""
    consumer = KafkaConsumer(**blocking_arguments(settings), enable_auto_commit=False)
    try:
        place = TopicPartition(settings.topic(PROBE_RESULTS), partition)
        found = consumer.offsets_for_times({place: since_ms})[place]
        return found.offset if found is not None else 0
    finally:
        consumer.close()


def _evidence(told: Told, results: dict[int, list[ProbeResult]]) -> Evidence:
    target, first, last = _slots(told)
    assert isinstance(told.fact, TargetStateChanged)  # noqa: S101 - as above
    origin = _origin(told)
    found = [] if origin is None else results[origin.partition]
    mine = [one for one in found if one.target == target and first <= one.slot <= last]
    mine = list({(one.slot, one.check, one.location): one for one in reversed(mine)}.values())
    mine.sort(key=lambda one: (one.slot, one.check, one.location))
    counted = Counter((one.check, one.location, one.outcome) for one in mine)
    note = None
    if origin is None:
        note = "stated by a person or another program, not concluded from probe results"
    elif not mine:
        kept = (PROBE_RESULTS.kept_ms or 0) // DAY
        note = f"the probe results of that time are no longer kept ({kept} days); the journal is"
    return Evidence(
        target,
        told.fact.state,
        Instant(first),
        Instant(last),
        tuple(Vote(*key, number) for key, number in sorted(counted.items())),
        tuple([one for one in mine if one.outcome != "up"][:MOST_FAILURES]),
        note,
    )
