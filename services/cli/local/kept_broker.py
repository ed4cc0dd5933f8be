"""The broker of a run: opened with its topics, opened again when it dies under the services."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from services.cli.local.broker import Broker, open_broker
from services.cli.local.config import BrokerSettings
from services.cli.up.stop import Stop
from shared.settings import KafkaSettings
from shared.topic_admin import ensure_topics


class KeptBroker:
    """A broker with its data in `home`/kafka. `open` and `look` raise what `open_broker` and
    `ensure_topics` do: BrokerFailed, BrokerUnreachable, TopicMismatch."""

    def __init__(self, home: Path, console: Console, stop: Stop) -> None:
        self.home = home
        self.console = console
        self._stop = stop
        self._broker: Broker | None = None

    @property
    def bootstrap(self) -> str:
        """Its address; empty before it was opened."""
        return self._broker.bootstrap if self._broker is not None else ""

    def open(self) -> None:
        """Starts or finds the broker and makes the topics that are missing. A signal breaks in."""
        with self._stop.at_once():
            self._broker = open_broker(self.home / "kafka", BrokerSettings().broker_port, self.console)
            made = ensure_topics(KafkaSettings(bootstrap=self._broker.bootstrap))
        also = f", {len(made)} topics made" if made else ""
        self.console.print(f"[green]ready[/]     kafka at {self.bootstrap}{also}")

    def look(self) -> None:
        """Opens it again if it died; the services wait meanwhile."""
        if self._broker is not None and not self._broker.alive():
            self.console.print("[red]ended[/]     kafka; starting it again")
            self._broker.stop()
            self._broker = None
            self.open()

    def stop(self) -> None:
        """Stops it in order, if it was started here."""
        if self._broker is not None:
            self.console.print("stopping  kafka")
            self._broker.stop()
