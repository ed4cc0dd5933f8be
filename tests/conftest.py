"""A real Kafka for every test that asks for one: named in the environment, or Docker's, or a local one.

No test is skipped for want of a broker: where none can be had, the tests that need it fail with the reason.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from rich.console import Console

from services.cli.local.broker import open_broker
from services.cli.local.config import DEPLOY, BrokerFailed, BrokerSettings
from services.cli.local.jars import fetch_jars, read_lock
from services.cli.local.local_kafka import LocalKafka, start_local_kafka
from services.cli.local.ports import free_port
from shared.kafka import BrokerUnreachable
from shared.security import blocking_arguments
from shared.settings import KafkaSettings
from shared.topic_admin import ensure_topics
from tests.mail.relay import Relay
from tests.mail.servers import MailServer, kinds, mail_server

for _client in (KafkaAdminClient, KafkaConsumer, KafkaProducer):  # two seconds are too few on a busy machine
    _client.DEFAULT_CONFIG["api_version_auto_timeout_ms"] = 30_000

_console = Console(file=sys.__stderr__)

StartKafka = Callable[..., LocalKafka]
StartMail = Callable[..., MailServer]


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a broker that lives as long as the test run, e.g. "127.0.0.1:34567"."""
    try:
        broker = open_broker(tmp_path_factory.mktemp("kafka"), free_port(), _console, keep=False)
    except (BrokerFailed, BrokerUnreachable) as error:
        pytest.fail(f"no Kafka for the tests: {error}", pytrace=False)
    # A dead instance is missed sooner, where the broker is ours and allows it.
    if isinstance(broker, LocalKafka):
        os.environ.setdefault("GARANT_KAFKA_SESSION_S", "4")
    yield broker.bootstrap
    broker.stop()


@pytest.fixture
def kafka_settings(kafka: str, monkeypatch: pytest.MonkeyPatch) -> KafkaSettings:
    """Settings of an installation of its own on the shared broker: every topic and group has a prefix that
    no other test has. The environment says the same, for processes that the test starts."""
    prefix = f"t{uuid.uuid4().hex[:10]}-"
    monkeypatch.setenv("GARANT_KAFKA_BOOTSTRAP", kafka)
    monkeypatch.setenv("GARANT_KAFKA_PREFIX", prefix)
    return KafkaSettings()


@pytest.fixture
def topics(kafka_settings: KafkaSettings) -> Iterator[KafkaSettings]:
    """`kafka_settings` with all topics of the registry made, empty; they are deleted after the test."""
    ensure_topics(kafka_settings)
    yield kafka_settings
    admin = KafkaAdminClient(**blocking_arguments(kafka_settings))
    try:
        admin.delete_topics([name for name in admin.list_topics() if name.startswith(kafka_settings.prefix)])
    finally:
        admin.close()


@pytest.fixture
def start_kafka(tmp_path: Path) -> Iterator[StartKafka]:
    """`start_kafka(data=None, port=None, properties=None)`: a broker process of the test's own, to stop, kill
    and start again on the same data; whatever still runs is stopped after the test."""
    started: list[LocalKafka] = []
    settings = BrokerSettings()
    jars = fetch_jars(
        read_lock(DEPLOY / "jars.lock"),
        settings.cache.expanduser() / "kafka",
        settings.maven_url,
        _console,
    )

    def start(
        data: Path | None = None, port: int | None = None, properties: Mapping[str, str] | None = None
    ) -> LocalKafka:
        broker = start_local_kafka(
            data or tmp_path / "kafka", port or free_port(), jars, _console.print, properties
        )
        started.append(broker)
        return broker

    yield start
    for broker in started:
        broker.stop()


@pytest.fixture
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No GARANT_ variable of the shell that runs the tests is seen by the test."""
    for name in [name for name in os.environ if name.startswith("GARANT_") and name != "GARANT_CACHE"]:
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.fixture(scope="session")
def mail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailServer]:
    """A mail server that lives as long as the test run: Postfix and Dovecot where they can run, else
    `garant mailbox`; `GARANT_TEST_MAIL`=python or debian decides. Take addresses of your own: `new_user`."""
    server = mail_server(kinds()[0], tmp_path_factory.mktemp("mail"))
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture
def start_mail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartMail]:
    """`start_mail(kind=None)`: a mail server of the test's own, to stop, kill and start again; whatever still
    runs is stopped after the test."""
    started: list[MailServer] = []

    def start(kind: str | None = None) -> MailServer:
        server = mail_server(kind or kinds()[0], tmp_path_factory.mktemp("mail"))
        started.append(server)
        server.start()
        return server

    yield start
    for server in started:
        server.remove()


@pytest.fixture
def relay() -> Iterator[Relay]:
    """An SMTP server that can be told to answer, wait or hang up; it runs."""
    server = Relay()
    server.start()
    yield server
    server.stop()
