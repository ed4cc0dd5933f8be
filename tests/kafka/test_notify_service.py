"""Notify as a process: a real broker, a real SMTP relay and mailbox, a real HTTP server that says who is
written to. Each letter goes out exactly once, whatever dies, and what does not arrive is seen."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from kafka import KafkaProducer

from services.cli.local.ports import free_port
from shared import facts, outcomes
from shared.cloudevents import DEAD_LETTER_REASON, ORIGIN
from shared.codec import encode
from shared.kafka import read_topic
from shared.mail.reading import read
from shared.settings import KafkaSettings
from shared.terms import BUILT_IN
from shared.time import parse_instant
from shared.topics import DEAD_LETTERS, QUOTA, TOPIC_OF, key_of
from tests.core.billing_books import empty_url
from tests.core.notify_books import used, warned
from tests.mail.relay import Relay
from tests.mail.servers import GONE, MailServer
from tests.waiting import eventually

TOKEN = "token-of-the-test"  # noqa: S105
SUPPORT = "token-of-support"
SERVICE = "from services.notify.command import app; app(['serve'])"

DIES_AFTER_THE_RELAY_HAS_IT = """
import os, signal
from shared.mail.relay import Line
submit = Line.submit
async def die(*args):
    await submit(*args)
    os.kill(os.getpid(), signal.SIGKILL)
Line.submit = die
"""
DIES_BEFORE_THE_RELAY_SEES_IT = """
import os, signal
from shared.mail.relay import Line
async def die(*args):
    os.kill(os.getpid(), signal.SIGKILL)
Line.submit = die
"""
DIES_BEFORE_THE_POSITION_IS_COMMITTED = """
import os, signal
from aiokafka import AIOKafkaConsumer
async def die(*args, **options):
    os.kill(os.getpid(), signal.SIGKILL)
AIOKafkaConsumer.commit = die
"""


class Desk:
    """A real HTTP server in the place of support: says who is written to, by account."""

    def __init__(self) -> None:
        self.port = free_port()
        self.people: dict[str, list[dict[str, str]]] = {}
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        desk = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                account = self.path.split("/")[2]
                allowed = self.headers["Authorization"] == f"Bearer {SUPPORT}"
                body = json.dumps(desk.people.get(account, [])).encode()
                self.send_response(200 if allowed and self.path.endswith("/letters-to") else 401)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def know(self, address: str, account: str = "A-1", contact: str = "C-1", language: str = "fr") -> None:
        person = {"contact": contact, "name": "Anna Rochat", "address": address, "language": language}
        self.people.setdefault(account, []).append(person)


class Notify:
    """One instance of the service as a process of its own, and its HTTP API."""

    def __init__(self, directory: Path, desk: Desk, fault: str = "", **settings: object) -> None:
        self.port = free_port()
        self.log = directory / f"notify-{self.port}.log"
        env = {
            **os.environ,
            "GARANT_HOME": str(directory),
            "GARANT_NOTIFY_PORT": str(self.port),
            "GARANT_NOTIFY_TOKEN": TOKEN,
            "GARANT_NOTIFY_SUPPORT_URL": f"http://127.0.0.1:{desk.port}",
            "GARANT_NOTIFY_SUPPORT_TOKEN": SUPPORT,
            "GARANT_NOTIFY_GATHER_S": "0.5",
            "GARANT_NOTIFY_ASK_AGAIN_S": "0.5",
            "GARANT_NOTIFY_WRITE_EVERY_S": "0.1",
            "GARANT_NOTIFY_SETTLE_S": "1",
            "GARANT_NOTIFY_IMAP_POLL_S": "0.5",
            **{f"GARANT_NOTIFY_{name.upper()}": str(value) for name, value in settings.items()},
        }
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-c", fault + SERVICE], env=env, stdout=out, stderr=subprocess.STDOUT
            )

    def ask(self, method: str, path: str) -> Any:
        answer = httpx.request(
            method,
            f"http://127.0.0.1:{self.port}{path}",
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=20,
            trust_env=False,
        )
        assert answer.status_code < 400, answer.text
        return answer.json()

    def metrics(self) -> str:
        return httpx.get(f"http://127.0.0.1:{self.port}/metrics", trust_env=False).text

    def answers(self, path: str = "/live") -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=2, trust_env=False)
        except httpx.HTTPError:
            return False
        return answer.status_code == 200

    def states(self) -> dict[str, str]:
        return {row["letter"]: row["state"] for row in self.ask("GET", "/letters")}


Start = Callable[..., Notify]


@pytest.fixture
def desk() -> Iterator[Desk]:
    found = Desk()
    found.start()
    yield found
    found.stop()


@pytest.fixture
def start(tmp_path: Path, desk: Desk) -> Iterator[Start]:
    """Starts an instance and waits for its API; whatever still runs is killed after the test."""
    instances: list[Notify] = []

    def begin(fault: str = "", **settings: object) -> Notify:
        instances.append(Notify(tmp_path, desk, fault, **settings))
        eventually(instances[-1].answers)  # what is said before its first start is history
        return instances[-1]

    yield begin
    for one in instances:
        one.process.kill()
        one.process.wait()


def by_relay(relay: Relay) -> dict[str, object]:
    return {"smtp_host": relay.host, "smtp_port": relay.port}


def by_mail(mail: MailServer, address: str) -> dict[str, object]:
    """Letters go out by the mail server, and `address` is notify's own mailbox there."""
    return {
        "smtp_host": mail.host,
        "smtp_port": mail.smtp_port,
        "imap_host": mail.host,
        "imap_port": mail.imap_port,
        "imap_tls": "none",
        "imap_password": mail.users[address],
        "address": address,
    }


