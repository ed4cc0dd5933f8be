"""Who owns the SLA service's partitions: instances with names, and instances that fold by other rules."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener
from aiokafka.coordinator.assignors.range import RangePartitionAssignor

from services.cli.local.ports import free_port
from services.sla.app.membership import NameTaken, as_member, check_name
from shared.settings import KafkaSettings
from shared.topics import PROBE_RESULTS
from tests.waiting import eventually, until

ROOT = Path(__file__).parents[2]
GARANT = str(Path(sys.executable).with_name("garant"))
WITHIN_S = 60.0


class Instance:
    """An SLA service as a process; `name` is its GARANT_SLA_INSTANCE, `rules` other than the product's."""

    def __init__(self, log: Path, name: str, rules: int | None = None) -> None:
        self.port, self._log = free_port(), log
        command = [GARANT] if rules is None else [sys.executable, "-m", "tests.kafka.other_rules", str(rules)]
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [*command, "sla", "--port", str(self.port)],
                env={**os.environ, "GARANT_SLA_INSTANCE": name},
                cwd=ROOT,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def said(self, event: str) -> list[dict[str, object]]:
        found = []
        for line in self._log.read_bytes().splitlines():
            with suppress(msgspec.DecodeError):
                found.append(msgspec.json.decode(line))
        return [one for one in found if one["event"] == event]

    def answers(self) -> int:
        """The status of /ready, 0 where nobody answers."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/ready", timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as answer:
            return answer.code
        except OSError:
            return 0

    @property
    def ready(self) -> bool:
        assert self.process.poll() is None, self._log.read_text()
        return self.answers() == 200

    def owned(self) -> dict[str, list[int]]:
        """The partitions it was given last, by worker."""
        return {str(one["worker"]): one["partitions"] for one in self.said("partitions.owned")}  # type: ignore[misc]


Start = Callable[..., Instance]
EVERYTHING = {"uptime": [0, 1, 2, 3, 4, 5], "promises": [0, 1, 2]}


@pytest.fixture
def start(topics: KafkaSettings, tmp_path: Path) -> Iterator[Start]:
    """`start(name, rules=None)`: an instance that has just been started."""
    del topics
    started: list[Instance] = []

    def instance(name: str, rules: int | None = None) -> Instance:
        started.append(Instance(tmp_path / f"{len(started)}.log", name, rules))
        return started[-1]

    yield instance
    for each in started:
        each.process.kill()
        each.process.wait()


def consumer(settings: KafkaSettings, name: str) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        settings.topic(PROBE_RESULTS),
        bootstrap_servers=settings.bootstrap,
        group_id=settings.group("test"),
        session_timeout_ms=1_800_000,
        **as_member(name),
    )


async def test_under_its_name_a_dead_member_s_successor_has_its_partitions_while_its_session_still_lasts(
    topics: KafkaSettings,
) -> None:
    """The session outlasts any test: without the name nobody would get the dead one's partitions."""
    dead, other = consumer(topics, "a"), consumer(topics, "b")
    await asyncio.gather(dead.start(), other.start())
    while not (dead.assignment() and len(dead.assignment() | other.assignment()) == 6):
        await asyncio.gather(*[each.getmany(timeout_ms=50) for each in (dead, other)])
    owned, others = dead.assignment(), other.assignment()
    await dead.stop()  # a member with a name never says that it leaves: as good as dead
    successor = consumer(topics, "a")
    async with asyncio.timeout(WITHIN_S):
        await successor.start()
    assert (successor.assignment(), other.assignment()) == (owned, others)
    await asyncio.gather(successor.stop(), other.stop())


def test_what_a_named_instance_owned_goes_to_the_others_once_its_session_is_over(start: Start) -> None:
    """Stopped in order and killed: either way it is missed after ten seconds, not for ever."""
    stopped, killed, left = start("a"), start("b"), start("c")
    eventually(lambda: stopped.ready and killed.ready and left.ready)
    stopped.process.send_signal(signal.SIGTERM)
    assert stopped.process.wait(30) == 0
    killed.process.kill()
    eventually(lambda: left.ready and left.owned() == EVERYTHING)


def test_of_two_instances_under_one_name_the_first_stops_and_says_why(start: Start) -> None:
    first = start("a")
    eventually(lambda: first.ready)
    second = start("a")
    assert first.process.wait(WITHIN_S) == 70
    [stopped] = first.said("worker.stopped")
    assert "under the name a" in str(stopped["error"])
    assert "GARANT_SLA_INSTANCE" in str(stopped["error"])
    eventually(lambda: second.ready and second.owned() == EVERYTHING)


@pytest.mark.parametrize("name", ["", "a"])
def test_an_instance_of_other_rules_waits_until_the_last_of_the_old_has_left(start: Start, name: str) -> None:
    old = start(name, 1)
    eventually(lambda: old.ready)
    new = start(name and "b", 2)
    eventually(lambda: new.said("rules.waiting"))
    time.sleep(3)
    assert new.answers() == 503
    assert old.ready
    assert old.owned() == EVERYTHING
    assert len(new.said("rules.waiting")) == 1
    assert not new.said("partitions.owned")
    old.process.send_signal(signal.SIGTERM)
    assert old.process.wait(30) == 0
    eventually(lambda: new.ready and new.owned() == EVERYTHING)


async def test_an_instance_that_waits_in_one_group_goes_on_in_the_other(
    topics: KafkaSettings, start: Start
) -> None:
    """The last of the old need not leave both groups at once: who began in one must not be disturbed, nor
    take itself for another under its name."""
    by_other_rules = type("ByRules", (RangePartitionAssignor,), {"name": "range-rules-99"})
    old = AIOKafkaConsumer(
        topics.topic(PROBE_RESULTS),
        bootstrap_servers=topics.bootstrap,
        group_id=topics.group("uptime"),
        partition_assignment_strategy=(by_other_rules,),
    )
    await old.start()
    new = start("a")
    await until(lambda: new.said("rules.waiting") and "promises" in new.owned())
    await asyncio.sleep(3)
    assert list(new.owned()) == ["promises"]
    assert new.answers() == 503
    await old.stop()
    await until(lambda: new.ready and new.owned() == EVERYTHING)
    assert [one["worker"] for one in new.said("partitions.owned")] == ["promises", "uptime"]
    assert not new.said("worker.stopped")


async def test_who_must_join_again_has_not_lost_its_name(topics: KafkaSettings) -> None:
    """The group may have forgotten the generation and not the member: the member's id says which."""
    found: list[Exception | None] = []

    class Listener(ConsumerRebalanceListener):  # type: ignore[misc]
        known = ""

        async def on_partitions_revoked(self, revoked: object) -> None:
            del revoked
            for member in filter(None, (self.known, "a-another")):
                try:
                    await check_name(topics, topics.group("test"), "a", joined, member)
                    found.append(None)
                except NameTaken as error:
                    found.append(error)

        async def on_partitions_assigned(self, assigned: object) -> None:
            del assigned
            self.known = joined._coordinator.member_id

    joined = consumer(topics, "a")
    listener = Listener()
    joined.subscribe([topics.topic(PROBE_RESULTS)], listener=listener)
    await joined.start()
    found.clear()
    joined._coordinator.reset_generation()
    await until(lambda: len(found) == 2)
    await joined.stop()
    assert found[0] is None
    assert isinstance(found[1], NameTaken)
