"""A real cut of a real service, deducted from the next invoice, with processes killed on the way."""

from __future__ import annotations

import asyncio
import calendar
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.cli.audit.journal import replay_journal
from services.cli.local.ports import free_port
from services.cli.publish import publish_facts
from shared.calendar import local_date
from shared.facts import TermsPublished
from shared.kafka import read_topic
from shared.settings import KafkaSettings
from shared.terms import BUILT_IN
from shared.time import parse_instant
from shared.topics import CREDITS, MONTHS, QUOTA, UPTIME_CHANGES, Topic
from tests.core.telling import published, terms_with
from tests.waiting import eventually

GARANT = str(Path(sys.executable).with_name("garant"))
TOKEN = "token-of-the-test"  # noqa: S105
ZONE = BUILT_IN.zone


class Installation:
    """Every service as its own process; `start` starts one (again), `kill` is kill -9."""

    def __init__(self, settings: KafkaSettings, home: Path) -> None:
        self.settings = settings
        self.home = home
        self.ports = {name: free_port() for name in ("http", "tcp", "sla", "billing", "probe")}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        probes = home / "probes.yaml"
        probes.write_text(
            f"""
locations: [here]
allow: [loopback]
targets:
  - target: shop
    name: Shop
    host: 127.0.0.1
    interval_s: 1
    confirm_down: 2
    confirm_up: 2
    checks:
      - {{kind: tcp, port: {self.ports["tcp"]}}}
      - {{kind: http, port: {self.ports["http"]}, path: /}}
"""
        )
        port = {name: str(number) for name, number in self.ports.items()}
        self.commands = {
            "demo": ["demo", "serve", "--http-port", port["http"], "--tcp-port", port["tcp"]],
            "sla": ["sla", "--port", port["sla"]],
            "billing": ["billing", "serve"],
            "probe": ["probe", "--config", str(probes), "--location", "here", "--port", port["probe"]],
        }
        self.env = {
            **os.environ,
            "GARANT_HOME": str(home),
            "GARANT_BILLING_PORT": port["billing"],
            "GARANT_BILLING_TOKEN": TOKEN,
            "GARANT_SLA_SNAPSHOT_EVERY_S": "0.5",
            "GARANT_SLA_STATE_SAVE_EVERY_S": "0.5",
        }

    def start(self, name: str) -> None:
        with (self.home / f"{name}.log").open("ab") as log:
            self.processes[name] = subprocess.Popen(
                [GARANT, *self.commands[name]], env=self.env, stdout=log, stderr=subprocess.STDOUT
            )

    def kill(self, name: str) -> None:
        self.processes[name].kill()
        self.processes[name].wait()

    def ready(self, name: str) -> bool:
        assert self.processes[name].poll() is None, (self.home / f"{name}.log").read_text()
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.ports[name]}/ready", timeout=2, trust_env=False)
        except httpx.HTTPError:
            return False
        return answer.status_code == 200

    def billing(self, method: str, path: str, body: Any = None) -> Any:
        answer = httpx.request(
            method,
            f"http://127.0.0.1:{self.ports['billing']}{path}",
            json=body,
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=20,
            trust_env=False,
        )
        assert answer.status_code < 400, answer.text
        return answer.json()

    def records(self, topic: Topic) -> list[dict[str, Any]]:
        return [json.loads(record.value or b"{}") for record in read_topic(self.settings, topic)]

    def state(self) -> str | None:
        changes = [fact for fact in self.records(UPTIME_CHANGES) if fact["type"] == "TargetStateChanged"]
        return max(changes, key=lambda fact: str(fact["at"]))["state"] if changes else None


@pytest.fixture
def installation(topics: KafkaSettings, tmp_path: Path) -> Iterator[Installation]:
    found = Installation(topics, tmp_path)
    yield found
    for process in found.processes.values():
        process.kill()
        process.wait()


def every_cut_counts(today: date) -> TermsPublished:
    """Terms in force from today on under which no cut is too short for a credit: no test waits 24 hours."""
    return published(terms_with(longer_than_hours=0), "every-cut", today.isoformat())


def test_a_real_cut_is_deducted_from_the_next_invoice_whatever_is_killed(installation: Installation) -> None:
    """The application, the SLA service and billing die by kill -9 in the middle of it; the credit is booked
    once, to the rappen, and stands on the next invoice."""
    it = installation
    today = local_date(time.time_ns() // 1_000_000, ZONE)
    asyncio.run(publish_facts(it.settings, [every_cut_counts(today)], "/test"))
    for name in ("demo", "sla", "billing", "probe"):
        it.start(name)
    for name in ("sla", "billing", "probe"):
        eventually(lambda name=name: it.ready(name))
    subscription = {
        "account": "A-1",
        "subscription": "S-1",
        "deployment": "cloud",
        "targets": ["shop"],
        "price": "300.00",
        "term": "month",
        "starts_on": today.replace(day=1).isoformat(),
        "language": "fr",
    }
    it.billing("POST", "/subscriptions", subscription)
    eventually(lambda: it.state() == "up")

    it.kill("demo")
    eventually(lambda: it.state() == "down")
    it.kill("sla")
    it.kill("billing")
    it.start("sla")
    it.start("billing")
    time.sleep(1)
    it.start("demo")
    eventually(lambda: it.records(CREDITS))
    it.kill("sla")
    it.kill("billing")
    it.start("sla")
    it.start("billing")
    eventually(lambda: it.ready("billing") and it.ready("sla"))

    credit = it.records(CREDITS)[0]
    began = local_date(parse_instant(credit["period"]), ZONE)
    days = calendar.monthrange(began.year, began.month)[1]
    expected = f"{(30_000 * 2 + days) // (2 * days) / 100:.2f}"
    assert (credit["type"], credit["cause"], credit["total"]) == ("CreditGranted", "outage", expected)

    def deductions() -> list[dict[str, Any]]:
        draft = it.billing("GET", "/subscriptions/S-1/next-invoice")
        return [line for line in draft["lines"] if line["credit"]]

    (line,) = eventually(deductions)
    assert (line["credit"], line["amount"]) == (credit["credit"], f"-{expected}")
    ledger = it.billing("GET", "/subscriptions/S-1/ledger")
    assert [entry["credit"] for entry in ledger] == [credit["credit"]]

    next_term = (today.replace(day=1) + timedelta(days=32)).replace(day=1)
    it.billing("POST", "/invoices", {"through": next_term.isoformat()})
    invoice = it.billing("GET", "/subscriptions/S-1/invoices")[-1]
    assert invoice["term_start"] == next_term.isoformat()
    assert invoice["total"] == f"{(30_000 - round(float(expected) * 100)) / 100:.2f}"
    assert [entry["open"] for entry in it.billing("GET", "/subscriptions/S-1/credits")] == ["0.00"]

    said = {record.value for topic in (CREDITS, MONTHS, QUOTA) for record in read_topic(it.settings, topic)}
    assert said == {spoken.data for _, each in replay_journal(it.settings) for spoken in each}
