"""The faults: each breaks a world by ordinary means while facts are told, and says how often it did.

An injury gets the world, a seeded random source and the stream of facts being told. It goes on as long as
they are, at least once, and leaves nothing broken but processes that have ended.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random
from typing import NamedTuple

from tests.faults import state_damage
from tests.faults.points import reach_all, reach_pairs
from tests.faults.stream import Injure, Stream
from tests.faults.world import SESSION_S, SLA, Instance, World


class Injury(NamedTuple):
    """A kind of fault. `long` is how many stories the long form tells meanwhile, `short` the short one, None:
    it is not part of it."""

    name: str
    what: str
    injure: Injure
    long: int | None
    short: int | None


def _again(world: World, rng: Random, stream: Stream, once: Callable[[int], None], least: int = 1) -> int:
    """Injures again and again; what has ended is started at once, and two times of three all are ready again
    before the next injury, so that there is progress between them."""
    times = 0
    while times < least or stream.going():
        once(times)
        times += 1
        world.revive()
        if rng.random() < 2 / 3:
            world.wait_until_ready()
    return times


def nothing(world: World, rng: Random, stream: Stream) -> int:
    """No fault: what the others are compared with."""
    del world, rng
    while stream.going():
        time.sleep(0.1)
    return 0


def kill_instances(world: World, rng: Random, stream: Stream) -> int:
    """kill -9 of a random instance at a random time, started again at once."""

    def once(_: int) -> None:
        time.sleep(rng.uniform(0.2, 4))
        world.instances[rng.choice(world.names)].kill()

    return _again(world, rng, stream, once, 3)


def pause_instances(world: World, rng: Random, stream: Stream) -> int:
    """SIGSTOP for longer than the session timeout, SIGCONT when others have the work: the stale twin."""

    def once(turn: int) -> None:
        time.sleep(rng.uniform(0.2, 1.5))
        stopped = world.instances[SLA[turn % len(SLA)]]
        stopped.pause()
        time.sleep(SESSION_S + rng.uniform(2, 5))
        stopped.resume()

    return _again(world, rng, stream, once)


def rebalance(world: World, rng: Random, stream: Stream) -> int:
    """An instance leaves in order and comes back, again and again, in the middle of batches."""

    def once(_: int) -> None:
        time.sleep(rng.uniform(0.5, 2))
        leaving: Instance = world.instances[rng.choice(world.names)]
        if leaving.alive:
            leaving.stop()

    return _again(world, rng, stream, once, 2)


def kill_broker(world: World, rng: Random, stream: Stream) -> int:
    """kill -9 of the broker, started again at once."""

    def once(_: int) -> None:
        time.sleep(rng.uniform(1, 5))
        world.kill_broker()
        world.start_broker()

    return _again(world, rng, stream, once)


def broker_gone(minutes: float) -> Injure:
    """The broker is killed and stays away."""

    def injure(world: World, rng: Random, stream: Stream) -> int:
        time.sleep(rng.uniform(1, 3))
        world.kill_broker()
        end = time.monotonic() + minutes * 60
        while time.monotonic() < end:
            world.revive()
            time.sleep(0.5)
        world.start_broker()
        del stream
        return 1

    return injure


def cut_network(world: World, rng: Random, stream: Stream) -> int:
    """The wire between one SLA instance and the broker is cut for longer than the session timeout."""

    def once(_: int) -> None:
        time.sleep(rng.uniform(0.2, 3))
        world.wire.cut()
        time.sleep(SESSION_S + rng.uniform(2, 5))
        world.wire.mend()

    return _again(world, rng, stream, once)


def slow_network(world: World, rng: Random, stream: Stream) -> int:
    """Everything one SLA instance sends or gets takes up to two seconds longer."""

    def once(_: int) -> None:
        world.wire.slow(rng.uniform(0.1, 2))
        time.sleep(rng.uniform(3, 6))
        world.wire.slow(0)

    return _again(world, rng, stream, once)


def kill_database(world: World, rng: Random, stream: Stream) -> int:
    """kill -9 of PostgreSQL, away for some seconds."""

    def once(_: int) -> None:
        time.sleep(rng.uniform(1, 4))
        world.kill_database()
        time.sleep(rng.uniform(0, 3))
        world.start_database()

    return _again(world, rng, stream, once)


def fill_disk(world: World, rng: Random, stream: Stream) -> int:
    """The broker's disk is full, to the last byte: it stops, and is started again once there is room."""
    assert world.disk is not None

    def once(_: int) -> None:
        time.sleep(rng.uniform(1, 3))
        assert world.disk is not None
        world.disk.fill()
        world.wait_for_broker_s_end(60)
        world.disk.make_room()
        world.start_broker()

    return _again(world, rng, stream, once)


def step_clock(world: World, rng: Random, stream: Stream) -> int:
    """The wall clock of every instance is stepped by hours, forward and back."""

    def once(turn: int) -> None:
        time.sleep(rng.uniform(0.5, 2))
        world.step_clock((-1 if turn % 2 else 1) * rng.uniform(1, 6) * 3_600)

    times = _again(world, rng, stream, once, 2)
    world.step_clock(0)
    return times


def damage_state(world: World, rng: Random, stream: Stream) -> int:
    """Saved state truncated, flipped, deleted or emptied on its topic while no SLA instance runs."""

    def once(turn: int) -> None:
        time.sleep(rng.uniform(1, 3))
        for name in SLA:
            world.instances[name].kill()
        state_damage.damage(world.bootstrap, rng, state_damage.WAYS[turn % len(state_damage.WAYS)])
        world.wait_until_ready()

    return _again(world, rng, stream, once, 2)


def compact_state(world: World, rng: Random, stream: Stream) -> int:
    """The state topics are compacted all the time, and instances killed meanwhile."""
    state_damage.compact(world.bootstrap, eagerly=True)
    try:
        return kill_instances(world, rng, stream)
    finally:
        state_damage.compact(world.bootstrap, eagerly=False)


INJURIES = (
    Injury("nothing", "no fault", nothing, 8, 2),
    Injury("kill", "kill -9 of an instance", kill_instances, 40, 4),
    Injury("pause", "SIGSTOP past the session timeout, SIGCONT", pause_instances, 30, 2),
    Injury("rebalance", "an instance leaves and comes back", rebalance, 30, None),
    Injury("broker-kill", "kill -9 of the broker", kill_broker, 30, 2),
    Injury("broker-gone", "broker away for minutes", broker_gone(3), 12, None),
    Injury("network-cut", "network cut past the session timeout", cut_network, 30, 2),
    Injury("network-slow", "network slower by up to 2 s", slow_network, 20, None),
    Injury("database-kill", "kill -9 of PostgreSQL", kill_database, 30, 2),
    Injury("disk-full", "the broker's disk is full", fill_disk, 20, None),
    Injury("clock", "wall clock stepped by hours", step_clock, 20, 2),
    Injury("state", "saved state truncated, flipped, deleted, emptied", damage_state, 20, 2),
    Injury("compaction", "state topics compacted, instances killed", compact_state, 20, None),
    Injury("repeats", "everything with an origin said again", nothing, 4, 1),
    Injury("failpoints", "death at each failpoint", reach_all, 0, None),
    Injury("failpoint-pairs", "death at one failpoint, then at another", reach_pairs(30), 0, None),
    Injury("poison", "poison and unknown records in every topic", nothing, 8, 1),
)
