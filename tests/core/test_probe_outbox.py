"""From checks to Kafka: in order, over the disk while the broker is away."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

from services.probe.outbox import Outbox
from services.probe.spool import Spool


class Broker:
    """Takes records when it is there; `there` is what the test switches."""

    def __init__(self, there: bool = True) -> None:
        self.heard: list[bytes] = []
        self.there = there
        self.hanging: asyncio.Event | None = None

    async def send(self, records: Sequence[bytes]) -> None:
        if self.hanging is not None:
            await self.hanging.wait()
        if not self.there:
            raise ConnectionRefusedError
        self.heard += records


def spool(home: Path) -> Spool:
    return Spool(home, max_bytes=1 << 20, max_age_s=1e9)


def records(first: int, last: int) -> list[bytes]:
    return [b"%d" % number for number in range(first, last)]


def put(outbox: Outbox, wanted: list[bytes]) -> None:
    for record in wanted:
        outbox.put(record)


async def until(outbox: Outbox, *, delivered: int) -> None:
    async with asyncio.timeout(10):
        while outbox.delivered < delivered:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_while_the_broker_answers_nothing_touches_the_disk(tmp_path: Path) -> None:
    broker = Broker()
    outbox = Outbox(broker.send, spool(tmp_path), group=10)
    running = asyncio.create_task(outbox.run())
    put(outbox, records(0, 35))
    await until(outbox, delivered=35)
    outbox.stop()
    await running
    assert broker.heard == records(0, 35)
    assert outbox.settled == outbox.accepted == 35
    assert outbox.spool.bytes_on_disk == 0


async def test_results_of_an_outage_arrive_in_order_before_later_ones(tmp_path: Path) -> None:
    broker = Broker(there=False)
    outbox = Outbox(broker.send, spool(tmp_path), group=10, retry_s=0.05)
    running = asyncio.create_task(outbox.run())
    put(outbox, records(0, 15))
    await asyncio.sleep(0.3)
    assert outbox.away
    assert outbox.settled == 15
    put(outbox, records(15, 40))
    broker.there = True
    await until(outbox, delivered=40)
    put(outbox, records(40, 50))
    await until(outbox, delivered=50)
    assert not outbox.away
    outbox.stop()
    await running
    assert broker.heard == records(0, 50)


async def test_a_group_that_hangs_is_on_disk_after_a_second_and_what_follows_is_behind_it(
    tmp_path: Path,
) -> None:
    broker = Broker()
    broker.hanging = asyncio.Event()
    outbox = Outbox(broker.send, spool(tmp_path))
    running = asyncio.create_task(outbox.run())
    put(outbox, records(0, 5))
    await asyncio.sleep(0.1)
    put(outbox, records(5, 9))
    async with asyncio.timeout(5):
        while len(outbox.spool) < 9:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    survivor = spool(tmp_path)  # what a new agent would find if this one were killed now
    assert survivor.peek(100) == records(0, 9)
    broker.hanging.set()
    await until(outbox, delivered=9)
    outbox.stop()
    await running
    assert broker.heard == records(0, 9)


async def test_a_broker_lost_while_the_disk_is_read_is_away_after_a_second(tmp_path: Path) -> None:
    waiting = spool(tmp_path)
    waiting.append(records(0, 5))
    broker = Broker()
    broker.hanging = asyncio.Event()
    outbox = Outbox(broker.send, waiting)
    running = asyncio.create_task(outbox.run())
    await asyncio.sleep(0.5)
    assert not outbox.away, "half a second is no outage"
    async with asyncio.timeout(5):
        while not outbox.away:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    broker.hanging.set()
    await until(outbox, delivered=5)
    assert not outbox.away
    outbox.stop()
    await running


async def test_stopped_while_the_broker_is_away_everything_is_on_disk(tmp_path: Path) -> None:
    outbox = Outbox(Broker(there=False).send, spool(tmp_path))
    running = asyncio.create_task(outbox.run())
    put(outbox, records(0, 5))
    await asyncio.sleep(0.1)
    put(outbox, records(5, 8))
    outbox.stop()
    async with asyncio.timeout(5):
        await running
    broker = Broker()
    again = Outbox(broker.send, spool(tmp_path))
    running = asyncio.create_task(again.run())
    again.put(b"8")
    await until(again, delivered=9)
    again.stop()
    await running
    assert broker.heard == records(0, 9)


async def test_stopped_while_a_group_hangs_it_is_on_disk(tmp_path: Path) -> None:
    broker = Broker()
    broker.hanging = asyncio.Event()
    outbox = Outbox(broker.send, spool(tmp_path))
    running = asyncio.create_task(outbox.run())
    put(outbox, records(0, 5))
    await asyncio.sleep(0.1)
    outbox.stop()
    async with asyncio.timeout(5):
        await running
    assert spool(tmp_path).peek(100) == records(0, 5)


async def test_memory_is_bounded_and_what_is_given_up_is_counted(tmp_path: Path) -> None:
    outbox = Outbox(Broker().send, spool(tmp_path), max_fresh=10)
    put(outbox, records(0, 25))
    assert (outbox.overflowed, outbox.waiting) == (15, 10)
