"""How images are built, as far as it shows without Docker: what a release refuses, and where it begins."""

from __future__ import annotations

import re
import runpy
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "deploy/images/Dockerfile").read_text()
PINNED = "python:3.11-slim-bookworm@sha256:" + "a" * 64


@pytest.fixture(scope="module")
def build() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "deploy/images/build.py"))


@pytest.mark.parametrize(
    ("base", "tag", "line"),
    [
        ("python:3.11-slim-bookworm", "0.1.0", "name it by digest"),
        ("python@sha256:abc", "0.1.0", "name it by digest"),
        (PINNED, "latest", "is no version"),
        (PINNED, "dev", "is no version"),
    ],
)
def test_a_release_that_could_not_be_built_again_is_refused(
    build: dict[str, Any], capsys: pytest.CaptureFixture[str], base: str, tag: str, line: str
) -> None:
    assert build["main"](["--release", "--base", base, "--tag", tag]) == 1
    said = capsys.readouterr().err
    assert line in said
    assert len(said.splitlines()) == 1


def test_the_base_is_an_argument_of_the_build(build: dict[str, Any]) -> None:
    told = build["options"](["--base", PINNED, "--tag", "0.1.0", "--registry", "registry.example/garant"])
    words = build["command"](told, "garant")
    assert f"PYTHON_IMAGE={PINNED}" in words
    assert "registry.example/garant/garant:0.1.0" in words
    bases = set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.M))
    stages = set(re.findall(r"^FROM \S+ AS (\S+)", DOCKERFILE, re.M))
    assert bases - stages == {"${PYTHON_IMAGE}"}


def test_uv_is_the_one_the_lock_file_was_made_with() -> None:
    pinned = re.findall(r"^ARG UV_VERSION=(\S+)", DOCKERFILE, re.M)
    dev = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["dev"]
    assert [f"uv=={pinned[0]}"] == [one for one in dev if isinstance(one, str) and one.startswith("uv==")]
