"""A desk that is killed, and what must hold of it afterwards."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from kafka import KafkaProducer
from sqlalchemy import Engine, select

from services.cli.local.ports import free_port
from services.support.database import DESK
from services.support.tables import letters, messages, outbox, tickets
from shared.cloudevents import ORIGIN
from shared.codec import decode_fact, encode
from shared.database import migrate, open_engine
from shared.facts import RequestOpened
from shared.kafka import read_topic
from shared.mail.letters import MARKER
from shared.topics import DEAD_LETTERS, DEADLINES, SUBSCRIPTION_EVENTS, TICKET_EVENTS, Topic
from tests.core.billing_books import SetClock, started
from tests.core.support_mail import SERVER, furnish
from tests.faults.answering import Answers
from tests.faults.around import (
    QUIET_S,
    Around,
    Place,
    Running,
    dies,
    kafka_env,
    letters_taken,
    mail_env,
    own_topics,
    rows,
    until,
)
from tests.faults.posting import Queue, append, copies, empty, letter, stamped


def template(directory: Path) -> Path:
    """A migrated database of a desk that knows its people, to copy."""
    engine = open_engine(f"sqlite:///{directory / 'support.db'}", DESK)
    _furnish(engine)
    engine.dispose()
    return directory / "support.db"


def _furnish(engine: Engine) -> None:
    migrate(engine, DESK)
    furnish(engine, SetClock())
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM subscriptions")  # the log tells of them


class Desk:
    """One installation: mails come into its mailbox and by LMTP, letters leave through the relay."""

    def __init__(self, around: Around, address: str, place: Place) -> None:
        self.around, self.address, self.place = around, address, place
        self.kafka = own_topics(around.bootstrap)
        self.engine = open_engine(place.url or f"sqlite:///{place.folder / 'support.db'}", DESK)
        self.log, lmtp = place.home / "support.log", free_port()
        self.queue, self.answers = Queue(lmtp, address), Answers(self.kafka)
        self.mails: list[str] = []
        self.poisoned = 0
        self.process: Running | None = None
        self._earlier = len(around.relay.accepted)
        support = mail_env(around, address) | {
            **{"PORT": free_port(), "AUTHSERV_ID": SERVER, "LMTP_IN_PORT": lmtp},
            **{"ANSWERS_PER_HOUR": 1_000, "RELAY_EVERY_S": 0.1},
        }
        self.env = {
            **kafka_env(self.kafka),
            **place.env("SUPPORT"),
            **{f"GARANT_SUPPORT_{name}": str(value) for name, value in support.items()},
        }

    def start(self, point: str = "") -> Running:
        """Starts the service, armed with `point` if that is named."""
        env = {**self.env, "GARANT_FAILPOINTS": point}
        self.process = self.around.starter.start(["support"], env, self.log)
        return self.process

    def dies_at(self, point: str) -> None:
        """Starts the service to die at `point`, and waits for that."""
        self.answers.again()
        dies(self.start(point), point, self.said)

    def write(self, name: str, text: str = "Please look.") -> None:
        """A mail that comes into the mailbox, and one more by LMTP."""
        self.mails += [name, f"{name}-by-lmtp"]
        append(self.around.server, self.address, stamped(letter(name, self.address, text)))
        self.queue.put(stamped(letter(f"{name}-by-lmtp", self.address, text)))

    def say(self, topic: Topic, value: bytes) -> None:
        """Puts a record on the log."""
        producer = KafkaProducer(bootstrap_servers=self.kafka.bootstrap, retries=20)
        producer.send(self.kafka.topic(topic), key=b"A-1", value=value).get(20)
        producer.close()

    def poison(self) -> None:
        """Puts a record of no sense on the log."""
        self.poisoned += 1
        self.say(DEADLINES, b"no json")

    def sent(self) -> Counter[str]:
        """How often the relay took each letter, by Message-ID."""
        return letters_taken(self.around.relay, self.address, self._earlier)

    def done(self) -> bool:
        """Whether nothing is under way any more."""
        c, wanted = letters.c, len(self.mails)
        return (
            self.queue.empty()
            and rows(self.engine, tickets) == wanted
            and rows(self.engine, letters, c.state == "accepted", c.purpose != MARKER) == wanted
            and rows(self.engine, letters, c.copy_seen_at.is_(None)) == 0
            and rows(self.engine, outbox, outbox.c.sent_at.is_(None)) == 0
        )

    def finish(self) -> None:
        """Starts the service without a failpoint, and lets it do what is to be done."""
        self.answers.again()
        process = self.start()
        until(self.done, process, self.said)
        time.sleep(QUIET_S)  # what would be too much has time to come
        assert process.poll() is None, self.said()

    def said(self) -> str:
        with self.engine.connect() as connection:
            states = connection.execute(select(letters.c.id, letters.c.state, letters.c.reason)).all()
            asked = connection.execute(select(messages.c.subject, messages.c.state)).all()
        log = self.log.read_text()[-3_000:] if self.log.exists() else ""
        return f"{len(self.mails)} mails wanted; messages {asked}; letters {states}\n{log}"

    def check(self) -> None:
        """Each mail is one request with one fact and one acknowledgement, which left once."""
        with self.engine.connect() as connection:
            kept = connection.execute(select(messages.c.subject, messages.c.state)).all()
        states = Counter((row.subject, row.state) for row in kept if row.state not in ("own", "repeat"))
        assert states == Counter((name, "opened") for name in self.mails), states
        facts: dict[str, bytes] = {}
        for record in read_topic(self.kafka, TICKET_EVENTS):
            again = facts.setdefault(record.headers[ORIGIN], record.value or b"")
            assert again == record.value, "a fact was said again with other bytes"
        opened = [fact for fact in map(decode_fact, facts.values()) if isinstance(fact, RequestOpened)]
        assert len({fact.ticket for fact in opened}) == len(opened) == len(facts) == len(self.mails)
        assert all((fact.account, fact.subscription) == ("A-1", "S-1") for fact in opened)
        sent = self.sent()
        assert set(sent.values()) == {1}, f"letters the relay took more than once: {sent}"
        assert len(sent) == len(self.mails)
        dead = {record.headers[ORIGIN] for record in read_topic(self.kafka, DEAD_LETTERS)}
        assert len(dead) == self.poisoned


@contextmanager
def desk(around: Around, address: str, place: Place, found: Path | None = None) -> Iterator[Desk]:
    """A desk on a copy of the database `found`, if given; its mailbox is emptied before."""
    place.home.mkdir(exist_ok=True)
    if found is not None:
        shutil.copy(found, place.folder / "support.db")
    empty(around.server, address)
    it = Desk(around, address, place)
    if found is None:
        _furnish(it.engine)
    it.say(SUBSCRIPTION_EVENTS, encode(started()))
    try:
        with copies(around.relay, around.server, address):
            yield it
    finally:
        if it.process is not None:
            it.process.kill()
            it.process.wait()
        it.answers.close()
        it.queue.close()
        it.engine.dispose()
