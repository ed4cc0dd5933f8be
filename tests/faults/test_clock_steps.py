"""The wall clock under a running agent is stepped by hours: no slot comes back and probing goes on."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from shared.codec import decode_probe_fact
from shared.facts import ProbeResult
from shared.kafka import read_topic
from shared.time import HOUR, MINUTE
from shared.topics import PROBE_RESULTS
from tests.faults.agents import Agent, agent
from tests.faults.around import Place, own_topics, until
from tests.faults.noted import note
from tests.faults.prepared import Own
from tests.faults.shifted import step

STEPS_H = (3, -2, 5, 0)
"""How far the clock is off, in hours, one after the other."""


def slots(it: Agent) -> list[int]:
    """What was told of live results, in the order of the log."""
    told = [decode_probe_fact(record.value or b"") for record in read_topic(it.kafka, PROBE_RESULTS)]
    return [int(fact.slot) for fact in told if isinstance(fact, ProbeResult)][len(it.waited) :]


def test_given_a_clock_stepped_by_hours_then_slots_go_on_and_never_back(kafka: str, tmp_path: Path) -> None:
    offset = tmp_path / "offset"
    garant = (sys.executable, "-m", "tests.faults.shifted", str(offset), "--", "garant")
    place = Place(tmp_path / "agent")
    with agent(Own(garant=garant), own_topics(kafka), "stepped", place) as it:
        process = it.start(opens_in_s=0)
        until(lambda: len(slots(it)) >= 3, process, it.said)
        highest = 0
        for hours in STEPS_H:
            step(offset, hours * 3_600)
            time.sleep(1.5)
            before, seen = len(slots(it)), len(it.target.seen)
            highest = max(highest, time.time_ns() // 1_000_000 + hours * HOUR)
            until(lambda before=before: len(slots(it)) >= before + 3, process, it.said)  # type: ignore[misc]
            assert len(it.target.seen) >= seen + 2, "the target is really probed meanwhile"
            assert abs(slots(it)[-1] - highest) < MINUTE, "ahead it is followed at once, behind it is not"
        step(offset, 0)
        it.required.clear()  # they are stamped by the stepped clock
        it.began = time.time_ns()
        it.stop(process)
        it.check_log()
        told = slots(it)
    assert told == sorted(set(told))
    note("wall clock of the agent stepped by hours", times=len(STEPS_H), in_flight=len(told))
