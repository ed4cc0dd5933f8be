"""Apache Kafka in a container, where a Docker daemon answers: the same configuration, run another way."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import docker  # type: ignore[import-untyped]
from docker.errors import DockerException  # type: ignore[import-untyped]
from requests.exceptions import RequestException
from testcontainers.core.container import DockerContainer

from services.cli.local.config import BrokerFailed, common_lines
from services.cli.local.ports import HOST, port_taken
from shared.kafka import BrokerUnreachable, wait_for_broker
from shared.settings import KafkaSettings

START_S = 90.0
STOP_S = 30
DATA = "/var/lib/kafka/data"
CLUSTER = "R2FyYW50LUthZmthLTAwMQ"


class DockerUnusable(RuntimeError):
    """The daemon answers, but this container cannot be run on it (for instance: no registry to pull from)."""


class DockerKafka:
    """A broker in a container, answering at `bootstrap`."""

    def __init__(self, container: Any, port: int) -> None:
        self.container = container
        self.bootstrap = f"{HOST}:{port}"
        self.pid: int | None = None

    def alive(self) -> bool:
        """Whether the container still runs."""
        try:
            wrapped = self.container.get_wrapped_container()
            wrapped.reload()
        except (DockerException, RequestException):
            return False
        return str(wrapped.status) == "running"

    def stop(self) -> None:
        """Stops the broker in order and removes the container; a named volume stays."""
        try:
            self.container.get_wrapped_container().stop(timeout=STOP_S)
        finally:
            self.container.stop()


def docker_answers() -> bool:
    """Whether a Docker daemon answers here (`DOCKER_HOST` counts), asked for at most 3 s."""
    try:
        client = docker.from_env(timeout=3)
    except DockerException:
        return False
    try:
        return bool(client.ping())
    except (DockerException, RequestException):
        return False
    finally:
        client.close()


def start_docker_kafka(data: Path | None, port: int, image: str, say: Callable[[str], None]) -> DockerKafka:
    """Starts the container on loopback `port` and returns once the broker answers.

    With `data` its records are in a volume named after that directory and survive restarts; without,
    they go with the container. Raises DockerUnusable, or BrokerFailed where trying another way is no help.
    """
    if port_taken(port):
        raise BrokerFailed(
            f"Port {port} is taken by another program. Stop it, or choose another port with "
            f"GARANT_BROKER_PORT, or set GARANT_KAFKA_BOOTSTRAP={HOST}:{port} if that is your Kafka."
        )
    try:
        container = _container(data, port, image)
        say(f"starting {image} in Docker (the first time it is pulled)")
        container.start()
    except (DockerException, RequestException) as error:
        raise DockerUnusable(f"Docker answers but cannot run {image}: {error}") from error
    kafka = DockerKafka(container, port)
    try:
        _wait_until_it_answers(kafka)
    except BaseException:
        kafka.stop()
        raise
    return kafka


def _container(data: Path | None, port: int, image: str) -> DockerContainer:
    lines = common_lines() | {
        "listeners": "PLAINTEXT://0.0.0.0:9092,CONTROLLER://127.0.0.1:9093",
        "advertised.listeners": f"PLAINTEXT://{HOST}:{port}",
        "controller.quorum.voters": "1@127.0.0.1:9093",
        "log.dirs": DATA,
    }
    container = DockerContainer(image).with_env("CLUSTER_ID", CLUSTER)
    container.with_env("KAFKA_HEAP_OPTS", "-Xmx512m")
    for name, value in lines.items():
        container.with_env("KAFKA_" + name.upper().replace(".", "_"), value)
    # Loopback only: nobody has to log in to this broker.
    cast(dict[str, Any], container.ports)["9092/tcp"] = (HOST, port)
    if data is not None:
        container.with_volume_mapping(volume_of(data), DATA, "rw")
    return container


def volume_of(data: Path) -> str:
    """The name of the volume that belongs to a data directory."""
    return "garant-kafka-" + hashlib.sha256(str(data.resolve()).encode()).hexdigest()[:12]


def _wait_until_it_answers(kafka: DockerKafka) -> None:
    deadline = time.monotonic() + START_S
    settings = KafkaSettings(bootstrap=kafka.bootstrap, wait_s=0)
    while time.monotonic() < deadline and kafka.alive():
        try:
            return wait_for_broker(settings)
        except BrokerUnreachable:
            time.sleep(0.3)
    said = b"\n".join(part for part in kafka.container.get_logs() if part).decode(errors="replace")
    raise BrokerFailed("Kafka did not answer in its container. The end of its log:\n" + said[-2_000:])
