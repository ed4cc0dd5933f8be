"""`garant topics`: makes the registry's topics on a broker, and says and gives the rights to them, as an
operator does before the services start."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from services.cli.acls import Applied, apply, by_resource, commands, every_grant
from services.cli.up.here import kafka_here
from shared.access import ACCESS
from shared.kafka import ensure_topics, topic_config, wait_for_broker
from shared.settings import KafkaSettings
from shared.topics import TOPICS


def topics(
    acls: Annotated[bool, typer.Option("--acls", help="Only show the rights of each service.")] = False,
    acl_commands: Annotated[
        bool, typer.Option("--acl-commands", help="Only print them as kafka-acls.sh commands.")
    ] = False,
    apply_acls: Annotated[
        bool, typer.Option("--apply-acls", help="Create the topics and give the rights on the broker.")
    ] = False,
) -> None:
    """Create the topics that are missing, and list them all with how they are laid out."""
    settings = kafka_here()
    if acl_commands:
        for line in commands(settings):
            typer.echo(line)
        return
    if acls:
        _show_rights(settings)
        return
    wait_for_broker(settings)
    if apply_acls:
        made = ensure_topics(settings)
        typer.echo(f"{len(made)} topics made at {settings.bootstrap}")
        _show_applied(settings, apply(settings))
        return
    _show_topics(settings, set(ensure_topics(settings, ACCESS["admin"])))


def _show_topics(settings: KafkaSettings, made: set[str]) -> None:
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


def _show_rights(settings: KafkaSettings) -> None:
    table = Table("principal", "on", "may", box=None, header_style="bold")
    for grant, operations in by_resource(every_grant(settings)):
        table.add_row(f"User:{grant.user}", f"{grant.resource} {grant.name}", ", ".join(operations))
    Console(soft_wrap=True).print(table)


def _show_applied(settings: KafkaSettings, applied: Applied) -> None:
    for grant, operations in by_resource(list(applied.new)):
        typer.echo(f"User:{grant.user} may now {', '.join(operations)} {grant.resource} {grant.name}")
    typer.echo(f"{len(applied.new)} rights given, {len(every_grant(settings))} in all")
    if applied.surplus:
        typer.echo("Our users may also do what no service needs. To take it away:")
        for line in applied.surplus:
            typer.echo(line)


def _kept(ms: int | None) -> str:
    return "for ever" if ms is None else f"{ms // 86_400_000} days"
