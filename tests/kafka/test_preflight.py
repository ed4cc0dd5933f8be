"""`garant preflight` beside a real broker that knows its users, and a real PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from kafka import KafkaAdminClient
from kafka.admin import NewTopic

from services.cli.acls import apply
from services.cli.preflight.given import KINDS
from shared.access import ACCESS
from shared.rights import Refused, check_rights
from shared.security import blocking_arguments
from shared.settings import KafkaSettings
from shared.topic_admin import ensure_topics, look
from shared.topics import CREDITS, TOPICS
from tests.core.billing_books import empty_url
from tests.kafka.conftest import GARANT
from tests.kafka.secure_kafka import SecureKafka, secure_kafka
from tests.waiting import eventually

PASSWORD = "swordfish"  # noqa: S105
SERVICES = tuple(KINDS)


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    with secure_kafka(tmp_path_factory.mktemp("secure")) as found:
        yield found


class Installation:
    """What a platform team has made for an installation of this `prefix`: users, databases, secrets."""

    def __init__(self, secure: SecureKafka, prefix: str, folder: Path, urls: dict[str, str]) -> None:
        self.secure, self.prefix, self.folder = secure, prefix, folder
        self.above = secure.super_user(prefix)
        for service, kind in KINDS.items():
            secure.let_in(service, prefix, f"{PASSWORD}-{service}")
            self.put(service, "kafka-password", f"{PASSWORD}-{service}")
            if kind.keeping is not None:
                self.put(service, "database-url", urls[service])
                self.put(service, "token", f"{PASSWORD}-token")

    def put(self, service: str, key: str, value: str) -> None:
        (self.folder / service).mkdir(parents=True, exist_ok=True)
        (self.folder / service / key).write_text(value + "\n")

    def give_rights(self) -> None:
        apply(self.above)
        eventually(self._rights_are_known)

    def _rights_are_known(self) -> bool:
        try:
            for service in SERVICES:
                asyncio.run(check_rights(self.secure.settings(service, self.prefix), ACCESS[service]))
        except Refused:
            return False
        return True

    def looked(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """What `garant preflight` says, with the environment that all services have in common."""
        env = self.secure.environment("sla", self.prefix, **more)
        for own in ("USERNAME", "PASSWORD_FILE"):
            del env[f"GARANT_KAFKA_{own}"]
        found = subprocess.run(
            [GARANT, "preflight", "--secrets", str(self.folder), *arguments],
            env={**os.environ, "GARANT_HOME": str(self.folder / "home"), **env},
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert PASSWORD not in found.stdout + found.stderr
        assert "Traceback" not in found.stderr, found.stderr
        assert not (self.folder / "home").exists()
        return found

    def names(self) -> set[str]:
        return set(asyncio.run(look(self.above)).topics)


@pytest.fixture
def made(secure: SecureKafka, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Installation]:
    with ExitStack() as stack:
        stored = [name for name, kind in KINDS.items() if kind.keeping is not None]
        urls = {name: stack.enter_context(empty_url("postgresql", tmp_path)) for name in stored}
        prefix = f"{request.node.originalname.replace('_', '-')[:40]}-"
        yield Installation(secure, prefix, tmp_path / "secrets", urls)


def errors(found: subprocess.CompletedProcess[str]) -> list[str]:
    return [line for line in found.stderr.splitlines() if line.startswith("error: ")]


def test_before_the_first_install_only_the_topics_are_missing_and_may_follow(made: Installation) -> None:
    made.give_rights()
    found = made.looked("--several", "--topics-follow")
    assert found.returncode == 0, found.stderr
    assert found.stdout.split() == [word for name in SERVICES for word in ("ok:", name)]
    found = made.looked("--several")
    assert found.returncode == 1
    (line,) = errors(found)
    assert line.startswith(f"error: kafka: Topics are missing: {made.prefix}probe.results, ")
    assert "`garant topics apply` as an administrator" in line
    assert made.names() == set(), "looking makes nothing"
    ensure_topics(made.above)
    found = eventually(lambda: (got := made.looked("--several")).returncode == 0 and got)
    assert errors(found) == []


def test_each_mistake_of_each_service_is_a_line_and_the_others_are_well(made: Installation) -> None:
    made.give_rights()
    ensure_topics(made.above)
    made.put("billing", "kafka-password", f"{PASSWORD}-of-yesterday")
    made.put("support", "kafka-username", f"{made.prefix}garant-probe")
    made.put("support", "kafka-password", f"{PASSWORD}-probe")
    (made.folder / "notify" / "token").unlink()
    found = made.looked("--several", "--topics-follow")
    assert found.returncode == 1
    billing, support, notify = errors(found)
    assert billing.startswith("error: billing: The broker at ")
    assert f"does not know user {made.prefix}garant-billing with this password" in billing
    assert (
        f"does not allow user {made.prefix}garant-probe to read group {made.prefix}garant-support" in support
    )
    assert notify.startswith("error: notify: no token for those who call it: put it under the key token into")
    assert [line for line in found.stdout.splitlines() if line.startswith("ok: ")] == [
        "ok: sla",
        "ok: status",
        "ok: probe",
    ]


def test_topics_laid_out_otherwise_are_told_once(made: Installation) -> None:
    made.give_rights()
    admin = KafkaAdminClient(**blocking_arguments(made.above))
    admin.create_topics([NewTopic(made.above.topic(CREDITS), 4, 1)])
    admin.close()
    ensure_topics(made.above.model_copy(update={"account_partitions": 4}), None)
    found = eventually(
        lambda: len(errors(got := made.looked("billing", "sla", "--topics-follow"))) > 1 and got
    )
    lines = errors(found)
    assert len(set(lines)) == len(lines)
    assert [
        line for line in lines if f"Topic {made.above.topic(CREDITS)} has 4 partitions, the settings" in line
    ]
    assert all(line.startswith("error: kafka: Topic ") for line in lines)


def test_too_few_brokers_are_told_once(made: Installation) -> None:
    made.give_rights()
    few = made.looked("sla", "--topics-follow", REPLICATION="3")
    (line,) = errors(few)
    assert few.returncode == 1
    assert "GARANT_KAFKA_REPLICATION is 3, but the Kafka at" in line
    assert "has 1 broker." in line
    ensure_topics(made.above)
    eventually(lambda: made.names() == {made.above.topic(topic) for topic in TOPICS})
    existing = made.looked("status", "--topics-follow", REPLICATION="3")
    (line,) = errors(existing)  # not one more for each topic
    assert "has 1 broker." in line


def test_without_users_everything_is_looked_at_and_missing_topics_are_made_later(
    kafka_settings: KafkaSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GARANT_HOME", str(tmp_path / "home"))

    def looked(**more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [GARANT, "preflight"], env={**os.environ, **more}, capture_output=True, text=True, timeout=240
        )

    assert looked().returncode == 0
    few = looked(GARANT_KAFKA_REPLICATION="2")
    assert few.returncode == 1
    assert len(errors(few)) == 1
    assert asyncio.run(look(kafka_settings)).topics == {}
    assert not (tmp_path / "home").exists()
