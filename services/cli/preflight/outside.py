"""Whether Kafka and the databases are there, and fit what the services would be given. Nothing is changed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from services.cli.preflight.given import KINDS, Given
from shared.access import ACCESS
from shared.database import DatabaseUnusable
from shared.database_fit import check_fit
from shared.errors import NeedsAPerson
from shared.kafka import BrokerUnreachable, wait_for_broker
from shared.rights import HOW, UNREACHABLE, check_rights
from shared.settings import KafkaSettings
from shared.topic_admin import look, misfits
from shared.topics import TOPICS


def check_kafka(found: Sequence[Given], topics_follow: bool) -> list[str]:
    """Looks at Kafka as each service would: what is wrong for one goes to its mistakes, what is wrong with
    Kafka itself is returned, once. With `topics_follow` topics that are missing are made after this."""
    wrong: dict[str, None] = {}
    missing: dict[str, None] = {}
    for one in found:
        if one.kafka is None:
            continue
        try:
            wait_for_broker(one.kafka)
            lines, absent = asyncio.run(_look(one.service, one.kafka))
        except BrokerUnreachable as error:
            return [str(error)]  # it is the same for all, and each would wait again
        except NeedsAPerson as error:
            one.mistakes += str(error).splitlines()
            continue
        except UNREACHABLE as error:
            return [f"Kafka at {one.kafka.bootstrap} went away while it was asked ({error}): run this again."]
        wrong |= dict.fromkeys(lines)
        missing |= dict.fromkeys(absent if one.kafka.secured else ())  # else the services make them
    if missing and not topics_follow:
        wrong[
            f"Topics are missing: {', '.join(missing)}. Run `garant topics apply` as an administrator first; "
            f"{HOW}."
        ] = None
    return list(wrong)


async def _look(service: str, kafka: KafkaSettings) -> tuple[list[str], list[str]]:
    """What does not fit, and the topics that are missing, of those the service has to do with."""
    topics = TOPICS
    if kafka.secured:
        await check_rights(kafka, ACCESS[service])
        topics = ACCESS[service].topics
    layout = await look(kafka, topics)
    absent = [name for name in (kafka.topic(topic) for topic in topics) if name not in layout.topics]
    return misfits(kafka, layout, topics), absent


def check_databases(found: Sequence[Given]) -> None:
    """Looks at each database; what is wrong goes to the service's mistakes."""
    for one, others in _sharing(found):
        one.mistakes.append(
            f"its database is that of {others} too: name another, each keeps its own schema in one."
        )
    for one in found:
        kind = KINDS[one.service]
        if one.database_url is None or kind.keeping is None:
            continue
        try:
            check_fit(one.database_url, kind.keeping, kind.tables)
        except DatabaseUnusable as error:
            one.mistakes += str(error).splitlines()


def _sharing(found: Sequence[Given]) -> Iterator[tuple[Given, str]]:
    """Each service whose database one before it has."""
    first: dict[object, str] = {}
    for one in found:
        if one.database_url is None or (place := _place(one.database_url)) is None:
            continue
        if place in first:
            yield one, first[place]
        first.setdefault(place, one.service)


def _place(url: str) -> object | None:
    """Which database it is, whoever logs in; None for what is no URL."""
    try:
        parsed = make_url(url)
    except ArgumentError:
        return None
    query = tuple(sorted((name, str(value)) for name, value in parsed.query.items()))
    port = parsed.port or (5432 if parsed.host else None)
    return (parsed.get_backend_name(), parsed.host, port, parsed.database, query)
