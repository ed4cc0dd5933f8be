"""`garant`: every service and every tool by name."""

from __future__ import annotations

import errno
import sys
from importlib import import_module
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from shared import logs
from shared.errors import NeedsAPerson

_COMMANDS = {
    "up": (
        "services.cli.up.command:up",
        "Run everything here, until Ctrl-C.",
    ),
    "status": ("services.cli.up.status:app", "What is up; run the public status page, and its webhooks."),
    "incident": (
        "services.status.staff.incident_command:app",
        "Write on the status page: open, update, resolve.",
    ),
    "demo": (
        "services.cli.demo.command:app",
        "Break and mend the demo application; publish a month; write to support.",
    ),
    "replay": ("services.cli.audit.replay_command:replay", "Replay a history and print every outcome."),
    "reconcile": (
        "services.cli.audit.reconcile:command",
        "Compare journal, topics and billing's books, by night.",
    ),
    "explain": ("services.cli.audit.explain:explain", "Why a credit was granted."),
    "backup": (
        "services.cli.backup.command:app",
        "Copy the log to a folder while everything runs; restore it.",
    ),
    "publish": ("services.cli.publish:publish", "Put facts on their topics."),
    "broker": ("services.cli.local.command:broker", "Run only the broker."),
    "topics": ("services.cli.topics.command:app", "The topics: list, create, bring to the registry."),
    "preflight": (
        "services.cli.preflight.command:preflight",
        "What would keep the services from starting; changes nothing.",
    ),
    "asyncapi": ("services.cli.asyncapi.command:asyncapi", "Print the AsyncAPI document of every topic."),
    "probe": ("services.probe.command:app", "Run a probe agent."),
    "sla": ("services.sla.command:run", "Run the SLA service."),
    "billing": ("services.billing.command:app", "Run billing; subscriptions, credits, invoices."),
    "support": ("services.support.command:app", "Run the support desk; contacts, quarantine, letters."),
    "desk": ("services.support.desk:app", "The work list of support; answer, classify, log work."),
    "notify": ("services.notify.command:app", "Run notify: warnings and notices in writing; its letters."),
    "forget": ("services.cli.forget:forget", "Erase a person; what was concluded stays as it is."),
    "trial": ("services.cli.trial.command:app", "Run Kafka or PostgreSQL of a trial in a cluster."),
    "mailbox": ("services.cli.mail.command:mailbox", "Run a local mail server, for trying things out."),
}
"""Name, where it is, what it does. A command is imported when it is called: `garant replay` needs no broker
client, and starts without one."""


class LazyGroup(TyperGroup):
    """Lists all commands, imports the one that is asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        module, _, name = _COMMANDS[cmd_name][0].partition(":")
        found = getattr(import_module(module), name)
        if not isinstance(found, typer.Typer):
            made = typer.Typer(add_completion=False)
            made.command(name=cmd_name)(found)
            found = made
        command = typer.main.get_command(found)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


app = typer.Typer(
    cls=LazyGroup,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Garant makes a software vendor's published service promises come true by themselves.",
)


def run() -> None:
    """The command line; what only a person can mend ends it with a message and exit status 1."""
    try:
        logs.configure()
        app()
    except NeedsAPerson as error:
        _give_up(str(error))
    except ValueError as error:
        from pydantic import ValidationError  # imported by what read a setting, if anything did

        if not isinstance(error, ValidationError):
            raise
        _give_up(mistakes(error))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        _give_up(f"the disk is full ({error}); free some room and start again")


def _give_up(why: str) -> NoReturn:
    print(f"error: {why}", file=sys.stderr)  # noqa: T201
    raise SystemExit(1)


def mistakes(error: Any) -> str:
    """What is wrong with settings, a line each, from pydantic's ValidationError."""
    return "\n".join(_setting(error.title, one) for one in error.errors())


def _setting(title: str, mistake: Any) -> str:
    """A setting as it is named in the environment, and what is wrong with it."""
    prefix = {"KafkaSettings": "GARANT_KAFKA_", "HomeSettings": "GARANT_"}.get(
        title, f"GARANT_{title.removesuffix('Settings').upper()}_"
    )
    name = prefix + "_".join(str(part) for part in mistake["loc"]).upper()
    return f"{name}: {mistake['msg']} (it is {mistake['input']!r}); see docs/reference/settings.md"


@app.callback()
def main() -> None:
    """Garant makes a software vendor's published service promises come true by themselves."""
