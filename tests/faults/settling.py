"""When an installation has come to rest, and the verifier's word on it then."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition

from tests.faults.installation import Broken
from tests.faults.verifier import Report, Told, read_dump, verify

QUIET_S = 3.0
STATES = ("sla.uptime.state", "sla.promises.state")
BILLED = ("sla.credits", "sla.quota")


def checked(
    bootstrap: str,
    database: str,
    told: Callable[[], Told],
    accounts: str | None,
    say: Callable[[str], None],
    settled: Callable[[], None],
) -> Report:
    """The verifier's report once all is quiet; what is missing gets more time before it is lost."""
    for attempt in range(3):
        settled()
        report = verify(read_dump(bootstrap, "", database), told(), accounts)
        if report.ok or attempt == 2:
            return report
        say(f"  not yet: {report.errors[0]}")
        time.sleep(5)
    raise AssertionError


def settle(bootstrap: str, within_s: float = 180, alone: bool = True, committed: bool = True) -> None:
    """Returns once no topic grows any more and billing has taken all there is.

    With `alone` False, `probe.results` may go on growing: agents are at work. With `committed` False nobody
    asks how far billing is: after a restore its group begins anew. Raises Broken.
    """
    deadline, since, last = time.monotonic() + within_s, time.monotonic(), None
    while time.monotonic() < deadline:
        ends = _ends(bootstrap)
        now = ends if alone else {place: end for place, end in ends.items() if place.topic != "probe.results"}
        if now != last:
            last, since = now, time.monotonic()
        elif time.monotonic() - since >= QUIET_S and (not committed or _billed(bootstrap, ends)):
            return
        time.sleep(0.3)
    raise Broken(f"it does not come to rest within {within_s:g} s")


def _ends(bootstrap: str) -> dict[TopicPartition, int]:
    consumer = KafkaConsumer(bootstrap_servers=bootstrap)
    try:
        topics = consumer.topics() - set(STATES) - {"__consumer_offsets"}
        places = [
            TopicPartition(topic, partition)
            for topic in topics
            for partition in consumer.partitions_for_topic(topic) or ()
        ]
        found: dict[TopicPartition, int] = consumer.end_offsets(places)
        return found
    finally:
        consumer.close()


def _billed(bootstrap: str, ends: dict[TopicPartition, int]) -> bool:
    admin: Any = KafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        taken = admin.list_consumer_group_offsets("garant-billing")
    finally:
        admin.close()
    return all(
        place in taken and taken[place].offset >= end
        for place, end in ends.items()
        if place.topic in BILLED and end
    )
