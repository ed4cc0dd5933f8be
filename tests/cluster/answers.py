"""What kubectl's JSON says, as the few things that the tests ask of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple


class Pod(NamedTuple):
    """`component` is the label's; `over` is a pod that has ended or is being removed."""

    name: str
    component: str
    ip: str
    ready: bool
    over: bool
    restarts: int
    uid: str
    node: str
    image: str


def pods_of(listed: dict[str, Any]) -> list[Pod]:
    """Every pod of a list, by name."""
    return sorted(_pod(one) for one in listed["items"])


def _pod(one: dict[str, Any]) -> Pod:
    metadata, status = one["metadata"], one.get("status", {})
    conditions = {condition["type"]: condition["status"] for condition in status.get("conditions", [])}
    return Pod(
        metadata["name"],
        metadata.get("labels", {}).get("app.kubernetes.io/component", ""),
        status.get("podIP", ""),
        conditions.get("Ready") == "True",
        "deletionTimestamp" in metadata or status.get("phase") in ("Succeeded", "Failed"),
        sum(container.get("restartCount", 0) for container in status.get("containerStatuses", [])),
        metadata.get("uid", ""),
        one.get("spec", {}).get("nodeName", ""),
        one.get("spec", {}).get("containers", [{}])[0].get("image", ""),
    )


def unready(items: Iterable[dict[str, Any]]) -> list[str]:
    """A line for each deployment, stateful set and pod that is not as it is meant to be."""
    found = []
    for one in items:
        kind, name = one["kind"], one["metadata"]["name"]
        if kind == "Pod":
            pod = _pod(one)
            leaving = "deletionTimestamp" in one["metadata"]
            if leaving or not (pod.ready or pod.over):
                found.append(f"pod {name}: {'leaving' if leaving else 'not ready'}")
        elif why := _rolling(one):
            found.append(f"{kind.lower()} {name}: {why}")
    return found


def _rolling(one: dict[str, Any]) -> str:
    """Why a workload is not rolled out; empty where it is."""
    wanted, status = one["spec"].get("replicas", 1), one.get("status", {})
    if status.get("observedGeneration", 0) < one["metadata"].get("generation", 1):
        return "not yet looked at"
    for what in ("updatedReplicas", "readyReplicas"):
        if status.get(what, 0) != wanted:
            return f"{what} {status.get(what, 0)} of {wanted}"
    if status.get("replicas", 0) != wanted:
        return f"replicas {status.get('replicas', 0)} of {wanted}"
    if status.get("currentRevision") != status.get("updateRevision"):
        return "of two revisions"
    return ""


def memory_of(summary: dict[str, Any], namespace: str) -> dict[str, int]:
    """Working set in bytes of each pod of a namespace, from a kubelet's /stats/summary."""
    return {
        pod["podRef"]["name"]: sum(
            container.get("memory", {}).get("workingSetBytes", 0) for container in pod.get("containers", [])
        )
        for pod in summary.get("pods", [])
        if pod["podRef"]["namespace"] == namespace
    }
