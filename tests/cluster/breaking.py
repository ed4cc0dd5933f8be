"""Breaking an installation in one way while a witness tells facts, and what is left of them."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from random import Random
from typing import Any

from tests.cluster.injuries import Injury
from tests.cluster.installed import SERVICES, Installation
from tests.cluster.table import Found, Line

SEED = int(os.environ.get("CLUSTER_SEED") or 1)
FACTS = 12
"""Of accounts, a second: so many outcomes show that the promises fold goes on."""
TARGETS = 100
NO_CAPS = (
    # What the stories grant in a minute is more than a person would let pass unseen.
    *("--set-string", "billing.settings.GARANT_BILLING_CAP_PER_ACCOUNT_DAY=none"),
    *("--set-string", "billing.settings.GARANT_BILLING_CAP_PER_DAY=none"),
)
PEAK = "print(next(line.split()[1] for line in open('/proc/1/status') if line.startswith('VmHWM')))"
"""Prints the most memory (KiB) that a pod's process has ever had resident."""


class Run:
    """An installation and its witness, broken in one way after another; `mails` are the subjects sent."""

    def __init__(self, broken: Installation, found: Found) -> None:
        self.broken = broken
        self.found = found
        self.mails: list[str] = []
        self._seen = (0, 0)

    def survives(self, injury: Injury) -> Line:
        """Breaks it; that something was told meanwhile, and all of it is there, once and right."""
        line = self.one(injury)
        assert not line.errors, "\n".join([f"repeat it with CLUSTER_SEED={SEED}", *line.errors])
        assert line.in_flight > 0
        return line

    def one(self, injury: Injury) -> Line:
        """Breaks it and asks the witness what is left."""
        witness, began = self.broken.witness, time.monotonic()
        rng = Random(f"{SEED} {injury.name}")
        witness.ask("prepare", fault=injury.name, stories=injury.stories, seed=SEED)
        rate = {"results": injury.results, "facts": FACTS, "targets": TARGETS}
        witness.ask("begin", fault=injury.name, **rate)
        mailing = threading.Thread(target=self._mail, args=(injury,), daemon=True)
        mailing.start()
        try:
            times = injury.injure(self.broken, rng, self._more)
            self.broken.kube.wait_ready()
        finally:  # nothing may go on being told while the next fault is prepared
            state = witness.ask("end")
        mailing.join()
        said = witness.ask("verify", accounts=f"{injury.name}{SEED}.")
        line = self._line(injury, times, int(state["in_flight"]), said, time.monotonic() - began)
        self._note_peaks(injury.what)
        if injury.results >= 1_000:
            self.found.figures[f"{injury.name}: facts a second told meanwhile"] = state["rate"]
        self.found.faults.append(line)
        return line

    def _note_peaks(self, what: str) -> None:
        """The most memory that a pod of each service ever needed, and in what."""
        peaks = self.found.figures.setdefault("resident at most, MB", {})
        for component in SERVICES:
            for pod in self.broken.kube.pods(component):
                said = self.broken.kube.exec(pod.name, "python", "-c", PEAK, check=False)
                if said.status == 0 and (mb := int(said.out) * 1024 / 1e6) > peaks.get(component, (0,))[0]:
                    peaks[component] = (round(mb), what)

    def _more(self) -> None:
        self.broken.witness.ask("more")

    def _mail(self, injury: Injury) -> None:
        subject = f"[limited] While {injury.what}"
        if injury.mail and "sent:" in self.broken.garant("demo", "write", subject, check=False).out:
            self.mails.append(subject)

    def _line(self, injury: Injury, times: int, in_flight: int, said: dict[str, Any], seconds: float) -> Line:
        counts = Counter(said["counts"])
        credits, warnings = counts["credits"] - self._seen[0], counts["warnings"] - self._seen[1]
        self._seen = (counts["credits"], counts["warnings"])
        return Line(
            fault=injury.name,
            times=times,
            in_flight=in_flight,
            credits=credits,
            warnings=warnings,
            lost=said["lost"],
            doubled=said["doubled"],
            wrong=said["wrong"],
            seconds=round(seconds, 1),
            pauses={fold: one["paused"] for fold, one in said["pauses"].items()},
            errors=said["errors"],
        )
