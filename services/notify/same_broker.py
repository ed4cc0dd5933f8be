"""Whether the broker is the one this database was filled from: on another every record would look taken."""

from __future__ import annotations

from kafka import KafkaConsumer, TopicPartition
from sqlalchemy import Engine, select

from services.notify.consumer import FACTS, OUTCOMES
from services.notify.tables import positions
from shared.database import reading
from shared.kafka import HistoryGone
from shared.security import blocking_arguments
from shared.settings import KafkaSettings


def check_same_broker(engine: Engine, kafka: KafkaSettings) -> None:
    """Raises HistoryGone where the database has taken more of a topic than the topic holds."""
    with reading(engine) as connection:
        taken = {row.place: row.offset for row in connection.execute(select(positions))}
    wanted = {
        TopicPartition(kafka.topic(topic), number): taken[f"{topic.name}/{number}"]
        for topic in (*OUTCOMES, *FACTS)
        for number in range(kafka.partitions(topic))
        if f"{topic.name}/{number}" in taken
    }
    if not wanted:
        return
    consumer = KafkaConsumer(**blocking_arguments(kafka))
    try:
        ends = consumer.end_offsets(list(wanted))
    finally:
        consumer.close()
    for place, offset in wanted.items():
        if ends[place] <= offset:
            raise HistoryGone(
                f"{place.topic}/{place.partition} ends at offset {ends[place]}, but notify took {offset}: "
                "this is another broker, or its records are gone. Set GARANT_KAFKA_BOOTSTRAP to the broker "
                "notify was used with, restore it from its backup, or give notify a new database "
                "(GARANT_NOTIFY_DATABASE_URL): then what was recorded before counts as history."
            )