def say(settings: KafkaSettings, *records: Any) -> None:
    producer = KafkaProducer(bootstrap_servers=settings.bootstrap, retries=20)
    for record in records:
        topic = settings.topic(TOPIC_OF[type(record)])
        producer.send(topic, key=key_of(record), value=encode(record)).get(20)
    producer.close()


def crossing(at: int = 10, account: str = "A-1", subscription: str = "S-1") -> list[outcomes.QuotaWarned]:
    """What one journal entry says that crosses every threshold."""
    return [
        warned(percent, 600, 540, at=(at, place), account=account, subscription=subscription)
        for place, percent in enumerate((75, 90, 100))
    ]


def test_one_entry_that_crosses_every_threshold_is_one_letter_and_another_broker_is_noticed(
    topics: KafkaSettings,
    start: Start,
    desk: Desk,
    relay: Relay,
    produce: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    desk.know("anna@demo.example")
    notify = start(**by_relay(relay))
    eventually(lambda: notify.answers("/ready"))
    produce(QUOTA, b"A-1", b"no json")
    produce(QUOTA, b"A-1", encode(outcomes.RequestUncovered("A-1", "T-1", outcomes.Stamp(0, 1, 0, ""))))
    say(topics, used(600), *crossing())
    eventually(lambda: relay.accepted)
    time.sleep(1.5)
    (letter,) = relay.accepted
    assert letter.recipients == ("anna@demo.example",)
    assert letter.mail_from == "letters@garant.example"
    said = read(letter.raw)
    assert said.subject == "Support : le temps compris est épuisé (S-1)"
    assert "10 h (111 %)" in said.text
    assert said.automatic == "auto-generated"
    assert notify.states() == {"quota/S-1/2026-01-01/0/10/C-1": "accepted"}
    dead = list(read_topic(topics, DEAD_LETTERS))
    assert [record.headers[ORIGIN].split("/")[0] for record in dead] == ["sla.quota", "sla.quota"]
    assert "does not belong on" in dead[1].headers[DEAD_LETTER_REASON]
    assert "anna" not in notify.log.read_text().lower()
    notify.process.send_signal(signal.SIGTERM)
    assert notify.process.wait(20) == 0, notify.log.read_text()
    monkeypatch.setenv("GARANT_KAFKA_PREFIX", topics.prefix + "another-")  # as after the broker was lost
    stranded = Notify(tmp_path, desk, **by_relay(relay))
    assert stranded.process.wait(40) == 1
    assert "this is another broker, or its records are gone" in stranded.log.read_text()


def test_while_support_is_away_customers_letters_wait_staff_s_do_not_and_nothing_is_lost(
    topics: KafkaSettings, start: Start, desk: Desk, relay: Relay
) -> None:
    desk.stop()
    desk.know("anna@demo.example")
    notify = start(**by_relay(relay), staff="staff@garant.example")
    stamp = outcomes.Stamp(0, 1, 0, "00")
    say(
        topics,
        warned(),
        outcomes.TermsNoticeDue("A-1", "v2", date(2027, 1, 1), stamp),
        facts.TermsPublished("v2", date(2027, 1, 1), True, BUILT_IN),
        outcomes.ResponseMissed("A-1", "S-1", "T-1", parse_instant("2026-11-24T16:00:00.000Z"), stamp),
    )
    eventually(lambda: relay.accepted)
    eventually(lambda: "garant_notify_support_away 1.0" in notify.metrics())
    assert [letter.recipients for letter in relay.accepted] == [("staff@garant.example",)]
    assert {row["kind"] for row in notify.ask("GET", "/waiting")} == {"quota", "terms"}
    desk.start()
    eventually(lambda: len(relay.accepted) == 3)
    subjects = [read(letter.raw).subject for letter in relay.accepted[1:]]
    assert sorted(subject.split(" ")[0] for subject in subjects) == ["Nouvelles", "Support"]
    assert notify.ask("GET", "/waiting") == []


def test_what_the_relay_refuses_is_shown_and_sent_again_by_a_person_and_what_it_defers_waits(
    topics: KafkaSettings, start: Start, desk: Desk, relay: Relay
) -> None:
    desk.know("gone@demo.example")
    desk.know("slow@demo.example", "A-2", "C-2")
    relay.answer("gone@demo.example", "550 5.1.1 no such user")
    relay.answer("slow@demo.example", "451 4.3.0 later")
    notify = start(**by_relay(relay))
    say(topics, warned(), warned(account="A-2", subscription="S-2", at=(11, 1)))
    refused, deferred = "quota/S-1/2026-01-01/0/10/C-1", "quota/S-2/2026-01-01/0/11/C-2"
    eventually(lambda: notify.states().get(refused) == "refused")
    eventually(lambda: "451" in (notify.ask("GET", f"/letters/{deferred}")["reason"] or ""))
    assert notify.states() == {refused: "refused", deferred: "waiting"}
    assert "550" in notify.ask("GET", f"/letters/{refused}")["reason"]
    eventually(lambda: 'garant_notify_letters{state="refused"} 1.0' in notify.metrics())
    relay.answer("gone@demo.example", None)
    notify.ask("POST", f"/letters/{refused}/resend")
    eventually(lambda: notify.states()[refused] == "accepted")
    assert [letter.recipients for letter in relay.accepted] == [("gone@demo.example",)]


@pytest.mark.parametrize(
    "fault",
    [DIES_AFTER_THE_RELAY_HAS_IT, DIES_BEFORE_THE_RELAY_SEES_IT, DIES_BEFORE_THE_POSITION_IS_COMMITTED],
    ids=["after the relay has it", "before the relay sees it", "before the position is committed"],
)
def test_killed_at_any_step_each_letter_arrives_exactly_once(
    topics: KafkaSettings, start: Start, desk: Desk, mail: MailServer, fault: str
) -> None:
    own, anna = mail.new_user(), mail.new_user()
    desk.know(anna)
    dying = start(fault, **by_mail(mail, own))
    say(topics, *crossing())
    assert dying.process.wait(40) == -signal.SIGKILL, dying.log.read_text()
    notify = start(**by_mail(mail, own))
    letter = "quota/S-1/2026-01-01/0/10/C-1"
    eventually(lambda: notify.states().get(letter) == "accepted")
    mail.wait_for(anna)
    eventually(lambda: notify.ask("GET", f"/letters/{letter}")["copy_seen_at"])
    time.sleep(1)
    (arrived,) = mail.messages(anna)
    assert read(arrived.raw).subject == "Support : le temps compris est épuisé (S-1)"


def test_a_letter_that_bounces_is_seen_and_other_mail_in_our_mailbox_is_left_alone(
    topics: KafkaSettings, start: Start, desk: Desk, mail: MailServer
) -> None:
    own = mail.new_user()
    desk.know(f"nobody@{GONE}")
    mail.deliver(b"From: eve@demo.example\r\nSubject: hello\r\n\r\nhi\r\n", "eve@demo.example", own)
    notify = start(**by_mail(mail, own))
    say(topics, warned())
    letter = "quota/S-1/2026-01-01/0/10/C-1"
    eventually(lambda: notify.states().get(letter) == "bounced")
    assert notify.ask("GET", f"/letters/{letter}")["bounced_at"]
    assert "letter.bounced" in notify.log.read_text()
    assert GONE not in notify.log.read_text()
    eventually(lambda: 'garant_notify_mail_total{kind="other"} 1.0' in notify.metrics())
    assert len(mail.messages(own)) >= 3


def test_two_instances_on_postgresql_write_and_send_each_letter_once(
    topics: KafkaSettings, tmp_path: Path, start: Start, desk: Desk, relay: Relay
) -> None:
    with empty_url("postgresql", tmp_path) as url:
        instances = [start(**by_relay(relay), database_url=url) for _ in range(2)]
        eventually(lambda: any(one.answers("/ready") for one in instances))
        for number in range(6):
            desk.know(f"user{number}@demo.example", f"A-{number}", f"C-{number}")
        crossings = [crossing(10 + number, f"A-{number}", f"S-{number}") for number in range(6)]
        say(topics, *(record for each in crossings for record in each))
        eventually(lambda: len(relay.accepted) >= 6)
        time.sleep(1.5)
        assert len({letter.message_id for letter in relay.accepted}) == len(relay.accepted) == 6
        for one in instances:
            one.process.kill()
            one.process.wait()
