"""One agent in this process, against real servers: slots, order, overload, stalls, lost networks."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client import generate_latest

from services.probe.agent import Agent
from services.probe.config import Configuration
from services.probe.metrics import Metrics
from shared.codec import decode_probe_fact
from shared.facts import ProbeResult


def configuration(*ports: int, **more: Any) -> Configuration:
    target = {"name": "App", "host": "127.0.0.1", "interval_s": 1}
    target |= more.pop("target", {})
    checks = more.pop("checks", None)
    return Configuration.model_validate(
        {
            "locations": ["geneva"],
            "allow": ["loopback"],
            "targets": [
                {**target, "target": f"app-{n}", "checks": checks or [{"kind": "tcp", "port": port}]}
                for n, port in enumerate(ports)
            ],
            **more,
        }
    )


class Seen:
    """What an agent published, and its metrics."""

    def __init__(self) -> None:
        self.results: list[ProbeResult] = []
        self.metrics = Metrics()

    def put(self, record: bytes) -> None:
        fact = decode_probe_fact(record)
        assert isinstance(fact, ProbeResult)
        self.results.append(fact)

    def metric(self, line: str) -> float:
        found = generate_latest(self.metrics.registry).decode().splitlines()
        return next(float(one.removeprefix(line)) for one in found if one.startswith(line + " "))

    async def until(self, count: int, within_s: float = 12) -> None:
        async with asyncio.timeout(within_s):
            while len(self.results) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.01)


@asynccontextmanager
async def running(wanted: Configuration) -> AsyncIterator[tuple[Agent, Seen]]:
    seen = Seen()
    agent = Agent(wanted, "geneva", seen.put, seen.metrics)
    task = asyncio.create_task(agent.run())
    yield agent, seen
    agent.stop()
    await task


async def close_at_once(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


def bound() -> socket.socket:
    """A port of the test's own that refuses connections until it listens."""
    found = socket.socket()
    found.bind(("127.0.0.1", 0))
    return found


async def test_results_carry_aligned_slots_in_order_and_follow_the_server() -> None:
    server = await asyncio.start_server(close_at_once, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with running(configuration(port)) as (_, seen):
        await seen.until(2)
        server.close()
        await seen.until(4)
    slots = [result.slot for result in seen.results]
    assert slots == list(range(slots[0], slots[0] + 1_000 * len(slots), 1_000))
    assert slots[0] % 1_000 == 0
    assert [result.outcome for result in seen.results[:2]] == ["up", "up"]
    last = seen.results[-1]
    assert (last.target, last.check, last.location) == ("app-0", f"tcp:{port}", "geneva")
    assert (last.outcome, last.rtt_us, last.error) == ("down", None, "refused")


async def test_a_check_never_runs_twice_at_once_and_the_lost_slot_is_counted() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    wanted = configuration(port, checks=[{"kind": "http", "port": port, "timeout_s": 0.9}])
    # Longer than any file may say, so that runs do overlap their next slot.
    check = wanted.targets[0].checks[0].model_copy(update={"timeout_s": 1.5})
    target = wanted.targets[0].model_copy(update={"checks": (check,)})
    async with running(wanted.model_copy(update={"targets": (target,)})) as (_, seen):
        await seen.until(2)
    server.close()
    assert seen.results[1].slot - seen.results[0].slot == 2_000
    assert seen.metric('garant_probe_slots_missed_total{reason="busy"}') >= 1


async def test_beyond_the_concurrency_checks_wait_their_turn() -> None:
    server = await asyncio.start_server(close_at_once, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with running(configuration(*[port] * 40, concurrency=5)) as (_, seen):
        await seen.until(80)
    server.close()
    assert {result.outcome for result in seen.results} == {"up"}
    assert len({(result.target, result.slot) for result in seen.results}) == len(seen.results)


async def test_a_stall_of_the_loop_is_seen_and_makes_no_target_down() -> None:
    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        await asyncio.sleep(0.2)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(slow, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    wanted = configuration(port, checks=[{"kind": "http", "port": port, "timeout_s": 0.8}])
    async with running(wanted) as (_, seen):
        await seen.until(1)
        await asyncio.sleep(0.3 + 1 - time.time() % 1 - 0.2)  # into the next run
        time.sleep(1.2)  # noqa: ASYNC251 - the stall this test is about
        await seen.until(3)
    server.close()
    assert "down" not in {result.outcome for result in seen.results}
    assert "agent: stalled" in {result.error for result in seen.results}
    assert seen.metric('garant_probe_loop_stall_seconds_bucket{le="1.0"}') < seen.metric(
        "garant_probe_loop_stall_seconds_count"
    )


async def test_a_failure_on_loopback_is_down_even_while_the_references_are_silent() -> None:
    with bound() as target, bound() as reference:
        endpoint = {"kind": "tcp", "host": "127.0.0.1", "port": reference.getsockname()[1]}
        references = {"endpoints": [endpoint], "interval_s": 0.2}
        wanted = configuration(target.getsockname()[1], references=references)
        async with running(wanted) as (_, seen):
            await seen.until(1)
    assert (seen.results[0].outcome, seen.results[0].error) == ("down", "refused")


async def test_a_failure_elsewhere_is_unknown_while_the_references_are_silent() -> None:
    with bound() as reference:
        endpoint = {"kind": "tcp", "host": "127.0.0.1", "port": reference.getsockname()[1]}
        references = {"endpoints": [endpoint], "interval_s": 0.2}
        wanted = configuration(80, references=references, target={"host": "nowhere.invalid"})
        async with running(wanted) as (_, seen):
            await seen.until(1)
    assert (seen.results[0].outcome, seen.results[0].error) == ("unknown", "agent: network gone")


async def test_a_failure_elsewhere_is_down_while_the_references_answer() -> None:
    reference = await asyncio.start_server(close_at_once, "127.0.0.1", 0)
    endpoint = {"kind": "tcp", "host": "127.0.0.1", "port": reference.sockets[0].getsockname()[1]}
    references = {"endpoints": [endpoint], "interval_s": 0.2}
    wanted = configuration(80, references=references, target={"host": "nowhere.invalid"})
    async with running(wanted) as (_, seen):
        await seen.until(1)
    reference.close()
    assert seen.results[0].outcome == "down"
    assert str(seen.results[0].error).startswith("dns: ")


async def test_another_configuration_is_taken_from_the_next_slot_on() -> None:
    server = await asyncio.start_server(close_at_once, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with running(configuration(port)) as (agent, seen):
        await seen.until(1)
        agent.take(configuration(port, port))
        await seen.until(4)
    server.close()
    assert {result.target for result in seen.results} == {"app-0", "app-1"}
    assert len({(result.target, result.slot) for result in seen.results}) == len(seen.results)
