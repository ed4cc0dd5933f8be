"""How far a service's database has taken each topic, and reading on from there.

The place is in the database with what was taken, not with the broker: a database restored from a backup
takes again what it does not know, and a group the broker forgot repeats nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import ConsumerRebalanceListener, TopicPartition
from sqlalchemy import BigInteger, Column, Connection, Engine, MetaData, String, Table, select
from sqlalchemy.dialects import postgresql, sqlite

from shared.database import reading, writing
from shared.kafka import HistoryGone, commit_taken
from shared.settings import KafkaSettings
from shared.topics import Topic


def places_table(metadata: MetaData, name: str = "positions") -> Table:
    """The last offset taken of each place."""
    return Table(
        name,
        metadata,
        Column("place", String(300), primary_key=True),
        Column("offset", BigInteger, nullable=False),
    )


def place_of(topic: str, partition: int) -> str:
    """A partition of a topic (its name in the registry)."""
    return f"{topic}/{partition}"


def read(connection: Connection, table: Table) -> dict[str, int]:
    """The last offset taken of every place."""
    rows = connection.execute(select(table.c.place, table.c.offset))
    return {row.place: row.offset for row in rows}


def move(connection: Connection, table: Table, to: Mapping[str, int]) -> None:
    """Moves places up; never back."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    for place, offset in sorted(to.items()):
        statement = dialect.insert(table).values(place=place, offset=offset)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["place"],
                set_={"offset": statement.excluded.offset},
                where=table.c.offset < statement.excluded.offset,
            )
        )


class Places(ConsumerRebalanceListener):  # type: ignore[misc]
    """Sets each partition of `topics` that comes to this process behind its place in `table`.

    `failed` gets what is wrong: HistoryGone where the broker does not keep what follows, or has never had
    what was taken. Set `subscriber` before it is started.
    """

    subscriber: Any = None

    def __init__(
        self,
        kafka: KafkaSettings,
        topics: Iterable[Topic],
        engine: Engine,
        table: Table,
        failed: asyncio.Future[None],
        service: str,
    ) -> None:
        self._service = service
        self._names = {kafka.topic(topic): topic.name for topic in topics}
        self._engine = engine
        self._table = table
        self._failed = failed

    def name(self, topic: str, partition: int) -> str:
        """The place of a partition of the broker's `topic`."""
        return place_of(self._names[topic], partition)

    def known(self) -> dict[str, int]:
        """The last offset taken of every place."""
        with reading(self._engine) as connection:
            return read(connection, self._table)

    def keep(self, reached: Mapping[TopicPartition, int]) -> None:
        """Notes that everything before the offsets `reached` is taken, in a transaction of its own."""
        taken = {self.name(at.topic, at.partition): following - 1 for at, following in reached.items()}
        with writing(self._engine) as connection:
            move(connection, self._table, taken)

    async def on_partitions_revoked(self, revoked: Any) -> None:
        """Nothing: what is taken is in the database."""

    async def on_partitions_assigned(self, assigned: Any) -> None:
        consumer, places = self.subscriber.consumer, sorted(assigned)
        try:
            # The client fetches from the group's offset while this runs; behind a restored database that is
            # too late: nothing may be taken until the places have been sought.
            consumer.pause(*places)
            known, reached = await asyncio.to_thread(self.known), dict[Any, int]()
            starts, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
            for place in places:
                name = self.name(place.topic, place.partition)
                following = known.get(name, -1) + 1
                _check(name, following, starts[place], ends[place])
                consumer.seek(place, following)
                reached[place] = following
            consumer.resume(*places)
            await commit_taken(
                consumer, reached, self._service
            )  # lag is read from it, also where all is taken
        except Exception as error:
            if not self._failed.done():
                self._failed.set_exception(error)


def _check(place: str, following: int, start: int, end: int) -> None:
    if start > following:
        raise HistoryGone(
            f"{place} begins at offset {start}, {following} is needed next: records that are kept for ever "
            "are gone; restore the topic from its backup."
        )
    if following > end:
        raise HistoryGone(
            f"{place} ends at offset {end}, this database has taken {following} records of it: this is "
            "another broker than before. Point GARANT_KAFKA_BOOTSTRAP to the one this database belongs to, "
            "or start with an empty database."
        )
