"""Kafka plumbing: the plain blocking reader (kafka-python-ng), and the brokers every service builds its
FastStream consumers and producers on (aiokafka). How topics are made is in `topic_admin`."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple, TypeAlias, cast

import structlog
from aiokafka.errors import CommitFailedError, IllegalStateError
from aiokafka.structs import ConsumerRecord, RecordMetadata
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.message import KafkaAckableMessage
from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import KafkaError, TopicAuthorizationFailedError

from shared import cloudevents
from shared.errors import NeedsAPerson
from shared.rights import UNREACHABLE, WITHDRAWN, knock, not_allowed
from shared.security import blocking_arguments, faststream_security
from shared.settings import KafkaSettings
from shared.topics import DEAD_LETTERS, MAX_RECORD_BYTES, Topic
from shared.tracing import spans
from shared.tracing.context import carry, cause_in

log = structlog.get_logger()

FACT_BYTES = MAX_RECORD_BYTES - 1024 * 1024
"""A longer fact would not fit the journal with what the journal says around it."""
BATCH_BYTES = 256 * 1024
"""Of a producer's batch; a longer record is a batch of its own."""


class BrokerUnreachable(NeedsAPerson):
    """No broker answered in time."""


class HistoryGone(NeedsAPerson):
    """Records that are needed are no longer kept by the broker."""


class Record(NamedTuple):
    """A record as the blocking reader gives it; `timestamp_ms` is the broker's where the topic says so."""

    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, str]


def wait_for_broker(settings: KafkaSettings, *, say: Callable[[str], None] | None = None) -> None:
    """Returns once the broker answers and has let us in. Says so while it waits; raises BrokerUnreachable
    after `wait_s`, and Refused at once."""
    deadline = time.monotonic() + settings.wait_s
    said = False
    while True:
        try:
            if settings.secured:  # only this client tells what the broker has against us
                asyncio.run(knock(settings))
            KafkaAdminClient(**blocking_arguments(settings), request_timeout_ms=5_000).close()
            return
        except (KafkaError, ValueError, *UNREACHABLE) as error:
            if time.monotonic() >= deadline:
                raise BrokerUnreachable(
                    f"No Kafka broker answered at {settings.bootstrap} within {settings.wait_s:g} s. "
                    "Start it, or set GARANT_KAFKA_BOOTSTRAP to where it is."
                    + (_HINT.format(settings.security_protocol) if _closes(error) else "")
                ) from error
            if not said:
                said = True
                text = f"waiting for Kafka at {settings.bootstrap} (up to {settings.wait_s:g} s)"
                log.warning("kafka.waiting", bootstrap=settings.bootstrap, up_to_s=settings.wait_s)
                if say is not None:
                    say(text)
            time.sleep(0.5)


_HINT = (
    " Something answers there and closes the connection: is GARANT_KAFKA_SECURITY_PROTOCOL ({}) what the "
    "broker speaks at this port, and does it know our certificate, if it asks for one?"
)


def _closes(error: BaseException) -> bool:
    return isinstance(error, ConnectionResetError) or str(error).endswith(" closed")


def read_topic(
    settings: KafkaSettings,
    topic: Topic,
    partition: int | None = None,
    start: int = 0,
    *,
    starts: Mapping[int, int] | None = None,
    reader: Any = None,
) -> Iterator[Record]:
    """Every record that is on the topic (or one partition of it, from offset `start`) now, in offset order
    within each partition; ends at the end that was seen when it began. `starts` says for each partition
    where to begin, and leaves out those it does not name; `reader` is an `open_reader` to read with. Raises
    HistoryGone where the first record asked for is below what the broker still keeps, Refused, and
    BrokerUnreachable."""
    with nullcontext(reader) if reader is not None else open_reader(settings) as consumer:
        name = settings.topic(topic)
        try:
            places = [
                TopicPartition(name, number)
                for number in _partitions(consumer, settings, name)
                if (partition is None or number == partition) and (starts is None or number in starts)
            ]
            first = consumer.beginning_offsets(places)
            ends = consumer.end_offsets(places)
            for place in places:
                if starts is not None:
                    start = starts[place.partition]
                if first[place] > start and not topic.compacted and topic.kept_ms is None:
                    raise HistoryGone(
                        f"{name}/{place.partition} begins at offset {first[place]}, {start} was asked for: "
                        "records that are kept for ever are gone; restore the topic from its backup."
                    )
                consumer.assign([place])
                consumer.seek(place, max(first[place], start))
                yield from _read_to(consumer, place, ends[place])
        except TopicAuthorizationFailedError as error:
            raise not_allowed(settings, f"read {name}") from error


