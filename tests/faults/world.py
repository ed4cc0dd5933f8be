"""An installation to be broken: broker, PostgreSQL and instances of services, each a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import pgserver
from rich.console import Console

from services.cli.local.config import DEPLOY, BrokerSettings
from services.cli.local.jars import fetch_jars, read_lock
from services.cli.local.local_kafka import LocalKafka, start_local_kafka
from services.cli.local.ports import HOST, free_port
from services.cli.up.tether import ends_with_starter
from shared.settings import KafkaSettings
from shared.topic_admin import ensure_topics
from tests.faults.installation import Broken, declare
from tests.faults.killed_postgres import Postgres
from tests.faults.shifted import step
from tests.faults.small_disk import SmallDisk
from tests.faults.wire import Wire

TOKEN = "token-of-the-faults"  # noqa: S105
READY_S = 240.0
SLA, BILLING = ("sla-1", "sla-2", "sla-3"), ("billing-1", "billing-2")
SESSION_S = 5.0
"""After so long without a word Kafka gives an instance's partitions away."""


class Instance:
    """One instance of a service. `start` starts it (again), with `extra` in its environment."""

    def __init__(self, name: str, home: Path, env: Mapping[str, str], clock: Path) -> None:
        self.name = name
        self.port = free_port()
        self.log = home / f"{name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self.paused = False
        self.extra: dict[str, str] = {}
        """What was in its environment beside the usual when it was started last."""
        service = name.partition("-")[0]
        argv = (
            ["sla", "--port", str(self.port)]
            if service == "sla"
            else ["billing", "serve", "--port", str(self.port)]
        )
        self._argv = [sys.executable, "-m", "tests.faults.shifted", str(clock), "--", "garant", *argv]
        self._env = {**os.environ, **env, "GARANT_HOME": str(home / name), "PYTHONUNBUFFERED": "1"}

    def start(self, **extra: str) -> None:
        self.extra = extra
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._argv,
                env={**self._env, **extra},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                preexec_fn=ends_with_starter(),
            )

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def ready(self) -> bool:
        if not self.alive or self.paused:
            return False
        try:
            return (
                httpx.get(f"http://{HOST}:{self.port}/ready", timeout=2, trust_env=False).status_code == 200
            )
        except httpx.HTTPError:
            return False

    def kill(self) -> None:
        """kill -9, and waits for its end."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self.paused = False

    def stop(self) -> None:
        """Asks it to stop in order, and waits."""
        assert self.process is not None
        self.process.terminate()
        try:
            self.process.wait(40)
        except subprocess.TimeoutExpired:
            raise Broken(f"{self.name} did not stop within 40 s; its log: {self.log}") from None

    def pause(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        self.paused = True

    def resume(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)
        self.paused = False


class World:
    """Everything, started by `open`. `names` are the instances; the last of the SLA service has a wire. The
    broker's data is on `disk`, where that is given."""

    def __init__(
        self, home: Path, names: tuple[str, ...] = (*SLA, *BILLING), disk: SmallDisk | None = None
    ) -> None:
        self.home = home
        self.names = names
        self.disk = disk
        self.data = (disk.folder if disk else home) / "kafka"
        self.instances: dict[str, Instance] = {}
        self.clock = home / "clock"
        self._ports = {name: free_port() for name in ("near", "far", "controller")}
        self._console = Console(file=sys.stderr, quiet=True)
        broker = BrokerSettings()
        self._jars = fetch_jars(
            read_lock(DEPLOY / "jars.lock"),
            broker.cache.expanduser() / "kafka",
            broker.maven_url,
            self._console,
        )
        self.kafka: LocalKafka | None = None

    def open(self) -> None:
        self.wire = Wire(self._ports["far"])
        self.start_broker()
        # Not in `home`: the server is another user where this one is root, and pytest's folders are private.
        books = Path(tempfile.mkdtemp(prefix="garant-postgres-"))
        self._server: Any = pgserver.get_server(books, cleanup_mode="delete")
        self.postgres = Postgres(self._server)
        self.database = self.postgres.url
        self.settings = KafkaSettings(bootstrap=self.bootstrap, wait_s=60)
        ensure_topics(self.settings)
        for name in self.names:
            through_wire = name == SLA[-1]
            env = {
                "GARANT_KAFKA_BOOTSTRAP": f"{HOST}:{self.wire.port}" if through_wire else self.bootstrap,
                "GARANT_KAFKA_WAIT_S": "600",
                "GARANT_KAFKA_SESSION_S": f"{SESSION_S:g}",
                "GARANT_SLA_INSTANCE": name if name == SLA[0] else "",  # others have to be given up first
                "GARANT_SLA_STATE_SAVE_EVERY_S": "0.5",
                "GARANT_SLA_SNAPSHOT_EVERY_S": "1",
                "GARANT_BILLING_TOKEN": TOKEN,
                "GARANT_BILLING_DATABASE_URL": self.database,
                "GARANT_BILLING_ISSUE_EVERY_S": "3600",
                "GARANT_BILLING_CAP_PER_ACCOUNT_DAY": "none",
                "GARANT_BILLING_CAP_PER_DAY": "none",
            }
            (self.home / name).mkdir()
            self.instances[name] = Instance(name, self.home, env, self.clock)
            self.instances[name].start()
        self.wait_until_ready()

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self._ports['near']}"

    def start_broker(self) -> None:
        ports, far = self._ports, self.wire.port
        self.kafka = start_local_kafka(
            self.data,
            ports["near"],
            self._jars,
            lambda _: None,
            {
                "listeners": f"PLAINTEXT://{HOST}:{ports['near']},FAR://{HOST}:{ports['far']},"
                f"CONTROLLER://{HOST}:{ports['controller']}",
                "advertised.listeners": f"PLAINTEXT://{HOST}:{ports['near']},FAR://{HOST}:{far}",
                "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,FAR:PLAINTEXT,CONTROLLER:PLAINTEXT",
                "controller.quorum.voters": f"1@{HOST}:{ports['controller']}",
            },
        )

    def wait_for_broker_s_end(self, within_s: float) -> None:
        """Returns once the broker has stopped by itself; services are revived meanwhile."""
        assert self.kafka is not None
        deadline = time.monotonic() + within_s
        while self.kafka.alive():
            if time.monotonic() > deadline:
                raise Broken(f"the broker goes on after {within_s:g} s")
            self.revive()
            time.sleep(0.2)

    def kill_broker(self) -> None:
        """kill -9 of the broker."""
        assert self.kafka is not None
        assert self.kafka.process is not None
        self.kafka.process.kill()
        self.kafka.process.wait()

    def kill_database(self) -> None:
        """kill -9 of the postmaster and every backend."""
        self.postgres.kill()

    def start_database(self) -> None:
        self.postgres.start()

    def revive(self) -> None:
        """Starts again whatever has ended, as a supervisor does."""
        for one in self.instances.values():
            if not one.alive:
                one.start()

    def wait_until_ready(self, within_s: float = READY_S) -> None:
        """Revives, and returns once everybody is ready."""
        deadline = time.monotonic() + within_s
        while waiting := [one for one in self.instances.values() if not one.ready()]:
            if time.monotonic() > deadline:
                tails = "\n".join(f"{one.name}: {one.log.read_text()[-1500:]}" for one in waiting)
                raise Broken(f"not ready within {within_s:g} s: {tails}")
            self.revive()
            time.sleep(0.25)

    def step_clock(self, seconds: float) -> None:
        """The wall clocks of all instances are off by `seconds` from now on."""
        step(self.clock, seconds)

    def call_billing(self, path: str, body: object, key: str) -> None:
        """POSTs to any billing instance until one has accepted it: the same `key` counts once."""

        def urls() -> list[str]:
            billing = (one for name, one in self.instances.items() if name.startswith("billing"))
            return [f"http://{HOST}:{one.port}" for one in billing]

        declare(urls, TOKEN, path, body, key)

    def close(self) -> None:
        for one in self.instances.values():
            one.kill()
        self.wire.close()
        if self.kafka is not None:
            self.kill_broker()
        self._server.cleanup()


def eventually(check: Callable[[], object], within_s: float, what: str) -> None:
    """Returns once `check` is true. Raises Broken."""
    deadline = time.monotonic() + within_s
    while not check():
        if time.monotonic() > deadline:
            raise Broken(f"{what} did not happen within {within_s:g} s")
        time.sleep(0.2)
