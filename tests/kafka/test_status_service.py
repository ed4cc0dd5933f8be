"""The status page as a process: what breaks for real is on it, and it stays right whatever is away."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from pathlib import Path

import httpx
import pytest
from imapclient import IMAPClient

from services.cli.demo.start import CUSTOMER
from services.cli.local.ports import free_port
from services.cli.mail.users import read_users
from services.cli.publish import publish_facts
from services.cli.up.run_state import read_run
from shared.facts import Check, Fact, ProbeResult, TargetDeclared
from shared.settings import KafkaSettings
from shared.time import MINUTE, Instant
from tests.core.billing_books import empty_url
from tests.faults.killed_postgres import Postgres, postgres
from tests.kafka.conftest import Garant
from tests.waiting import eventually

GARANT = str(Path(sys.executable).with_name("garant"))
TOKEN = "token-of-the-test"  # noqa: S105
CONFIGURATION = """
vendor: Example
product: Shop
language: en
groups:
  - id: all
    components:
      - {id: login, name: Sign-in, targets: [shop]}
      - {id: mail, name: Mail, targets: [never-seen]}
"""


class Page:
    """One `garant status serve` as a process of its own, its pages and its API."""

    def __init__(self, home: Path, **settings: object) -> None:
        home.mkdir(exist_ok=True)
        config = home / "page.yaml"
        config.write_text(CONFIGURATION)
        self.home, self.port, self.api_port = home, free_port(), free_port()
        self.folder = home / "status"
        self.log = home / f"status-{self.port}.log"
        self.env = {
            **os.environ,
            "GARANT_HOME": str(home),
            "GARANT_STATUS_CONFIG": str(config),
            "GARANT_STATUS_PORT": str(self.port),
            "GARANT_STATUS_API_PORT": str(self.api_port),
            "GARANT_STATUS_TOKEN": TOKEN,
            "GARANT_STATUS_SAVE_EVERY_S": "0.2",
            **{f"GARANT_{name.upper()}": str(value) for name, value in settings.items()},
        }
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                [GARANT, "status", "serve"], env=self.env, stdout=out, stderr=subprocess.STDOUT
            )

    def answers(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            self.get("/")
            return httpx.get(f"http://127.0.0.1:{self.api_port}/live", trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def get(self, path: str) -> httpx.Response:
        return httpx.get(f"http://127.0.0.1:{self.port}{path}", timeout=10, trust_env=False)

    def condition(self, component: str = "login") -> str:
        """What the page's own API says of the component; "" while there is no page."""
        found = self.get("/api/v2/components.json")
        if found.status_code != 200:
            return ""
        return next(str(one["status"]) for one in found.json()["components"] if one["id"] == component)

    def ready(self) -> list[str]:
        answer = httpx.get(f"http://127.0.0.1:{self.api_port}/ready", timeout=10, trust_env=False)
        return list(answer.json()["wrong"])

    def garant(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([GARANT, *arguments], env=self.env, capture_output=True, text=True, timeout=60)

    def files(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.folder)): path.read_bytes()
            for path in self.folder.rglob("*")
            if path.is_file()
        }

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


Start = Callable[..., Page]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the page on the test's directory; whatever still runs is killed after the test."""
    started: list[Page] = []

    def begin(**settings: object) -> Page:
        started.append(Page(tmp_path / "home", **settings))
        eventually(started[-1].answers)
        return started[-1]

    yield begin
    for one in started:
        one.process.kill()
        one.process.wait()


