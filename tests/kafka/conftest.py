"""What several tests on a real broker need."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from kafka import KafkaProducer

from shared.settings import KafkaSettings
from shared.topics import Topic


@pytest.fixture
def produce(topics: KafkaSettings) -> Callable[..., None]:
    """Puts raw bytes on a topic, as a stranger's producer would."""

    def put(topic: Topic, key: bytes, value: bytes, **headers: bytes) -> None:
        producer = KafkaProducer(bootstrap_servers=topics.bootstrap, retries=20)
        producer.send(topics.topic(topic), key=key, value=value, headers=list(headers.items())).get(10)
        producer.close()

    return put
