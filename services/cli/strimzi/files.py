"""The generated files: what is in them, and whether those in a folder are right."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from services.cli.strimzi.cluster import cluster, pools
from services.cli.strimzi.topics import topics
from services.cli.strimzi.users import users
from shared.errors import NeedsAPerson
from shared.settings import KafkaSettings

Documents = dict[str, list[dict[str, Any]]]
"""The resources of each file, by its name."""

_HEAD = """\
# Made by `garant topics strimzi`: change shared/topics.py, shared/access.py or the settings, not this file.
# What is yours to decide (storage, memory, zones) goes into an overlay: docs/how-to/kafka-on-kubernetes.md.
"""


class OutOfDate(NeedsAPerson):
    """Files are not what the code says."""


def documents(settings: KafkaSettings, cluster_name: str) -> Documents:
    """Every resource of an installation with these settings. Raises UnusableName."""
    found = {
        "kafka.yaml": [cluster(settings, cluster_name)],
        "node-pools.yaml": pools(settings, cluster_name),
        "topics.yaml": topics(settings, cluster_name),
        "users.yaml": users(settings, cluster_name),
    }
    base = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "resources": [*found]}
    return {**found, "kustomization.yaml": [base]}


def as_text(found: list[dict[str, Any]]) -> str:
    """The resources of one file as YAML."""
    dumped = yaml.safe_dump_all(found, sort_keys=False, width=110, allow_unicode=True, explicit_start=True)
    return _HEAD + dumped


def write_folder(folder: Path, found: Mapping[str, list[dict[str, Any]]]) -> None:
    """Writes every file."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, resources in found.items():
        (folder / name).write_text(as_text(resources))


def check_folder(folder: Path, found: Mapping[str, list[dict[str, Any]]]) -> None:
    """Raises OutOfDate unless `folder` holds exactly these files."""
    wrong = [
        name
        for name, resources in found.items()
        if not (folder / name).exists() or (folder / name).read_text() != as_text(resources)
    ]
    wrong += sorted({path.name for path in folder.glob("*.yaml")} - set(found))
    if wrong:
        raise OutOfDate(
            f"{folder} is not what topics and rights are now ({', '.join(wrong)}). Run "
            "`garant topics strimzi`, look at the difference, and commit it."
        )
