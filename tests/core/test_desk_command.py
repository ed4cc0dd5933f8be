"""`garant desk`, `garant support` and `garant forget` against a running desk."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine, event
from typer import Typer
from typer.testing import CliRunner

from services.cli import forget as forgetting
from services.support import command, desk
from services.support.tables import letters
from shared.errors import NeedsAPerson
from tests.core.desk_books import (
    KINDS,
    NOW,
    TOKEN,
    SetClock,
    client,
    empty_desk,
    judged,
    mail,
    quota,
    served,
    subscribed,
)

FORGET = Typer()
FORGET.command()(forgetting.forget)
CONTACT = ("--account", "A-1", "--address", "emilie@example.ch", "--name", "Emilie Dupont")


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with empty_desk(request.param, tmp_path) as found:
        yield found


@pytest.fixture
def url(engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    with served(engine, SetClock(NOW)) as found:
        monkeypatch.setenv("GARANT_HOME", str(tmp_path))
        monkeypatch.setenv("GARANT_SUPPORT_URL", found)
        monkeypatch.setenv("GARANT_SUPPORT_TOKEN", TOKEN)
        monkeypatch.setenv("COLUMNS", "250")
        yield found


def garant(app: Typer, *args: str, typed: str | None = None) -> str:
    """What the command prints."""
    result = CliRunner().invoke(app, list(args), input=typed, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_line_does_what_staff_do(engine: Engine, url: str) -> None:
    subscribed(engine)
    quota(engine, "S-1", 46, 60, 75)
    assert "emilie@example.ch" in garant(command.app, "contact", "put", "C-1", *CONTACT)
    assert "Emilie Dupont" in garant(command.app, "contact", "list", "--account", "A-1")
    opened = garant(
        desk.app,
        "open",
        "--account",
        "A-1",
        "--severity",
        "serious",
        "--contact",
        "C-1",
        "--subject",
        "Panne",
    )
    assert "T-000001 of A-1: serious, unclassified" in opened
    assert "down" in garant(desk.app, "severity", "T-000001", "down")
    assert "as entry 1" in (logged := garant(desk.app, "log", "T-000001", "25"))
    assert "garant desk classify T-000001" in logged
    assert "account" in garant(desk.app, "classify", "T-000001", "account")
    assert "answered" in garant(desk.app, "respond", "T-000001", "--text", "-", typed="C'est réparé.\n")
    garant(desk.app, "correct", "T-000001", "1", "20")
    shown = garant(desk.app, "show", "T-000001")
    for words in (
        "Panne",
        "C'est réparé.",
        "reply, 2026-11-27T09:00:00.000Z, waiting",
        "WorkCorrected",
        "20",
    ):
        assert words in shown
    assert "closed" in garant(desk.app, "close", "T-000001")
    assert "T-000001" in garant(desk.app, "list", "--status", "closed")
    assert "answered" in garant(desk.app, "reopen", "T-000001")
    number = mail(engine, state="threaded", ticket="T-000001", contact="C-1", subject="Autre chose")
    assert "T-000002 of A-1: down" in garant(desk.app, "split", str(number), "--severity", "down")
    assert "T-000003 of A-2" in garant(desk.app, "assign", "T-000002", "A-2")
    assert "withdrawn" in garant(desk.app, "withdraw", "T-000003")


def test_quarantine_and_letters_are_settled_by_command(engine: Engine, url: str) -> None:
    garant(command.app, "contact", "put", "C-1", *CONTACT)
    first, second = mail(engine), mail(engine, subject="[red]shoes[/red]\x1b[2J")
    listed = garant(command.app, "quarantine")
    assert "Serveur en panne" in listed
    assert "[red]shoes[/red]" in listed
    assert "\x1b[2J" not in listed
    assert "belongs to T-000001" in garant(command.app, "quarantine", "release", str(first))
    garant(command.app, "quarantine", "discard", str(second), "--reason", "sells shoes")
    assert "Serveur" not in garant(command.app, "quarantine", "list")
    garant(desk.app, "respond", "T-000001", "--text", "Bonjour")
    with engine.begin() as connection:
        connection.execute(letters.update().values(state="doubtful"))
    found = re.search(r"ticket/T-000001/reply/\w+", garant(command.app, "letters", "--state", "doubtful"))
    assert found is not None
    assert "accepted" in garant(command.app, "letters", "accepted", found[0])
    with engine.begin() as connection:
        connection.execute(letters.update().values(state="refused"))
    assert "waiting" in garant(command.app, "letters", "resend", found[0])
    assert f"message {first}" in garant(command.app, "erase", str(first))
    assert "Rien ne va plus" not in garant(desk.app, "show", "T-000001")


def test_the_work_list_is_printed_once(engine: Engine, url: str) -> None:
    quota(engine, "S-1", 46, 60, 75)
    garant(desk.app, "open", "--account", "A-1", "--severity", "down", "--subject", "[bold]Panne[/bold]")
    judged(engine, "T-000001", "2026-11-27T09:10:00.000Z", "2026-11-27T08:55:00.000Z")
    mail(engine)
    once = garant(desk.app, "--once")
    for words in ("! at risk, in 10 min", "[bold]Panne[/bold]", "in quarantine: 1", "at 75 %", "14 min"):
        assert words in once


def test_the_work_list_is_renewed_until_it_is_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with empty_desk("sqlite", tmp_path) as engine, served(engine, SetClock(NOW)) as url:
        monkeypatch.setenv("GARANT_SUPPORT_URL", url)
        monkeypatch.setenv("GARANT_SUPPORT_TOKEN", TOKEN)
        with client(url) as http:
            http.post("/tickets", json={"account": "A-1", "severity": "down"})
        asked: list[object] = []
        event.listen(engine, "begin", asked.append)
        running = subprocess.Popen(
            [sys.executable, "-c", "from services.support.desk import app; app()"],
            env=os.environ,
            stdout=subprocess.PIPE,
            text=True,
            # Also where this run was started with Ctrl-C turned off, as in the background.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        deadline = time.monotonic() + 60
        while len(asked) < 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert len(asked) == 3
        assert running.poll() is None
        running.send_signal(signal.SIGINT)
        output, _ = running.communicate(timeout=10)
        assert running.returncode == 0
        assert "T-000001" in output


def test_what_the_desk_refuses_is_said_in_its_own_words(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for app, args, why in (
        (desk.app, ("show", "T-9"), "garant desk"),
        (desk.app, ("classify", "T-9", "question"), "kind"),
        (command.app, ("quarantine", "release", "9"), "garant"),
        (command.app, ("letters", "resend", "ticket/T-9/ack"), "garant support letters"),
    ):
        result = CliRunner().invoke(app, list(args))
        assert isinstance(result.exception, NeedsAPerson)
        assert why in str(result.exception)
    monkeypatch.setenv("GARANT_SUPPORT_URL", "http://127.0.0.1:1")
    for app in (desk.app, command.app):
        result = CliRunner().invoke(app, ["--once"] if app is desk.app else ["letters"])
        assert isinstance(result.exception, NeedsAPerson)
        assert "GARANT_SUPPORT_URL" in str(result.exception)


def test_forget_tells_what_each_service_erased_and_can_be_run_again_where_one_was_away(
    engine: Engine, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    garant(command.app, "contact", "put", "C-1", *CONTACT)
    mail(engine, contact="C-1")
    mail(engine, "beat@example.ch", text="Kopie an emilie@example.ch", sender_name="Beat")
    monkeypatch.setenv("GARANT_NOTIFY_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("GARANT_NOTIFY_TOKEN", "t")
    result = CliRunner().invoke(FORGET, ["C-1"])
    assert "support: erased 1 addresses, 1 mails, 0 letters and 0 subjects" in result.output
    assert "other people's mails name this person: 2" in result.output
    assert isinstance(result.exception, NeedsAPerson)
    assert "Notify does not answer" in str(result.exception)
    assert "run it again" in str(result.exception)
    monkeypatch.setenv("GARANT_NOTIFY_URL", url)  # another service that knows the contact, for its part
    monkeypatch.setenv("GARANT_NOTIFY_TOKEN", TOKEN)
    again = garant(FORGET, "C-1")
    assert "support: erased 0 addresses, 0 mails" in again
    assert "notify: erased" in again
    unknown = CliRunner().invoke(FORGET, ["C-9"])
    assert "no contact C-9" in str(unknown.exception)


def test_somebody_who_is_no_contact_is_forgotten_by_address(engine: Engine, url: str) -> None:
    mail(engine)
    assert "1 mails" in garant(FORGET, "emilie@example.ch")
    with client(url) as http:
        assert isinstance(http, httpx.Client)
        assert http.get("/quarantine").json()[0]["sender"] is None
