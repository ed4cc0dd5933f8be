"""Notify killed at failpoints, and what must hold of its letters afterwards."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from kafka import KafkaProducer
from sqlalchemy import Engine, select

from services.cli.local.ports import free_port
from services.notify.database import LETTERS, began_at
from services.notify.tables import letters, occasions
from shared import outcomes
from shared.cloudevents import ORIGIN
from shared.codec import encode
from shared.database import migrate, open_engine, wall_clock, writing
from shared.kafka import read_topic
from shared.mail.letters import MARKER
from shared.time import DAY, Instant, format_instant
from shared.topics import DEAD_LETTERS, DEADLINES, QUOTA
from tests.core.support_mail import ANNA
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
from tests.faults.posting import copies, empty

TOKEN = "token-of-support"  # noqa: S105
STAFF = "staff@garant.example"


def template(directory: Path) -> Path:
    """A migrated database of a notify that began before anything is said, to copy."""
    engine = open_engine(f"sqlite:///{directory / 'notify.db'}", LETTERS)
    _begin(engine)
    engine.dispose()
    return directory / "notify.db"


def _begin(engine: Engine) -> None:
    migrate(engine, LETTERS)
    with writing(engine) as connection:
        began_at(connection, wall_clock)


@contextmanager
def people() -> Iterator[int]:
    """The port of an HTTP server that says, as support does, that each account has one person to write to."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            account = self.path.split("/")[2]
            person = {"contact": f"C-{account}", "name": "Anna", "address": ANNA, "language": "fr"}
            allowed = self.headers["Authorization"] == f"Bearer {TOKEN}"
            self.send_response(200 if allowed else 401)
            self.end_headers()
            self.wfile.write(json.dumps([person]).encode())

        def log_message(self, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()


class Office:
    """One installation: outcomes come from the log, letters leave through the relay. `asked` is the port of
    `people`."""

    def __init__(self, around: Around, address: str, asked: int, place: Place) -> None:
        self.around, self.address, self.place = around, address, place
        self.kafka = own_topics(around.bootstrap)
        self.log = place.home / "notify.log"
        self.engine = open_engine(place.url or f"sqlite:///{place.folder / 'notify.db'}", LETTERS)
        self.process: Running | None = None
        self.letters = self.poisoned = 0
        self._earlier = len(around.relay.accepted)
        self._outcomes: list[Any] = []
        notify = mail_env(around, address) | {
            **{"PORT": free_port(), "STAFF": STAFF, "SUPPORT_TOKEN": TOKEN},
            **{"GATHER_S": 0.2, "WRITE_EVERY_S": 0.1, "SUPPORT_URL": f"http://127.0.0.1:{asked}"},
        }
        self.env = {
            **kafka_env(self.kafka),
            **place.env("NOTIFY"),
            **{f"GARANT_NOTIFY_{name}": str(value) for name, value in notify.items()},
        }

    def start(self, point: str = "") -> Running:
        """Starts the service, armed with `point` if that is named."""
        env = {**self.env, "GARANT_FAILPOINTS": point}
        self.process = self.around.starter.start(["notify"], env, self.log)
        return self.process

    def dies_at(self, point: str) -> None:
        """Starts the service to die at `point`, and waits for that."""
        dies(self.start(point), point, self.said)

    def conclude(self, accounts: int = 2) -> None:
        """The SLA service says again what it said, as after a crash, and more: so many accounts cross every
        threshold, one request is missed. Between them stands a record of no sense."""
        at, new = len(self._outcomes), list[Any]()
        year, now = date.today().replace(month=1, day=1), wall_clock()  # noqa: DTZ011
        for number in range(accounts):
            account = f"A-{at}-{number}"
            for place, percent in enumerate((75, 90, 100)):
                stamp = outcomes.Stamp(0, at + number, place, digest="00")
                new.append(outcomes.QuotaWarned(account, f"S-{account}", year, percent, 600, 540, stamp))
        late, stamp = Instant(now - DAY), outcomes.Stamp(0, at, 0, digest="00")
        new.append(outcomes.ResponseMissed("A-1", "S-1", f"T-{at}", late, stamp))
        self.letters += accounts + 1
        producer = KafkaProducer(bootstrap_servers=self.kafka.bootstrap, retries=20)
        producer.send(self.kafka.topic(QUOTA), key=b"A-1", value=b"no json")
        self.poisoned += 1
        self._outcomes += new
        for one in self._outcomes:
            topic = self.kafka.topic(DEADLINES if isinstance(one, outcomes.ResponseMissed) else QUOTA)
            said_at = [("ce_time", format_instant(now).encode())]
            producer.send(topic, key=one.account.encode(), value=encode(one), headers=said_at)
        producer.flush(20)
        producer.close()

    def sent(self) -> Counter[str]:
        """How often the relay took each letter, by Message-ID."""
        return letters_taken(self.around.relay, self.address, self._earlier)

    def done(self) -> bool:
        """Whether nothing is under way any more."""
        c = letters.c
        return (
            rows(self.engine, occasions) == self.letters
            and rows(self.engine, letters, c.state == "accepted", c.purpose != MARKER) == self.letters
            and rows(self.engine, letters, c.copy_seen_at.is_(None)) == 0
        )

    def finish(self) -> None:
        """Starts the service without a failpoint, and lets it do what is to be done."""
        process = self.start()
        until(self.done, process, self.said)
        time.sleep(QUIET_S)  # what would be too much has time to come
        assert process.poll() is None, self.said()

    def said(self) -> str:
        with self.engine.connect() as connection:
            states = connection.execute(select(letters.c.id, letters.c.state, letters.c.reason)).all()
            known = connection.execute(select(occasions.c.occasion, occasions.c.state)).all()
        log = self.log.read_text()[-3_000:] if self.log.exists() else ""
        return f"{self.letters} letters wanted; occasions {known}; letters {states}\n{log}"

    def check(self) -> None:
        """Each occasion is one letter, which left once."""
        sent = self.sent()
        assert set(sent.values()) == {1}, f"letters the relay took more than once: {sent}"
        assert len(sent) == self.letters
        dead = {record.headers[ORIGIN] for record in read_topic(self.kafka, DEAD_LETTERS)}
        assert len(dead) == self.poisoned


@contextmanager
def office(
    around: Around, address: str, asked: int, place: Place, found: Path | None = None
) -> Iterator[Office]:
    """A notify on a copy of the database `found`, if given; its mailbox is emptied before."""
    place.home.mkdir(exist_ok=True)
    if found is not None:
        shutil.copy(found, place.folder / "notify.db")
    empty(around.server, address)
    it = Office(around, address, asked, place)
    if found is None:
        _begin(it.engine)
    try:
        with copies(around.relay, around.server, address):
            yield it
    finally:
        if it.process is not None:
            it.process.kill()
            it.process.wait()
        it.engine.dispose()
