"""The pages for a platform team name commands, values and alerts that exist, and no machine of ours."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from services.cli.main import _COMMANDS, app
from shared.settings import KafkaSettings
from shared.topics import PROBE_RESULTS, TOPICS

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs" / "operations"
PAGES = sorted(FOLDER.glob("*.md"))
VALUES: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "chart" / "values.yaml").read_text())

NO_VALUES = {*(topic.name for topic in TOPICS), "kafka.refused", "kafka.allowed"}
"""Topics, and what logs say: names with a dot that are no values of the chart."""


def named(path: Path) -> str:
    return path.name


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.S)


def test_the_first_page_leads_to_all_others() -> None:
    led = set(re.findall(r"\]\((\w[\w-]*\.md)\)", (FOLDER / "README.md").read_text()))
    assert led == {page.name for page in PAGES} - {"README.md"}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_named_exists(page: Path) -> None:
    """`garant backup write ...`, wherever it stands in code: the command, and its subcommand."""
    group = typer.main.get_command(app)
    code = re.findall(r"`([^`\n]+)`|^ {4,}(?:\$ )?(garant .*)$", page.read_text(), re.M)
    for text in (first or second for first, second in code):
        found = re.match(r"garant ([a-z]+)((?: [\w./-]+)*)", text)
        if not found:
            continue
        assert found[1] in _COMMANDS, f"{page.name}: {text}"
        command = group.get_command(None, found[1])  # type: ignore[attr-defined]
        first = found[2].split()[:1]
        subcommands = getattr(command, "commands", {})
        if subcommands and first:
            assert first[0] in subcommands, f"{page.name}: {text}"
        for option in re.findall(r" (--[a-z-]+)", text):
            chosen = subcommands.get(first[0]) if subcommands and first else command
            known = {name for each in chosen.params for name in (*each.opts, *each.secondary_opts)}
            assert option in known, f"{page.name}: {text} has no {option}"


def keys(given: Any, known: Any, path: str = "") -> list[str]:
    """The names in `given` that the chart's values do not have."""
    missing: list[str] = []
    for name, value in given.items() if isinstance(given, dict) else ():
        if not isinstance(known, dict) or name not in known:
            missing.append(f"{path}{name}")
        elif known[name]:  # an empty mapping of the chart takes any names
            missing += keys(value, known[name], f"{path}{name}.")
    return missing


def test_the_values_of_the_example_exist_in_the_chart() -> None:
    (block,) = blocks(FOLDER / "install.md", "yaml")
    assert keys(yaml.safe_load(block), VALUES) == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_values_named_in_the_text_exist_in_the_chart(page: Path) -> None:
    """Like `sla.replicas` or `probe.agents[].zone`; the first word must be one of the chart's."""
    for path in re.findall(r"`([a-zA-Z]+(?:\.[a-zA-Z]+)+)(?:\[\][.\w]*)?(?:: \d+)?`", page.read_text()):
        first, *rest = path.split(".")
        if first not in VALUES or path in NO_VALUES:
            continue
        known: Any = VALUES[first]
        for name in rest:
            assert isinstance(known, dict), f"{page.name}: {path}"
            assert name in known, f"{page.name}: {path}"
            known = known[name]


def test_partitions_and_retention_are_told_as_they_are() -> None:
    text = (FOLDER / "partitions.md").read_text()
    settings = KafkaSettings.model_fields
    assert f"`GARANT_KAFKA_TARGET_PARTITIONS` ({settings['target_partitions'].default})" in text
    assert f"`GARANT_KAFKA_ACCOUNT_PARTITIONS` ({settings['account_partitions'].default})" in text
    days = (PROBE_RESULTS.kept_ms or 0) // 86_400_000
    for name in ("sizing.md", "backup-and-restore.md"):
        assert f"{days} days" in (FOLDER / name).read_text()


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_manifests_shown_are_yaml(page: Path) -> None:
    for block in blocks(page, "yaml"):
        assert yaml.safe_load(block)
