"""The chart rendered by Helm itself, without a cluster."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "chart"
VALUES = Path(__file__).parent / "values"
EVERY_VALUES = ("trial", "production", "everything")
RELEASE = "garant"
Object = dict[str, Any]


class NoHelm(AssertionError):
    """There is no Helm here; the message says where to get it."""


@cache
def helm() -> str:
    """Helm 3: `HELM`, on the PATH, or in ~/.cache/kube. Raises NoHelm."""
    kept = sorted((Path.home() / ".cache" / "kube").glob("v*/bin/helm"))
    found = os.environ.get("HELM") or shutil.which("helm") or (str(kept[-1]) if kept else None)
    if found is None:
        raise NoHelm(
            "The chart's tests need Helm 3.19: CGO_ENABLED=0 go install helm.sh/helm/v3/cmd/helm@v3.19.5, "
            "then put it on the PATH or name it with HELM."
        )
    return found


def run(*argv: str) -> subprocess.CompletedProcess[str]:
    """Helm's own answer."""
    return subprocess.run([helm(), *argv], capture_output=True, text=True, check=False, timeout=120)


@cache
def render(values: str = "trial", *options: str, release: str = RELEASE) -> tuple[Object, ...]:
    """Every object of the chart with tests/chart/values/VALUES.yaml and more `options` of `helm template`.
    Do not change what is returned: it is shared."""
    answer = _template(values, options, release)
    assert answer.returncode == 0, answer.stderr
    return tuple(one for one in yaml.safe_load_all(answer.stdout) if one)


def refusal(values: str, *options: str) -> str:
    """What Helm says where it refuses the values; empty where it takes them."""
    answer = _template(values, options, RELEASE)
    return answer.stderr if answer.returncode else ""


def _template(values: str, options: tuple[str, ...], release: str) -> subprocess.CompletedProcess[str]:
    file = str(VALUES / f"{values}.yaml")
    return run("template", release, str(CHART), "--namespace", "garant", "--values", file, *options)


def of_kind(objects: tuple[Object, ...], *kinds: str) -> list[Object]:
    """Those of the kinds."""
    return [one for one in objects if one["kind"] in kinds]


def named(objects: tuple[Object, ...], kind: str, name: str) -> Object:
    """The one of the kind and the name."""
    return next(one for one in of_kind(objects, kind) if one["metadata"]["name"] == name)


def pods(objects: tuple[Object, ...]) -> Iterator[tuple[str, Object]]:
    """Every pod that is made: what it is called, its metadata and its spec."""
    for one in objects:
        name = f"{one['kind']} {one['metadata']['name']}"
        if one["kind"] == "Pod":
            yield name, one
        elif "template" in one.get("spec", {}):
            yield name, one["spec"]["template"]


def component(one: Object) -> str:
    """What an object or pod belongs to."""
    return str(one["metadata"]["labels"]["app.kubernetes.io/component"])
