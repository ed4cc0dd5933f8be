"""`garant topics`: makes the registry's topics on a broker, brings them to the registry, and says and gives
the rights to them, as an operator does before the services start."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from services.cli.acls import Applied, apply, by_resource, commands, every_grant
from services.cli.strimzi.files import check_folder, documents, write_folder
from services.cli.topics.applying import carry_out, prepare
from services.cli.topics.planning import Plan
from services.cli.up.here import kafka_here
from shared.access import ACCESS
from shared.kafka import wait_for_broker
from shared.settings import KafkaSettings
from shared.topic_admin import ensure_topics, topic_config
from shared.topics import TOPICS

STRIMZI = Path(__file__).resolve().parents[3] / "deploy" / "kafka" / "strimzi"

app = typer.Typer(
    no_args_is_help=False,
    help="The topics: list and create them, bring them to the registry, or write them for Strimzi.",
    pretty_exceptions_show_locals=False,
)

ApplyAcls = Annotated[bool, typer.Option("--apply-acls", help="Create the topics and give the rights.")]


@app.callback(invoke_without_command=True)
def topics(
    context: typer.Context,
    acls: Annotated[bool, typer.Option("--acls", help="Only show the rights of each service.")] = False,
    acl_commands: Annotated[
        bool, typer.Option("--acl-commands", help="Only print them as kafka-acls.sh commands.")
    ] = False,
    apply_acls: ApplyAcls = False,
) -> None:
    """Create the topics that are missing, and list them all with how they are laid out."""
    if context.invoked_subcommand is not None:
        return
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


@app.command(name="apply")
def apply_topics(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    apply_acls: Annotated[bool, typer.Option("--apply-acls", help="Give the rights as well.")] = False,
) -> None:
    """Make the topics that are missing and bring the settings of the others to the registry.

    Everything is checked first. Numbers of partitions, fewer copies, or anything that would delete history
    sooner is for a person: a line says what to do, and nothing is changed.
    """
    settings = kafka_here()
    wait_for_broker(settings)
    found = prepare(settings)
    rights = apply(settings, only_look=True) if apply_acls else None  # a broker without ACLs is found out now
    if not dry_run:
        carry_out(settings, found)
        rights = apply(settings) if apply_acls else None
    _show_plan(settings, found, dry_run)
    if rights is not None:
        _show_applied(settings, rights, dry_run)


@app.command()
def strimzi(
    check: Annotated[bool, typer.Option("--check", help="Fail unless the files are right.")] = False,
    folder: Annotated[Path, typer.Option(help="Where the files are.")] = STRIMZI,
    cluster: Annotated[str, typer.Option(help="The name of the Kafka resource.")] = "garant",
) -> None:
    """Write the topics, the users and a Kafka to have them on as resources of Strimzi (kafka.strimzi.io/v1).

    GARANT_KAFKA_PREFIX, the numbers of partitions and GARANT_KAFKA_REPLICATION (here 3 unless set) decide.
    """
    settings = KafkaSettings()
    if "replication" not in settings.model_fields_set:
        settings = settings.model_copy(update={"replication": 3})
    found = documents(settings, cluster)
    if check:
        check_folder(folder, found)
        typer.echo(f"{folder} is up to date")
        return
    write_folder(folder, found)
    typer.echo(f"written: {', '.join(str(folder / name) for name in found)}")


def _show_plan(settings: KafkaSettings, found: Plan, dry_run: bool) -> None:
    made, changed = ("would be made", "would be set") if dry_run else ("made", "set")
    for topic in found.make:
        typer.echo(
            f"{made}: {settings.topic(topic)}, {settings.partitions(topic)} partitions, "
            f"{settings.replication} replicas"
        )
    for one in found.change:
        typer.echo(f"{changed}: {one.topic} {one.setting} {one.now} -> {one.wanted}")
    for one in found.left:
        typer.echo(f"left: {one.topic} {one.setting} {one.now}, {one.wanted} would do")
    typer.echo(
        f"{len(found.make)} topics {made}, {len(found.change)} settings {changed}, "
        f"{len(TOPICS)} topics in all at {settings.bootstrap}"
    )


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


def _show_applied(settings: KafkaSettings, applied: Applied, dry_run: bool = False) -> None:
    may, given = ("would be allowed to", "would be given") if dry_run else ("may now", "given")
    for grant, operations in by_resource(list(applied.new)):
        typer.echo(f"User:{grant.user} {may} {', '.join(operations)} {grant.resource} {grant.name}")
    typer.echo(f"{len(applied.new)} rights {given}, {len(every_grant(settings))} in all")
    if applied.surplus:
        typer.echo("Our users may also do what no service needs. To take it away:")
        for line in applied.surplus:
            typer.echo(line)


def _kept(ms: int | None) -> str:
    return "for ever" if ms is None else f"{ms // 86_400_000} days"
