"""The SLA service on a broker that a released version left: it goes on from its states and says the same."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Iterable

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from kafka import KafkaConsumer
from kafka import TopicPartition as Place

from services.cli.publish import publish_facts
from shared import facts
from shared.cloudevents import headers, parse_origin
from shared.codec import decode_entry, encode
from shared.kafka import Record
from shared.settings import KafkaSettings
from shared.time import HOUR, MINUTE, Instant
from shared.topics import JOURNAL, PROBE_RESULTS, UPTIME_CHANGES, Topic
from tests.upgrade import kept, refold
from tests.upgrade.conftest import Left, Start
from tests.upgrade.processes import GARANT, Service
from tests.upgrade.story import NOON, THREE
from tests.upgrade.test_records import OUTCOMES
from tests.waiting import eventually

QUICK = {"GARANT_SLA_STATE_SAVE_EVERY_S": "0.3", "GARANT_SLA_SNAPSHOT_EVERY_S": "0.5"}
UPTIME_FOLD = "/garant/sla/uptime"
SAID = (JOURNAL, UPTIME_CHANGES, *OUTCOMES)
MAIL_IS_DOWN = b'"target":"mail","at":"2026-11-03T17:00:00.000Z","state":"down"'
MAIL_IS_UP = b'"target":"mail","at":"2026-11-03T17:03:00.000Z","state":"up"'
LAB_IS_UP = b'"target":"lab","at":"2026-11-03T17:00:00.000Z","state":"up"'
NEWER = """
import importlib
for name in ("services.sla.pages", "services.sla.history"):
    importlib.import_module(name).STATE_VERSION = 99
"""
"""A version after this one, which saves its states in forms of its own."""


def values(records: Iterable[Record]) -> list[bytes]:
    return sorted({record.value or b"" for record in records})


def by_the_fold(records: Iterable[Record]) -> list[Record]:
    return [record for record in records if record.headers.get("ce_source") == UPTIME_FOLD]


def went_on_from(sla: Service) -> dict[str, dict[int, int]]:
    """The last offset in the states that the service says it restored, by topic and partition."""
    found: dict[str, dict[int, int]] = {PROBE_RESULTS.name: {}, JOURNAL.name: {}}
    topics = {"uptime.restored": PROBE_RESULTS.name, "promises.restored": JOURNAL.name}
    for line in sla.said().splitlines():
        if line.startswith("{") and (told := json.loads(line))["event"] in topics:
            found[topics[told["event"]]].setdefault(told["partition"], told["position"])
    return found


def not_in_states(left: Left, topic: Topic, records: Iterable[Record]) -> list[bytes]:
    """Those that follow from records of `topic` which are not in the old version's states."""
    found = []
    for record in records:
        place = parse_origin(record.headers["origin"])
        if place.offset > left.saved[topic.name][place.partition]:
            found.append(record)
    return values(found)


def forget_what_is_in_the_states(settings: KafkaSettings, left: Left) -> None:
    """Deletes every record that the saved states have: whoever folds from the beginning cannot."""

    async def delete() -> None:
        client = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
        await client.start()
        await client.delete_records(
            {
                TopicPartition(settings.prefix + topic, partition): RecordsToDelete(offset + 1)
                for topic, each in left.saved.items()
                for partition, offset in each.items()
            }
        )
        await client.close()

    asyncio.run(delete())


def settled(settings: KafkaSettings, sla: Service) -> None:
    """Returns once the service says nothing more for a second."""
    places = [
        Place(settings.topic(topic), number) for topic in SAID for number in range(settings.partitions(topic))
    ]
    consumer = KafkaConsumer(bootstrap_servers=settings.bootstrap)
    try:
        seen: dict[Place, int] = {}
        still = time.monotonic()
        while time.monotonic() - still < 1:
            time.sleep(0.2)
            assert sla.process.poll() is None, sla.said()
            now = consumer.end_offsets(places)
            if now != seen:
                seen, still = now, time.monotonic()
    finally:
        consumer.close()


def tell(settings: KafkaSettings, left: Left, target: str, check: str, outcome: str, minutes: range) -> None:
    """New probe results of one target, from everywhere, behind what stands on its partition."""
    (partition,) = {one.partition for one in left.records(PROBE_RESULTS) if one.key == target.encode()}
    place = Place(settings.topic(PROBE_RESULTS), partition)
    consumer = KafkaConsumer(bootstrap_servers=settings.bootstrap)
    following = consumer.end_offsets([place])[place]
    consumer.close()
    new: list[Record] = []
    for minute in minutes:
        slot = Instant(NOON + 6 * HOUR + minute * MINUTE)
        for location in THREE:
            said = facts.ProbeResult(target, check, location, slot, outcome, None, None)  # type: ignore[arg-type]
            data = encode(said)
            named = headers(data, type_name="ProbeResult", source="/garant/probe/test", time_ms=slot)
            offset = following + len(new)
            new.append(Record(partition, offset, slot + 1_000, target.encode(), data, named))
    kept.put(settings, {PROBE_RESULTS: new})


