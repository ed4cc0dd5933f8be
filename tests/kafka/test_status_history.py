"""The page's reading on a real broker, beside the real SLA service: the same month, figure for figure; and
what it survives."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient, KafkaProducer

from services.cli.local.ports import free_port
from services.cli.publish import publish_facts
from services.status.history.reading import Reading
from services.status.history.saved import open_standing
from services.status.site import Condition, Site
from shared.codec import decode_outcome, encode
from shared.facts import (
    Check,
    DowntimeCorrected,
    Fact,
    MaintenanceAnnounced,
    ProbeResult,
    SubscriptionStarted,
    TargetDeclared,
    TargetObserved,
    TargetStateChanged,
)
from shared.kafka import read_topic
from shared.money import Amount
from shared.outcomes import MonthClosed
from shared.security import blocking_arguments
from shared.settings import KafkaSettings
from shared.time import DAY, HOUR, MINUTE, Instant, parse_instant
from shared.topic_admin import ensure_topics
from shared.topics import MONTHS, UPTIME_CHANGES
from tests.conftest import StartKafka
from tests.core.status_told import SILENT_AFTER, public, story
from tests.core.telling import published, terms_with
from tests.kafka.test_sla_service import Sla, sla
from tests.waiting import eventually, until

__all__ = ["sla"]  # a fixture: starts `garant sla`

OCTOBER = parse_instant("2026-09-30T22:00:00.000Z")
NOW = Instant(OCTOBER + 33 * DAY)
COMPONENTS = {"shop": ("app",), "all": ("app", "db")}


def a_month() -> Iterator[Fact]:
    """October from two locations, a result every half hour: cuts, one over midnight with a gap in it, time
    nobody measured, the night the clocks change, and all of it again for a second target, shifted."""
    for target, shift in (("app", 0), ("db", 40 * HOUR)):
        check = (Check("tcp:443", True),)
        yield TargetDeclared(target, target, 1_800, check, ("zurich", "geneva"), 2, 2, OCTOBER)
        for slot in range(OCTOBER, NOW + 1, 30 * MINUTE):
            since = slot - OCTOBER - shift
            down = (
                9 * DAY <= since < 9 * DAY + 5 * HOUR or 24 * DAY + 20 * HOUR <= since < 25 * DAY + 6 * HOUR
            )
            unknown = 25 * DAY <= since < 25 * DAY + 2 * HOUR or 17 * DAY <= since < 17 * DAY + 11 * HOUR
            outcome: Any = "unknown" if unknown else "down" if down else "up"
            error = "timeout" if down else None
            for location in ("zurich", "geneva"):
                yield ProbeResult(target, "tcp:443", location, Instant(slot), outcome, None, error)


def corrections() -> Iterator[Fact]:
    """What people say of the month: terms that exclude maintenance, maintenance, a correction."""
    yield published(terms_with(excluded=True), "t", "2026-01-01")
    start = Instant(OCTOBER + 9 * DAY + 4 * HOUR)
    yield MaintenanceAnnounced("app", "M-1", start, Instant(start + 2 * HOUR), Instant(OCTOBER))
    wrong = Instant(OCTOBER + 20 * DAY)
    yield DowntimeCorrected("db", wrong, Instant(wrong + 77 * MINUTE), "down", "", "staff-7", NOW)
    for name, targets in COMPONENTS.items():
        started = date(2026, 10, 1)
        yield SubscriptionStarted(
            "A-1", name, "cloud", targets, Amount(120_000), "CHF", "year", started, "fr"
        )


@contextlib.asynccontextmanager
async def reading(
    settings: KafkaSettings, keep: Path, news: Callable[[], None] = lambda: None
) -> AsyncIterator[Reading]:
    """A page that reads, with the state in `keep`."""
    standing = open_standing(public(COMPONENTS), keep, NOW, SILENT_AFTER)
    found = Reading(settings, standing, keep, 0.2, lambda: NOW)
    running = asyncio.create_task(found.run(news))
    try:
        yield found
    finally:
        assert not running.done(), running
        running.cancel()
        await asyncio.wait({running})


async def say(settings: KafkaSettings, told: Iterable[Fact]) -> None:
    """Publishes facts as people do."""
    await publish_facts(settings, told, "/garant/test")


def page(found: Reading) -> Site:
    return found._standing.site(NOW)[0]


def months_closed(settings: KafkaSettings) -> dict[str, MonthClosed]:
    found = {}
    for record in read_topic(settings, MONTHS):
        said = decode_outcome(record.value or b"")
        assert isinstance(said, MonthClosed)
        if said.month == "2026-10":
            found[said.subscription] = said
    return found


async def test_a_month_of_results_is_shown_with_the_figures_of_month_closed(
    topics: KafkaSettings, sla: Sla, tmp_path: Path
) -> None:
    await asyncio.to_thread(sla)
    await say(topics, corrections())
    await say(topics, a_month())
    async with reading(topics, tmp_path / "status.state") as found:
        await until(lambda: found.caught_up)

        def observed() -> bool:
            return all((one.as_of or 0) >= NOW - HOUR for one in page(found).components.values())

        await until(observed)
        closed = await asyncio.to_thread(eventually, lambda: _both(months_closed(topics)))

        def agree() -> bool:
            site = page(found)
            return all(_figures(site, name) == _said(months_closed(topics)[name]) for name in COMPONENTS)

        await until(agree)
        site = page(found)
    assert closed.keys() == COMPONENTS.keys()
    assert all(said.down_ms and said.unmeasured_ms and said.excluded_ms for said in closed.values())
    assert len({said.uptime_percent for said in closed.values()}) == 2
    assert len(site.components["shop"].cuts) == 2
    assert site.components["shop"].condition is Condition.UP


def _both(found: dict[str, MonthClosed]) -> dict[str, MonthClosed] | None:
    return found if len(found) == 2 else None


def _figures(site: Site, name: str) -> tuple[Any, ...]:
    month = next(one for one in site.components[name].months if one.month == date(2026, 10, 1))
    figure = month.figure
    assert month.over
    return (
        *(figure.window_ms, figure.excluded_ms, figure.unmeasured_ms, figure.down_ms),
        *(figure.uptime_percent, month.met),
    )


def _said(said: MonthClosed) -> tuple[Any, ...]:
    return (
        *(said.window_ms, said.excluded_ms, said.unmeasured_ms, said.down_ms),
        *(said.uptime_percent, said.met),
    )


def up(at: int, target: str = "app") -> TargetStateChanged:
    return TargetStateChanged(target, Instant(at), "up", Instant(at), ())


def down(at: int, target: str = "app") -> TargetStateChanged:
    return TargetStateChanged(target, Instant(at), "down", Instant(at), ())


async def test_what_was_read_is_saved_and_the_next_start_goes_on_from_there(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    keep, told = tmp_path / "status.state", list[int]()
    await say(topics, [up(NOW - DAY), TargetObserved("app", Instant(NOW - HOUR))])
    async with reading(topics, keep) as found:
        await until(lambda: found.caught_up)
        first = page(found)
    assert first.components["shop"].condition is Condition.UP
    await say(topics, [down(NOW - MINUTE)])
    async with reading(topics, keep, lambda: told.append(1)) as found:
        assert sum(found._standing.positions.values()) == 2
        await until(lambda: found.caught_up)
        site = page(found)
        assert [now for *_, now in story(site.components["shop"], site)] == [Condition.UP, Condition.DOWN]
        before = len(told)
        await say(topics, [up(NOW)])
        await until(lambda: len(told) > before)
        assert page(found).components["shop"].condition is Condition.UP
        await until(lambda: found._saved == found._standing.positions)


async def test_records_that_cannot_be_used_are_passed_over(topics: KafkaSettings, tmp_path: Path) -> None:
    producer = KafkaProducer(**blocking_arguments(topics), acks="all", retries=20)
    for value in (None, b"", b"\xff", b'{"type":"Nonsense"}', encode(up(NOW - DAY))):
        producer.send(topics.topic(UPTIME_CHANGES), value, key=b"app", headers=[("origin", b"nowhere")])
    producer.send(topics.topic(UPTIME_CHANGES), encode(down(NOW - HOUR)), key=b"app")
    await asyncio.to_thread(producer.flush)
    producer.close()
    async with reading(topics, tmp_path / "status.state") as found:
        await until(lambda: found.caught_up)
        assert page(found).components["shop"].condition is Condition.DOWN


async def test_topics_that_do_not_exist_yet_are_waited_for(
    kafka_settings: KafkaSettings, tmp_path: Path
) -> None:
    async with reading(kafka_settings, tmp_path / "status.state") as found:
        await until(lambda: any("does not exist yet" in why for why in found.wrong()))
        assert not found.caught_up
        await asyncio.to_thread(ensure_topics, kafka_settings)
        await until(lambda: found.caught_up)
        assert found.wrong() == []
    admin = KafkaAdminClient(**blocking_arguments(kafka_settings))
    admin.delete_topics([name for name in admin.list_topics() if name.startswith(kafka_settings.prefix)])
    admin.close()


async def test_a_broker_that_is_away_from_the_start_or_later_is_waited_for(
    start_kafka: StartKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port, data = free_port(), tmp_path / "kafka-data"
    settings = KafkaSettings(bootstrap=f"127.0.0.1:{port}")
    monkeypatch.setattr("services.status.history.reading.LOOK_EVERY_S", 0.5)
    async with reading(settings, tmp_path / "status.state") as found:
        await until(lambda: any("No Kafka broker answered" in why for why in found.wrong()))
        broker = await asyncio.to_thread(start_kafka, data, port)
        await asyncio.to_thread(ensure_topics, settings)
        await until(lambda: found.caught_up and not found.wrong())
        await say(settings, [up(NOW - HOUR)])
        await until(lambda: page(found).components["shop"].condition is Condition.UP)
        await asyncio.to_thread(broker.stop)
        await until(lambda: any("does not answer" in why for why in found.wrong()))
        assert page(found).components["shop"].condition is Condition.UP
        await asyncio.to_thread(start_kafka, data, port)
        await say(settings, [down(NOW - MINUTE)])
        await until(lambda: page(found).components["shop"].condition is Condition.DOWN)
        await until(lambda: not found.wrong())


async def test_a_log_that_is_another_one_is_read_from_its_beginning(
    topics: KafkaSettings, tmp_path: Path
) -> None:
    """The topics were deleted and made anew: what was read of the old ones is not shown any more."""
    keep = tmp_path / "status.state"
    await say(topics, [up(NOW - DAY), down(NOW - HOUR), up(NOW - MINUTE)])
    async with reading(topics, keep) as found:
        await until(lambda: found.caught_up)
    admin = KafkaAdminClient(**blocking_arguments(topics))
    admin.delete_topics([name for name in admin.list_topics() if name.startswith(topics.prefix)])
    admin.close()

    def made() -> bool:
        with contextlib.suppress(Exception):  # deleting takes the broker a moment
            return bool(ensure_topics(topics)) or True
        return False

    await until(made)
    await say(topics, [down(NOW - HOUR)])
    async with reading(topics, keep) as found:
        await until(lambda: found.caught_up)
        site = page(found)
    assert [now for *_, now in story(site.components["shop"], site)] == [Condition.DOWN]
