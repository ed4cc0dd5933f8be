"""The services of this checkout as processes, each to start, ask, stop and kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from services.cli.local.ports import free_port
from shared.settings import KafkaSettings
from tests.upgrade.books import TOKEN
from tests.waiting import eventually

CHECKOUT = Path(__file__).parents[2]
GARANT = "from services.cli.main import run; run()"


class Service:
    """One process of `garant NAME`, with its HTTP API on a port of its own and its log in `home`; it runs
    `code`."""

    def __init__(
        self,
        name: str,
        kafka: KafkaSettings,
        home: Path,
        env: dict[str, str],
        *arguments: str,
        code: str = GARANT,
    ) -> None:
        self.name = name
        self.port = free_port()
        self.log = home / f"{name}-{self.port}.log"
        told = ["--port", str(self.port)] if name == "probe" else []  # it has no setting for it
        command = [sys.executable, "-c", code, name, *arguments, *told]
        with self.log.open("wb") as out:
            self.process = subprocess.Popen(
                command,
                cwd=CHECKOUT,
                env={
                    **os.environ,
                    "PYTHONPATH": str(CHECKOUT),
                    "GARANT_HOME": str(home),
                    "GARANT_KAFKA_BOOTSTRAP": kafka.bootstrap,
                    "GARANT_KAFKA_PREFIX": kafka.prefix,
                    "GARANT_KAFKA_TARGET_PARTITIONS": str(kafka.target_partitions),
                    "GARANT_KAFKA_ACCOUNT_PARTITIONS": str(kafka.account_partitions),
                    f"GARANT_{name.upper()}_TOKEN": TOKEN,
                    f"GARANT_{name.upper()}_PORT": str(self.port),
                    **env,
                },
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    def answers(self, path: str = "/ready") -> bool:
        """Whether GET of `path` succeeds. Fails where the process has ended."""
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended with {self.process.returncode}: {self.said()}")
        try:
            return httpx.get(self._url(path), timeout=2, trust_env=False).status_code == 200
        except httpx.HTTPError:
            return False

    def wait(self, path: str = "/ready", within_s: float = 120) -> None:
        """Returns once GET of `path` succeeds; fails with its log after `within_s`."""
        try:
            eventually(lambda: self.answers(path), within_s)
        except AssertionError as error:
            raise AssertionError(f"{self.name}: {error}: {self.said()}") from error

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """What its HTTP API answers; fails where it refuses."""
        answer = httpx.request(
            method,
            self._url(path),
            json=body,
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=20,
            trust_env=False,
        )
        if answer.status_code >= 400:
            raise AssertionError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json() if answer.content else None

    def said(self) -> str:
        """Its log so far."""
        return self.log.read_text("utf-8")

    def stop(self) -> None:
        """Asks it to stop and fails unless it ends in order."""
        self.process.send_signal(signal.SIGTERM)
        if self.process.wait(30) != 0:
            raise AssertionError(f"{self.name} ended with {self.process.returncode}: {self.said()}")

    def kill(self) -> None:
        """Ends it at once, if it still runs."""
        self.process.kill()
        self.process.wait()

    def _url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"
