"""`garant broker`: only the broker, in the foreground."""

from __future__ import annotations

import typer
from rich.console import Console

from services.cli.broker_config import BrokerFailed
from services.cli.kept_broker import KeptBroker
from services.cli.stop import Stop, Stopped
from shared.kafka import BrokerUnreachable, TopicMismatch
from shared.settings import HomeSettings


def broker() -> None:
    """Run only Kafka, with the topics made, until Ctrl-C: the same data as `garant up` uses."""
    console, stop = Console(), Stop()
    kept = KeptBroker(HomeSettings().home.absolute(), console, stop)
    try:
        with stop.listening():
            try:
                kept.open()
                while not stop.asked.wait(0.5):
                    kept.look()
            finally:
                kept.stop()
    except Stopped:
        pass
    except (BrokerFailed, BrokerUnreachable, TopicMismatch, OSError) as problem:
        Console(stderr=True, soft_wrap=True).print(f"error: {problem}", style="red", markup=False)
        raise typer.Exit(1) from None
