"""`garant broker`: only the broker, in the foreground."""

from __future__ import annotations

from contextlib import suppress

from rich.console import Console

from services.cli.local.kept_broker import KeptBroker
from services.cli.up.stop import Stop, Stopped
from shared.settings import HomeSettings


def broker() -> None:
    """Run only Kafka, with the topics made, until Ctrl-C: the same data as `garant up` uses."""
    stop = Stop()
    kept = KeptBroker(HomeSettings().home.absolute(), Console(), stop)
    with suppress(Stopped), stop.listening():
        try:
            kept.open()
            while not stop.asked.wait(0.5):
                kept.look()
        finally:
            kept.stop()
