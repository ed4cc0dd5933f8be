"""What a cluster does to an installation: each breaks a trial while facts are told, and says how often.

An injury gets the trial, a seeded random source and `more`, which sees to it that stories go on being told.
It leaves nothing broken that the cluster itself does not mend.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable
from functools import partial
from random import Random
from typing import NamedTuple

from tests.cluster.answers import Pod
from tests.cluster.installed import SERVICES, Installation
from tests.cluster.kube import Failed
from tests.cluster.other_charts import with_other_rules

More = Callable[[], None]
Injure = Callable[[Installation, Random, More], int]
FILL = """
import sys
with open(sys.argv[1], "wb", buffering=0) as filled:
    for _ in range(int(sys.argv[2])):
        filled.write(bytes(1 << 20))
print("filled")
"""
"""Writes a file of so many MiB."""
TMP_MIB = 320
"""More than the chart lets a service keep in /tmp."""
KILLED = ("--grace-period=0", "--force")
WAYS_TO_GO: tuple[tuple[str, ...], ...] = ((), KILLED)
"""How a pod is deleted: in order, and killed."""
BUDGET = "violate the pod's disruption budget"
NEVER_BOTH = ("sla", "billing", "probe")
"""Components of which there are several: a drain takes one at a time."""


class Injury(NamedTuple):
    """A kind of fault. `stories` are told meanwhile, and `results` probe results a second; `mail`: a customer
    writes to support meanwhile."""

    name: str
    what: str
    injure: Injure
    stories: int = 2
    results: int = 60
    mail: bool = False


def nothing(trial: Installation, rng: Random, more: More) -> int:
    """No fault: what the others are compared with."""
    more()
    return 0


def delete_pods(trial: Installation, rng: Random, more: More) -> int:
    """A pod of every service, one after another at random times; two times of three all get ready between."""
    order = rng.sample(SERVICES, len(SERVICES))
    for component in order:
        _delete(trial, component, rng)
        more()
        time.sleep(rng.uniform(0.5, 4))
        if rng.random() < 2 / 3:
            trial.kube.wait_ready()
    return len(order)


def kill_pods(trial: Installation, rng: Random, more: More) -> int:
    """The same without a moment to stop in order: kill -9, and its successor may start beside it."""
    order = ["sla", *rng.sample(SERVICES, len(SERVICES)), "sla"]
    for component in order:
        _delete(trial, component, rng, *KILLED)
        more()
        time.sleep(rng.uniform(0.5, 4))
    return len(order)


def restart_kafka(trial: Installation, rng: Random, more: More) -> int:
    """Kafka's pod goes, twice: once in order, once killed."""
    return _twice(trial, rng, more, "trial-kafka")


def restart_database(trial: Installation, rng: Random, more: More) -> int:
    """PostgreSQL's pod goes, twice: once in order, once killed."""
    return _twice(trial, rng, more, "trial-postgres")


def drain(trial: Installation, rng: Random, more: More) -> int:
    """A node is drained. What there are two of never goes at once: where they have nowhere else to run, the
    second waits for the first until the node is back."""
    node = trial.kube.pods("sla")[0].node
    argv = trial.kube.words("drain", node, "--delete-emptydir-data", "--timeout=600s")
    argv += ["--ignore-daemonsets", "--pod-selector=app.kubernetes.io/instance=garant"]
    before = {pod.uid for pod in trial.kube.pods()}
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as draining:
        try:
            assert draining.stderr is not None
            held_back = next((line for line in draining.stderr if BUDGET in line), "")
            assert re.search(rf"garant-({'|'.join(NEVER_BOTH)})-", held_back), held_back
            more()
        finally:
            draining.terminate()
            trial.kube("uncordon", node)
    gone = before - {pod.uid for pod in trial.kube.pods()}
    assert gone, "the drain took no pod away"
    return len(gone)


def roll_out(trial: Installation, rng: Random, more: More) -> int:
    """The services as another version, and back: a rolling upgrade and a rollback."""
    more()
    trial.helm.upgrade(trial.chart, *trial.images.version("-next"))
    trial.until(partial(_all_run, trial, f"{trial.images.tag}-next"), "all of billing is the new version")
    more()
    trial.helm.rollback()
    trial.until(partial(_all_run, trial, trial.images.tag), "all of billing is the old version")
    return 2


