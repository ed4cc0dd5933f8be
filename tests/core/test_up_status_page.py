"""What `garant up` has the public status page show."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli.demo.command import TARGET
from services.cli.up.children import children, page_address
from services.cli.up.settings import UpSettings
from services.cli.up.status import app
from services.cli.up.supervisor import Child
from services.status.configuration import load

PROBES = """
locations: [here]
allow: [loopback]
targets:
  - target: inner-name-1
    name: "Boutique: <b>à côté</b>"
    host: 127.0.0.1
    checks: [{kind: tcp, port: 1}]
"""


def status(home: Path, settings: UpSettings) -> Child:
    return next(child for child in children(home, settings) if child.name == "status")


def test_the_demonstration_is_shown_at_the_address_that_is_told(
    tmp_path: Path, clean_environment: pytest.MonkeyPatch
) -> None:
    settings = UpSettings(status_port=20_001, status_api_port=20_002)
    child = status(tmp_path, settings)
    assert child.env["GARANT_STATUS_PUBLIC_URL"] == page_address(settings) == "http://127.0.0.1:20001"
    assert child.ready_url == "http://127.0.0.1:20002/ready"
    assert "GARANT_STATUS_CONFIG" not in child.env
    assert load(None).targets == {TARGET}
    clean_environment.setenv("GARANT_STATUS_PUBLIC_URL", "https://status.example")
    assert "GARANT_STATUS_PUBLIC_URL" not in status(tmp_path, settings).env


def test_with_probes_of_one_s_own_their_targets_are_shown_until_one_says_what_is_public(
    tmp_path: Path, clean_environment: pytest.MonkeyPatch
) -> None:
    probes = tmp_path / "agent.yaml"
    probes.write_text(PROBES)
    settings = UpSettings(probes=probes)
    (component,) = load(Path(status(tmp_path, settings).env["GARANT_STATUS_CONFIG"])).components
    assert component.targets == ("inner-name-1",)
    assert component.name["fr"] == "Boutique: <b>à côté</b>"
    assert "inner" not in component.id
    clean_environment.setenv("GARANT_STATUS_CONFIG", "page.yaml")
    assert "GARANT_STATUS_CONFIG" not in status(tmp_path, settings).env


def test_the_page_s_own_commands_stand_under_the_one_that_says_what_is_up(
    tmp_path: Path, clean_environment: pytest.MonkeyPatch
) -> None:
    clean_environment.setenv("GARANT_HOME", str(tmp_path))
    without = CliRunner().invoke(app, [])
    assert (without.exit_code, "Start it with `make up`" in without.output) == (1, True)
    shown = CliRunner().invoke(app, ["--help"]).output
    assert all(f" {name} " in shown for name in ("serve", "web", "hook"))
