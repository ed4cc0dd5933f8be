"""What stands around a service under test: a broker, a mail server, a relay, and who starts processes."""

from __future__ import annotations

import os
import subprocess
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import Engine, func, select

from shared.settings import KafkaSettings
from shared.topic_admin import ensure_topics
from tests.faults.prepared import Own, Prepared, Process
from tests.faults.small_disk import SmallDisk
from tests.mail.relay import Relay
from tests.mail.servers import MailServer

WITHIN_S: Final = 90.0
QUIET_S: Final = 0.7
Running = Process | subprocess.Popen[bytes]


class Around(NamedTuple):
    """What the services of one module of tests share."""

    starter: Prepared | Own
    bootstrap: str
    server: MailServer
    relay: Relay


class Place(NamedTuple):
    """Where a service keeps its things: in `home`, or on `disk`; or its database at `url`."""

    home: Path
    disk: SmallDisk | None = None
    url: str = ""

    @property
    def folder(self) -> Path:
        """GARANT_HOME."""
        return self.home if self.disk is None else self.disk.folder

    def env(self, service: str) -> dict[str, str]:
        """What the service is told of it."""
        url = {f"GARANT_{service}_DATABASE_URL": self.url} if self.url else {}
        return {"GARANT_HOME": str(self.folder)} | url


def own_topics(bootstrap: str) -> KafkaSettings:
    """An installation of its own on a broker, its topics made, of one partition each."""
    kafka = KafkaSettings(
        bootstrap=bootstrap, prefix=f"f{uuid.uuid4().hex[:10]}-", target_partitions=1, account_partitions=1
    )
    ensure_topics(kafka)
    return kafka


def kafka_env(kafka: KafkaSettings) -> dict[str, str]:
    """An environment without anything of Garant's but `kafka`."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("GARANT_")},
        "GARANT_KAFKA_BOOTSTRAP": kafka.bootstrap,
        "GARANT_KAFKA_PREFIX": kafka.prefix,
        "GARANT_KAFKA_TARGET_PARTITIONS": str(kafka.target_partitions),
        "GARANT_KAFKA_ACCOUNT_PARTITIONS": str(kafka.account_partitions),
    }


def mail_env(around: Around, address: str) -> dict[str, object]:
    """The settings of mail that support and notify have alike."""
    server, relay = around.server, around.relay
    return {
        **{"ADDRESS": address, "IMAP_HOST": server.host, "IMAP_PORT": server.imap_port, "IMAP_TLS": "none"},
        **{"IMAP_PASSWORD": server.users[address], "IMAP_POLL_S": 2, "SETTLE_S": 0.5},
        **{"SMTP_HOST": relay.host, "SMTP_PORT": relay.port},
    }


def rows(engine: Engine, table: Any, *where: Any) -> int:
    """How many rows of the table are so."""
    with engine.connect() as connection:
        return int(connection.execute(select(func.count()).select_from(table).where(*where)).scalar_one())


def letters_taken(relay: Relay, address: str, since: int) -> Counter[str]:
    """How often the relay took each letter from `address`, by Message-ID; markers are sent to ourselves."""
    return Counter(
        one.message_id
        for one in relay.accepted[since:]
        if one.mail_from == address and one.recipients[0] != address
    )


def until(met: Callable[[], bool], process: Running, said: Callable[[], str]) -> None:
    """Returns once it is so; fails where the process ends or it takes too long."""
    deadline = time.monotonic() + WITHIN_S
    while not met():
        assert process.poll() is None, f"it ended with {process.poll()}:\n{said()}"
        assert time.monotonic() < deadline, f"it did not happen in {WITHIN_S:g} s:\n{said()}"
        time.sleep(0.3)


def dies(process: Running, point: str, said: Callable[[], str]) -> None:
    """Waits for its death by SIGKILL at `point`; fails where that is never reached."""
    try:
        status = process.wait(WITHIN_S)
    except (TimeoutError, subprocess.TimeoutExpired):
        raise AssertionError(f"{point} was not reached:\n{said()}") from None
    assert status == -9, f"{point} was not reached, it ended with {status}:\n{said()}"


def end_of(log: Path) -> int:
    """Where the last whole line of `log` ends, in bytes."""
    return log.read_bytes().rfind(b"\n") + 1


def complaints(log: Path, since: int) -> list[str]:
    """What was said since then, but for the log's own lines: what a person is told."""
    lines = log.read_bytes()[since:].decode().splitlines()
    return [line for line in lines if not line.startswith("{")]


def in_turn(addresses: list[str]) -> Callable[[], AbstractContextManager[str]]:
    """Lends each address to one at a time."""
    lock = threading.Lock()

    @contextmanager
    def lend() -> Iterator[str]:
        with lock:
            address = addresses.pop()
        try:
            yield address
        finally:
            with lock:
                addresses.append(address)

    return lend
