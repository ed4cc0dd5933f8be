"""`garant topics`: makes the registry's topics on a broker, as an operator does before the services start."""

from __future__ import annotations

import typer
from rich.console import Console
from rich.table import Table

from services.cli.up.here import kafka_here
from shared.kafka import ensure_topics, topic_config, wait_for_broker
from shared.topics import TOPICS


def topics() -> None:
    """Create the topics that are missing, and list them all with how they are laid out."""
    settings = kafka_here()
    wait_for_broker(settings)
    made = set(ensure_topics(settings))
    table = Table("topic", "key", "partitions", "kept", "time", "", box=None, header_style="bold")
    for topic in TOPICS:
        config = topic_config(topic)
        kept = "last of each key" if topic.compacted else _kept(topic.kept_ms)
        table.add_row(
            settings.topic(topic),
            topic.key or "-",
            str(settings.partitions(topic)),
            kept,
            "append" if config["message.timestamp.type"] == "LogAppendTime" else "sender's",
            "made" if settings.topic(topic) in made else "",
        )
    Console().print(table)
    typer.echo(f"{len(made)} topics made at {settings.bootstrap}")


def _kept(ms: int | None) -> str:
    return "for ever" if ms is None else f"{ms // 86_400_000} days"
