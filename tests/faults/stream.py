"""The stream of facts that is told while a world is broken."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.faults.stories.dirt import Dirt
from tests.faults.stories.telling import story
from tests.faults.teller import Teller
from tests.faults.world import World

TOLD_S = 900.0


class Stream:
    """Stories told one after another under ids that begin with `prefix`."""

    def __init__(self, teller: Teller, prefix: str, rng: Random) -> None:
        self.stories = 0
        """Stories told on demand."""
        self._teller = teller
        self._prefix = prefix
        self._rng = rng

    def going(self) -> bool:
        """Whether facts are being told."""
        return not self._teller.done

    def more(self, *, probed: bool) -> None:
        """Sees to it that facts are being told: another story, with results of probes or without."""
        if self.going():
            return
        self._teller.wait(TOLD_S)
        seed = self._rng.randrange(10**6) * 4 + (3 if probed else 1)
        told = story(seed, f"{self._prefix}more{self.stories}")
        self.stories += 1
        self._teller.tell([told], before=[told])

    def foul(self) -> None:
        """Puts a record on a topic that nobody can read; returns once it is there."""
        value = b"\xff\xfe no JSON %d" % self._rng.randrange(10**9)
        self._teller.foul(Dirt("ticket.events", "nobody", value, "dead", "broken bytes"))


Injure = Callable[[World, Random, Stream], int]
