"""The documentation keeps step with the code: every name is told, links lead somewhere, examples run."""

from __future__ import annotations

import importlib
import json
import re
from hashlib import sha256
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic_settings import BaseSettings

from services.cli.audit.reconcile_kinds import KINDS
from services.cli.audit.replay import replay_lines
from shared import facts, logs, outcomes, terms
from shared.codec import decode_fact
from shared.topics import TOPICS, Spread

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
RECORDS = (*get_args(facts.Fact), *get_args(outcomes.Outcome))


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def section(page: Path, title: str) -> str:
    """The text under the heading `title`, up to the next heading."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", page.read_text(), re.S | re.M)
    assert found, f"{named(page)} has no section {title!r}"
    return found[1]


def settings_variables() -> dict[str, str]:
    """Every environment variable of the pydantic settings classes, and the one that is read before them, with
    its default as the page shows it."""
    found = {logs.LEVEL: logs.DEFAULT}
    for path in [*(ROOT / "services").rglob("*.py"), *(ROOT / "shared").glob("*.py")]:
        if "SettingsConfigDict(" not in path.read_text():
            continue
        module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
        for kind in vars(module).values():
            if not (isinstance(kind, type) and issubclass(kind, BaseSettings)):
                continue
            if kind.__module__ != module.__name__ or not kind.model_config["env_prefix"]:
                continue
            prefix = kind.model_config["env_prefix"]
            for name, field in kind.model_fields.items():
                found[f"{prefix}{name}".upper()] = str(field.default)
    return found


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_each_record_is_told_with_its_fields_in_their_order(record: type[Any]) -> None:
    told = re.findall(r"^\| `(\w+)`", section(REFERENCE / "facts-and-outcomes.md", record.__name__), re.M)
    assert told == list(record.__struct_fields__)


def test_the_built_in_terms_are_told_as_they_are() -> None:
    block = re.search(r"```json\n(.*?)```", section(REFERENCE / "facts-and-outcomes.md", "Terms"), re.S)
    assert block
    line = {"type": "TermsPublished", "version": "v", "effective_on": "2026-01-01", "major": False}
    told = decode_fact(json.dumps({**line, "terms": json.loads(block[1])}).encode())
    assert isinstance(told, facts.TermsPublished)
    assert told.terms == terms.BUILT_IN


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.name)
def test_each_topic_is_told_as_the_registry_has_it(topic: Any) -> None:
    rows = [
        line for line in (REFERENCE / "topics.md").read_text().splitlines() if f"`{topic.name}` |" in line
    ]
    assert len(rows) == 1
    _, _, key, spread, kept, what, _ = (cell.strip() for cell in rows[0].split("|"))
    assert key == (topic.key or "-")
    assert Spread(spread) is topic.spread
    days = "for ever" if topic.kept_ms is None else f"{topic.kept_ms // 86_400_000} days"
    days = "last record of each key" if topic.compacted else days
    assert kept == days + (", append time" if topic.append_time else "")
    assert re.findall(r"`(\w+)`", what) == [record.__name__ for record in topic.records]
    assert what.startswith(topic.what)


def test_no_topic_is_told_that_is_not_in_the_registry() -> None:
    rows = re.findall(r"^\| `([a-z.]+)` \|", (REFERENCE / "topics.md").read_text(), re.M)
    assert rows == [topic.name for topic in TOPICS]


def test_every_setting_is_told_with_its_default() -> None:
    rows = re.findall(r"^\| `(GARANT_\w+)` \| (.*?) \|", (REFERENCE / "settings.md").read_text(), re.M)
    told, wanted = dict(rows), settings_variables()
    assert len(rows) == len(told)
    assert sorted(told) == sorted(wanted)
    shown = {"": "empty", "None": "empty", "False": "false", "**********": "empty"}
    assert {name: value.strip("`") for name, value in told.items()} == {
        name: shown.get(default, default.removesuffix(".0")) for name, default in wanted.items()
    }


def test_no_page_names_a_setting_that_does_not_exist() -> None:
    known = {*settings_variables(), "GARANT_HOME"}
    for page in PAGES:
        for name in re.findall(r"GARANT_[A-Z0-9_]*[A-Z0-9]", page.read_text()):
            prefix = any(variable.startswith(f"{name}_") for variable in known)
            assert name in known or prefix, f"{named(page)} names {name}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]*)(#[^)\s]*)?\)", page.read_text()):
        file, anchor = target[0], target[1].removeprefix("#")
        if file.startswith(("http://", "https://")):
            continue
        other = (page.parent / file).resolve() if file else page
        assert other.exists(), f"{named(page)} links to {file}"
        if anchor:
            assert anchor in anchors(other), f"{named(page)} links to #{anchor} of {named(other)}"


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as code hosts make them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_files_named_in_the_text_exist(page: Path) -> None:
    """A path in backquotes, like `services/sla/uptime.py` or `tests/kafka/test_broker.py`."""
    for path in re.findall(
        r"`((?:services|shared|tests|bench|deploy|docs)/[\w./-]*\w\.\w+)", page.read_text()
    ):
        assert (ROOT / path).exists(), f"{named(page)} names {path}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_tests_named_in_the_text_exist(page: Path) -> None:
    """A test in backquotes, like `test_a_cut_must_be_longer_than_24_hours`."""
    known = {
        name
        for path in (ROOT / "tests").rglob("test_*.py")
        for name in [path.stem, *re.findall(r"def (test_\w+)", path.read_text())]
    }
    for name in re.findall(r"`(?:[\w/]+\.py::)?(test_\w+)`", page.read_text()):
        assert name in known, f"{named(page)} names {name}"


def test_each_difference_that_can_be_found_is_told_in_the_same_order() -> None:
    told = re.findall(r"^\| `([a-z-]+)` \|", (ROOT / "docs" / "how-to" / "reconcile.md").read_text(), re.M)
    assert told == list(KINDS)


def example() -> tuple[list[bytes], list[bytes]]:
    """The history of the page on replay files, and the outcomes it shows."""
    blocks = re.findall(r"```json\n(.*?)```", (REFERENCE / "replay-file.md").read_text(), re.S)
    history, shown = (block.encode().splitlines() for block in blocks)
    return history, shown


def test_the_replay_example_prints_what_the_page_shows() -> None:
    history, shown = example()
    assert list(replay_lines(history)) == shown


def test_the_digest_is_what_the_page_says() -> None:
    """Worked out with hashlib from the page's words; the folds have no part in it."""
    history, shown = example()
    digest, left = sha256(b"").digest(), list(shown)
    assert digest.hex() in (REFERENCE / "digest.md").read_text()
    for offset, line in enumerate(history):
        said = json.loads(line)
        entry = {"recorded_at": said["recorded_at"], "source": None, "fact": said["fact"]}
        digest = sha256(digest + json.dumps(entry, separators=(",", ":")).encode()).digest()
        while left and json.loads(left[0])["journal"]["offset"] == offset:
            assert json.loads(left[0])["journal"]["digest"] == digest.hex()
            digest = sha256(digest + left.pop(0)).digest()
    assert left == []
