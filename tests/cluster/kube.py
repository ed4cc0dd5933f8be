"""kubectl and helm as programs: run them, read what they say, and say what was wrong when something fails."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from services.cli.local.ports import HOST, accepts, free_port
from tests.cluster.answers import Pod, memory_of, pods_of, unready

RESTRICTED = "pod-security.kubernetes.io/enforce"


class Failed(AssertionError):
    """A command ended otherwise than it should; the message holds what it said."""


class Said(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str


def program(name: str) -> str:
    """Where kubectl or helm is: on PATH, or where a local cluster keeps it. Raises Failed."""
    found = shutil.which(name)
    kept = sorted(Path("~/.cache/kube").expanduser().glob(f"*/bin/{name}"))
    if not found and not kept:
        raise Failed(f"{name} is not on PATH: the tests on a cluster need kubectl and helm")
    return found or str(kept[-1])


def run(argv: Sequence[str], text: str | None = None, within_s: float = 300, check: bool = True) -> Said:
    """Runs a command, with `text` as its input. Raises Failed for its failure, unless `check` is off."""
    try:
        done = subprocess.run(argv, input=text, capture_output=True, text=True, timeout=within_s)
    except subprocess.TimeoutExpired as late:
        raise Failed(
            f"{' '.join(argv)} took longer than {within_s:g} s: {late.stdout!r} {late.stderr!r}"
        ) from None
    if check and done.returncode:
        raise Failed(f"{' '.join(argv)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return Said(done.returncode, done.stdout, done.stderr)


class Kube:
    """One namespace of the cluster that KUBECONFIG names."""

    def __init__(self, namespace: str) -> None:
        self.namespace = namespace
        self._kubectl = program("kubectl")

    def __call__(self, *words: str, text: str | None = None, within_s: float = 300) -> str:
        """What `kubectl` says. Raises Failed."""
        return self.said(*words, text=text, within_s=within_s).out

    def said(self, *words: str, text: str | None = None, within_s: float = 300, check: bool = True) -> Said:
        return run(self.words(*words), text, within_s, check)

    def words(self, *words: str) -> list[str]:
        """The whole command."""
        return [self._kubectl, "--namespace", self.namespace, *words]

    def json(self, *words: str) -> dict[str, Any]:
        return dict(json.loads(self(*words, "--output", "json")))

    def make(self) -> None:
        """Makes the namespace, in which only pods of the restricted standard may run."""
        labels = {RESTRICTED: "restricted", "garant.ch/test": "true"}
        metadata = {"name": self.namespace, "labels": labels}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    def remove(self, *, wait: bool = True) -> None:
        """Removes the namespace and everything in it, without asking pods to stop in order."""
        self.said("delete", "pods", "--all", "--grace-period=0", "--force", check=False)
        self.said(
            "delete",
            "namespace",
            self.namespace,
            "--ignore-not-found",
            f"--wait={str(wait).lower()}",
            check=False,
        )

    def apply(self, *manifests: dict[str, Any]) -> None:
        listed = {"apiVersion": "v1", "kind": "List", "items": list(manifests)}
        self("apply", "--filename", "-", text=json.dumps(listed))

    def exec(self, pod: str, *argv: str, within_s: float = 120, check: bool = True) -> Said:
        """Runs a program in a pod (or deployment/NAME); there is no shell in the images."""
        return self.said("exec", pod, "--", *argv, within_s=within_s, check=check)

    def python(self, pod: str, source: str, *arguments: str, within_s: float = 120) -> str:
        """What a Python program prints in a pod."""
        return self.exec(pod, "python", "-c", source, *arguments, within_s=within_s).out

    def pods(self, component: str = "", selector: str = "app.kubernetes.io/name=garant") -> list[Pod]:
        """The pods that are not on their way out, by name; of hooks those that still run."""
        wanted = f"{selector},app.kubernetes.io/component={component}" if component else selector
        return [pod for pod in pods_of(self.json("get", "pods", "--selector", wanted)) if not pod.over]

    def images(self, component: str) -> list[str]:
        """What the pods of a component run, those on their way out left aside."""
        return [pod.image for pod in self.pods(component)]

    def waiting_for(self, release: str = "garant") -> list[str]:
        """What of a release is not ready or not yet as it was last told to be; empty once all is."""
        selector = f"app.kubernetes.io/instance={release}"
        kinds = "deployments,statefulsets,pods"
        return unready(self.json("get", kinds, "--selector", selector)["items"])

    def wait(self, met: Callable[[], object], what: str, within_s: float = 300, every_s: float = 0.5) -> None:
        """Returns once it is so. Raises Failed with what the namespace looks like."""
        deadline = time.monotonic() + within_s
        while not met():
            if time.monotonic() > deadline:
                raise Failed(f"{what}: not within {within_s:g} s\n{self.explain()}")
            time.sleep(every_s)

    def wait_ready(self, within_s: float = 300) -> None:
        """Returns once every workload of the release is rolled out and every pod ready."""
        deadline = time.monotonic() + within_s
        while waiting := self.waiting_for():
            if time.monotonic() > deadline:
                text = "\n".join(waiting)
                raise Failed(f"not ready within {within_s:g} s:\n{text}\n{self.explain()}")
            time.sleep(0.5)

    def memory(self) -> dict[str, int]:
        """The working set (bytes) of each pod of the namespace, as the kubelets count it."""
        found: dict[str, int] = {}
        for node in self.json("get", "nodes")["items"]:
            path = f"/api/v1/nodes/{node['metadata']['name']}/proxy/stats/summary"
            found |= memory_of(json.loads(self("get", "--raw", path)), self.namespace)
        return found

    @contextmanager
    def port_forward(self, to: str, port: int) -> Iterator[str]:
        """A URL by which a port of `to` (service/NAME) is reached from here."""
        here = free_port()
        argv = self.words("port-forward", to, f"{here}:{port}")
        forwarding = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self.wait(lambda: accepts(here), f"the port-forward to {to}", 30, 0.1)
            yield f"http://{HOST}:{here}"
        finally:
            forwarding.terminate()
            forwarding.wait()

    def explain(self) -> str:
        """What a person needs to see why something failed: pods, events, the last lines of unready pods."""
        parts = [self.said("get", "pods", "--output", "wide", check=False).out]
        parts.append(self.said("get", "events", "--sort-by=.lastTimestamp", check=False).out[-4_000:])
        for pod in pods_of(self.json("get", "pods")):
            if not pod.ready:
                said = self.said("logs", pod.name, "--all-containers", "--tail=25", check=False)
                parts.append(f"--- {pod.name}\n{said.out or said.err}")
        return "\n".join(parts)


class Helm:
    """helm in one namespace."""

    def __init__(self, kube: Kube, release: str = "garant") -> None:
        self.kube = kube
        self.release = release
        self._helm = program("helm")

    def __call__(self, *words: str, within_s: float = 660) -> str:
        return self.said(*words, within_s=within_s).out

    def said(self, *words: str, within_s: float = 660, check: bool = True) -> Said:
        argv = [self._helm, "--namespace", self.kube.namespace, *words]
        try:
            return run(argv, None, within_s, check)
        except Failed as failed:
            raise Failed(f"{failed}\n{self.kube.explain()}") from None

    def install(self, chart: Path, *more: str, check: bool = True) -> Said:
        """`helm install --wait`; `more` are its further arguments."""
        return self.said("install", self.release, str(chart), "--wait", "--timeout=6m", *more, check=check)

    def upgrade(self, chart: Path, *more: str, check: bool = True) -> Said:
        """`helm upgrade --wait` with the values of before and `more`."""
        words = ("upgrade", self.release, str(chart), "--reset-then-reuse-values", "--wait", "--timeout=6m")
        return self.said(*words, *more, check=check)

    def rollback(self, revision: int = 0) -> None:
        """To a revision, by default the one before."""
        self("rollback", self.release, *([str(revision)] if revision else []), "--wait", "--timeout=6m")

    @property
    def revision(self) -> int:
        return int(json.loads(self("status", self.release, "--output", "json"))["version"])


def environment(name: str, default: str) -> str:
    return os.environ.get(name) or default
