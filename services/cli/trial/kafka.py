"""The trial's Kafka: a node alone in a container, in place of this process, stopped by SIGTERM."""

from __future__ import annotations

import os
from pathlib import Path

from services.cli.local.config import BrokerFailed, common_lines
from services.cli.local.local_kafka import format_storage, java_command, java_runtime
from services.cli.trial.settings import TrialSettings

PORT = 9092
_CONTROLLER = 9093


def run_kafka(settings: TrialSettings, home: Path) -> None:
    """Replaces this process by the broker, whose records are in `home`/kafka. Raises BrokerFailed."""
    data = home / "kafka"
    data.mkdir(parents=True, exist_ok=True)
    jars = sorted((settings.kafka_folder / "libs").glob("*.jar"))
    if not jars:
        raise BrokerFailed(
            f"There is no Kafka in {settings.kafka_folder}: `garant trial kafka` runs in the image "
            "garant-trial (deploy/images). On a machine, use `garant broker`."
        )
    properties = data / "broker.properties"
    lines = common_lines(settings.kafka_folder) | {
        "listeners": f"PLAINTEXT://0.0.0.0:{PORT},CONTROLLER://127.0.0.1:{_CONTROLLER}",
        "advertised.listeners": f"PLAINTEXT://{settings.advertised}",
        "controller.quorum.voters": f"1@127.0.0.1:{_CONTROLLER}",
        "log.dirs": str(data / "log"),
    }
    properties.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
    command = java_command(java_runtime(), jars, settings.kafka_folder)
    if not (data / "log" / "meta.properties").exists():
        format_storage(command, properties)
    os.execv(command[0], [*command, "kafka.Kafka", str(properties)])  # noqa: S606
