"""What waits in the database, for the gauges."""

from __future__ import annotations

from sqlalchemy import Engine, func, select

from services.support import metrics
from services.support.tables import letters, messages, tickets
from shared.database import reading
from shared.mail.letters import counts


def count(engine: Engine) -> None:
    """Sets the gauges."""
    with reading(engine) as connection:
        metrics.QUARANTINED.set(
            connection.execute(select(func.count()).where(messages.c.state == "quarantined")).scalar_one()
        )
        metrics.OPEN.set(
            connection.execute(select(func.count()).where(tickets.c.status == "open")).scalar_one()
        )
        for state, number in counts(connection, letters).items():
            metrics.LETTERS.labels(state).set(number)
