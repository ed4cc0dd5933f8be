"""Where the demonstration plays: the `garant up` of this machine, or an installation that is named."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli.demo.application import serve_demo
from services.cli.demo.command import app
from services.cli.demo.installation import NotRunning, installation
from services.cli.local.ports import HOST, accepts, free_port
from services.cli.mail.settings import MailboxOutside, MailboxSettings
from services.cli.trial.kafka import run_kafka
from services.cli.trial.postgres import PostgresFailed, run_postgres
from services.cli.trial.settings import TrialSettings
from shared.errors import NeedsAPerson


def test_without_a_run_and_without_a_name_it_says_what_to_start(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match="make up"):
        installation(tmp_path)


def test_an_installation_is_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GARANT_DEMO_SLA_URL", "http://g-sla:28082/")
    monkeypatch.setenv("GARANT_DEMO_PAGE", "http://g-status:28087")
    monkeypatch.setenv("GARANT_DEMO_MAIL_HOST", "g-trial-mail")
    monkeypatch.setenv("GARANT_MAILBOX_PASSWORD", "one-for-all")
    monkeypatch.setenv("GARANT_KAFKA_BOOTSTRAP", "g-trial-kafka:9092")
    found = installation(tmp_path)
    assert (found.sla_url, found.page) == ("http://g-sla:28082", "http://g-status:28087")
    assert found.kafka.bootstrap == "g-trial-kafka:9092"
    assert found.application == (28080, 28081)
    assert found.mail is not None
    assert (found.mail.host, found.mail.users["anna@demo.example"]) == ("g-trial-mail", "one-for-all")


async def test_while_it_is_held_the_application_refuses_connections(tmp_path: Path) -> None:
    held, http, tcp = tmp_path / "held" / "demo", free_port(), free_port()
    held.parent.mkdir()
    running = asyncio.create_task(serve_demo(HOST, http, tcp, held))

    async def until(answers: bool) -> None:
        async with asyncio.timeout(20):
            while any([await asyncio.to_thread(accepts, port) != answers for port in (http, tcp)]):  # noqa: ASYNC110
                await asyncio.sleep(0.05)

    try:
        await until(True)
        held.touch()
        await until(False)
        held.unlink()
        await until(True)
    finally:
        running.cancel()


def test_the_mail_server_stays_on_this_machine_unless_it_is_allowed_out() -> None:
    with pytest.raises(MailboxOutside, match="GARANT_MAILBOX_OUTSIDE"):
        MailboxSettings(host="0.0.0.0")  # noqa: S104
    assert MailboxSettings(host="0.0.0.0", outside=True).host == "0.0.0.0"  # noqa: S104


def test_the_trial_s_servers_say_where_they_run(tmp_path: Path) -> None:
    with pytest.raises(NeedsAPerson, match="garant-trial"):
        run_kafka(TrialSettings(kafka_folder=tmp_path / "none"), tmp_path)
    with pytest.raises(PostgresFailed, match="GARANT_TRIAL_POSTGRES_PASSWORD"):
        run_postgres(TrialSettings(), tmp_path)


def test_waiting_ends_once_the_application_answers(tmp_path: Path) -> None:
    ports = [free_port(), free_port()]
    options = ["wait", "--http-port", str(ports[0]), "--tcp-port", str(ports[1]), "--wait-s", "0.6"]
    nothing = CliRunner().invoke(app, options)
    assert nothing.exit_code == 1
    with socket.create_server((HOST, ports[0])), socket.create_server((HOST, ports[1])):
        assert CliRunner().invoke(app, options).exit_code == 0