def other_rules(trial: Installation, rng: Random, more: More) -> int:
    """A version with other rules, and back: the new fold nothing until the last of the old has left."""
    chart = with_other_rules(trial.chart)
    old = {pod.name for pod in trial.kube.pods("sla")}
    more()
    trial.helm.upgrade(chart, *trial.images.version("-rules"))
    new = {pod.name for pod in trial.kube.pods("sla")}
    assert not old & new, "other rules are another stateful set"
    more()
    trial.helm.rollback()
    assert {pod.name for pod in trial.kube.pods("sla")} == old
    return 2


def fill_volumes(trial: Installation, rng: Random, more: More) -> int:
    """A volume of some services is filled beyond its limit: the kubelet evicts them, a minute later."""
    filled: list[Pod] = []

    def fill(component: str) -> bool:
        pod = rng.choice(trial.kube.pods(component))
        trial.kube.python(pod.name, FILL, "/tmp/full", str(TMP_MIB))  # noqa: S108
        filled.append(pod)
        return True

    for component in ("sla", "billing", "status"):
        trial.until(partial(fill, component), f"a volume of {component} is filled")
    for pod in filled:
        trial.until(partial(_gone, trial, pod.uid), f"{pod.name} is evicted", 300)
        more()
    trial.kube("delete", "pods", "--field-selector=status.phase=Failed", "--ignore-not-found")
    return len(filled)


def cut_policy(trial: Installation, rng: Random, more: More) -> int:
    """The SLA service is no longer let out to Kafka, and an instance is restarted meanwhile: it waits."""
    policy = "garant-sla"
    way_out = trial.kube.json("get", "networkpolicy", policy)["spec"]["egress"]
    _set_egress(trial, policy, [])
    try:
        pod = _delete(trial, "sla", rng, *KILLED)
        trial.until(
            lambda: [one for one in trial.kube.pods("sla") if one.name == pod and not one.ready], "it waits"
        )
        more()
        time.sleep(rng.uniform(12, 16))  # longer than a session
    finally:
        _set_egress(trial, policy, way_out)
    return 1


INJURIES = (
    Injury("nothing", "no fault", nothing, stories=4),
    Injury("pods", "pods deleted at random", delete_pods, mail=True),
    Injury("kills", "pods killed at random", kill_pods, mail=True),
    Injury("kafka", "Kafka restarted and killed", restart_kafka, mail=True),
    Injury("database", "PostgreSQL restarted and killed", restart_database, mail=True),
    Injury("drain", "the node drained", drain),
    Injury("volume", "a volume filled", fill_volumes),
    Injury("policy", "a way to Kafka cut", cut_policy),
    Injury("rules", "other rules, and back", other_rules),
    Injury("rollout", "a rolling upgrade, and back", roll_out, results=1_000, mail=True),
)


def _delete(trial: Installation, component: str, rng: Random, *more: str) -> str:
    """Deletes a pod of a component and does not wait; returns its name."""
    pods = trial.kube.pods(component)
    if not pods:  # the one before is still on its way out
        trial.until(lambda: trial.kube.pods(component), f"a pod of {component}")
        pods = trial.kube.pods(component)
    pod = rng.choice(pods).name
    trial.kube("delete", "pod", pod, "--wait=false", *more)
    return pod


def _all_run(trial: Installation, tag: str) -> bool:
    return {image.rpartition(":")[2] for image in trial.kube.images("billing")} == {tag}


def _gone(trial: Installation, uid: str) -> bool:
    return uid not in {pod.uid for pod in trial.kube.pods()}


def _twice(trial: Installation, rng: Random, more: More, component: str) -> int:
    for how in WAYS_TO_GO:
        time.sleep(rng.uniform(1, 4))
        _delete(trial, component, rng, *how)
        more()
        trial.kube.wait_ready()
    return len(WAYS_TO_GO)


def _set_egress(trial: Installation, policy: str, rules: list[object]) -> None:
    patch = json.dumps([{"op": "replace", "path": "/spec/egress", "value": rules}])
    try:
        trial.kube("patch", "networkpolicy", policy, "--type=json", f"--patch={patch}")
    except Failed as failed:
        raise Failed(f"{failed}: the policy of the SLA service must be set back by hand") from None
