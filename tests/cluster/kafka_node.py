"""One of three nodes of a Kafka as production has it: users, rights, TLS, three copies of everything.

`python -m tests.cluster.kafka_node` in a pod of a StatefulSet called `kafka`, whose DOMAIN is that of its
Service; /etc/beside holds certificate and key (server.pem) and the users' passwords (users.json). Within its
namespace 9092 is for whoever administers it: without TLS, and a super user.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
from pathlib import Path

from services.cli.local.config import common_lines
from services.cli.local.local_kafka import java_command, java_runtime
from services.cli.trial.settings import TrialSettings
from shared.settings import HomeSettings

GIVEN = Path("/etc/beside")
NODES = 3
PLAIN, SASL, CONTROLLER = 9092, 9093, 9094
CLUSTER = "Z2FyYW50LXRlc3Qta2Fma2"
"""All nodes must be told the same."""
COPIES = (
    "default.replication.factor",
    "offsets.topic.replication.factor",
    "transaction.state.log.replication.factor",
    "share.coordinator.state.topic.replication.factor",
)
IN_SYNC = ("min.insync.replicas", "transaction.state.log.min.isr", "share.coordinator.state.topic.min.isr")
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"


def lines(number: int, domain: str, folder: Path, data: Path) -> dict[str, str]:
    """The properties of node `number`."""
    own = f"kafka-{number}.{domain}"
    voters = ",".join(f"{one}@kafka-{one}.{domain}:{CONTROLLER}" for one in range(NODES))
    protocols = ("PLAINTEXT", "SASL_SSL")
    return common_lines(folder) | {
        "node.id": str(number),
        "listeners": f"PLAINTEXT://:{PLAIN},SASL_SSL://:{SASL},CONTROLLER://:{CONTROLLER}",
        "advertised.listeners": f"PLAINTEXT://{own}:{PLAIN},SASL_SSL://{own}:{SASL}",
        "controller.quorum.voters": voters,
        "listener.security.protocol.map": ",".join(
            ("CONTROLLER:PLAINTEXT", *(f"{one}:{one}" for one in protocols))
        ),
        **dict.fromkeys(COPIES, str(NODES)),
        **dict.fromkeys(IN_SYNC, str(NODES - 1)),
        "broker.session.timeout.ms": "9000",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS",
        "allow.everyone.if.no.acl.found": "false",
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": SCRAM,
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(GIVEN / "server.pem"),
        "log.dirs": str(data / "log"),
    }


def main() -> None:
    """Replaces this process by the node."""
    folder, data = TrialSettings().kafka_folder, HomeSettings().home / "kafka"
    data.mkdir(parents=True, exist_ok=True)
    number = int(socket.gethostname().rpartition("-")[2])
    properties = data / "broker.properties"
    said = lines(number, os.environ["DOMAIN"], folder, data)
    properties.write_text("".join(f"{name}={value}\n" for name, value in said.items()))
    command = java_command(java_runtime(), sorted((folder / "libs").glob("*.jar")), folder)
    if not (data / "log" / "meta.properties").exists():
        users = json.loads((GIVEN / "users.json").read_text())
        told = [f"SCRAM-SHA-512=[name={name},password={password}]" for name, password in users.items()]
        made = [word for one in told for word in ("--add-scram", one)]
        words = ["kafka.tools.StorageTool", "format", f"--cluster-id={CLUSTER}", "--config", str(properties)]
        subprocess.run([*command, *words, *made], check=True)
    os.execv(command[0], [*command, "kafka.Kafka", str(properties)])  # noqa: S606


if __name__ == "__main__":
    main()