def kept(
    settings: KafkaSettings, *topics: Topic, reader: Any = None
) -> dict[Topic, dict[int, tuple[int, int]]]:
    """For each partition of each of `topics` the first offset the broker keeps, and the one the next record
    will get; a topic that does not exist has no partitions. Raises Refused and BrokerUnreachable."""
    with nullcontext(reader) if reader is not None else open_reader(settings) as consumer:
        places = {
            TopicPartition(name, number): topic
            for topic in topics
            for name in (settings.topic(topic),)
            for number in _partitions(consumer, settings, name)
        }
        first, ends = consumer.beginning_offsets(list(places)), consumer.end_offsets(list(places))
        found: dict[Topic, dict[int, tuple[int, int]]] = {topic: {} for topic in topics}
        for place, topic in places.items():
            found[topic][place.partition] = (first[place], ends[place])
        return found


@contextmanager
def open_reader(settings: KafkaSettings) -> Iterator[Any]:
    """A connection for `read_topic` and `kept`, for who reads many topics: one at a time. Raises
    BrokerUnreachable."""
    try:
        consumer = KafkaConsumer(
            **blocking_arguments(settings),
            enable_auto_commit=False,
            auto_offset_reset="none",
            max_partition_fetch_bytes=MAX_RECORD_BYTES,
        )
    except KafkaError as error:
        raise BrokerUnreachable(f"No Kafka broker answered at {settings.bootstrap}: {error}") from error
    try:
        yield consumer
    finally:
        consumer.close()


def _partitions(consumer: Any, settings: KafkaSettings, name: str) -> list[int]:
    found = consumer.partitions_for_topic(name)
    if settings.secured and not found:  # a topic we may not read looks like none, and none like an empty one
        raise not_allowed(settings, f"read {name}, or there is no such topic")
    return sorted(found or ())


def _read_to(consumer: Any, place: TopicPartition, end: int) -> Iterator[Record]:
    while consumer.position(place) < end:
        for found in consumer.poll(timeout_ms=1_000).get(place, ()):
            if found.offset >= end:
                return
            yield Record(
                found.partition,
                found.offset,
                found.timestamp,
                found.key,
                found.value,
                {name: value.decode("utf-8", "replace") for name, value in found.headers},
            )


def service_broker(
    settings: KafkaSettings, service: str, kind: type[KafkaBroker] = KafkaBroker, **options: Any
) -> KafkaBroker:
    """The FastStream broker of a service: idempotent producer, every write acknowledged by all replicas."""
    return kind(
        settings.bootstrap,
        security=faststream_security(settings),
        client_id=f"garant-{service}",
        acks="all",
        enable_idempotence=True,
        max_request_size=MAX_RECORD_BYTES,
        max_batch_size=BATCH_BYTES,
        allow_auto_create_topics=False,
        apply_types=False,
        logger=None,
        middlewares=spans.batch_middlewares(),
        **options,
    )


Batch: TypeAlias = "tuple[ConsumerRecord[bytes, bytes], ...]"
Take: TypeAlias = "Callable[[Batch, Any], Awaitable[None]]"


