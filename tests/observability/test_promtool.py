"""What Prometheus itself says of the rules and of every query of the dashboards; `promtool` comes with it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).resolve().parents[2] / "deploy" / "observability"
RULES = FOLDER / "rules"
DASHBOARDS = sorted((FOLDER / "dashboards").glob("*.json"))


def promtool(*arguments: str, cwd: Path = RULES) -> None:
    """Runs promtool, which must be content."""
    found = shutil.which("promtool")
    assert found, "promtool is not installed: `apt-get install --no-install-recommends prometheus` has it"
    done = subprocess.run([found, *arguments], cwd=cwd, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_the_rules() -> None:
    promtool("check", "rules", "garant.yaml")


def test_each_alert_fires_when_it_should_and_only_then() -> None:
    promtool("test", "rules", "garant.test.yaml")


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.name)
def test_promtool_takes_every_query_of_a_dashboard(dashboard: Path, tmp_path: Path) -> None:
    values = {"$__range": "1h", "$job": "garant", "$namespace": ".*", "$instance": ".*"}
    rules = []
    for panel in json.loads(dashboard.read_text())["panels"]:
        for number, target in enumerate(panel.get("targets", [])):
            query = target["expr"]
            for variable, value in values.items():
                query = query.replace(variable, value)
            assert "$" not in query, panel["title"]
            rules.append({"record": f"panel:{panel['id']}:{number}", "expr": query})
    queries = tmp_path / "queries.yaml"
    queries.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", "--lint=none", str(queries))
