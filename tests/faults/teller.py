"""Tells stories to an installation that is being broken, and keeps account of what was acknowledged.

Facts go to Kafka one at a time for each story, so that an account's order holds through every retry;
declarations go through billing's API under an idempotency key. Everything is tried until it is accepted.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError, OutOfOrderSequenceNumber

from shared.topics import JOURNAL
from tests.faults.installation import Broken, Installation
from tests.faults.stories.dirt import Dirt
from tests.faults.stories.telling import Said, Story
from tests.faults.verifier import Record, Told

_AT_ONCE = 4
_JOURNALLED_S = 600


class Teller:
    """Tells in a thread of its own. `tell` begins, `wait` returns once all of it is acknowledged."""

    def __init__(self, world: Installation) -> None:
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # that the broker is away is meant
        self.world = world
        self.acknowledged: list[tuple[str, str | None, bytes | None]] = []
        self.perhaps: list[tuple[str, str | None, bytes | None]] = []
        self.declared: list[dict[str, Any]] = []
        self.dirt: list[Dirt] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._producer: AIOKafkaProducer | None = None
        self._telling: Any = None
        self._declaring = threading.Lock()
        self._connecting = asyncio.Lock()

    @property
    def count(self) -> int:
        """Facts acknowledged so far, declarations included."""
        return len(self.acknowledged) + len(self.declared)

    def told(self) -> Told:
        return Told(self.acknowledged, self.perhaps, self.declared, self.dirt)

    def declare(self, stories: Sequence[Story]) -> None:
        """Starts the stories' subscriptions."""
        for story in stories:
            for fact in _starts(story):
                self._declare(fact, f"{fact['subscription']}-start")

    def tell(
        self,
        stories: Sequence[Story],
        dirt: Sequence[Dirt] = (),
        *,
        alone: Sequence[Said] = (),
        before: Sequence[Story] = (),
        following: Sequence[Story] = (),
    ) -> None:
        """Begins to tell `stories`, with `dirt` between their facts, and what stands `alone`. The
        subscriptions of `before` are in the journal before it, those of `following` are started meanwhile."""
        work = self._all(stories, dirt, alone, before, following)
        self._telling = asyncio.run_coroutine_threadsafe(work, self._loop)

    @property
    def done(self) -> bool:
        return self._telling is None or self._telling.done()

    def wait(self, within_s: float) -> None:
        try:
            self._telling.result(within_s)
        except TimeoutError:
            raise Broken(f"what is told was not acknowledged within {within_s:g} s") from None

    def foul(self, dirt: Dirt) -> None:
        """Puts `dirt` on its topic; returns once it is there."""
        asyncio.run_coroutine_threadsafe(self._dirty([dirt]), self._loop).result(300)

    def repeat(self, records: Sequence[Record]) -> None:
        """Puts `records` on their topics again, bytes and headers as they are; returns once all are there."""

        async def work() -> None:
            producer = await self._connected()
            for one in records:
                headers = [(name, text.encode()) for name, text in one.headers.items()]
                await producer.send(
                    one.topic, one.value, key=one.key, partition=one.partition, headers=headers
                )
            await producer.flush()

        asyncio.run_coroutine_threadsafe(work(), self._loop).result(300)

    def close(self) -> None:
        if self._producer is not None:
            asyncio.run_coroutine_threadsafe(self._producer.stop(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    async def _all(
        self,
        stories: Sequence[Story],
        dirt: Sequence[Dirt],
        alone: Sequence[Said],
        before: Sequence[Story],
        following: Sequence[Story],
    ) -> None:
        if before:
            await self._declare_first(before)
        turns = asyncio.Semaphore(_AT_ONCE)

        async def one(story: Story) -> None:
            async with turns:
                await self._story(story)

        await asyncio.gather(
            *[one(story) for story in stories],
            self._dirty(dirt),
            *[self._send(*one) for one in alone],
            asyncio.to_thread(self.declare, following),
        )

    async def _declare_first(self, stories: Sequence[Story]) -> None:
        """Returns once the journal has their subscriptions: requests that come there before are of none, and
        work on them counts against no quota. Raises Broken."""
        started = {fact["subscription"] for story in stories for fact in _starts(story)}
        journal = await self._end_of_journal()
        try:
            await asyncio.to_thread(self.declare, stories)
            async with asyncio.timeout(_JOURNALLED_S):
                while started:
                    text = (await journal.getone()).value.decode()
                    started -= {one for one in started if f'"subscription":"{one}"' in text}
        except TimeoutError:
            raise Broken(f"{', '.join(started)} not in the journal within {_JOURNALLED_S} s") from None
        finally:
            await journal.stop()

    async def _end_of_journal(self) -> AIOKafkaConsumer:
        """Reads what comes from now on. The broker may be away, that is what is told about."""
        while True:
            journal = AIOKafkaConsumer(JOURNAL.name, bootstrap_servers=self.world.bootstrap, group_id=None)
            try:
                await journal.start()
                await journal.seek_to_end()
                for place in journal.assignment():
                    await journal.position(place)  # found out now, not at the first record
            except KafkaError:
                await journal.stop()
                await asyncio.sleep(0.5)
            else:
                return journal

    async def _story(self, story: Story) -> None:
        later = [fact for fact in story.declarations if fact["type"] != "SubscriptionStarted"]
        records = story.records()
        for number, record in enumerate(records):
            if later and number * len(story.declarations) >= len(records):
                await self._declare_later(story, later.pop(0))
            await self._send(*record)
        for fact in later:
            await self._declare_later(story, fact)

    async def _declare_later(self, story: Story, fact: dict[str, Any]) -> None:
        number = story.declarations.index(fact)
        await asyncio.to_thread(self._declare, fact, f"{fact['subscription']}-{number}")

    async def _dirty(self, dirt: Sequence[Dirt]) -> None:
        for one in dirt:
            self.dirt.append(one)
            await self._send(one.topic, one.key, one.value)
            await asyncio.sleep(0.05)

    def _declare(self, fact: dict[str, Any], key: str) -> None:
        body = {name: value for name, value in fact.items() if name not in ("type",)}
        path = "/subscriptions"
        if fact["type"] != "SubscriptionStarted":
            of_one = "changes" if fact["type"] == "SubscriptionChanged" else "cancellation"
            path = f"/subscriptions/{fact['subscription']}/{of_one}"
            body = {name: value for name, value in body.items() if name not in ("account", "subscription")}
        with self._declaring:  # one after another: the order accepted is the order declared
            self.world.call_billing(path, body, key)
            self.declared.append(fact)

    async def _send(self, topic: str, key: str | None, value: bytes | None) -> None:
        while True:
            try:
                producer = await self._connected()
                await producer.send_and_wait(topic, value, key=None if key is None else key.encode())
            except KafkaError as error:
                self.perhaps.append((topic, key, value))
                if isinstance(error, OutOfOrderSequenceNumber):
                    await self._connect_anew(producer)
                await asyncio.sleep(0.5)
            else:
                self.acknowledged.append((topic, key, value))
                return

    async def _connect_anew(self, producer: AIOKafkaProducer) -> None:
        """One that missed an acknowledgement, as when the broker is killed, takes no further record."""
        async with self._connecting:
            if self._producer is producer:
                self._producer = None
                await producer.stop()

    async def _connected(self) -> AIOKafkaProducer:
        async with self._connecting:
            if self._producer is None:
                producer = AIOKafkaProducer(
                    bootstrap_servers=self.world.bootstrap, acks="all", enable_idempotence=True
                )
                await producer.start()
                self._producer = producer
            return self._producer


def _starts(story: Story) -> list[dict[str, Any]]:
    return [fact for fact in story.declarations if fact["type"] == "SubscriptionStarted"]
