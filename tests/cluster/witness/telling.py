"""The witness: tells an installation what happened, remembers what it told, and says what is left of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random
from typing import Any

from msgspec import to_builtins

from tests.cluster.witness.inside import Inside
from tests.cluster.witness.load import Load
from tests.cluster.witness.pauses import pauses, worst
from tests.faults.settling import settle
from tests.faults.stories.telling import Story, story
from tests.faults.stream import Stream
from tests.faults.teller import Teller
from tests.faults.verifier import Dump, Told, read_dump, verify

TOLD_S = 600.0
Answer = dict[str, Any]


class Witness:
    """What it is asked, it does, one after another. Everything told by it begins with the fault's name."""

    def __init__(self, inside: Inside, say: Callable[[str], None]) -> None:
        self._inside = inside
        self._say = say
        self._teller = Teller(inside)
        self._load: Load | None = None
        self._stories: list[Story] = []
        self._stream: Stream | None = None
        self._before = 0
        self._since = 0

    def answer(self, question: dict[str, Any]) -> Answer:
        """Does what `do` names, with the other fields. Raises Broken, ValueError, TypeError."""
        asked = dict(question)
        do = str(asked.pop("do", ""))
        known: dict[str, Callable[..., Answer]] = {
            "prepare": self.prepare,
            "begin": self.begin,
            "more": self.more,
            "end": self.end,
            "state": self.state,
            "verify": self.verify,
        }
        if do not in known:
            raise ValueError(f"the witness cannot {do or 'do nothing'}; it can {', '.join(known)}")
        return known[do](**asked)

    def prepare(self, fault: str, stories: int, seed: int) -> Answer:
        """Starts the subscriptions of so many stories: the journal must have them before the rest is told."""
        rng = Random(f"{seed} {fault}")
        self._stories = [story(rng.randrange(10**6), f"{fault}{seed}.{one}") for one in range(stories)]
        self._stream = Stream(self._teller, f"{fault}{seed}.", rng)
        self._teller.declare(self._stories)
        settle(self._inside.bootstrap, alone=False)
        return self.state()

    def begin(self, fault: str, results: int = 0, facts: int = 0, targets: int = 60) -> Answer:
        """Begins to tell the stories, and a load of so many records a second."""
        self._before, self._since = self._count, time.time_ns() // 1_000_000
        self._teller.tell(self._stories)
        if results or facts:
            self._load = Load(self._teller, f"{fault}-{self._since % 10**6}.", results, facts, targets)
            self._load.begin()
        return self.state()

    def more(self) -> Answer:
        """Sees to it that something is told: another story, where all are."""
        assert self._stream is not None, "prepare first"
        self._stream.more(probed=False)
        return self.state()

    def end(self) -> Answer:
        """Returns once everything begun is acknowledged."""
        state = self.state()
        if self._load is not None:
            load, self._load = self._load, None
            load.end()
        self._teller.wait(TOLD_S)
        return state | {"in_flight": self._count - self._before}

    def state(self) -> Answer:
        return {
            "told": self._count,
            "in_flight": self._count - self._before,
            "telling": not self._teller.done,
            "rate": round(self._load.rate, 1) if self._load is not None else 0.0,
        }

    def verify(self, accounts: str | None = None, within_s: float = 240, committed: bool = True) -> Answer:
        """The verifier's word once all is at rest, and how long each fold stood still since `begin`.

        `accounts`: only promises to accounts that begin so are worked out again; the rest is looked at whole.
        `committed` False: billing's group may have begun anew, as after a restore.
        """
        told = self._told()
        for attempt in range(3):
            settle(self._inside.bootstrap, within_s, alone=False, committed=committed)
            dump = read_dump(self._inside.bootstrap, "", self._inside.database)
            report = verify(dump, told, accounts)
            if report.ok or attempt == 2:
                break
            self._say(f"not yet: {report.errors[0]}")
            time.sleep(5)
        return {
            **{kind: len(report.of(kind)) for kind in ("lost", "doubled", "wrong")},
            "counts": dict(report.counts),
            "notes": report.notes,
            "errors": [str(error) for error in report.errors[:20]],
            "pauses": self._paused(dump),
        }

    @property
    def _count(self) -> int:
        return self._teller.count

    def _told(self) -> Told:
        """Probe agents, support and the demonstration tell this installation facts as well."""
        told = self._teller.told()
        return Told(told.acknowledged, told.perhaps, told.declared, told.dirt, complete=False)

    def _paused(self, dump: Dump) -> dict[str, Any]:
        found = worst(pauses(dump, self._since)) if self._since else {}
        return {fold: to_builtins(one) for fold, one in found.items()}

    def close(self) -> None:
        self._teller.close()
