"""What released versions left behind, and a broker that has it."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaAdminClient
from msgspec import Struct

from shared.kafka import Record
from shared.settings import KafkaSettings
from shared.topics import TOPICS, Topic
from tests.upgrade import kept
from tests.upgrade.processes import GARANT, Service

FIXTURES = Path(__file__).parent / "fixtures"


class Left(Struct, frozen=True):
    """What one version left behind. `saved` is the last offset in the folds' states, by topic and partition;
    `written_at` (ms) the instant of `answers`."""

    folder: Path
    partitions: int
    written_at: int
    saved: dict[str, dict[int, int]]

    def records(self, topic: Topic) -> list[Record]:
        """Every record of the topic."""
        return kept.kept(self.folder / "topics", topic)

    def behind(self, settings: KafkaSettings, *topics: Topic) -> dict[Topic, list[Record]]:
        """What stands on the topics now behind what that version left there."""
        starts = {topic: dict.fromkeys(range(settings.partitions(topic)), 0) for topic in topics}
        for topic, each in starts.items():
            each.update({record.partition: record.offset + 1 for record in self.records(topic)})
        return kept.read_from(settings, starts)

    def answers(self, service: str) -> dict[str, Any]:
        """What that version's service answered about its database, by path."""
        found: dict[str, Any] = json.loads((self.folder / f"{service}.answers.json").read_text("utf-8"))
        return found


def _left(version: str) -> Left:
    about = json.loads((FIXTURES / version / "about.json").read_text())
    saved = {
        topic: {int(partition): offset for partition, offset in each.items()}
        for topic, each in about["saved"].items()
    }
    return Left(FIXTURES / version, about["partitions"], about["written_at"], saved)


@pytest.fixture(params=sorted(folder.name for folder in FIXTURES.iterdir()))
def left(request: pytest.FixtureRequest) -> Left:
    """What each released version left behind, one after the other."""
    return _left(request.param)


@pytest.fixture
def put_back(kafka: str, left: Left) -> Iterator[KafkaSettings]:
    """An installation of the test's own on which every record of that version stands where it stood."""
    settings = KafkaSettings(
        bootstrap=kafka,
        prefix=f"u{uuid.uuid4().hex[:10]}-",
        target_partitions=left.partitions,
        account_partitions=left.partitions,
    )
    kept.make_topics(settings)
    kept.put_back(settings, left.folder / "topics")
    yield settings
    admin = KafkaAdminClient(bootstrap_servers=kafka)
    try:
        admin.delete_topics([settings.topic(topic) for topic in TOPICS])
    finally:
        admin.close()


Start = Callable[..., Service]


@pytest.fixture
def start(put_back: KafkaSettings, tmp_path: Path) -> Iterator[Start]:
    """`start(NAME, *ARGUMENTS, ready, code, **ENVIRONMENT)`: a service of this version on that installation,
    its home is `tmp_path`; what still runs is killed after the test."""
    running: list[Service] = []

    def begin(name: str, *arguments: str, ready: str = "/ready", code: str = GARANT, **env: str) -> Service:
        service = Service(name, put_back, tmp_path, env, *arguments, code=code)
        running.append(service)
        if ready:
            service.wait(ready)
        return service

    yield begin
    for service in running:
        service.kill()
