"""A target that is really probed: two locations report each slot of some weeks, with cuts and silences."""

from __future__ import annotations

from tests.faults.stories.scene import PROBE, Scene
from tests.oracle.clock import DAY, HOUR, show

LOCATIONS = ("zug", "bern")
LONG = (25, 26, 30, 49, 73)


def probed_target(scene: Scene, target: str) -> list[tuple[int, int]]:
    """Slots every hour or two over two or three weeks; gives the cuts as (start, end).

    Both locations report each slot one after the other, so that a slot is decided by its last report and no
    waiting for a silent location comes into it.
    """
    rng = scene.rng
    checks = [{"check": "tcp:443", "required": True}]
    if rng.random() < 0.3:
        checks.append({"check": "icmp", "required": False})
    step = rng.choice((1, 2, 2)) * HOUR
    scene.tell(
        PROBE,
        target,
        "TargetDeclared",
        target=target,
        name="app",
        interval_s=step // 1000,
        checks=checks,
        locations=list(LOCATIONS),
        confirm_down=rng.choice((1, 2, 2)),
        confirm_up=rng.choice((1, 2, 2)),
        at=show(scene.start),
    )
    first = (scene.start + DAY) // step * step
    cuts: list[tuple[int, int]] = []
    at = first + 8 * HOUR
    for _ in range(rng.choice((5, 6))):
        length = rng.choice(LONG) * HOUR // step * step
        cuts.append((at, at + length))
        at += length + rng.choice((10, 20, 30)) * HOUR // step * step
    slot = first
    while slot < at:
        kind = rng.random()
        if kind < 0.02:  # nobody looks for some hours: at most as long as a cut bears
            slot += rng.choice((2, 3, 4, 5)) * step
        down = any(since <= slot < until for since, until in cuts)
        for check in checks:
            for location in LOCATIONS:
                _report(scene, target, check["check"], location, slot, down)
        slot += step
    return cuts


def _report(scene: Scene, target: str, check: object, location: str, slot: int, down: bool) -> None:
    rng = scene.rng
    outcome = "down" if down else "up"
    if rng.random() < 0.03:
        outcome = rng.choice(("up", "down", "unknown"))
    scene.tell(
        PROBE,
        target,
        "ProbeResult",
        target=target,
        check=check,
        location=location,
        slot=show(slot),
        outcome=outcome,
        rtt_us=rng.randrange(300, 90_000) if outcome == "up" else None,
        error="refused" if outcome == "down" else None,
    )
