"""`garant preflight`: what a start would stumble on, all of it, before anything is started."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from services.cli.preflight.given import KINDS, Given, Secrets, given
from services.cli.preflight.outside import check_databases, check_kafka
from services.probe.config import load
from shared.yaml_files import ConfigurationInvalid


def preflight(
    services: Annotated[
        list[str] | None, typer.Argument(metavar="[SERVICE]...", help=f"Of {', '.join(KINDS)}; all.")
    ] = None,
    secrets: Annotated[
        Path | None, typer.Option(help="Folder of mounted secrets: SERVICE/kafka-password and so on.")
    ] = None,
    several: Annotated[
        bool, typer.Option("--several", help="For more than one instance: nothing kept on one machine.")
    ] = False,
    topics_follow: Annotated[
        bool, typer.Option("--topics-follow", help="Topics that are missing are made after this.")
    ] = False,
    probe_config: Annotated[Path | None, typer.Option(help="The agents' YAML file, to be checked.")] = None,
) -> None:
    """Check settings, secrets, Kafka with its rights and topics, and databases. Changes nothing.

    A line for each mistake says what to change; exit status 1 where there is any.
    """
    asked = [name for name in KINDS if not services or name in services]
    if unknown := sorted(set(services or ()) - set(KINDS)):
        raise typer.BadParameter(f"no service {', '.join(unknown)}; there are {', '.join(KINDS)}")
    found = [given(name, asked, Secrets(secrets), several) for name in asked]
    if probe_config is not None:
        _check_agents(found, probe_config)
    wrong = check_kafka(found, topics_follow)
    check_databases(found)
    for one in found:
        for line in one.mistakes:
            typer.echo(f"error: {one.service}: {line}", err=True)
        if not one.mistakes:
            typer.echo(f"ok: {one.service}")
    for line in wrong:
        typer.echo(f"error: kafka: {line}", err=True)
    if wrong or any(one.mistakes for one in found):
        raise typer.Exit(1)


def _check_agents(found: list[Given], path: Path) -> None:
    try:
        load(path)
    except ConfigurationInvalid as error:
        for one in found:
            if one.service == "probe":
                one.mistakes += str(error).splitlines()
