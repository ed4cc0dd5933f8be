"""`garant publish`: puts facts on the topics they belong to, with the keys that keep their order."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from faststream.kafka import KafkaBroker

from services.cli.up.here import kafka_here
from shared.access import Access
from shared.cloudevents import headers
from shared.codec import Undecodable, decode_fact, encode
from shared.errors import NeedsAPerson
from shared.facts import ClockAdvanced, Fact
from shared.kafka import send, service_broker, wait_for_broker
from shared.settings import KafkaSettings
from shared.topic_admin import ensure_topics
from shared.topics import TOPIC_OF, TOPICS, key_of

_IN_FLIGHT = 2_000


class Unpublishable(NeedsAPerson):
    """A line that is no fact for a topic; nothing of the file was published."""


async def publish_facts(
    settings: KafkaSettings,
    facts: Iterable[Fact],
    source: str,
    progress: Callable[[int], None] = lambda _: None,
) -> int:
    """Publishes `facts` in order; returns how many, once the broker has acknowledged all of them."""
    broker = service_broker(settings, "publish")
    await broker.start()
    try:
        waiting: list[asyncio.Future[Any]] = []
        count = 0
        for fact in facts:
            waiting.append(await _send(broker, settings, fact, source))
            count += 1
            if len(waiting) >= _IN_FLIGHT:
                await asyncio.gather(*waiting)
                waiting.clear()
                progress(count)
        await asyncio.gather(*waiting)
        progress(count)
        return count
    finally:
        await broker.stop()


async def _send(broker: KafkaBroker, settings: KafkaSettings, fact: Fact, source: str) -> asyncio.Future[Any]:
    data = encode(fact)
    named = headers(data, type_name=type(fact).__name__, source=source, time_ms=time.time_ns() // 1_000_000)
    return await send(broker, settings.topic(TOPIC_OF[type(fact)]), data, key=key_of(fact), headers=named)


def read_facts(lines: Iterable[bytes]) -> list[Fact]:
    """The facts in `lines`, one JSON object each. Raises Unpublishable for the first bad one."""
    found: list[Fact] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            fact = decode_fact(line)
        except Undecodable as error:
            raise Unpublishable(f"line {number}: {error}. Nothing was published.") from None
        if isinstance(fact, ClockAdvanced):
            raise Unpublishable(f"line {number}: ClockAdvanced is the journal's own. Nothing was published.")
        found.append(fact)
    return found


def _needed(facts: Iterable[Fact]) -> Access:
    """What it takes to publish `facts`: no more than to write their topics."""
    wanted = {TOPIC_OF[type(fact)].name for fact in facts}
    return Access("operator", "publishes", writes=tuple(topic for topic in TOPICS if topic.name in wanted))


def publish(
    file: Annotated[str, typer.Argument(help="JSON Lines, one fact a line; - for standard input.")],
) -> None:
    """Put facts on their topics: maintenance, corrections, terms, or history from elsewhere."""
    if file == "-":
        facts = read_facts(sys.stdin.buffer)
    else:
        with Path(file).open("rb") as lines:
            facts = read_facts(lines)
    settings = kafka_here()
    wait_for_broker(settings)
    ensure_topics(settings, _needed(facts))
    count = asyncio.run(publish_facts(settings, facts, "/garant/publish"))
    typer.echo(f"{count} facts published")
