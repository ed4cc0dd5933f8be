"""Services as processes on a broker that knows its users, each as the user it has."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import httpx
from kafka import KafkaAdminClient

from services.cli.local.ports import HOST, free_port
from tests.kafka.conftest import GARANT
from tests.kafka.secure_kafka import SecureKafka

TOKEN = "token-of-the-test"  # noqa: S105


class Installation:
    """Every service as a process of its own, each as the user it has; logs are in `directory`."""

    def __init__(self, secure: SecureKafka, prefix: str, directory: Path) -> None:
        self.secure, self.prefix, self.directory = secure, prefix, directory
        self.ports = {name: free_port() for name in ("sla", "billing", "support", "notify")}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, service: str) -> None:
        env = {
            **os.environ,
            **self.secure.environment(service, self.prefix, CHECK_EVERY_S="0.5", WAIT_S="60"),
            "GARANT_HOME": str(self.directory),
            f"GARANT_{service.upper()}_PORT": str(self.ports[service]),
            f"GARANT_{service.upper()}_TOKEN": TOKEN,
            "GARANT_NOTIFY_SUPPORT_TOKEN": TOKEN,
            "GARANT_NOTIFY_SMTP_HOST": HOST,
            "GARANT_NOTIFY_SMTP_PORT": "9",  # nobody: there is nobody to write to either
            "GARANT_SLA_STATE_SAVE_EVERY_S": "0.2",
            "GARANT_SLA_SNAPSHOT_EVERY_S": "0.3",
        }
        command = [GARANT, service] if service == "sla" else [GARANT, service, "serve"]
        with self.log(service).open("ab") as log:
            self.processes[service] = subprocess.Popen(command, env=env, stdout=log, stderr=log)

    def log(self, service: str) -> Path:
        return self.directory / f"{service}.log"

    def ready(self, service: str) -> bool:
        assert self.processes[service].poll() is None, self.log(service).read_text()
        try:
            url = f"http://{HOST}:{self.ports[service]}/ready"
            return httpx.get(url, timeout=5, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def ask(self, service: str, method: str, path: str, body: Any = None) -> Any:
        answer = httpx.request(
            method,
            f"http://{HOST}:{self.ports[service]}{path}",
            json=body,
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=60,
            trust_env=False,
        )
        assert answer.status_code < 400, answer.text
        return answer.json()

    def credits(self) -> dict[str, str]:
        rows = self.ask("billing", "GET", "/subscriptions/S-1/credits")
        return {row["credit"]: row["granted"] for row in rows}

    def positions(self, group: str) -> set[str]:
        """The topics of which the group has committed a position."""
        admin = KafkaAdminClient(bootstrap_servers=self.secure.plain)
        try:
            found = admin.list_consumer_group_offsets(f"{self.prefix}garant-{group}")
            return {place.topic.removeprefix(self.prefix) for place in found}
        finally:
            admin.close()
