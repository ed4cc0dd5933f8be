"""Every object is what the supported versions of Kubernetes, and the operators it may be used with, know."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from tests.chart.rendering import EVERY_VALUES, Object, render

SCHEMAS = Path(__file__).parents[1] / "schemas" / "kubernetes"


@cache
def schemas(version: str) -> dict[str, Draft7Validator]:
    found: dict[str, Draft7Validator] = {}
    for name in (f"kubernetes-{version}", "custom"):
        document = json.loads((SCHEMAS / f"{name}.json").read_text())
        for kind, schema in document["kinds"].items():
            found[kind] = Draft7Validator({**schema, "definitions": document["definitions"]})
    return found


def mistakes(version: str, one: Object) -> list[str]:
    kind = f"{one['apiVersion']}/{one['kind']}"
    if kind not in schemas(version):
        return [f"{kind} is not a kind the chart should make"]
    name = one["metadata"]["name"]
    return [f"{kind} {name} {e.json_path}: {e.message}" for e in schemas(version)[kind].iter_errors(one)]


@pytest.mark.parametrize("version", ["1.32", "1.33", "1.34"])
@pytest.mark.parametrize("values", EVERY_VALUES)
def test_every_object_is_known_to_the_cluster(values: str, version: str) -> None:
    objects = render(values, "--kube-version", version)
    assert [found for one in objects for found in mistakes(version, one)] == []


def test_a_misspelled_field_is_found() -> None:
    one: dict[str, Any] = json.loads(json.dumps(render("trial")[-1]))
    one["metadata"]["lables"] = {}
    assert any("lables" in found for found in mistakes("1.34", one))
    wrong = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "datas": {}}
    assert mistakes("1.34", wrong) == [
        "v1/ConfigMap a $: Additional properties are not allowed ('datas' was unexpected)"
    ]


def test_everything_on_makes_every_kind() -> None:
    kinds = {f"{one['apiVersion']}/{one['kind']}" for values in EVERY_VALUES for one in render(values)}
    assert kinds == set(schemas("1.34")) - {"v1/PersistentVolumeClaim"}