@pytest.fixture
def sla(topics: KafkaSettings, tmp_path: Path) -> Iterator[None]:
    """The real SLA service."""
    port = free_port()
    with (tmp_path / "sla.log").open("wb") as log:
        process = subprocess.Popen([GARANT, "sla", "--port", str(port)], stdout=log, stderr=subprocess.STDOUT)

    def ready() -> bool:
        assert process.poll() is None, (tmp_path / "sla.log").read_text()
        try:
            return httpx.get(f"http://127.0.0.1:{port}/ready", trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    eventually(ready)
    yield
    process.kill()
    process.wait()


@pytest.fixture
def database() -> Iterator[Postgres]:
    """A PostgreSQL of the test's own, to kill."""
    # Its user must reach it, and a socket's path is short: pytest's directories are neither.
    with tempfile.TemporaryDirectory(prefix="garant-postgres-") as home:
        Path(home).chmod(0o755)
        with postgres(Path(home) / "data") as found:
            yield found


class Probes:
    """What the agents of two locations report of the target "shop": a slot a minute, up to now."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._next = (time.time_ns() // 1_000_000) // MINUTE * MINUTE - 60 * MINUTE

    def declare(self) -> None:
        check = Check("tcp:443", required=True)
        self._say(TargetDeclared("shop", "shop", 60, (check,), ("a", "b"), 2, 2, Instant(self._next)))

    def report(self, outcome: str, slots: int) -> None:
        error = "refused" if outcome == "down" else None
        for _ in range(slots):
            self._say(
                *(
                    ProbeResult("shop", "tcp:443", location, Instant(self._next), outcome, None, error)  # type: ignore[arg-type]
                    for location in ("a", "b")
                )
            )
            self._next += MINUTE

    def _say(self, *facts: Fact) -> None:
        asyncio.run(publish_facts(self._settings, facts, "/test"))


def test_what_breaks_is_on_the_page_which_stays_when_the_process_is_killed_and_goes_on_when_it_is_back(
    topics: KafkaSettings, sla: None, start: Start, tmp_path: Path
) -> None:
    page, probes = start(), Probes(topics)
    probes.declare()
    probes.report("up", 3)
    eventually(lambda: page.condition() == "operational")
    assert page.condition("mail") != "operational"
    assert page.ready() == []
    etag = page.get("/en/").headers["ETag"]
    probes.report("down", 2)
    eventually(lambda: page.condition() == "major_outage")
    assert page.get("/en/").headers["ETag"] != etag
    opened = page.garant(
        *("incident", "open", "--title", "Logins fail", "--text", "We look into it."),
        *("--impact", "major", "--component", "login"),
    )
    assert opened.returncode == 0, opened.stderr
    id = opened.stdout.split(":")[0]
    eventually(lambda: page.get(f"/fr/incidents/{id}/").status_code == 200)
    assert "Logins fail" in page.get("/en/").text
    refused = page.garant("incident", "open", "--title", "x", "--text", "x", "--component", "shop")
    assert refused.returncode == 1
    assert "there are: login, mail" in refused.stderr
    eventually(lambda: (page.home / "status.state").exists())
    time.sleep(1)
    page.end(signal.SIGKILL)

    kept = page.files()
    env = {**page.env, "GARANT_STATUS_PORT": str(free_port())}
    web = subprocess.Popen([GARANT, "status", "web"], env=env, stdout=subprocess.DEVNULL)
    try:
        url = f"http://127.0.0.1:{env['GARANT_STATUS_PORT']}/en/incidents/{id}/"

        def served() -> bool:
            try:
                return "We look into it." in httpx.get(url, trust_env=False).text
            except httpx.HTTPError:
                return False

        eventually(served)
    finally:
        web.terminate()
        web.wait()
    assert page.files() == kept

    probes.report("up", 2)  # while it is dead
    again = start()
    eventually(lambda: again.condition() == "operational")
    assert "We look into it." in again.get(f"/en/incidents/{id}/").text
    resolved = again.garant("incident", "resolve", id, "--text", "It is over.")
    assert resolved.returncode == 0, resolved.stderr
    eventually(lambda: "It is over." in again.get(f"/en/incidents/{id}/").text)
    history = again.get("/api/v2/incidents.json").json()["incidents"]
    assert [one["status"] for one in history if one["id"] == id] == ["resolved"]
    assert again.end() == 0, again.log.read_text()


def test_while_kafka_is_away_from_the_start_the_pages_are_served_and_staff_can_write(
    topics: KafkaSettings, sla: None, start: Start
) -> None:
    first, probes = start(), Probes(topics)
    probes.declare()
    probes.report("up", 3)
    eventually(lambda: first.condition() == "operational")
    time.sleep(1)
    first.end()
    before = first.files()
    page = start(kafka_bootstrap=f"127.0.0.1:{free_port()}")
    assert page.get("/en/").content == before["en/index.html"]
    assert any("Kafka" in one for one in page.ready())
    opened = page.garant("incident", "open", "--title", "No news", "--text", "Our monitoring is away.")
    assert opened.returncode == 0, opened.stderr
    id = opened.stdout.split(":")[0]
    eventually(lambda: page.get(f"/en/incidents/{id}/").status_code == 200)
    assert page.condition() == "operational"  # as of when it was last heard of


def test_while_the_database_is_away_the_page_keeps_its_incidents_and_goes_on_when_it_is_back(
    topics: KafkaSettings, sla: None, start: Start, database: Postgres
) -> None:
    page, probes = start(status_database_url=database.url), Probes(topics)
    probes.declare()
    probes.report("up", 3)
    opened = page.garant("incident", "open", "--title", "Slow", "--text", "We look into it.")
    assert opened.returncode == 0, opened.stderr
    id = opened.stdout.split(":")[0]
    eventually(lambda: page.get(f"/en/incidents/{id}/").status_code == 200)
    database.kill()
    probes.report("down", 2)
    eventually(lambda: page.condition() == "major_outage")
    eventually(lambda: any("database" in one for one in page.ready()))
    said = page.garant("incident", "update", id, "--text", "More.", "--key", "k")
    assert said.returncode == 1
    assert "send it again" in said.stderr
    page.end(signal.SIGKILL)
    page = start(status_database_url=database.url)  # also from the start
    probes.report("up", 2)
    eventually(lambda: page.condition() == "operational")
    assert page.get(f"/en/incidents/{id}/").status_code == 200
    database.start()
    again = ("incident", "update", id, "--text", "More.", "--key", "k")
    eventually(lambda: page.garant(*again).returncode == 0)
    eventually(lambda: "More." in page.get(f"/en/incidents/{id}/").text)
    eventually(lambda: page.ready() == [])


def test_what_another_instance_writes_is_on_the_page_too(
    topics: KafkaSettings, start: Start, tmp_path: Path
) -> None:
    with empty_url("postgresql", tmp_path) as url:
        one = start(status_database_url=url)
        other = start(status_database_url=url, status_folder=tmp_path / "other")
        opened = one.garant("incident", "open", "--title", "Slow", "--text", "We look into it.")
        assert opened.returncode == 0, opened.stderr
        id = opened.stdout.split(":")[0]
        for page in (one, other):
            eventually(lambda page=page: page.get(f"/de/incidents/{id}/").status_code == 200)
        for page in (one, other):
            page.process.kill()
            page.process.wait()


def test_garant_up_tells_the_page_s_address_and_the_demo_turns_it_and_a_subscriber_is_mailed(
    garant: Garant, running: None, tmp_path: Path, topics: KafkaSettings
) -> None:
    home = tmp_path / "home"
    told = re.search(r"The public status page: (http://127\.0\.0\.1:\d+)/", (tmp_path / "up.log").read_text())
    assert told, (tmp_path / "up.log").read_text()
    url = told[1]

    def get(path: str) -> str:
        return httpx.get(url + path, trust_env=False, timeout=10).text

    def condition() -> str:
        return str(
            httpx.get(f"{url}/api/v2/components.json", trust_env=False).json()["components"][0]["status"]
        )

    def mails() -> list[str]:
        run = read_run(home)
        assert run is not None
        mailbox = next(one for one in run.components if one.name == "mailbox")
        with IMAPClient("127.0.0.1", port=mailbox.ports[1], ssl=False) as client:
            client.login(CUSTOMER, read_users(home / "mail" / "users")[CUSTOMER])
            client.select_folder("INBOX", readonly=True)
            found = client.fetch(client.search(), ["RFC822"])
        texts = []
        for uid in sorted(found):
            mail = message_from_bytes(found[uid][b"RFC822"], policy=policy.default)
            body = mail.get_body(("plain",))
            assert body is not None
            headers = "".join(f"{name}: {value}\n" for name, value in mail.items())
            texts.append(headers + "\n" + body.get_content())
        return texts

    eventually(lambda: condition() == "operational")
    asked = httpx.post(
        f"{url}/en/subscribe/", data={"email": CUSTOMER, "scope": "all", "website": ""}, trust_env=False
    )
    assert asked.status_code == 200, asked.text

    (confirmation,) = eventually(mails)
    link = re.search(rf"{re.escape(url)}/en/confirm/\S+", confirmation)
    assert link, confirmation
    assert httpx.get(link[0], trust_env=False).status_code == 200  # looking confirms nothing
    action = re.search(r'action="([^"]+)"', httpx.get(link[0], trust_env=False).text)
    assert action
    fields = dict(
        re.findall(
            r'<input type="hidden" name="([^"]+)" value="([^"]*)"', httpx.get(link[0], trust_env=False).text
        )
    )
    confirmed = httpx.post(httpx.URL(link[0]).join(action[1]), data=fields, trust_env=False)
    assert confirmed.status_code == 200, confirmed.text

    broken = garant("demo", "break")
    assert broken.returncode == 0, broken.stdout + broken.stderr
    eventually(lambda: condition() == "major_outage")
    news = eventually(lambda: mails()[1:])
    assert "Application" in news[0]
    one_click = re.search(r"(?is)list-unsubscribe: <(https?://[^>]+)>", news[0])
    assert one_click, news[0]
    ended = httpx.post(one_click[1], data={"List-Unsubscribe": "One-Click"}, trust_env=False)
    assert ended.status_code == 200, ended.text
    before = len(mails())

    mended = garant("demo", "mend")
    assert mended.returncode == 0, mended.stdout + mended.stderr
    eventually(lambda: condition() == "operational")
    opened = garant("incident", "open", "--title", "Looked into", "--text", "We looked into it.")
    assert opened.returncode == 0, opened.stderr
    eventually(lambda: "Looked into" in get("/en/"))
    time.sleep(8)  # longer than news is gathered
    assert len(mails()) == before
