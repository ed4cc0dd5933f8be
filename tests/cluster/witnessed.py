"""The witness pod beside an installation, and what it is asked from here."""

from __future__ import annotations

import json
from typing import Any

from tests.cluster.images import Images
from tests.cluster.kube import Kube

NAME = "witness"
COPIED = ("GARANT_KAFKA_BOOTSTRAP", "GARANT_BILLING_DATABASE_URL", "GARANT_BILLING_TOKEN")
LABELS = {"garant.ch/test": NAME}
REACHES = {"trial-kafka": [9092], "trial-postgres": [5432], "billing": [28083]}


class Witness:
    """One witness, in a trial's namespace or elsewhere; no part of the release, so a drain leaves it."""

    def __init__(self, kube: Kube, images: Images, release: str = "garant") -> None:
        self._kube = kube
        self._images = images
        self._release = release

    def start(self) -> None:
        """In a trial's namespace, told what billing is told. Returns once it answers."""
        billing = self._kube.json("get", "deployment", f"{self._release}-billing")
        env = copied(billing, COPIED)
        env.append({"name": "GARANT_BILLING_URL", "value": f"http://{self._release}-billing:28083"})
        own = {"podSelector": {"matchLabels": LABELS}}
        self._kube.apply(
            *(let_in(NAME, own, component, ports, self._release) for component, ports in REACHES.items())
        )
        self.start_with(env)

    def start_with(self, env: list[dict[str, Any]]) -> None:
        """With variables that say where everything is. Returns once it answers."""
        self._kube.apply(
            pod(NAME, self._images.tests, ["-m", "tests.cluster.witness", "serve"], env, LABELS, "2Gi")
        )
        said = self._kube.said
        self._kube.wait(
            lambda: '"said":"ready"' in said("logs", NAME, check=False).out, "the witness answers", 120
        )

    def ask(self, do: str, within_s: float = 1_200, **more: Any) -> dict[str, Any]:
        """The witness's answer. Raises Failed with its reason."""
        question = json.dumps({"do": do, **more})
        argv = ("python", "-m", "tests.cluster.witness", "ask", question)
        return dict(json.loads(self._kube.exec(NAME, *argv, within_s=within_s).out))


def copied(workload: dict[str, Any], names: tuple[str, ...]) -> list[dict[str, Any]]:
    """The variables `names` as a workload's first container has them: a value, or where it comes from."""
    env = workload["spec"]["template"]["spec"]["containers"][0]["env"]
    found = [one for one in env if one["name"] in names]
    missing = set(names) - {one["name"] for one in found}
    assert not missing, f"{workload['metadata']['name']} is not told {', '.join(sorted(missing))}"
    return found


def pod(
    name: str,
    image: str,
    arguments: list[str],
    env: list[dict[str, Any]] | None = None,
    labels: dict[str, str] | None = None,
    memory: str = "256Mi",
) -> dict[str, Any]:
    """A pod that runs Python, of the restricted standard."""
    container = {
        "name": "python",
        "image": image,
        "command": ["python", *arguments],
        "env": env or [],
        "resources": {"requests": {"cpu": "20m", "memory": "64Mi"}, "limits": {"memory": memory}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108
    }
    security = {"runAsNonRoot": True, "runAsUser": 10001, "seccompProfile": {"type": "RuntimeDefault"}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels or {}},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,  # a Service called garant-billing would set GARANT_BILLING_PORT
            "terminationGracePeriodSeconds": 1,
            "securityContext": security,
            "containers": [container],
            "volumes": [{"name": "tmp", "emptyDir": {}}],
        },
    }


def let_in(
    who: str, peer: dict[str, Any], component: str, ports: list[int], release: str = "garant"
) -> dict[str, Any]:
    """A policy beside those of the chart, by which `peer`, called `who`, may reach a component."""
    reached = {"app.kubernetes.io/instance": release, "app.kubernetes.io/component": component}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": f"{who}-to-{component}"},
        "spec": {
            "podSelector": {"matchLabels": reached},
            "policyTypes": ["Ingress"],
            "ingress": [{"from": [peer], "ports": [{"port": port} for port in ports]}],
        },
    }


def namespace_peer(namespace: str) -> dict[str, Any]:
    """Everything in a namespace, as a peer of a policy."""
    return {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}}
