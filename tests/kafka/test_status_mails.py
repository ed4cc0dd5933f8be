"""Readers of the status page are told: a real broker, the status page and notify as processes, a real mail
server, a real HTTPS server. Each mail arrives exactly once, whatever dies in between."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from kafka import KafkaProducer

from services.cli.local.ports import free_port
from services.status.readers.calls import signature
from shared import facts
from shared.codec import encode
from shared.database import wall_clock
from shared.mail.reading import Incoming, read
from shared.settings import KafkaSettings
from shared.topics import TOPIC_OF, key_of
from tests.core.billing_books import empty_url
from tests.core.receiving import Receiver
from tests.mail.servers import MailServer
from tests.waiting import eventually

GARANT = str(Path(sys.executable).with_name("garant"))
PAGE = "https://status.acme.example"
NOTIFY_TOKEN, STATUS_TOKEN = "token-of-notify", "token-of-status"
CONFIGURATION = """
vendor: Acme SA
product: Acme Suite
language: en
groups:
  - id: all
    components:
      - {id: api, name: API, targets: [api-target]}
      - {id: web, name: Web, targets: [web-target]}
"""


class Running:
    """A service as a process of its own, which can be killed, and told where to die."""

    def __init__(self, name: str, command: list[str], port: int, env: dict[str, str], log: Path) -> None:
        self.name, self.command, self.port, self.env, self.log = name, command, port, env, log
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, failpoint: str = "") -> None:
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                [GARANT, *self.command],
                env={**os.environ, **self.env, "GARANT_FAILPOINTS": failpoint},
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        if not failpoint:
            eventually(self.ready)

    def ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/ready", timeout=5, trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def dies(self) -> None:
        """Waits for it to be killed where it was told to."""
        assert self.process is not None
        assert self.process.wait(60) == -signal.SIGKILL, self.log.read_text()

    def ask(self, method: str, path: str, token: str, body: Any = None) -> Any:
        answer = httpx.request(
            method,
            f"http://127.0.0.1:{self.port}{path}",
            json=body,
            headers={"Authorization": f"Bearer {token}"},
            timeout=20,
            trust_env=False,
        )
        assert answer.is_success, answer.text
        return answer.json()


class World:
    """Status page, notify and mail server, with a reader."""

    def __init__(self, kafka: KafkaSettings, mail: MailServer, folder: Path, **settings: str) -> None:
        self.kafka, self.mail, self.folder = kafka, mail, folder
        self.letters_from, self.anna = mail.new_user(), mail.new_user()
        self.public_port, api_port, notify_port = free_port(), free_port(), free_port()
        config = folder / "page.yaml"
        config.write_text(CONFIGURATION)
        notify = {
            "GARANT_HOME": str(folder),
            "GARANT_NOTIFY_PORT": str(notify_port),
            "GARANT_NOTIFY_TOKEN": NOTIFY_TOKEN,
            "GARANT_NOTIFY_SMTP_HOST": mail.host,
            "GARANT_NOTIFY_SMTP_PORT": str(mail.smtp_port),
            "GARANT_NOTIFY_IMAP_HOST": mail.host,
            "GARANT_NOTIFY_IMAP_PORT": str(mail.imap_port),
            "GARANT_NOTIFY_IMAP_TLS": "none",
            "GARANT_NOTIFY_IMAP_PASSWORD": mail.users[self.letters_from],
            "GARANT_NOTIFY_ADDRESS": self.letters_from,
            "GARANT_NOTIFY_SETTLE_S": "1",
            "GARANT_NOTIFY_IMAP_POLL_S": "0.5",
        }
        self.status_env = {
            "GARANT_HOME": str(folder),
            "GARANT_STATUS_CONFIG": str(config),
            "GARANT_STATUS_PORT": str(self.public_port),
            "GARANT_STATUS_API_PORT": str(api_port),
            "GARANT_STATUS_TOKEN": STATUS_TOKEN,
            "GARANT_STATUS_PUBLIC_URL": PAGE,
            "GARANT_STATUS_NOTIFY_URL": f"http://127.0.0.1:{notify_port}",
            "GARANT_STATUS_NOTIFY_TOKEN": NOTIFY_TOKEN,
            "GARANT_STATUS_NEWS_GATHER_S": "0.2",
            "GARANT_STATUS_SAVE_EVERY_S": "0.5",
            **settings,
        }
        self.notify = Running("notify", ["notify"], notify_port, notify, folder / "notify.log")
        self.status = Running(
            "status", ["status", "serve"], api_port, self.status_env, folder / "status-page.log"
        )

    def say(self, state: str, target: str = "api-target") -> None:
        """The target turns, now."""
        now = wall_clock()
        said = facts.TargetStateChanged(target, now, state, now, ())  # type: ignore[arg-type]
        producer = KafkaProducer(bootstrap_servers=self.kafka.bootstrap, retries=20)
        for record in (said, facts.TargetObserved(target, now)):
            topic = self.kafka.topic(TOPIC_OF[type(record)])
            producer.send(topic, key=key_of(record), value=encode(record)).get(20)
        producer.close()

    def public(self, method: str, path: str, form: dict[str, str] | None = None) -> httpx.Response:
        url = f"http://127.0.0.1:{self.public_port}{path}"
        return httpx.request(method, url, data=form, timeout=20, trust_env=False)

    def mails(self) -> list[Incoming]:
        return [read(one.raw) for one in self.mail.messages(self.anna)]

    def told(self) -> list[str]:
        """The subjects of the news that arrived, the confirmation left out."""
        return [one.subject for one in self.mails() if "Confirm" not in one.subject]

    def subscribe(self) -> None:
        """As a person does: the form, the mail, the page behind its link, the button."""
        form = {"email": self.anna, "scope": "some", "component": "api"}
        assert self.public("POST", "/en/subscribe/", form).status_code == 200
        self.mail.wait_for(self.anna, timeout_s=60)
        link = re.findall(rf"{PAGE}(\S+/confirm/\S+)", self.mails()[0].text)[0]
        assert self.public("GET", link).status_code == 200
        assert self.status.ask("GET", "/subscribers/count", STATUS_TOKEN) == {"confirmed": 0}
        assert self.public("POST", link).status_code == 200
        assert self.status.ask("GET", "/subscribers/count", STATUS_TOKEN) == {"confirmed": 1}


@pytest.fixture
def world(topics: KafkaSettings, mail: MailServer, tmp_path: Path) -> Iterator[World]:
    found = World(topics, mail, tmp_path)
    yield found
    found.status.kill()
    found.notify.kill()


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    """A webhook's HTTPS server, in a thread."""
    found, loop, done = Receiver(tmp_path), asyncio.new_event_loop(), asyncio.Event()
    listening = threading.Event()

    async def serve() -> None:
        async with found.listening():
            listening.set()
            await done.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    assert listening.wait(20)
    yield found
    loop.call_soon_threadsafe(done.set)
    thread.join()
    loop.close()


