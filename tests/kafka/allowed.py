"""What a broker lets an identity do, found out by doing it: one answer for each topic and group."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import GroupAuthorizationFailedError, TopicAuthorizationFailedError
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.fetch import FetchRequest
from kafka.errors import ClusterAuthorizationFailedError, TopicAlreadyExistsError
from kafka.errors import TopicAuthorizationFailedError as TopicDenied

from shared.rights import connect
from shared.security import aiokafka_arguments
from shared.settings import KafkaSettings
from shared.topics import CREDITS, TOPICS

GROUPS = ("uptime", "promises", "billing", "support", "notify")


async def readable(settings: KafkaSettings) -> dict[str, bool]:
    """Which of all topics the broker lets this identity fetch from."""
    names = [settings.topic(topic) for topic in TOPICS]
    connection = await connect(settings)
    try:
        asked = [(name, [(0, 0, 1_000)]) for name in names]
        answer = await connection.send(FetchRequest(0, 0, 1_000_000, 0, asked))
        errors = {name: parts[0][1] for name, parts in answer.topics}
    finally:
        connection.close()
    assert set(errors.values()) <= {0, TopicAuthorizationFailedError.errno}
    return {name: error == 0 for name, error in errors.items()}


async def writable(settings: KafkaSettings) -> dict[str, bool]:
    """Which of all topics the broker lets this identity append to."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.bootstrap, **aiokafka_arguments(settings))
    await producer.start()
    found = {}
    try:
        for topic in TOPICS:
            name = settings.topic(topic)
            try:
                await producer.send_and_wait(name, b"x", key=b"k")
                found[name] = True
            except TopicAuthorizationFailedError:
                found[name] = False
    finally:
        await producer.stop()
    return found


async def usable_groups(settings: KafkaSettings) -> dict[str, bool]:
    """In which of all consumer groups the broker lets this identity commit positions."""
    found = {}
    connection = await connect(settings)
    try:
        for group in GROUPS:
            place = [(settings.topic(CREDITS), [(0, 0, "")])]
            answer = await connection.send(OffsetCommitRequest(settings.group(group), -1, "", -1, place))
            error = answer.topics[0][1][0][1]
            assert error in (0, TopicAuthorizationFailedError.errno, GroupAuthorizationFailedError.errno)
            found[group] = error != GroupAuthorizationFailedError.errno
    finally:
        connection.close()
    return found


def refused(attempt: Callable[[], Any]) -> bool:
    """Whether the broker forbids it; what it says otherwise of the attempt is no matter."""
    try:
        attempt()
    except (TopicDenied, ClusterAuthorizationFailedError):
        return True
    except TopicAlreadyExistsError:
        return False
    return False
