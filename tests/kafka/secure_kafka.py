"""A real broker that knows its users and what each may do: SCRAM and PLAIN over TLS, client certificates, and
a plain listener where everybody is a super user, for the harness."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trustme
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    CompactArray,
    CompactBytes,
    CompactString,
    Int8,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from rich.console import Console

from services.cli.local.config import DEPLOY, BrokerSettings
from services.cli.local.jars import fetch_jars, read_lock
from services.cli.local.local_kafka import start_local_kafka
from services.cli.local.ports import HOST, free_port
from shared.access import user
from shared.rights import Refused, connect, knock
from shared.settings import KafkaSettings
from tests.waiting import eventually

MECHANISMS = {"SCRAM-SHA-256": (1, "sha256"), "SCRAM-SHA-512": (2, "sha512")}
ITERATIONS = 4_096
PARTITIONS = {"target_partitions": 2, "account_partitions": 1}
"""Few, so that services are soon at work."""
PLAIN_USER, PLAIN_PASSWORD = "garant-plain", "swordfish-plain"


class SecureKafka:
    """Where the broker listens, and how one becomes one of its users; files are in `directory`."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.plain, self.sasl, self.mutual = (f"{HOST}:{free_port()}" for _ in range(3))
        self.authority, stranger = trustme.CA(), trustme.CA()
        self.ca, self.strange_ca = directory / "ca.pem", directory / "strange-ca.pem"
        self.authority.cert_pem.write_to_path(str(self.ca))
        stranger.cert_pem.write_to_path(str(self.strange_ca))
        (directory / "server.pem").write_bytes(pem(self.authority.issue_cert(HOST)))

    def properties(self) -> dict[str, str]:
        """What the broker is told on top of deploy/kafka/broker.properties."""
        controller = f"{HOST}:{free_port()}"
        open_to_clients = f"PLAINTEXT://{self.plain},SASL_SSL://{self.sasl},SSL://{self.mutual}"
        sasl, jaas = "listener.name.sasl_ssl", "sasl.jaas.config"
        scram = "org.apache.kafka.common.security.scram.ScramLoginModule"
        plain = "org.apache.kafka.common.security.plain.PlainLoginModule"
        return {
            "listeners": f"{open_to_clients},CONTROLLER://{controller}",
            "advertised.listeners": open_to_clients,
            "controller.quorum.voters": f"1@{controller}",
            "listener.security.protocol.map": ",".join(
                ("CONTROLLER:PLAINTEXT", "PLAINTEXT:PLAINTEXT", "SASL_SSL:SASL_SSL", "SSL:SSL")
            ),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
            "sasl.enabled.mechanisms": "SCRAM-SHA-256,SCRAM-SHA-512,PLAIN",
            **{f"{sasl}.{name.lower()}.{jaas}": f"{scram} required;" for name in MECHANISMS},
            f"{sasl}.plain.{jaas}": f'{plain} required user_{PLAIN_USER}="{PLAIN_PASSWORD}";',
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.directory / "server.pem"),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.ca),
            "listener.name.ssl.ssl.client.auth": "required",
            "listener.name.ssl.ssl.principal.mapping.rules": "RULE:^.*CN=([^,]+).*$/$1/,DEFAULT",
        }

    def environment(self, service: str, prefix: str, **more: str) -> dict[str, str]:
        """The variables by which a process is the `service` of the installation `prefix`."""
        secret = self.directory / f"{prefix}{service}.password"
        found = {
            "BOOTSTRAP": self.sasl,
            "PREFIX": prefix,
            "SECURITY_PROTOCOL": "SASL_SSL",
            "USERNAME": user(KafkaSettings(prefix=prefix), service),
            "PASSWORD_FILE": str(secret),
            "CA_FILE": str(self.ca),
            "WAIT_S": "15",
            **{name.upper(): str(number) for name, number in PARTITIONS.items()},
            **more,
        }
        return {f"GARANT_KAFKA_{name}": value for name, value in found.items()}

    def settings(self, service: str, prefix: str, **more: Any) -> KafkaSettings:
        """The same as settings, for a client in the test's own process."""
        return KafkaSettings(
            bootstrap=self.sasl,
            prefix=prefix,
            security_protocol="SASL_SSL",
            username=user(KafkaSettings(prefix=prefix), service),
            password_file=self.directory / f"{prefix}{service}.password",
            ca_file=self.ca,
            **PARTITIONS,
            **more,
        )

    def super_user(self, prefix: str) -> KafkaSettings:
        """Settings that may do everything."""
        return KafkaSettings(bootstrap=self.plain, prefix=prefix, **PARTITIONS)

    def let_in(self, service: str, prefix: str, password: str, mechanism: str = "SCRAM-SHA-512") -> None:
        """Makes the user of `service`, or changes its password, and mounts it where `settings` look."""
        self.know(user(KafkaSettings(prefix=prefix), service), password, mechanism)
        (self.directory / f"{prefix}{service}.password").write_text(password + "\n")

    def know(self, name: str, password: str, mechanism: str = "SCRAM-SHA-512") -> None:
        """Makes the user `name`, or changes its password; returns once the broker knows it, which takes it a
        moment."""
        asyncio.run(set_password(self.plain, name, password, mechanism))
        settings = KafkaSettings(
            bootstrap=self.sasl,
            security_protocol="SASL_SSL",
            sasl_mechanism=mechanism,
            username=name,
            password=password,
            ca_file=self.ca,
        )
        eventually(lambda: _lets_in(settings))

    def certificate(self, common_name: str) -> Path:
        """A client certificate with its key, in one file."""
        path = self.directory / f"{common_name}.pem"
        path.write_bytes(pem(self.authority.issue_cert("client.example", common_name=common_name)))
        return path


@contextmanager
def secure_kafka(directory: Path) -> Iterator[SecureKafka]:
    """Runs the broker."""
    found = SecureKafka(directory)
    settings, console = BrokerSettings(), Console(stderr=True)
    jars = fetch_jars(
        read_lock(DEPLOY / "jars.lock"), settings.cache.expanduser() / "kafka", settings.maven_url, console
    )
    port = int(found.plain.rpartition(":")[2])
    broker = start_local_kafka(directory / "kafka", port, jars, console.print, found.properties())
    try:
        yield found
    finally:
        broker.stop()


def _lets_in(settings: KafkaSettings) -> bool:
    try:
        asyncio.run(knock(settings))
    except Refused:
        return False
    return True


def pem(leaf: trustme.LeafCert) -> bytes:
    """The key, as PKCS 8, which Kafka wants, and the certificate."""
    key = load_pem_private_key(leaf.private_key_pem.bytes(), None)
    text = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return text + b"".join(blob.bytes() for blob in leaf.cert_chain_pems)


async def set_password(address: str, name: str, password: str, mechanism: str = "SCRAM-SHA-512") -> None:
    """Makes the user `name` of the broker at `address`, or changes its password, as a super user there."""
    number, digest = MECHANISMS[mechanism]
    salt = os.urandom(16)
    salted = hashlib.pbkdf2_hmac(digest, password.encode(), salt, ITERATIONS)
    connection = await connect(KafkaSettings(bootstrap=address))
    try:
        answer = await connection.send(_Upsert([(name, number, ITERATIONS, salt, salted, {})]))
    finally:
        connection.close()
    assert [error for _, error, _, _ in answer.results] == [0], answer


_Text = CompactString("utf-8")


class _Upserted(Response):
    API_KEY = 51
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            CompactArray(("user", _Text), ("error_code", Int16), ("message", _Text), ("tags", TaggedFields)),
        ),
        ("tags", TaggedFields),
    )


class _UpsertStruct(RequestStruct):
    """AlterUserScramCredentials, which neither client library has."""

    API_KEY = 51
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _Upserted
    SCHEMA = Schema(
        ("deletions", CompactArray(("name", _Text), ("mechanism", Int8), ("tags", TaggedFields))),
        (
            "upsertions",
            CompactArray(
                ("name", _Text),
                ("mechanism", Int8),
                ("iterations", Int32),
                ("salt", CompactBytes),
                ("salted_password", CompactBytes),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _Upsert(Request[_UpsertStruct]):
    API_KEY = 51

    def __init__(self, upsertions: list[tuple[Any, ...]]) -> None:
        self._upsertions = upsertions

    def build(self, request_struct_class: type[_UpsertStruct]) -> _UpsertStruct:
        return request_struct_class([], self._upsertions, {})
