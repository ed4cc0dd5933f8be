"""A mail to support through all of a running `garant up`: acknowledged with its deadline, answered, worked
on, warned of, and the person forgotten."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from shared.codec import decode_outcome
from shared.kafka import read_topic
from shared.outcomes import QuotaWarned, ResponseDue, ResponseMet
from shared.settings import KafkaSettings
from shared.topics import DEADLINES, QUOTA
from tests.kafka.conftest import Garant

PATIENCE_S = 40


def until(found: Callable[[], str | None]) -> str:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        if (value := found()) is not None:
            return value
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.5)


def test_a_mail_is_acknowledged_answered_worked_on_and_warned_of(
    garant: Garant, running: None, topics: KafkaSettings
) -> None:
    said = garant("demo", "write", "[serious] The export fails", "--text", "It stops at page 3.")
    assert said.returncode == 0, said.stderr
    ticket = re.search(r"T-\d{6}", said.stdout)
    assert ticket, said.stdout
    assert "Severity: Serious degradation" in said.stdout
    assert "automatic acknowledgement" in said.stdout

    listed = garant("desk", "--once").stdout
    assert ticket[0] in listed
    for command in (
        ("respond", ticket[0], "--text", "We are looking into it."),
        ("classify", ticket[0], "account"),
        ("log", ticket[0], "170"),
    ):
        done = garant("desk", *command)
        assert done.returncode == 0, done.stderr

    def warned() -> str | None:
        found = garant("demo", "inbox").stdout
        return found if "Left:" in found else None

    inbox = until(warned)
    assert "We are looking into it." in inbox
    assert inbox.count("of the included time is used") == 1  # 75 and 90 % at once are one letter
    assert "Left:              10 min" in inbox

    outcomes = [
        decode_outcome(record.value or b"")
        for topic in (DEADLINES, QUOTA)
        for record in read_topic(topics, topic)
    ]
    (due,) = [one for one in outcomes if isinstance(one, ResponseDue)]
    (met,) = [one for one in outcomes if isinstance(one, ResponseMet)]
    assert (due.ticket, due.severity, met.ticket, met.due_at) == (ticket[0], "serious", ticket[0], due.due_at)
    assert [one.percent for one in outcomes if isinstance(one, QuotaWarned)] == [75, 90]

    replayed = garant("replay", "--kafka").stdout
    forgotten = garant("forget", "anna")
    assert forgotten.returncode == 0, forgotten.stderr
    assert garant("replay", "--kafka").stdout.startswith(replayed)
    assert "Anna" not in garant("desk", "show", ticket[0]).stdout
