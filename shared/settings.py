"""What every service is told by its environment."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.errors import NeedsAPerson
from shared.topics import Spread, Topic


class Contradiction(NeedsAPerson):
    """Settings that cannot all be meant."""


class HomeSettings(BaseSettings):
    """Where a process keeps what it must not lose: `GARANT_HOME`, by default `.garant`."""

    model_config = SettingsConfigDict(env_prefix="GARANT_", extra="ignore")

    home: Path = Path(".garant")


class DatabaseSettings(BaseSettings):
    """What holds for every service's database; environment variables `GARANT_DATABASE_...`."""

    model_config = SettingsConfigDict(env_prefix="GARANT_DATABASE_", extra="ignore", env_ignore_empty=True)

    wait_s: float = Field(default=0.0, ge=0)
    """How long a service waits for its database at its start before it gives up with an error."""


class KafkaSettings(BaseSettings):
    """The broker and how topics are laid out on it; environment variables `GARANT_KAFKA_...`."""

    model_config = SettingsConfigDict(env_prefix="GARANT_KAFKA_", extra="ignore", env_ignore_empty=True)

    bootstrap: str = "127.0.0.1:29092"
    prefix: str = ""
    """Set before every topic and group name: several installations on one broker."""
    target_partitions: int = Field(default=6, ge=1, le=1_000)
    account_partitions: int = Field(default=3, ge=1, le=1_000)
    replication: int = Field(default=1, ge=1, le=9)
    wait_s: float = Field(default=60.0, ge=0)
    """How long a service waits for the broker at its start before it gives up with an error."""
    session_s: float = Field(default=10.0, ge=1)
    """After so long without a word from an instance the others get its partitions. The broker's
    `group.min.session.timeout.ms`, usually 6 s, is the least."""
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = "SCRAM-SHA-512"
    username: str = ""
    password: SecretStr = SecretStr("")
    password_file: Path | None = None
    """A file that holds the password instead, as mounted secrets do; read anew for each client."""
    ca_file: Path | None = None
    """Certificates to trust instead of the system's."""
    cert_file: Path | None = None
    """Our own certificate (PEM), where the broker asks for one."""
    key_file: Path | None = None
    """Its key, without a password; None is in the same file."""
    check_hostname: bool = True
    """Whether the broker's certificate must name the host it is reached under."""
    check_every_s: float = Field(default=30.0, gt=0)
    """How often a running service looks whether the broker still lets it do its work, with security on."""

    @property
    def secured(self) -> bool:
        """Whether anything but plain text is spoken: then the broker may have rights to give."""
        return self.security_protocol != "PLAINTEXT"

    @model_validator(mode="after")
    def _agree(self) -> KafkaSettings:
        """Raises Contradiction. A ValueError here would show every setting's value, the password's too."""
        given = {
            name
            for name in self.model_fields_set
            if getattr(self, name) != type(self).model_fields[name].default
        }
        sasl, tls = self.security_protocol.startswith("SASL_"), self.security_protocol.endswith("SSL")
        for name in ("username", "password", "password_file", "sasl_mechanism"):
            if name in given and not sasl:
                raise _contradiction(name, self.security_protocol, "SASL_SSL")
        for name in ("ca_file", "cert_file", "key_file", "check_hostname"):
            if name in given and not tls:
                raise _contradiction(name, self.security_protocol, "SASL_SSL" if sasl else "SSL")
        if sasl and not self.username:
            raise Contradiction(
                f"GARANT_KAFKA_SECURITY_PROTOCOL is {self.security_protocol}, but nobody is named: set "
                "GARANT_KAFKA_USERNAME and GARANT_KAFKA_PASSWORD_FILE."
            )
        if sasl and ("password" in given) == ("password_file" in given):
            both = "both are" if "password" in given else "neither is"
            raise Contradiction(
                f"Set either GARANT_KAFKA_PASSWORD_FILE or GARANT_KAFKA_PASSWORD for user {self.username}; "
                f"{both} set."
            )
        if "key_file" in given and "cert_file" not in given:
            raise Contradiction(
                "GARANT_KAFKA_KEY_FILE is set without its certificate, GARANT_KAFKA_CERT_FILE."
            )
        return self

    def topic(self, topic: Topic) -> str:
        """The topic's name on this broker."""
        return self.prefix + topic.name

    def group(self, name: str) -> str:
        """A consumer group's name on this broker."""
        return f"{self.prefix}garant-{name}"

    def partitions(self, topic: Topic) -> int:
        """How many partitions the topic has here."""
        return {
            Spread.TARGETS: self.target_partitions,
            Spread.ACCOUNTS: self.account_partitions,
            Spread.ONE: 1,
        }[topic.spread]


def _contradiction(name: str, protocol: str, other: str) -> Contradiction:
    return Contradiction(
        f"GARANT_KAFKA_{name.upper()} is set, but GARANT_KAFKA_SECURITY_PROTOCOL is {protocol}, which has no "
        f"use for it: set that to {other}, or remove this."
    )