STATUS_DIES = ["status.news.telling", "status.mails.handed-over", "status.mails.noting"]
NOTIFY_DIES = ["bulletins.putting", "bulletins.taken", "mail.relay.answered"]


def test_each_turn_is_mailed_once_whatever_is_killed_and_one_click_ends_it(world: World) -> None:
    world.notify.start()
    world.status.start()
    world.say("up")
    eventually(lambda: world.public("GET", "/api/v2/components.json").text.count("operational"))
    world.subscribe()
    turns = 0

    def turned() -> None:
        """The next turn arrived."""
        eventually(lambda: len(world.told()) >= turns)

    for failpoint in STATUS_DIES:
        world.status.kill()
        turns += 1
        world.say("down" if turns % 2 else "up")
        world.status.start(failpoint)
        world.status.dies()
        world.status.start()
        turned()
    for failpoint in NOTIFY_DIES:
        world.notify.kill()
        world.notify.start(failpoint)
        turns += 1
        world.say("down" if turns % 2 else "up")
        world.say("down" if turns % 2 else "up", "web-target")  # which the reader did not choose
        world.notify.dies()
        world.notify.start()
        turned()
    time.sleep(3)
    expected = ["Acme Suite: down (API)", "Acme Suite: available again (API)"]
    assert world.told() == expected * (turns // 2)
    letters = world.notify.ask("GET", "/letters", NOTIFY_TOKEN)
    assert [one["state"] for one in letters] == ["accepted"] * (turns + 1)

    raw = world.mail.messages(world.anna)[-1].raw.decode()
    assert "\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in raw
    (path,) = re.findall(rf"\r\nList-Unsubscribe: <{PAGE}(/en/unsubscribe/\S+)>\r\n", raw)
    assert world.public("GET", path).status_code == 200  # a scanner looks: nothing ends
    assert world.status.ask("GET", "/subscribers/count", STATUS_TOKEN) == {"confirmed": 1}
    assert world.public("POST", path, {"List-Unsubscribe": "One-Click"}).status_code == 200
    assert world.status.ask("GET", "/subscribers/count", STATUS_TOKEN) == {"confirmed": 0}
    world.say("down")
    eventually(lambda: world.public("GET", "/api/v2/components.json").text.count("major_outage"))

    def erased() -> bool:
        found = world.notify.ask("GET", "/letters", NOTIFY_TOKEN)
        return all(one["recipient"] is None for one in found)

    eventually(erased)
    time.sleep(2)
    assert len(world.told()) == turns
    for running in (world.status, world.notify):
        assert world.anna not in running.log.read_text()


def test_while_notify_is_away_mails_wait_and_what_happens_together_is_one_mail(
    topics: KafkaSettings, mail: MailServer, tmp_path: Path
) -> None:
    with empty_url("postgresql", tmp_path) as url:
        world = World(topics, mail, tmp_path, GARANT_STATUS_DATABASE_URL=url, GARANT_STATUS_NEWS_GATHER_S="2")
        try:
            world.notify.start()
            world.status.start()
            world.say("up")
            world.say("up", "web-target")
            eventually(lambda: world.public("GET", "/api/v2/components.json").text.count("operational") >= 2)
            form = {"email": world.anna, "scope": "all"}
            world.public("POST", "/en/subscribe/", form)
            mail.wait_for(world.anna, timeout_s=60)
            world.public("POST", re.findall(rf"{PAGE}(\S+/confirm/\S+)", world.mails()[0].text)[0])
            world.notify.kill()
            world.say("down")
            world.say("down", "web-target")
            metrics = f"http://127.0.0.1:{world.status.port}/metrics"
            eventually(lambda: "garant_status_notify_away 1.0" in httpx.get(metrics, trust_env=False).text)
            world.status.kill()
            world.status.start()
            world.notify.start()
            eventually(world.told)
            time.sleep(2)
            assert world.told() == ["Acme Suite: down (API and Web)"]
        finally:
            world.status.kill()
            world.notify.kill()


def test_a_webhook_is_told_of_what_breaks_signed_also_when_the_page_is_killed(
    topics: KafkaSettings, mail: MailServer, tmp_path: Path, receiver: Receiver
) -> None:
    world = World(
        topics,
        mail,
        tmp_path,
        GARANT_STATUS_HOOK_LOCAL="true",
        GARANT_STATUS_HOOK_CA_FILE=receiver.ca_file,
        GARANT_STATUS_URL="",
    )
    try:
        world.status.start()
        world.say("up")
        eventually(lambda: world.public("GET", "/api/v2/components.json").text.count("operational"))
        url = f"https://localhost:{receiver.port}/in"
        added = garant(world, "status", "hook", "add", url, "--component", "api")
        hook, secret = re.findall(r"hook: (\w+)\s+secret: (\S+)", added)[0]
        refused = garant(world, "status", "hook", "add", "https://169.254.169.254/latest/", code=1)
        assert "cloud metadata" in refused
        world.status.kill()
        world.say("down")
        world.status.start("status.calls.posted")
        world.status.dies()
        world.status.start()
        eventually(lambda: "delivered" in garant(world, "status", "hook", "show", hook))
        garant(world, "status", "hook", "test", hook)
        eventually(lambda: len(receiver.received) == 3)
        first, again, test = receiver.received
        assert first.headers["webhook-id"] == again.headers["webhook-id"] != test.headers["webhook-id"]
        for got in receiver.received:
            seconds = int(got.headers["webhook-timestamp"])
            signed = signature(secret, got.headers["webhook-id"], seconds, got.body)
            assert got.headers["webhook-signature"] == signed
        said = json.loads(first.body)
        assert (said["type"], said["data"]["component"]) == ("component.changed", "api")
        assert (said["data"]["condition"], said["data"]["before"]) == ("down", "up")
        garant(world, "status", "hook", "remove", hook)
        assert hook not in garant(world, "status", "hook", "list")
        assert url not in world.status.log.read_text()
    finally:
        world.status.kill()


def garant(world: World, *arguments: str, code: int = 0) -> str:
    """What the command says."""
    env = {**os.environ, **world.status_env, "COLUMNS": "250"}
    done = subprocess.run([GARANT, *arguments], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr
