"""Which Kafka to use: the one named in the environment, else Docker's, else one started on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from rich.console import Console

from services.cli.local.config import DEPLOY, BrokerFailed, BrokerSettings
from services.cli.local.jars import fetch_jars, read_lock
from services.cli.local.local_kafka import start_local_kafka
from shared.kafka import wait_for_broker
from shared.settings import KafkaSettings


class Broker(Protocol):
    """A Kafka that answers at `bootstrap`."""

    bootstrap: str

    @property
    def pid(self) -> int | None:
        """The process, if it is one."""

    def alive(self) -> bool:
        """Whether it still runs, as far as its starter can tell."""

    def stop(self) -> None:
        """Stops it in order if it was started here, and waits for that."""


class NamedBroker:
    """A broker that somebody else runs: watched by its clients, stopped by its owner."""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        self.pid: int | None = None

    def alive(self) -> bool:
        """Always true: whether it answers is for each service to find out and to wait for."""
        return True

    def stop(self) -> None:
        """Nothing: it is not ours."""


def open_broker(data: Path, port: int, console: Console, *, keep: bool = True) -> Broker:
    """The broker for this environment, answering.

    `GARANT_KAFKA_BOOTSTRAP` wins; then whichever holds the data directory's records already; then Docker when
    a daemon answers; then Apache Kafka as a process on loopback `port` with its data in `data`. With
    `keep` false the records of a container go with it. Raises BrokerFailed,
    JarsUnavailable or BrokerUnreachable.
    """
    named = KafkaSettings()
    if "bootstrap" in named.model_fields_set:
        wait_for_broker(named, say=console.print)
        return NamedBroker(named.bootstrap)
    if named.secured:
        raise BrokerFailed(
            f"GARANT_KAFKA_SECURITY_PROTOCOL is {named.security_protocol}, but no broker is named, and "
            "the one that Garant starts itself speaks plain text on loopback: set GARANT_KAFKA_BOOTSTRAP too."
        )
    data.mkdir(parents=True, exist_ok=True)
    settings = BrokerSettings()
    return _in_docker(data, port, settings, console, keep) or _on_this_machine(data, port, settings, console)


def _in_docker(
    data: Path, port: int, settings: BrokerSettings, console: Console, keep: bool
) -> Broker | None:
    try:
        from services.cli.local.docker_kafka import DockerUnusable, docker_answers, start_docker_kafka
    except ModuleNotFoundError:  # installed without the dependency group `local`
        return None
    mark = data / "in-docker"
    if mark.exists() and not docker_answers():
        raise BrokerFailed(
            f"The records of {data} are in a Docker volume, and no Docker daemon answers. Start Docker, or "
            f"remove {mark} to begin with an empty Kafka outside of it."
        )
    if not mark.exists() and ((data / "log").exists() or not docker_answers()):
        return None
    try:
        kafka = start_docker_kafka(data if keep else None, port, settings.kafka_image, console.print)
    except DockerUnusable as problem:
        if mark.exists():
            raise BrokerFailed(
                f"{problem}. The records of {data} are in a Docker volume: reach the registry, or remove "
                f"{mark} to begin with an empty Kafka outside of Docker."
            ) from problem
        console.print(f"{problem}; starting Kafka without Docker")
        return None
    mark.touch()
    return kafka


def _on_this_machine(data: Path, port: int, settings: BrokerSettings, console: Console) -> Broker:
    jars = read_lock(DEPLOY / "jars.lock")
    files = fetch_jars(jars, settings.cache.expanduser() / "kafka", settings.maven_url, console)
    return start_local_kafka(data, port, files, console.print)
