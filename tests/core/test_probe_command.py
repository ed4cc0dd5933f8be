"""`garant probe` and `garant probe check`: what they print and how they end."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.probe.command import app

CONFIGURATION = """
locations: [geneva]
allow: [loopback]
targets:
  - target: app
    name: App
    host: 127.0.0.1
    checks: [{{kind: tcp, port: {port}}}]
"""


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(arguments))
    return done.exit_code, " ".join(done.output.split())


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GARANT_HOME", str(tmp_path / "home"))
    return tmp_path


def write(home: Path, port: int) -> str:
    path = home / "agent.yaml"
    path.write_text(CONFIGURATION.format(port=port))
    return str(path)


def test_a_check_of_what_is_up_ends_well_with_a_table(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        status, said = run("check", "--config", write(home, port))
    assert status == 0
    assert f"tcp:{port} │ up" in said
    assert "references.endpoints: none" in said


def test_a_check_of_what_is_down_ends_with_1(home: Path) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        status, said = run("check", "--config", write(home, closed.getsockname()[1]))
    assert status == 1
    assert "refused" in said


@pytest.mark.parametrize("command", [["check"], ["--location", "geneva"]])
def test_a_mistake_in_the_file_ends_with_2_and_its_line(home: Path, command: list[str]) -> None:
    status, said = run(*command, "--config", write(home, 70_000))
    assert status == 2
    assert "agent.yaml:8: targets[0].checks[0].port: 70000 is not allowed; 1 to 65535" in said


def test_an_unknown_location_is_told_with_the_known_ones(home: Path) -> None:
    status, said = run("--config", write(home, 80), "--location", "basel")
    assert status == 2
    assert "location 'basel' is not in the configuration; it has geneva" in said


def test_a_port_in_use_is_told(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, said = run("--config", write(home, 80), "--location", "geneva", "--port", str(port))
    assert status == 2
    assert f"127.0.0.1:{port} cannot be served" in said
    assert "choose another --port" in said


def test_without_a_location_it_says_what_is_needed() -> None:
    status, said = run()
    assert status == 2
    assert "--config FILE and --location NAME" in said
