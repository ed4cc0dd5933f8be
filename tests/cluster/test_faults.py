"""A cluster's own faults, one after another, while facts are told: nothing lost, nothing twice.

The witness tells and verifies (tests/faults/verifier shares no code with the product); the stories and every
random choice follow from the seed, CLUSTER_SEED. CLUSTER_FAULTS names a few of them, by commas.
"""

from __future__ import annotations

import os
import re
from collections import Counter

import pytest

from tests.cluster.breaking import NO_CAPS, Run
from tests.cluster.injuries import INJURIES, Injury
from tests.cluster.installed import Installation
from tests.cluster.kube import Failed
from tests.cluster.table import Found

CHOSEN = [name for name in os.environ.get("CLUSTER_FAULTS", "").split(",") if name]
TWO = ("--set", "sla.replicas=2", "--set", "billing.replicas=2")


@pytest.fixture(scope="module")
def run(trial: Installation, found: Found) -> Run:
    """The trial with two of what can be two."""
    trial.helm.upgrade(trial.chart, *TWO, *NO_CAPS)
    trial.kube.wait_ready()
    trial.witness.start()
    return Run(trial, found)


@pytest.mark.parametrize(
    "injury", [one for one in INJURIES if not CHOSEN or one.name in CHOSEN], ids=lambda injury: injury.name
)
def test_nothing_is_lost_and_nothing_doubled(run: Run, injury: Injury) -> None:
    line = run.survives(injury)
    assert line.times or injury.name == "nothing"


def test_all_that_was_told_is_there_once_in_the_end(run: Run) -> None:
    said = run.broken.witness.ask("verify")
    run.found.figures["verified in the end"] = {
        name: said["counts"][name] for name in ("facts", "journal entries", "outcomes", "ledger credits")
    }
    assert said["errors"] == []


def test_a_clean_replay_agrees_with_topics_and_books(run: Run) -> None:
    done = run.broken.kube.exec("witness", "garant", "reconcile", within_s=600, check=False)
    assert done.status == 0, done.out + done.err


def test_every_mail_sent_meanwhile_was_acknowledged_once(run: Run) -> None:
    assert len(run.mails) >= sum(one.mail for one in INJURIES) // 2 or CHOSEN, "hardly any could be sent"

    def answered() -> bool:
        return set(_acknowledged(run.broken)) >= set(run.mails)

    run.broken.until(answered, "every mail is acknowledged", 240)
    assert {subject: _acknowledged(run.broken)[subject] for subject in run.mails} == dict.fromkeys(
        run.mails, 1
    )


def test_the_page_says_in_the_end_that_the_demonstration_is_up(run: Run) -> None:
    try:
        run.broken.until(lambda: run.broken.shown() == "operational", "the page says that it is up")
    except Failed as failed:
        raise AssertionError(f"{failed}\nthe page says {run.broken.shown()}") from None


def _acknowledged(trial: Installation) -> Counter[str]:
    """How often each subject was acknowledged, of the customer's mailbox."""
    inbox = trial.garant("demo", "inbox").out
    return Counter(re.findall(r"^Subject: Re: (.*?) \[T-\d+\]", inbox, re.M))
