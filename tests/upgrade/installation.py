"""The installation whose records are kept: what its people do, and what befalls it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from services.cli.local.ports import free_port
from services.cli.publish import publish_facts
from shared.cloudevents import headers
from shared.codec import encode
from shared.kafka import read_topic
from shared.settings import KafkaSettings
from shared.topics import CREDITS, PROBE_RESULTS, TOPICS
from tests.core.support_mail import SERVER
from tests.mail.relay import Relay
from tests.upgrade import people, story
from tests.upgrade.processes import Service
from tests.waiting import eventually

EVERY_S = {"GARANT_SLA_STATE_SAVE_EVERY_S": "1", "GARANT_SLA_SNAPSHOT_EVERY_S": "2"}
NEVER = {"GARANT_SLA_STATE_SAVE_EVERY_S": "3600", "GARANT_SLA_SNAPSHOT_EVERY_S": "3600"}
NO_KAFKA = {"GARANT_KAFKA_BOOTSTRAP": "127.0.0.1:1"}


class Installation:
    """All services but the agents, on one broker, with a relay for support's letters and one for notify's."""

    def __init__(self, kafka: KafkaSettings, home: Path) -> None:
        home.mkdir()
        self.kafka = kafka
        self.home = home
        self.support_relay, self.notify_relay = Relay(), Relay()
        self.mail_port = free_port()
        self.running: dict[str, Service] = {}

    def close(self) -> None:
        """Ends whatever still runs."""
        for service in self.running.values():
            service.kill()
        self.support_relay.stop()
        self.notify_relay.stop()

    def start(self, name: str, env: dict[str, str] | None = None, *, ready: str = "/ready") -> Service:
        """Starts a service and returns once it is ready."""
        more = {
            "support": {
                "GARANT_SUPPORT_AUTHSERV_ID": SERVER,
                "GARANT_SUPPORT_STAFF": "bea@garant.example",
                "GARANT_SUPPORT_SMTP_IN_PORT": str(self.mail_port),
                "GARANT_SUPPORT_SMTP_HOST": self.support_relay.host,
                "GARANT_SUPPORT_SMTP_PORT": str(self.support_relay.port),
            },
            "notify": {
                "GARANT_NOTIFY_SUPPORT_URL": f"http://127.0.0.1:{self.running['support'].port}"
                if "support" in self.running
                else "",
                "GARANT_NOTIFY_SUPPORT_TOKEN": "token-of-the-test",
                "GARANT_NOTIFY_GATHER_S": "0.5",
                "GARANT_NOTIFY_SMTP_HOST": self.notify_relay.host,
                "GARANT_NOTIFY_SMTP_PORT": str(self.notify_relay.port),
                "GARANT_NOTIFY_STAFF": "bea@garant.example",
            },
        }.get(name, {})
        service = self.running[name] = Service(name, self.kafka, self.home, {**more, **(env or {})})
        service.wait(ready)
        return service

    def first_part(self) -> None:
        """Up to the stop of the SLA service, which saves its states."""
        self.support_relay.start()
        self.notify_relay.start()
        self.publish(story.terms())
        for name in ("sla", "billing", "support", "notify"):
            self.start(name, EVERY_S)
        people.known_to(self.running["support"])
        self.tell(story.first_results())
        self.settle()  # history first, then it is sold: otherwise each slot of the month says the month anew
        people.sell(self.running["billing"])
        self.publish(story.said_first())
        for name, (key, value) in story.NOT_FACTS.items():
            self._put(name, key, value)
        self.settle()
        self.publish(story.new_terms())
        people.ask(self.running["support"], self.mail_port)
        people.work(self.running["support"], "A-1", 30)
        self.letter("terms/2099-01/A-1", "accepted")
        self.settle()
        self.running["sla"].stop()

    def second_part(self) -> None:
        """The SLA service goes on and saves nothing more. It is killed, and so is notify while a relay has a
        letter and is silent."""
        self.start("sla", NEVER)
        self.tell(story.second_results())
        self.publish(story.said_second())
        self.settle()
        billing, support = self.running["billing"], self.running["support"]
        people.bill(billing, len({record.value for record in read_topic(self.kafka, CREDITS)}))
        support.ask("POST", "/tickets/T-A3/response", {"at": "2026-11-06T10:00:00.000Z"})
        people.work(support, "A-1", 60)
        self.letter("quota/S-1", "accepted")
        self.notify_relay.answer("bruno@two.example", "550 5.1.1 no such user")
        entry = people.work(support, "A-2", 200)
        self.letter("quota/S-2", "refused")
        correction = {"entry": entry, "minutes": 10}
        support.ask("POST", "/tickets/T-A2/work/corrections", correction)
        self.notify_relay.then(hang_up="after-accepting")
        people.work(support, "A-3", 200)
        self.letter("quota/S-3", "doubtful")
        self.notify_relay.answer("emil@five.example", "451 4.3.0 later")
        people.work(support, "A-5", 200)
        self.letter("quota/S-5", "waiting")
        self.settle()
        self.notify_relay.then(delay_s=600)
        people.work(support, "A-4", 200)
        self.letter("quota/S-4", "sending")
        self.settle()
        self.running["notify"].kill()
        self.running["sla"].kill()
        self.notify_relay.stop()

    def afterwards(self) -> None:
        """What the databases have and the topics do not: a credit that contradicts the books, and what is
        said while Kafka and the relay are away."""
        billing, support = self.running["billing"], self.running["support"]
        record = next(iter(read_topic(self.kafka, CREDITS)))
        value = (record.value or b"").replace(b'"currency":"CHF"', b'"currency":"EUR"')
        self._put(CREDITS.name, record.key or b"", value)
        eventually(lambda: billing.ask("GET", "/quarantine"))
        self.support_relay.stop()
        for service in (billing, support):
            service.stop()
        billing = self.start("billing", NO_KAFKA, ready="/live")
        change = {"effective_on": "2027-01-01", "price": "1800.00"}
        billing.ask("POST", "/subscriptions/S-1/changes", change)
        people.sell_one(billing, "A-6", "S-6", [], "600.00", "year", "cloud", "de")
        billing.kill()
        support = self.start("support", NO_KAFKA, ready="/live")
        support.ask("POST", "/tickets/T-A1/response", {"text": "We have found it: the disk was full."})
        support.ask("POST", "/tickets/T-A1/close", {})
        opened = {"account": "A-2", "subscription": "S-2", "severity": "down", "ticket": "T-LATE"}
        support.ask("POST", "/tickets", opened)
        support.kill()

    def tell(self, results: Iterable[story.Told]) -> None:
        """Publishes probe results, each with its own time, as agents do."""
        producer = KafkaProducer(
            bootstrap_servers=self.kafka.bootstrap, retries=20, max_in_flight_requests_per_connection=1
        )
        for at, fact in sorted(results, key=lambda told: told[0]):
            data = encode(fact)
            where = getattr(fact, "location", "zurich")
            said = headers(data, type_name=type(fact).__name__, source=f"/garant/probe/{where}", time_ms=at)
            producer.send(
                self.kafka.topic(PROBE_RESULTS),
                key=fact.target.encode(),  # type: ignore[union-attr]
                value=data,
                headers=[(name, text.encode()) for name, text in said.items()],
                timestamp_ms=int(at),
            )
        producer.flush()
        producer.close()

    def publish(self, facts: Iterable[Any]) -> None:
        """Puts facts on their topics, as `garant publish` does."""
        asyncio.run(publish_facts(self.kafka, facts, "/garant/publish"))

    def settle(self) -> None:
        """Returns once nothing has been said on any topic but those of states for a while."""
        seen, since = self._ends(), time.monotonic()
        while time.monotonic() - since < 1.5:
            time.sleep(0.2)
            if (now := self._ends()) != seen:
                seen, since = now, time.monotonic()

    def letter(self, beginning: str, state: str) -> None:
        """Waits until the one letter of notify whose id begins so has come to `state`."""
        notify = self.running["notify"]

        def states() -> list[str]:
            found = notify.ask("GET", "/letters?limit=1000")
            return [one["state"] for one in found if one["letter"].startswith(beginning)]

        eventually(lambda: states() == [state])

    def _ends(self) -> dict[str, int]:
        consumer = KafkaConsumer(bootstrap_servers=self.kafka.bootstrap)
        try:
            places = [
                TopicPartition(self.kafka.topic(topic), number)
                for topic in TOPICS
                if not topic.compacted
                for number in range(self.kafka.partitions(topic))
            ]
            return {
                f"{place.topic}/{place.partition}": end for place, end in consumer.end_offsets(places).items()
            }
        finally:
            consumer.close()

    def _put(self, topic: str, key: bytes, value: bytes) -> None:
        producer = KafkaProducer(bootstrap_servers=self.kafka.bootstrap, retries=20)
        producer.send(self.kafka.prefix + topic, key=key, value=value, timestamp_ms=int(story.NOON)).get(20)
        producer.close()
