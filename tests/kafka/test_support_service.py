"""The desk as a process, with a real broker, a real mail server and the real SLA service: a mail becomes a
request, the request gets its deadline, and who asked is told; once, and never in a loop."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, select

from services.cli.local.ports import free_port
from services.cli.publish import publish_facts
from services.support.database import DESK
from services.support.tables import letters, messages, tickets
from services.support.wording import written_out
from shared.cloudevents import ORIGIN
from shared.codec import decode_fact, decode_outcome
from shared.database import migrate, open_engine
from shared.facts import RequestOpened, SubscriptionStarted
from shared.kafka import read_topic
from shared.money import Amount
from shared.outcomes import ResponseDue
from shared.settings import KafkaSettings
from shared.topics import DEADLINES, TICKET_EVENTS
from tests.core.billing_books import SetClock
from tests.core.support_mail import ANNA, SERVER, US, furnish
from tests.mail.servers import GONE, MailServer, kinds, mail_server
from tests.waiting import eventually

SERVICE = """
import asyncio
from services.support.app import serve
from services.support.settings import SupportSettings
from shared import logs
from shared.settings import HomeSettings, KafkaSettings
logs.configure()
asyncio.run(serve(SupportSettings(), KafkaSettings(), HomeSettings().home))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailServer]:
    running = mail_server(kinds()[0], tmp_path_factory.mktemp("mail"))
    try:
        running.start()
        for domain in ("demo.example", GONE):
            running.judge(domain, f"dkim=pass header.d={domain}")
        yield running
    finally:
        running.remove()


class Installation:
    """The desk and the SLA service, each a process."""

    def __init__(self, server: MailServer, directory: Path) -> None:
        self.directory = directory
        self.port, self.sla_port, self.smtp_port = free_port(), free_port(), free_port()
        self.engine = open_engine(f"sqlite:///{directory / 'support.db'}", DESK)
        self.processes: list[subprocess.Popen[bytes]] = []
        self.env = {
            **os.environ,
            "GARANT_HOME": str(directory),
            "GARANT_SUPPORT_PORT": str(self.port),
            "GARANT_SUPPORT_AUTHSERV_ID": SERVER,
            "GARANT_SUPPORT_RECEIVED_HOPS": "2" if server.kind == "debian" else "1",
            "GARANT_SUPPORT_IMAP_HOST": server.host,
            "GARANT_SUPPORT_IMAP_PORT": str(server.imap_port),
            "GARANT_SUPPORT_IMAP_USER": US,
            "GARANT_SUPPORT_IMAP_PASSWORD": server.users[US],
            "GARANT_SUPPORT_IMAP_TLS": "none",
            "GARANT_SUPPORT_SMTP_HOST": server.host,
            "GARANT_SUPPORT_SMTP_PORT": str(server.smtp_port),
            "GARANT_SUPPORT_SMTP_IN_PORT": str(self.smtp_port),
        }

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.directory / f"{len(self.processes)}.log").open("wb") as log:
            started = subprocess.Popen(command, env=self.env, stdout=log, stderr=subprocess.STDOUT)
        self.processes.append(started)
        return started

    def start_desk(self) -> subprocess.Popen[bytes]:
        desk = self.start(sys.executable, "-c", SERVICE)
        eventually(lambda: answers(desk, self.port))
        return desk

    def start_sla(self) -> None:
        garant = str(Path(sys.executable).with_name("garant"))
        sla = self.start(garant, "sla", "--port", str(self.sla_port))
        eventually(lambda: answers(sla, self.sla_port))

    def rows(self, table: Any) -> list[Any]:
        with self.engine.connect() as connection:
            return list(connection.execute(select(table)).all())

    def states(self) -> list[str]:
        return [row.state for row in sorted(self.rows(messages), key=lambda row: row.message)]


@pytest.fixture
def here(server: MailServer, topics: KafkaSettings, tmp_path: Path) -> Iterator[Installation]:
    found = Installation(server, tmp_path)
    migrate(found.engine, DESK)
    furnish_people(found.engine)
    try:
        yield found
    finally:
        for process in found.processes:
            process.kill()
            process.wait()
        found.engine.dispose()
        with server.imap(US) as client:
            client.select_folder("INBOX")
            if uids := client.search("ALL"):
                client.delete_messages(uids)
                client.expunge()


def furnish_people(engine: Engine) -> None:
    furnish(engine, SetClock())
    with engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM subscriptions")  # the log tells of them


