"""The chart in a namespace of its own: installed, asked, and removed again."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from services.cli.local.config import DEPLOY
from tests.cluster.images import Images
from tests.cluster.kube import Helm, Kube, Said
from tests.cluster.witnessed import Witness

CHART = DEPLOY.parent / "chart"
DEMO = "deployment/garant-trial-demo"
SERVICES = ("sla", "billing", "support", "notify", "status", "probe")
COMPONENTS = (*SERVICES, "trial-kafka", "trial-postgres", "trial-mail", "trial-demo")
SUMMARY = "/api/v2/summary.json"
FETCH = "import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode())"
Check = Callable[[], object]


class Installation:
    """One release, called `garant`, by default a trial. `kube` and `helm` are of its namespace; `seconds` is
    how long it took from `helm install` to its return, with everything ready."""

    def __init__(self, name: str, images: Images) -> None:
        self.kube = Kube(f"garant-test-{name}")
        self.helm = Helm(self.kube)
        self.images = images
        self.witness = Witness(self.kube, images)
        self.chart = CHART
        self.seconds = 0.0
        self.notes = ""

    def install(self, *values: str, chart: Path = CHART, first: Sequence[dict[str, Any]] = ()) -> None:
        """Into a namespace made anew, in which `first` is, with Helm's arguments `values`. Raises Failed."""
        self.chart = chart
        if os.environ.get("CLUSTER_KEEP") and not self.helm.said("status", "garant", check=False).status:
            return
        self.kube.remove()
        self.kube.make()
        if first:
            self.kube.apply(*first)
        began = time.monotonic()
        self.notes = self.helm.install(chart, *values).out
        self.seconds = round(time.monotonic() - began, 1)
        self.kube.wait_ready()

    def remove(self) -> None:
        """Unless CLUSTER_KEEP is set."""
        if not os.environ.get("CLUSTER_KEEP"):
            self.kube.remove(wait=False)

    def garant(self, *words: str, within_s: float = 120, check: bool = True) -> Said:
        """`garant ...` in the demonstration's pod, which may ask every service."""
        return self.kube.exec(DEMO, "garant", *words, within_s=within_s, check=check)

    def fetch(self, path: str, service: str = "status", port: int = 28087) -> str:
        """What a Service answers to a pod of the installation."""
        return self.kube.python(DEMO, FETCH, f"http://garant-{service}:{port}{path}")

    def shown(self) -> str:
        """What the public page says of the demonstration: operational, major_outage, .."""
        return state_in(self.fetch(SUMMARY))

    def until(self, met: Check, what: str, within_s: float = 180) -> None:
        """Returns once it is so; a pod that is being replaced meanwhile is asked again."""
        self.kube.wait(partial(tried, met), what, within_s, 1)


def state_in(summary: str) -> str:
    """The state of the one component that a page shows, of its SUMMARY."""
    components: list[dict[str, Any]] = json.loads(summary)["components"]
    states = [one["status"] for one in components if not one.get("group")]
    assert len(states) == 1, f"one component is public, not {len(states)}"
    return str(states[0])


def tried(met: Check) -> object:
    """False for what cannot be asked now."""
    try:
        return met()
    except (AssertionError, ValueError, OSError):
        return False
