"""What is stated of a target: cuts of interesting lengths, silences, corrections, maintenance."""

from __future__ import annotations

from tests.faults.stories.scene import MINUTE, UPTIME, Scene
from tests.oracle.clock import DAY, HOUR, show

LONG = (24 * HOUR + 1, 25 * HOUR, 26 * HOUR, 30 * HOUR, 30 * HOUR, 48 * HOUR, 48 * HOUR + 1, 73 * HOUR)
SHORT = (24 * HOUR, 24 * HOUR - 1, MINUTE, 2 * HOUR, 4 * HOUR, 11 * HOUR)
SILENCES = (HOUR, 6 * HOUR, 6 * HOUR - 1, 6 * HOUR + 1, 9 * HOUR)
ERRORS = ("refused", "timeout", "status 503", "nom inconnu \u00e9", None)


def stated_target(scene: Scene, target: str, cuts: int) -> list[tuple[int, int]]:
    """A target with `cuts` cuts from its start to the scene's end; gives them as (start, end)."""
    rng = scene.rng
    found: list[tuple[int, int]] = []
    change(scene, target, scene.start - rng.choice((0, HOUR, DAY)), "up")
    stretch = (scene.end - scene.start - 2 * DAY) // cuts
    for number in range(cuts):
        length = rng.choice(LONG) if rng.random() < 0.75 or number < 3 else rng.choice(SHORT)
        since = scene.start + number * stretch
        starts = scene.instant(since, max(since + 1, since + stretch - length - 12 * HOUR))
        found.append((starts, _cut(scene, target, starts, length)))
    observe(scene, target, scene.end)
    return found


def change(scene: Scene, target: str, at: int, state: str) -> None:
    errors = [{"check": "tcp:443", "location": "zug", "error": scene.rng.choice(ERRORS)}]
    scene.tell(
        UPTIME,
        target,
        "TargetStateChanged",
        target=target,
        at=show(at),
        state=state,
        confirmed_at=show(at + 2 * MINUTE),
        because=errors if state == "down" else [],
    )


def observe(scene: Scene, target: str, through: int) -> None:
    scene.tell(UPTIME, target, "TargetObserved", target=target, through=show(through // HOUR * HOUR))


def _cut(scene: Scene, target: str, starts: int, length: int) -> int:
    """Down from `starts`, now and then with a silence inside; gives the instant it was up again."""
    rng = scene.rng
    change(scene, target, starts, "down")
    if rng.random() < 0.25:
        observe(scene, target, starts + rng.randrange(length + HOUR))
    if length > 3 * HOUR and rng.random() < 0.2:
        quiet = starts + length // 3
        change(scene, target, quiet, "unmeasured")
        change(scene, target, quiet + rng.choice(SILENCES), rng.choice(("down", "down", "up")))
        length = max(length, quiet - starts + 10 * HOUR)
    ends = starts + length
    change(scene, target, ends, rng.choice(("up", "up", "up", "up", "up", "unmeasured")))
    if rng.random() < 0.4:
        observe(scene, target, ends + rng.choice((HOUR, DAY, 3 * DAY)))
    return ends


def corrections(scene: Scene, target: str, cuts: list[tuple[int, int]], count: int) -> None:
    """Cuts removed, moved, shortened and made up by hand, and some of it taken back."""
    rng, at = scene.rng, scene.end
    for _ in range(count):
        starts, ends = rng.choice(cuts)
        at += rng.choice((0, MINUTE, HOUR, DAY // 4))
        kind = rng.choice(("gone", "moved", "shorter", "new", "new", "silent"))
        if kind == "gone":
            first, last, state = starts, ends, "up"
        elif kind == "moved":
            first, last, state = starts, starts + rng.choice((1, HOUR, 5 * HOUR)), "up"
        elif kind == "shorter":
            first, last, state = starts + rng.choice((23 * HOUR, 24 * HOUR)), ends, "up"
        elif kind == "new":
            first = scene.instant(scene.start, scene.end - 4 * DAY)
            last, state = first + rng.choice(LONG), "down"
        else:
            first, last, state = starts, starts + HOUR, "unmeasured"
        last = max(first, last)
        correct(scene, target, first, last, state, at)
        if rng.random() < 0.5:
            other = "down" if state != "down" else "up"
            correct(scene, target, first, last, other, at + rng.choice((0, HOUR)))


def correct(scene: Scene, target: str, starts: int, ends: int, state: str, at: int) -> None:
    scene.tell(
        UPTIME,
        target,
        "DowntimeCorrected",
        target=target,
        starts_at=show(starts),
        ends_at=show(ends),
        state=state,
        reason="seen by hand, d'apr\u00e8s le journal",
        author="staff-7",
        at=show(at),
    )


def maintenance(scene: Scene, target: str, name: str) -> None:
    """Announced in time or too late, sometimes cancelled, sometimes announced again."""
    rng, starts = scene.rng, scene.instant()
    about = {"target": target, "maintenance": name}
    ends = starts + rng.choice((0, 2 * HOUR, 5 * HOUR, 26 * HOUR))
    announced = starts - rng.choice((48 * HOUR, 48 * HOUR - 1, 72 * HOUR, 0))
    when = {"starts_at": show(starts), "ends_at": show(ends), "announced_at": show(announced)}
    scene.tell(UPTIME, target, "MaintenanceAnnounced", **about, **when)
    if rng.random() < 0.5:
        cancelled = show(starts + rng.choice((-DAY, -1, 0, HOUR)))
        scene.tell(UPTIME, target, "MaintenanceCancelled", **about, at=cancelled)
        if rng.random() < 0.4:
            scene.tell(UPTIME, target, "MaintenanceAnnounced", **about, **when)


def nonsense(scene: Scene, target: str) -> None:
    """Something about a target that must be rejected where it stands."""
    rng, at = scene.rng, scene.instant()
    when = {"starts_at": show(at), "ends_at": show(at - 1)}
    kind = rng.randrange(4)
    if kind == 0:
        unknown = {"maintenance": f"{scene.prefix}-M-none", "at": show(at)}
        scene.slip_in(UPTIME, target, "MaintenanceCancelled", target=target, **unknown)
    elif kind == 1:
        said = {"state": "down", "reason": "turned around", "author": "staff-7", "at": show(at)}
        scene.slip_in(UPTIME, target, "DowntimeCorrected", target=target, **when, **said)
    elif kind == 2:
        about = {"target": target, "maintenance": f"{scene.prefix}-M-back"}
        scene.slip_in(UPTIME, target, "MaintenanceAnnounced", **about, **when, announced_at=show(at))
    else:
        scene.slip_in(UPTIME, target, "TargetDreamt", target=target, at=show(at))
