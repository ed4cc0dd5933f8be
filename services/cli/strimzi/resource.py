"""What every resource has: its version, a name that Kubernetes takes, and the cluster it belongs to."""

from __future__ import annotations

import re
from typing import Any

from shared.errors import NeedsAPerson

API = "kafka.strimzi.io/v1"


class UnusableName(NeedsAPerson):
    """Kubernetes takes no resource of this name."""


def resource(
    kind: str, name: str, cluster: str, spec: dict[str, Any], annotations: dict[str, str] | None = None
) -> dict[str, Any]:
    """A resource of Strimzi. Raises UnusableName."""
    if len(name) > 253 or not all(_LABEL.fullmatch(part) for part in name.split(".")):
        raise UnusableName(
            f"{kind} {name!r} is no name for Kubernetes: lower-case letters, digits, '-' and '.' only. Set "
            "GARANT_KAFKA_PREFIX, or --cluster, to something of these."
        )
    labels = {"app.kubernetes.io/part-of": "garant"}
    if kind != "Kafka":
        labels = {"strimzi.io/cluster": cluster, **labels}
    metadata: dict[str, Any] = {"name": name, "labels": labels}
    if annotations:
        metadata["annotations"] = annotations
    return {"apiVersion": API, "kind": kind, "metadata": metadata, "spec": spec}


_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
