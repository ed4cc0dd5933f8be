"""Every failpoint of the SLA service, billing and the outbox, reached while stories are told."""

from __future__ import annotations

import signal
import time
from random import Random

from shared.failpoints import POINTS, VARIABLE
from tests.faults.installation import Broken
from tests.faults.stream import Injure, Stream
from tests.faults.world import Instance, World

DIES_S = 120.0
STIR_EVERY_S = 20.0
DAY_S = 86_400
ELSEWHERE = ("probe.", "support.", "notify.", "mail.", "status.", "bulletins.")
"""Points of services that are not part of a world: their own tests reach them."""


def points() -> list[str]:
    """The points that a world reaches."""
    return [name for name in POINTS if not name.startswith(ELSEWHERE)]


def pairs(rng: Random, count: int) -> list[tuple[str, str]]:
    """Random pairs of different points."""
    return [tuple(rng.sample(points(), 2)) for _ in range(count)]  # type: ignore[misc]


def reach_all(world: World, rng: Random, stream: Stream) -> int:
    """Each point once, one after another."""
    del rng
    for name in points():
        die_at(world, stream, name)
    _disarm(world)
    return len(points())


def reach_pairs(count: int) -> Injure:
    """`count` random pairs of points: the process that was started after the first dies at the second."""

    def injure(world: World, rng: Random, stream: Stream) -> int:
        for first, second in pairs(rng, count):
            die_at(world, stream, first, second)
        _disarm(world)
        return 2 * count

    return injure


def _stir(world: World, stream: Stream, name: str) -> None:
    stream.more(probed=name.startswith("sla.uptime."))
    if name == "sla.journal.buried":
        stream.foul()
    if name == "sla.journal.ticked":
        world.step_clock(8 * DAY_S)  # past the close of this month: time alone concludes something


def die_at(world: World, stream: Stream, *names: str) -> None:
    """Starts all instances with the first of `names` armed, waits until one died there, then with the next.
    Meanwhile what leads to it is told again and again. Raises Broken for a point nobody reaches."""
    for name in names:
        for one in armed(world, name):
            one.kill()
            one.start(**{VARIABLE: name})
        _wait_for_death(world, stream, name)


def _disarm(world: World) -> None:
    """Starts what is still armed without it; returns once all are ready."""
    for one in world.instances.values():
        if one.process is not None and VARIABLE in one.extra:
            one.kill()
    world.wait_until_ready()


def armed(world: World, name: str) -> list[Instance]:
    """The instances that may reach the point."""
    services = ("sla",) if name.startswith(("sla.", "append.")) else ("billing",)
    return [one for one in world.instances.values() if one.name.partition("-")[0] in services]


def _wait_for_death(world: World, stream: Stream, name: str) -> None:
    deadline, stirs_at = time.monotonic() + DIES_S, 0.0
    while time.monotonic() < deadline:
        for one in armed(world, name):
            if one.process is not None and (status := one.process.poll()) is not None:
                if status != -signal.SIGKILL:
                    raise Broken(f"{one.name} ended with {status} before {name}; its log: {one.log}")
                return
        for one in world.instances.values():
            if not one.alive:
                one.start()
        if time.monotonic() >= stirs_at:
            _stir(world, stream, name)
            stirs_at = time.monotonic() + STIR_EVERY_S
        time.sleep(0.2)
    raise Broken(f"nobody reached {name} within {DIES_S:g} s")
