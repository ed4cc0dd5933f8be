"""How far each topic was taken, kept with what was taken: the same transaction moves both."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from services.support.tables import positions
from shared.outcomes import Stamp

_INDEXES = 1 << 20


def place_of(topic: str, partition: int) -> str:
    """A partition of a topic (its name in the registry)."""
    return f"{topic}/{partition}"


def stream_of(topic: str, stamp: Stamp) -> str:
    """What a topic says of a journal partition, in the order of the journal."""
    return f"{topic}/journal/{stamp.partition}"


def reached(stamp: Stamp) -> int:
    """How far in `stream_of`, as one number: outcomes said again after a crash are not above it."""
    return stamp.offset * _INDEXES + stamp.index


def read(connection: Connection) -> dict[str, int]:
    """The last offset taken of every place."""
    rows = connection.execute(select(positions.c.place, positions.c.offset))
    return {row.place: row.offset for row in rows}


def move(connection: Connection, to: Mapping[str, int]) -> None:
    """Moves positions up; never back."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    for place, offset in sorted(to.items()):
        statement = dialect.insert(positions).values(place=place, offset=offset)
        connection.execute(
            statement.on_conflict_do_update(
                index_elements=["place"],
                set_={"offset": statement.excluded.offset},
                where=positions.c.offset < statement.excluded.offset,
            )
        )
