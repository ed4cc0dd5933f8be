"""Charts that differ from the one of this work tree: of other rules, and the one before."""

from __future__ import annotations

import re
import shutil
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path
from subprocess import run
from typing import NamedTuple

from services.sla.rules import RULES_VERSION

ROOT = Path(__file__).resolve().parents[2]
OTHER_RULES = RULES_VERSION + 1


class Before(NamedTuple):
    """The chart before this one. `released`: of a tag; else this one made older, for want of one."""

    chart: Path
    what: str
    released: bool


def with_other_rules(chart: Path, rules: int = OTHER_RULES) -> Path:
    """A copy of `chart` that installs rules `rules`."""
    copy = _copy(chart)
    _rewrite(copy / "rules.yaml", r"^rulesVersion: \d+", f"rulesVersion: {rules}")
    return copy


def before(chart: Path) -> Before:
    """The chart of the last tag that has one; where none has, a copy under an earlier version."""
    for tag in _git("tag", "--list", "v*", "--sort=-v:refname", "--merged", "HEAD").decode().split():
        found = _git("ls-tree", tag, "--name-only", "deploy/chart/Chart.yaml")
        if found and _git("rev-parse", f"{tag}^{{commit}}") != _git("rev-parse", "HEAD"):
            folder = Path(tempfile.mkdtemp(prefix="garant-chart-"))
            packed = _git("archive", tag, "deploy/chart", "deploy/observability")
            with tarfile.open(fileobj=BytesIO(packed)) as archive:
                archive.extractall(folder, filter="data")
            return Before(folder / "deploy" / "chart", tag, True)
    copy = _copy(chart)
    _rewrite(copy / "Chart.yaml", r"^version: .*$", "version: 0.0.1")
    return Before(copy, "this chart as 0.0.1: none has been released", False)


def _copy(chart: Path) -> Path:
    """With what its links lead to."""
    folder = Path(tempfile.mkdtemp(prefix="garant-chart-")) / "garant"
    shutil.copytree(chart, folder, symlinks=False)
    return folder


def _rewrite(path: Path, pattern: str, line: str) -> None:
    text, times = re.subn(pattern, line, path.read_text(), flags=re.M)
    assert times == 1, f"{path} has no line like {pattern}"
    path.write_text(text)


def _git(*words: str) -> bytes:
    return run(["git", "-C", str(ROOT), *words], capture_output=True, check=True).stdout
