"""A run: one world, one fault after another while stories are told, and the verifier's word after each."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from msgspec import Struct

from tests.faults.injuries import Injury
from tests.faults.installation import Broken
from tests.faults.settling import checked, settle
from tests.faults.stories.telling import Story, poison, story, terms_fact
from tests.faults.stream import TOLD_S, Stream
from tests.faults.teller import Teller
from tests.faults.verifier import Report, read_dump
from tests.faults.world import World


class Line(Struct):
    """What became of one fault."""

    fault: str
    stories: int
    times: int
    in_flight: int
    credits: int
    warnings: int
    lost: int
    doubled: int
    wrong: int
    seconds: float
    seed: int
    errors: list[str] = []


Say = Callable[[str], None]


class Run:
    """Breaks `world` by `injuries`, with as many stories each as `stories` says of it."""

    def __init__(self, world: World, seed: int, say: Say) -> None:
        self.world = world
        self.seed = seed
        self.lines: list[Line] = []
        self._say = say
        self._teller = Teller(world)
        self._seen = (0, 0)

    def all(self, injuries: Sequence[Injury], stories: Callable[[Injury], int]) -> list[Line]:
        """Runs them and returns a line each, failed or not. Raises Broken for what does not come back."""
        tales = [self._stories(one, stories(one)) for one in injuries]
        try:
            self._teller.declare(tales[0])
            self._settle()
            for number, injury in enumerate(injuries):
                following = tales[number + 1] if number + 1 < len(tales) else []
                if injury.name == "poison":  # nothing agrees any more with what others wrote there
                    self._reconcile()
                self._one(injury, tales[number], following)
            if "poison" not in [injury.name for injury in injuries]:
                self._reconcile()
        finally:
            self._teller.close()
        return self.lines

    def _stories(self, injury: Injury, count: int) -> list[Story]:
        rng = Random(f"{self.seed} {injury.name}")
        return [story(rng.randrange(10**6), f"{injury.name}{self.seed}.{number}") for number in range(count)]

    def _one(self, injury: Injury, stories: list[Story], following: list[Story]) -> None:
        began, before = time.monotonic(), self._teller.count
        rng = Random(f"{self.seed} {injury.name} injury")
        self._say(f"{injury.name}: {injury.what}; {len(stories)} stories")
        dirt = poison(rng) if injury.name == "poison" else []
        terms = [terms_fact()] if injury.name == "kill" else []
        self._teller.tell(stories, dirt, alone=terms, following=following)
        stream = Stream(self._teller, f"{injury.name}{self.seed}.", rng)
        times = injury.injure(self.world, rng, stream)
        in_flight = self._teller.count - before
        self._teller.wait(TOLD_S)
        self.world.wait_until_ready()
        if injury.name == "repeats":
            times = self._repeat()
        times = times or len(dirt)
        report = self._checked(f"{injury.name}{self.seed}.")
        credits, warnings = report.counts["credits"], report.counts["warnings"]
        line = Line(
            injury.name,
            len(stories),
            times,
            in_flight,
            credits - self._seen[0],
            warnings - self._seen[1],
            *(len(report.of(kind)) for kind in ("lost", "doubled", "wrong")),
            round(time.monotonic() - began, 1),
            self.seed,
            [str(error) for error in report.errors[:20]],
        )
        self._seen = (credits, warnings)
        self.lines.append(line)
        self._say(
            f"{injury.name}: {times} times, {in_flight} records told meanwhile, {line.credits} credits and "
            f"{line.warnings} warnings; lost {line.lost}, doubled {line.doubled}, wrong {line.wrong} "
            f"({line.seconds:g} s)"
        )

    def _repeat(self) -> int:
        """Everything that names its origin said again, as a stale twin does; returns how many records."""
        dump = read_dump(self.world.bootstrap, "", self.world.database)
        again = [
            record
            for topic in ("uptime.changes", "subscription.events", "sla.credits", "sla.quota")
            for record in dump.of(topic)
            if "origin" in record.headers
        ]
        self._teller.repeat(again)
        return len(again)

    def _reconcile(self) -> None:
        """The product's own word: topics and books are what a clean replay gives, byte for byte."""
        self._say("garant reconcile")
        done = subprocess.run(
            [sys.executable, "-m", "tests.faults.shifted", "none", "--", "garant", "reconcile"],
            env={
                **os.environ,
                "GARANT_KAFKA_BOOTSTRAP": self.world.bootstrap,
                "GARANT_BILLING_DATABASE_URL": self.world.database,
            },
            capture_output=True,
            text=True,
        )
        if done.returncode != 0:
            raise Broken(f"garant reconcile ended with {done.returncode}:\n{done.stdout}{done.stderr}")

    def _checked(self, accounts: str) -> Report:
        world = self.world
        return checked(world.bootstrap, world.database, self._teller.told, accounts, self._say, self._settle)

    def _settle(self) -> None:
        settle(self.world.bootstrap)


def home_of(folder: Path, seed: int) -> Path:
    """Where a run of `seed` keeps its world."""
    home = folder / f"faults-{seed}"
    home.mkdir(parents=True)
    return home
