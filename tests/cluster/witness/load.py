"""A steady load: results of many targets that go down and up, and facts of accounts, so many a second.

Results come in rounds: one slot of every target, seen from both locations. A round is acknowledged, whole,
before the next is told: so each voter's slots stand on the log in their order, however often something had to
be told again, and the verifier can work out every state from the results alone. Beside them a few facts of
accounts make no sense: each is rejected at its place, which shows that the promises fold goes on.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from random import Random

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from tests.faults.stories.probes import LOCATIONS
from tests.faults.stories.scene import PROBE, TICKETS
from tests.faults.stories.telling import Said, encoded
from tests.faults.teller import Teller
from tests.oracle.clock import parse, show

STEP_S = 60
BEGINS = parse("2026-09-01T00:00:00.000Z")
CHECK = "tcp:443"
ACCOUNTS = 24
RESTS_S = 0.5


class Load:
    """Tells so many probe `results` and `facts` of accounts a second, from `begin` until `end`, in a thread.

    `teller` keeps account of what was acknowledged. All ids begin with `prefix`."""

    def __init__(self, teller: Teller, prefix: str, results: int, facts: int, targets: int) -> None:
        if targets < 1 or results < 0 or facts < 0:
            raise ValueError("targets must be at least 1, results and facts a second at least 0")
        self.told = 0
        """Records acknowledged so far."""
        self._teller = teller
        self._prefix = prefix
        self._rounds = rounds(prefix, targets)
        self._round_s = len(LOCATIONS) * targets / results if results else 0.0
        self._fact_s = 1 / facts if facts else 0.0
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._failure: BaseException | None = None
        self._producer: AIOKafkaProducer | None = None
        self._connecting = asyncio.Lock()
        self.began = 0.0

    def begin(self) -> None:
        self.began = time.monotonic()
        self._thread.start()

    @property
    def rate(self) -> float:
        """Records acknowledged a second, since the beginning."""
        return self.told / max(time.monotonic() - self.began, 1e-9)

    def end(self, within_s: float = 300) -> None:
        """Returns once the round under way is acknowledged. Raises TimeoutError, and what ended it before."""
        self._ends.set()
        self._thread.join(within_s)
        if self._thread.is_alive():
            raise TimeoutError(f"the load was not acknowledged within {within_s:g} s")
        if self._failure is not None:
            raise self._failure

    def _work(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as error:
            self._failure = error

    async def _run(self) -> None:
        try:
            await asyncio.gather(
                self._at_pace(self._rounds, self._round_s),
                self._at_pace(([fact] for fact in senseless(self._prefix)), self._fact_s),
            )
        finally:
            if self._producer is not None:
                await self._producer.stop()

    async def _at_pace(self, batches: Iterator[list[Said]], every_s: float) -> None:
        due = time.monotonic()
        while every_s and not self._ends.is_set():
            await self._tell(next(batches))
            due = max(due + every_s, time.monotonic() - 1)  # what an outage kept back is not made up for
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _tell(self, batch: list[Said]) -> None:
        """Returns once every record of it is acknowledged."""
        while batch:
            refused = await self._try(batch)
            self._teller.perhaps += refused
            if refused:
                await asyncio.sleep(RESTS_S)
            batch = refused

    async def _try(self, batch: list[Said]) -> list[Said]:
        """Sends all of it once; returns what was not acknowledged."""
        try:
            producer = await self._connected()
            sent = [await producer.send(one.topic, one.value, key=one.key.encode()) for one in batch]
        except KafkaError:
            await self._forget()
            return batch
        answers = await asyncio.gather(*sent, return_exceptions=True)
        refused = [one for one, said in zip(batch, answers, strict=True) if isinstance(said, BaseException)]
        taken = [one for one, said in zip(batch, answers, strict=True) if not isinstance(said, BaseException)]
        self._teller.acknowledged += taken
        self.told += len(taken)
        if refused:
            await self._forget()
        return refused

    async def _connected(self) -> AIOKafkaProducer:
        async with self._connecting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    bootstrap_servers=self._teller.world.bootstrap,
                    acks="all",
                    enable_idempotence=True,
                    linger_ms=5,
                )
                try:
                    await producer.start()
                except BaseException:
                    await producer.stop()
                    raise
                self._producer = producer
            return self._producer

    async def _forget(self) -> None:
        """The next attempt connects anew: a producer that missed an acknowledgement may never recover."""
        async with self._connecting:
            producer, self._producer = self._producer, None
        if producer is not None:
            await producer.stop()


def rounds(prefix: str, targets: int) -> Iterator[list[Said]]:
    """First the declarations, then a slot of every target for each round, for ever."""
    names = [f"{prefix}L{number}" for number in range(targets)]
    plans = [_plan(Random(name)) for name in names]
    yield [_declared(name) for name in names]
    slot = 0
    while True:
        at = show(BEGINS + slot * STEP_S * 1000)
        yield [
            _result(name, location, at, down=slot % every < lasts)
            for location in LOCATIONS
            for name, (every, lasts) in zip(names, plans, strict=True)
        ]
        slot += 1


def senseless(prefix: str) -> Iterator[Said]:
    """Work on requests that nobody opened, spread over accounts, for ever."""
    number = 0
    while True:
        account, number = f"{prefix}LA{number % ACCOUNTS}", number + 1
        fact = {
            "type": "WorkLogged",
            "account": account,
            "ticket": f"{account}-{number}",
            "entry": "1",
            "minutes": 5,
            "at": show(BEGINS),
        }
        yield Said(TICKETS, account, encoded(fact))


def _plan(rng: Random) -> tuple[int, int]:
    """(a target's cuts begin every so many slots, and last so many)."""
    return rng.randint(16, 40), rng.randint(2, 8)


def _declared(target: str) -> Said:
    fact = {
        "type": "TargetDeclared",
        "target": target,
        "name": "app",
        "interval_s": STEP_S,
        "checks": [{"check": CHECK, "required": True}],
        "locations": list(LOCATIONS),
        "confirm_down": 1,
        "confirm_up": 1,
        "at": show(BEGINS),
    }
    return Said(PROBE, target, encoded(fact))


def _result(target: str, location: str, at: str, *, down: bool) -> Said:
    fact = {
        "type": "ProbeResult",
        "target": target,
        "check": CHECK,
        "location": location,
        "slot": at,
        "outcome": "down" if down else "up",
        "rtt_us": None if down else 900,
        "error": "refused" if down else None,
    }
    return Said(PROBE, target, encoded(fact))