def answers(process: subprocess.Popen[bytes], port: int) -> bool:
    assert process.poll() is None, "the service ended"
    try:
        return httpx.get(f"http://127.0.0.1:{port}/ready", timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def sold(kafka: KafkaSettings) -> None:
    fact = SubscriptionStarted(
        "A-1", "S-1", "cloud", ("shop",), Amount(120_000), "CHF", "year", date(2026, 1, 1), "fr"
    )
    asyncio.run(publish_facts(kafka, [fact], "/garant/test"))


def letter(name: str, *more: str, sender: str = ANNA) -> bytes:
    headers = (
        f"From: {sender}",
        f"To: {US}",
        f"Subject: {name}",
        f"Message-ID: <{name}@demo.example>",
        *more,
    )
    return "\r\n".join([*headers, "", "Please look.", ""]).encode()


def test_given_a_mail_then_a_request_is_opened_and_its_deadline_reaches_the_customer(
    topics: KafkaSettings, server: MailServer, here: Installation
) -> None:
    sold(topics)
    here.start_sla()
    desk = here.start_desk()
    server.deliver(letter("slow"), ANNA, US)

    (told,) = server.wait_for(ANNA, 1, 40)
    (record,) = read_topic(topics, TICKET_EVENTS)
    opened = decode_fact(record.value or b"")
    assert isinstance(opened, RequestOpened)
    assert (opened.account, opened.subscription, opened.severity) == ("A-1", "S-1", "moderate")
    assert record.headers[ORIGIN] == "support.outbox/0/1/0"
    (deadline,) = [decode_outcome(one.value or b"") for one in read_topic(topics, DEADLINES)]
    assert isinstance(deadline, ResponseDue)
    answer: Any = message_from_bytes(told.raw, policy=default)
    text = answer.get_body(("plain",)).get_content()
    assert written_out(deadline.due_at, "Europe/Zurich", "it") in text
    assert answer["Auto-Submitted"] == "auto-replied"
    assert answer["In-Reply-To"] == "<slow@demo.example>"

    # Two machines and a person answer it; then somebody writes whose mailbox is gone.
    refers = (
        f"In-Reply-To: {answer['Message-ID']}",
        f"References: <slow@demo.example> {answer['Message-ID']}",
    )
    server.deliver(letter("away", *refers, "Auto-Submitted: auto-replied"), ANNA, US)
    server.deliver(letter("more", *refers), ANNA, US)
    nobody = f"zoe@{GONE}"
    server.deliver(letter("strange", sender=nobody), nobody, US)
    wanted = {"opened": 2, "own": 2, "automatic": 1, "threaded": 1, "bounce": 1}
    eventually(lambda: {one: here.states().count(one) for one in set(here.states())} == wanted)
    assert {row.ticket: row.state for row in here.rows(messages) if row.subject == "more"} == {
        "T-000001": "threaded"
    }
    sent = {row.id: row.state for row in here.rows(letters) if row.purpose != "marker"}
    assert sent == {"ticket/T-000001/acknowledgement": "accepted", "ticket/T-000002/uncovered": "bounced"}
    assert len(server.messages(ANNA)) == 1
    assert len(list(read_topic(topics, TICKET_EVENTS))) == 2

    log = (here.directory / f"{here.processes.index(desk)}.log").read_text()
    assert "support.mail.taken" in log
    for personal in ("anna", "zoe", "Please look", "slow"):
        assert personal not in log
    metrics = httpx.get(f"http://127.0.0.1:{here.port}/metrics", trust_env=False).text
    assert 'garant_support_mails_total{state="opened"} 2.0' in metrics
    desk.send_signal(signal.SIGTERM)
    assert desk.wait(20) == 0, log


def test_given_mail_before_the_subscription_is_known_then_it_waits_until_it_is(
    topics: KafkaSettings, server: MailServer, here: Installation
) -> None:
    server.deliver(letter("early"), ANNA, US)
    server.wait_for(US, 1)
    sold(topics)
    here.start_desk()
    eventually(lambda: here.states() == ["opened"])
    (ticket,) = here.rows(tickets)
    assert ticket.subscription == "S-1"


def test_given_a_desk_killed_and_started_again_then_nothing_is_opened_twice_or_lost(
    topics: KafkaSettings, server: MailServer, here: Installation
) -> None:
    sold(topics)
    desk = here.start_desk()
    for number in range(20):
        server.deliver(letter(f"before{number}"), ANNA, US)
    eventually(lambda: here.rows(tickets))
    desk.kill()
    desk.wait()
    server.deliver(letter("meanwhile"), ANNA, US)
    here.start_desk()
    eventually(lambda: len(here.rows(tickets)) == 21)
    eventually(lambda: len({one.value for one in read_topic(topics, TICKET_EVENTS)}) == 21)
    assert here.states() == ["opened"] * 21
