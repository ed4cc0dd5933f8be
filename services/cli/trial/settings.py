"""What the trial's servers are told by their environment (`GARANT_TRIAL_...`)."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class TrialSettings(BaseSettings):
    """Their data is in `GARANT_HOME`."""

    model_config = SettingsConfigDict(env_prefix="GARANT_TRIAL_", extra="ignore", env_ignore_empty=True)

    advertised: str = Field(default="127.0.0.1:9092", pattern=r"^[A-Za-z0-9.-]+:[0-9]{1,5}$")
    """Under which host and port clients reach the trial's Kafka."""
    kafka_folder: Path = Path("/opt/kafka")
    """Where the trial's image keeps Kafka: `libs/*.jar`, broker.properties and log4j2.yaml."""
    postgres_password: SecretStr = SecretStr("")
    """Of every role of the trial's PostgreSQL."""
