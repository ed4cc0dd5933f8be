"""The broker that Garant starts where there is neither Docker nor Java: real processes, real records."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from rich.console import Console

from services.cli.local.broker import NamedBroker, open_broker
from services.cli.local.config import BrokerFailed
from services.cli.local.local_kafka import find_running
from services.cli.local.ports import accepts, free_port
from services.cli.up.tether import command_line
from shared.kafka import BrokerUnreachable
from shared.settings import KafkaSettings
from shared.topic_admin import ensure_topics, topic_settings
from shared.topics import JOURNAL, PROBE_RESULTS, TERMS_EVENTS
from tests.conftest import StartKafka

CONSOLE = Console(stderr=True)


def _say(bootstrap: str, topic: str, value: bytes) -> None:
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", retries=20)
    producer.send(topic, value, partition=0).get(timeout=20)
    producer.close()


def _heard(bootstrap: str, topic: str) -> list[bytes]:
    consumer = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    place = TopicPartition(topic, 0)
    consumer.assign([place])
    consumer.seek_to_beginning(place)
    end = consumer.end_offsets([place])[place]
    values: list[bytes] = []
    while consumer.position(place) < end:
        values += [record.value for record in consumer.poll(timeout_ms=500).get(place, ())]
    consumer.close()
    return values


def _gone(pid: int, within_s: float = 40) -> bool:
    deadline = time.monotonic() + within_s
    while command_line(pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not command_line(pid)


def test_topics_of_the_registry_are_made_as_it_says(topics: KafkaSettings) -> None:
    """Kept for ever and stamped by the broker where the registry says so, with its number of partitions."""
    journal = topic_settings(topics, JOURNAL)
    assert journal["retention.ms"] == "-1"
    assert journal["message.timestamp.type"] == "LogAppendTime"
    assert topic_settings(topics, PROBE_RESULTS)["retention.ms"] == str(400 * 86_400_000)
    consumer = KafkaConsumer(bootstrap_servers=topics.bootstrap)
    assert len(consumer.partitions_for_topic(topics.topic(JOURNAL))) == topics.partitions(JOURNAL)
    consumer.close()
    assert ensure_topics(topics) == []


def test_records_survive_a_restart_and_a_kill(start_kafka: StartKafka, tmp_path: Path) -> None:
    """Stopped in order, then killed hard: each time the next start on the same data has every record."""
    broker = start_kafka()
    port = int(broker.bootstrap.rpartition(":")[2])
    settings = KafkaSettings(bootstrap=broker.bootstrap, prefix="")
    ensure_topics(settings)
    _say(broker.bootstrap, TERMS_EVENTS.name, b"first")
    broker.stop()
    assert not accepts(port)

    broker = start_kafka(port=port)
    _say(broker.bootstrap, TERMS_EVENTS.name, b"second")
    assert broker.process is not None
    broker.process.kill()
    broker.process.wait()
    assert find_running(tmp_path / "kafka") is None, "the process id left behind is stale"

    broker = start_kafka(port=port)
    assert _heard(broker.bootstrap, TERMS_EVENTS.name) == [b"first", b"second"]


def test_a_running_broker_of_the_same_data_is_picked_up(start_kafka: StartKafka) -> None:
    """A second start finds the first, whatever port it asked for, and its stop leaves it running."""
    first = start_kafka()
    second = start_kafka()
    assert (second.pid, second.bootstrap) == (first.pid, first.bootstrap)
    second.stop()
    assert first.alive()
    assert second.alive()


def test_a_taken_port_is_an_error_that_says_what_to_do(start_kafka: StartKafka, kafka: str) -> None:
    port = int(kafka.rpartition(":")[2])
    with pytest.raises(BrokerFailed, match=f"Port {port} is taken.*GARANT_BROKER_PORT"):
        start_kafka(port=port)


def test_a_stale_process_id_of_another_program_is_not_taken_for_a_broker(tmp_path: Path) -> None:
    """After a restart of the machine the number may belong to anyone: here to this test."""
    (tmp_path / "running.json").write_text(f'{{"pid": {os.getpid()}, "port": 1}}')
    assert find_running(tmp_path) is None


def test_a_broker_that_cannot_start_shows_the_end_of_its_log(start_kafka: StartKafka, tmp_path: Path) -> None:
    """Here its records are damaged: the metadata names another node."""
    broker = start_kafka()
    broker.stop()
    meta = tmp_path / "kafka" / "log" / "meta.properties"
    meta.write_text(meta.read_text().replace("node.id=1", "node.id=7"))
    with pytest.raises(BrokerFailed, match=r"ended while starting[\s\S]*broker\.log"):
        start_kafka()


def test_no_broker_is_left_when_its_starter_is_killed(start_kafka: StartKafka, tmp_path: Path) -> None:
    """kill -9 of the process that started it: Linux tells the broker, which stops in order; on other systems
    it stays, and the next start picks it up."""
    start_kafka().stop()  # the jars are there and the data is formatted: the other process is quick
    data, port = tmp_path / "kafka", free_port()
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from rich.console import Console\n"
        "from services.cli.local.broker import _on_this_machine, BrokerSettings\n"
        "_on_this_machine(Path(sys.argv[1]), int(sys.argv[2]), BrokerSettings(), Console())\n"
        "print('started', flush=True)\n"
        "time.sleep(600)\n"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", code, str(data), str(port)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert starter.stdout is not None
        assert "started" in starter.stdout.readline()
        running = find_running(data)
        assert running is not None
        assert running.pid is not None
    finally:
        os.kill(starter.pid, signal.SIGKILL)
        starter.wait()
    if sys.platform != "linux":
        assert start_kafka().pid == running.pid
        os.kill(running.pid, signal.SIGTERM)
    assert _gone(running.pid)
    assert not accepts(port)


def test_the_broker_named_in_the_environment_wins(kafka_settings: KafkaSettings, tmp_path: Path) -> None:
    """It is used as it is: nothing is started, nothing written, and stopping leaves it alone."""
    broker = open_broker(tmp_path / "unused", free_port(), CONSOLE)
    assert isinstance(broker, NamedBroker)
    assert broker.bootstrap == kafka_settings.bootstrap
    broker.stop()
    assert not (tmp_path / "unused").exists()
    assert accepts(int(kafka_settings.bootstrap.rpartition(":")[2]))


def test_a_named_broker_that_is_absent_is_waited_for_then_an_error(
    clean_environment: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clean_environment.setenv("GARANT_KAFKA_BOOTSTRAP", f"127.0.0.1:{free_port()}")
    clean_environment.setenv("GARANT_KAFKA_WAIT_S", "2")
    with pytest.raises(BrokerUnreachable, match=r"No Kafka broker answered.*GARANT_KAFKA_BOOTSTRAP"):
        open_broker(tmp_path, free_port(), Console())
    assert "waiting for Kafka" in capsys.readouterr().out
