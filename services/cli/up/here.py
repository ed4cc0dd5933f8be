"""The installation a command of this machine talks to: the broker that is named, else the running one's."""

from __future__ import annotations

from services.cli.up.run_state import read_run
from shared.settings import HomeSettings, KafkaSettings


def kafka_here() -> KafkaSettings:
    """`GARANT_KAFKA_BOOTSTRAP` where it is set; else the broker of the `garant up` that runs on GARANT_HOME;
    else the usual address."""
    settings = KafkaSettings()
    if "bootstrap" in settings.model_fields_set:
        return settings
    run = read_run(HomeSettings().home.absolute())
    return settings if run is None else KafkaSettings(bootstrap=run.bootstrap)
