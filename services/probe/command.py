"""`garant probe`: run an agent, or try its configuration once."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from services.probe.app import AgentRefused, serve
from services.probe.config import Configuration, load
from services.probe.icmp import PingNotPermitted, open_socket
from services.probe.probing import Probe, Probing, probes_of, reference_probes
from services.probe.verdict import Verdict
from shared.tracing.process import begin
from shared.yaml_files import ConfigurationInvalid

app = typer.Typer(
    no_args_is_help=False,
    help="Probe targets from one location and publish what is seen.",
    pretty_exceptions_show_locals=False,
)

Config = Annotated[
    Path | None, typer.Option("--config", help="The YAML file, the same one for all locations.")
]


@app.callback(invoke_without_command=True)
def probe(
    context: typer.Context,
    config: Config = None,
    location: Annotated[str | None, typer.Option(help="Where this agent probes from.")] = None,
    port: Annotated[int, typer.Option(help="Port of /live, /ready and /metrics.", min=1, max=65_535)] = 28091,
    host: Annotated[str, typer.Option(help="Address they are served on.")] = "127.0.0.1",
) -> None:
    """Run the agent of one location until it is stopped."""
    if context.invoked_subcommand is not None:
        return
    if config is None or location is None:
        raise typer.BadParameter("--config FILE and --location NAME are needed, or the command `check`")
    try:
        begin("probe", location, traced=False)
        asyncio.run(serve(config, location, host, port))
    except (ConfigurationInvalid, AgentRefused) as error:
        _fail(error)


@app.command()
def check(
    config: Annotated[Path, typer.Option("--config", help="The YAML file to try.")],
    location: Annotated[str | None, typer.Option(help="Only what is probed from here.")] = None,
) -> None:
    """Check the configuration, then run every check once from here. Exit status 1 unless all are up."""
    console = Console()
    try:
        configuration = load(config)
    except ConfigurationInvalid as error:
        _fail(error)
    for warning in configuration.warnings():
        Console(stderr=True).print(f"[yellow]warning:[/] {warning}", highlight=False)
    found = asyncio.run(try_once(configuration, location))
    table = Table("target", "check", "outcome", "rtt ms", "error")
    colour = {"up": "green", "down": "red", "unknown": "yellow"}
    for probe_, verdict in found:
        rtt = "" if verdict.rtt_us is None else f"{verdict.rtt_us / 1_000:.1f}"
        outcome = f"[{colour[verdict.outcome]}]{verdict.outcome}[/]"
        table.add_row(probe_.target, probe_.check, outcome, rtt, verdict.error or "")
    console.print(table)
    if any(verdict.error == "agent: icmp not permitted" for _, verdict in found):
        _explain_ping()
    if any(verdict.outcome != "up" for _, verdict in found):
        raise typer.Exit(1)


async def try_once(configuration: Configuration, location: str | None) -> list[tuple[Probe, Verdict]]:
    """Runs every check of `location` (None: of all) and every reference once, at most 200 at a time."""
    wanted = configuration.locations if location is None else (location,)
    probes = {probe.key: probe for one in wanted for probe in probes_of(configuration, one)}
    every = [*probes.values(), *(probe for _, probe in reference_probes(configuration))]
    probing = Probing(configuration.allow)
    room = asyncio.Semaphore(200)

    async def run(probe: Probe) -> tuple[Probe, Verdict]:
        async with room:
            return probe, await probing.check(probe)

    try:
        return await asyncio.gather(*(run(probe) for probe in every))
    finally:
        probing.close()


def _explain_ping() -> None:
    try:
        open_socket(socket.AF_INET)[0].close()
    except PingNotPermitted as error:
        Console(stderr=True).print(f"[red]error:[/] {error}", highlight=False)


def _fail(error: Exception) -> NoReturn:
    for line in str(error).splitlines():
        Console(stderr=True).print(f"[red]error:[/] {line}", highlight=False, soft_wrap=True)
    raise typer.Exit(2)