def differing(settings: KafkaSettings, left: Left) -> list[bytes]:
    """What stands on the topics and does not follow from the whole history, or follows and does not stand
    there; and what the journal has twice."""
    new = left.behind(settings, PROBE_RESULTS, *SAID)
    now = {topic: left.records(topic) + each for topic, each in new.items()}
    outcomes = {one.value or b"" for topic in OUTCOMES for one in now[topic]}
    changes = {one.value or b"" for one in by_the_fold(now[UPTIME_CHANGES])}
    taken = Counter(
        b"%b in %d" % (encode(source), record.partition)
        for record in now[JOURNAL]
        if (source := decode_entry(record.value or b"").source) is not None
    )
    return [
        *(outcomes ^ set(refold.outcomes(now[JOURNAL]))),
        *(changes ^ set(refold.changes(now[PROBE_RESULTS]))),
        *(source for source, times in taken.items() if times > 1),
    ]


def agree(settings: KafkaSettings, left: Left, sla: Service) -> None:
    """What stands on the topics comes to be, and stays, what follows from the whole history: no more, no
    less, no other bytes."""
    eventually(lambda: not differing(settings, left))
    settled(settings, sla)
    assert differing(settings, left) == []


def test_given_states_of_a_released_version_then_the_folds_go_on_from_them_and_say_the_same_bytes(
    left: Left, put_back: KafkaSettings, start: Start
) -> None:
    """What is in the states is gone from the topics, so that nothing can be folded from its beginning."""
    forget_what_is_in_the_states(put_back, left)
    sla = start("sla", **QUICK)
    assert went_on_from(sla) == left.saved

    def changes() -> list[bytes]:
        return values(by_the_fold(left.behind(put_back, UPTIME_CHANGES)[UPTIME_CHANGES]))

    expected = not_in_states(left, PROBE_RESULTS, by_the_fold(left.records(UPTIME_CHANGES)))
    eventually(lambda: len(changes()) >= len(expected))
    agree(put_back, left, sla)
    assert changes() == expected
    new = left.behind(put_back, *OUTCOMES)
    told = [one for topic in OUTCOMES for one in left.records(topic)]
    again = {one.value for topic in OUTCOMES for one in new[topic]} & {one.value for one in told}
    assert sorted(again) == not_in_states(left, JOURNAL, told)  # type: ignore[type-var]

    tell(put_back, left, "mail", "tcp:25", "down", range(3))
    now = Instant(NOON + 7 * HOUR)
    correction = facts.DowntimeCorrected("shop", Instant(NOON), now, "unmeasured", "upgrade", "staff-7", now)
    asyncio.run(publish_facts(put_back, [correction], "/test"))
    eventually(lambda: MAIL_IS_DOWN in b"".join(changes()))
    agree(put_back, left, sla)

    sla.stop()  # what it saved itself stands beside what the old version had saved
    sla = start("sla", **QUICK)
    tell(put_back, left, "lab", "tcp:443", "up", range(0, 15, 5))
    tell(put_back, left, "mail", "tcp:25", "up", range(3, 6))
    eventually(lambda: all(one in b"".join(changes()) for one in (LAB_IS_UP, MAIL_IS_UP)))
    agree(put_back, left, sla)
    assert "unusable" not in sla.said()


def test_given_states_of_a_newer_version_then_they_are_not_used_but_said_and_all_is_folded_again(
    left: Left, put_back: KafkaSettings, start: Start
) -> None:
    newer = start("sla", code=NEWER + GARANT, **QUICK)
    settled(put_back, newer)
    assert "unusable" not in newer.said()
    newer.stop()

    def told() -> Counter[bytes | None]:
        new = left.behind(put_back, UPTIME_CHANGES, *OUTCOMES)
        return Counter(one.value for each in new.values() for one in each)

    before = told()
    sla = start("sla", **QUICK)
    everything = {one.value for topic in OUTCOMES for one in left.records(topic)}
    everything |= {one.value for one in by_the_fold(left.records(UPTIME_CHANGES))}
    eventually(lambda: everything <= (told() - before).keys())
    agree(put_back, left, sla)
    log = sla.said()
    assert log.count("uptime.state.unusable") == log.count("snapshot.unusable") == left.partitions
    assert log.count("of version 99") == 2 * left.partitions
