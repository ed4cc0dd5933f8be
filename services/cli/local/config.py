"""What the broker that Garant starts itself is told: the same lines for a process and for a container."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.errors import NeedsAPerson

DEPLOY = Path(__file__).resolve().parents[3] / "deploy" / "kafka"


class BrokerFailed(NeedsAPerson):
    """The broker could not be started; the message says what to do."""


class BrokerSettings(BaseSettings):
    """How the broker is had; `GARANT_BROKER_PORT`, `_CACHE`, `_MAVEN_URL` and `_KAFKA_IMAGE`."""

    model_config = SettingsConfigDict(env_prefix="GARANT_", extra="ignore")

    broker_port: int = Field(default=29092, ge=1, le=65_535)
    cache: Path = Path("~/.cache/garant")
    """Where what was downloaded is kept, so that a second clone need not."""
    maven_url: str = "https://repo1.maven.org/maven2"
    kafka_image: str = "apache/kafka:4.3.1"


def common_lines(folder: Path = DEPLOY) -> dict[str, str]:
    """The properties of deploy/kafka/broker.properties. Raises BrokerFailed outside a clone."""
    try:
        text = (folder / "broker.properties").read_text()
    except OSError as error:
        raise BrokerFailed(
            f"{folder} cannot be read ({error.strerror}): run Garant from a clone of its repository, "
            "or set GARANT_KAFKA_BOOTSTRAP to a Kafka broker you have."
        ) from error
    lines = (line.strip() for line in text.splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}
