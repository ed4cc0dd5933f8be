"""What the SLA service says of requests, said by a thread: when the response to each is due."""

from __future__ import annotations

import threading

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from shared.codec import decode_fact, encode
from shared.facts import RequestOpened
from shared.outcomes import ResponseDue, Stamp
from shared.settings import KafkaSettings
from shared.time import HOUR, Instant
from shared.topics import DEADLINES, TICKET_EVENTS


class Answers:
    """Answers every RequestOpened on the log with one ResponseDue, in the order of the log."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._kafka = kafka
        self._producer = KafkaProducer(bootstrap_servers=kafka.bootstrap, retries=20)
        self._consumer = KafkaConsumer(bootstrap_servers=kafka.bootstrap, enable_auto_commit=False)
        place = TopicPartition(kafka.topic(TICKET_EVENTS), 0)
        self._consumer.assign([place])
        self._consumer.seek(place, 0)
        self._said: dict[str, ResponseDue] = {}
        self._again = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def again(self) -> None:
        """Says everything again, in the same bytes, as the SLA service does after a crash."""
        self._again.set()

    def close(self) -> None:
        self._over.set()
        self._thread.join(20)
        self._consumer.close()
        self._producer.close()

    def _run(self) -> None:
        while not self._over.is_set():
            if self._again.is_set():
                self._again.clear()
                for one in self._said.values():
                    self._say(one)
            for records in self._consumer.poll(timeout_ms=100).values():
                for record in records:
                    fact = decode_fact(record.value)
                    if isinstance(fact, RequestOpened) and fact.ticket not in self._said:
                        self._said[fact.ticket] = self._due(fact)
                        self._say(self._said[fact.ticket])

    def _due(self, fact: RequestOpened) -> ResponseDue:
        at, stamp = Instant(fact.received_at + 4 * HOUR), Stamp(0, len(self._said), 0, digest="00")
        subscription = fact.subscription or ""
        return ResponseDue(
            fact.account, subscription, fact.ticket, 1, fact.severity, at, at, "2023-02-02", stamp
        )

    def _say(self, due: ResponseDue) -> None:
        name = self._kafka.topic(DEADLINES)
        self._producer.send(name, key=due.account.encode(), value=encode(due)).get(20)