def subscribe_batches(
    broker: KafkaBroker,
    settings: KafkaSettings,
    topics: Sequence[str],
    take: Take,
    refused: Callable[[Exception], object],
    **options: Any,
) -> Any:
    """Makes `broker` hand raw batches of `topics` to `take(records, consumer)`; returns the subscriber.

    Nothing is acknowledged for `take`: it commits positions itself, after what they stand for. The
    framework's own parser decodes every header, which is slow, and where it fails the batch is dropped and
    the next commit buries it: this one reads nothing and cannot fail. `take` must not raise either (an
    exception would be swallowed): it ends the process. `refused` is told once the broker no longer lets us
    read, and ends it too: the framework would wait for ever without a word.
    """
    if "group_id" in options:
        session_ms = int(settings.session_s * 1_000)
        options = {
            "session_timeout_ms": session_ms,
            "heartbeat_interval_ms": session_ms // 4,
            **options,
        }
    subscriber = broker.subscriber(
        *topics,
        batch=True,
        ack_policy=AckPolicy.MANUAL,
        no_reply=True,
        auto_offset_reset="earliest",
        batch_timeout_ms=20,
        fetch_max_wait_ms=100,
        max_partition_fetch_bytes=MAX_RECORD_BYTES,
        **options,
    )

    async def parse(batch: Batch) -> KafkaAckableMessage:
        return KafkaAckableMessage(raw_message=batch, body=b"", consumer=subscriber.consumer)

    async def as_it_is(message: KafkaAckableMessage) -> KafkaAckableMessage:
        return message

    async def handle(message: KafkaAckableMessage) -> None:
        # The framework's message and its parser's cache hold each other. With the batch in it, every record
        # would live on until the garbage collector comes round, which costs more than folding them.
        batch, message.raw_message = cast("Batch", message.raw_message), ()
        await take(batch, message.consumer)

    subscriber(handle, parser=parse, decoder=as_it_is)
    fetch: Callable[[Any], Awaitable[Batch]] = subscriber.get_msg

    async def fetch_or_tell(consumer: Any) -> Batch:
        try:
            return await fetch(consumer)
        except WITHDRAWN as error:
            refused(error)
            raise

    cast("Any", subscriber).get_msg = fetch_or_tell
    return subscriber


def taking(work: Take, failed: asyncio.Future[None], busy: Callable[[bool], None]) -> Take:
    """`work` as `subscribe_batches` takes it: its first exception goes into `failed`, and from then on it is
    given nothing. `busy` is told when a batch begins and ends."""

    async def take(batch: Batch, consumer: Any) -> None:
        if failed.done():
            return
        busy(True)
        try:
            await work(batch, consumer)
        except Exception as error:
            into(failed)(error)
        finally:
            busy(False)

    return take


def into(failed: asyncio.Future[None]) -> Callable[[Exception], None]:
    """Puts the first exception it is given into `failed`."""

    def put(error: Exception) -> None:
        if not failed.done():
            failed.set_exception(error)

    return put


async def send(
    broker: KafkaBroker,
    topic: str,
    data: bytes,
    *,
    key: bytes | None,
    headers: dict[str, str],
    partition: int | None = None,
) -> asyncio.Future[RecordMetadata]:
    """Hands one record to the producer, in order; the future is done once every replica has it."""
    return await broker.publish(
        data,
        topic,
        key=key,
        partition=partition,
        headers=headers,
        correlation_id=headers["ce_id"],
        no_confirm=True,
    )


async def commit_taken(consumer: Any, reached: dict[Any, int], service: str) -> None:
    """Commits the offsets up to which a `service` with a database of its own has taken. Refused because the
    partitions went to another instance, it is no loss: that one finds in the database what was taken."""
    try:
        await consumer.commit(reached)
    except (CommitFailedError, IllegalStateError) as error:
        log.warning(f"{service}.commit.refused", error=str(error))


async def bury(
    broker: KafkaBroker, settings: KafkaSettings, record: Any, source_topic: str, reason: str, service: str
) -> None:
    """Puts a record that cannot be read on dead.letters as it was (the first `FACT_BYTES` of it), with its
    origin and the reason."""
    origin = cloudevents.Origin(source_topic, record.partition, record.offset)
    data = (record.value or b"")[:FACT_BYTES]
    found = cloudevents.headers(
        data, type_name="DeadLetter", source=f"/garant/{service}", time_ms=record.timestamp, origin=origin
    )
    found[cloudevents.DEAD_LETTER_REASON] = reason
    with spans.within(carry(found, cause_in(record, source_topic).trace)):
        log.error("record.undecodable", service=service, origin=str(origin), reason=reason)
    await (await send(broker, settings.topic(DEAD_LETTERS), data, key=record.key, headers=found))
