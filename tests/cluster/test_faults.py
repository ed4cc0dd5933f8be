"""A cluster's own faults, one after another, while facts are told: nothing lost, nothing twice.

The witness tells and verifies (tests/faults/verifier shares no code with the product); the stories and every
random choice follow from the seed, CLUSTER_SEED. CLUSTER_FAULTS names a few of them, by commas.
"""

from __future__ import annotations

import os
import re
import threading
import time
from collections import Counter
from random import Random
from typing import Any

import pytest

from tests.cluster.injuries import INJURIES, Injury
from tests.cluster.installed import Trial
from tests.cluster.kube import Failed
from tests.cluster.table import Found, Line

SEED = int(os.environ.get("CLUSTER_SEED") or 1)
CHOSEN = [name for name in os.environ.get("CLUSTER_FAULTS", "").split(",") if name]
FACTS = 12
"""Of accounts, a second: so many outcomes show that the promises fold goes on."""
TARGETS = 100
VALUES = (
    *("--set", "sla.replicas=2", "--set", "billing.replicas=2"),
    # What the stories grant in a minute is more than a person would let pass unseen.
    *("--set-string", "billing.settings.GARANT_BILLING_CAP_PER_ACCOUNT_DAY=none"),
    *("--set-string", "billing.settings.GARANT_BILLING_CAP_PER_DAY=none"),
)


class Run:
    """The trial with two of what can be two, and its witness; `mails` are subjects that were sent."""

    def __init__(self, trial: Trial, found: Found) -> None:
        self.trial = trial
        self.found = found
        self.mails: list[str] = []
        self._seen = (0, 0)

    def open(self) -> None:
        self.trial.helm.upgrade(self.trial.chart, *VALUES)
        self.trial.kube.wait_ready()
        self.trial.witness.start()

    def one(self, injury: Injury) -> Line:
        """Breaks the trial in one way and asks the witness what is left."""
        witness, began = self.trial.witness, time.monotonic()
        rng = Random(f"{SEED} {injury.name}")
        witness.ask("prepare", fault=injury.name, stories=injury.stories, seed=SEED)
        rate = {"results": injury.results, "facts": FACTS, "targets": TARGETS}
        witness.ask("begin", fault=injury.name, **rate)
        mailing = threading.Thread(target=self._mail, args=(injury,), daemon=True)
        mailing.start()
        try:
            times = injury.injure(self.trial, rng, self._more)
            self.trial.kube.wait_ready()
        finally:  # nothing may go on being told while the next fault is prepared
            state = witness.ask("end")
        mailing.join()
        said = witness.ask("verify", accounts=f"{injury.name}{SEED}.")
        line = self._line(injury, times, int(state["in_flight"]), said, time.monotonic() - began)
        if injury.results >= 1_000:
            self.found.figures[f"{injury.name}: facts a second told meanwhile"] = state["rate"]
        self.found.faults.append(line)
        return line

    def _more(self) -> None:
        self.trial.witness.ask("more")

    def _mail(self, injury: Injury) -> None:
        subject = f"[limited] While {injury.what}"
        if injury.mail and "sent:" in self.trial.garant("demo", "write", subject, check=False).out:
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


@pytest.fixture(scope="module")
def run(trial: Trial, found: Found) -> Run:
    opened = Run(trial, found)
    opened.open()
    return opened


@pytest.mark.parametrize(
    "injury", [one for one in INJURIES if not CHOSEN or one.name in CHOSEN], ids=lambda injury: injury.name
)
def test_nothing_is_lost_and_nothing_doubled(run: Run, injury: Injury) -> None:
    line = run.one(injury)
    assert not line.errors, "\n".join([f"repeat it with CLUSTER_SEED={SEED}", *line.errors])
    assert line.times or injury.name == "nothing"
    assert line.in_flight > 0


def test_all_that_was_told_is_there_once_in_the_end(run: Run) -> None:
    said = run.trial.witness.ask("verify")
    run.found.figures["verified in the end"] = {
        name: said["counts"][name] for name in ("facts", "journal entries", "outcomes", "ledger credits")
    }
    assert said["errors"] == []


def test_a_clean_replay_agrees_with_topics_and_books(run: Run) -> None:
    done = run.trial.kube.exec("witness", "garant", "reconcile", within_s=600, check=False)
    assert done.status == 0, done.out + done.err


def test_every_mail_sent_meanwhile_was_acknowledged_once(run: Run) -> None:
    assert len(run.mails) >= sum(one.mail for one in INJURIES) // 2 or CHOSEN, "hardly any could be sent"

    def answered() -> bool:
        return set(_acknowledged(run.trial)) >= set(run.mails)

    run.trial.until(answered, "every mail is acknowledged", 240)
    assert {subject: _acknowledged(run.trial)[subject] for subject in run.mails} == dict.fromkeys(
        run.mails, 1
    )


def test_the_page_says_in_the_end_that_the_demonstration_is_up(run: Run) -> None:
    try:
        run.trial.until(lambda: run.trial.shown() == "operational", "the page says that it is up")
    except Failed as failed:
        raise AssertionError(f"{failed}\nthe page says {run.trial.shown()}") from None


def _acknowledged(trial: Trial) -> Counter[str]:
    """How often each subject was acknowledged, of the customer's mailbox."""
    inbox = trial.garant("demo", "inbox").out
    return Counter(re.findall(r"^Subject: Re: (.*?) \[T-\d+\]", inbox, re.M))
