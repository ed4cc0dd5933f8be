"""What the tests on a cluster tell and measure, tried without one."""

from __future__ import annotations

import json
import threading
from itertools import islice
from pathlib import Path

import pytest

from tests.cluster.witness.__main__ import parsed
from tests.cluster.witness.inside import from_environment
from tests.cluster.witness.load import Load, rounds, senseless
from tests.cluster.witness.pauses import Effect, longest, pauses, worst
from tests.cluster.witness.talking import Refused, ask, serve
from tests.faults.verifier import Dump, Record
from tests.faults.verifier.slots import line_of

TARGETS = 40


def test_a_load_declares_its_targets_and_tells_each_slot_from_both_locations() -> None:
    declared, *told = islice(rounds("x-", TARGETS), 1 + 60)
    assert {json.loads(one.value)["type"] for one in declared} == {"TargetDeclared"}
    assert len({one.key for one in declared}) == TARGETS
    for number, batch in enumerate(told):
        facts = [json.loads(one.value) for one in batch]
        assert len({(fact["target"], fact["location"]) for fact in facts}) == len(facts) == 2 * TARGETS
        assert len({fact["slot"] for fact in facts}) == 1
        assert number == 0 or facts[0]["slot"] > json.loads(told[number - 1][0].value)["slot"]


def test_every_target_of_a_load_goes_down_and_up_so_that_each_partition_has_something_to_say() -> None:
    told = [json.loads(one.value) for batch in islice(rounds("x-", TARGETS), 1 + 60) for one in batch]
    for target in {fact["target"] for fact in told}:
        states = line_of([fact for fact in told if fact["target"] == target]).states
        assert {"up", "down"} <= set(states.values())


def test_senseless_facts_are_of_many_accounts_and_each_of_a_request_of_its_own() -> None:
    facts = [json.loads(one.value) for one in islice(senseless("x-"), 100)]
    assert len({fact["account"] for fact in facts}) > 10
    assert len({fact["ticket"] for fact in facts}) == 100


def test_a_load_of_no_targets_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Load(None, "x-", 100, 0, 0)  # type: ignore[arg-type]


def test_a_pause_is_the_time_in_which_something_waited_and_nothing_was_said() -> None:
    effects = [Effect(at, at - 10) for at in range(1_000, 3_000, 100)]
    effects += [Effect(9_000, 3_000), Effect(9_005, 5_000), Effect(9_010, 9_000)]
    found = longest("journal", 2, effects)
    assert (found.paused, found.waited, found.at, found.effects) == (6.0, 6.0, 9_000, 23)


def test_a_silence_in_which_nothing_waited_is_no_pause() -> None:
    assert longest("uptime", 0, [Effect(1_000, 990), Effect(60_000, 59_980)]).paused == 0.02


def test_catching_up_is_a_wait_and_no_pause() -> None:
    found = longest("uptime", 0, [Effect(at, 1_000) for at in range(1_500, 20_000, 500)])
    assert (found.paused, found.waited) == (0.5, 18.5)


def test_pauses_follow_each_record_to_what_caused_it_and_leave_out_repeats() -> None:
    found = worst(pauses(_dump(), since=0))
    assert {fold: one.paused for fold, one in found.items()} == {
        "uptime": 2.0,
        "journal": 3.0,
        "promises": 4.0,
        "whole": 7.0,
    }


def test_pauses_begin_when_they_are_asked_for() -> None:
    assert pauses(_dump(), since=20_000) == []


def test_a_question_gets_its_answer_and_a_failure_its_reason(tmp_path: Path) -> None:
    def answering(question: dict[str, object]) -> dict[str, object]:
        if question["do"] == "fail":
            raise ValueError("there is no such thing")
        return {"did": question["do"]}

    path, ready = tmp_path / "s", threading.Event()
    threading.Thread(target=serve, args=(answering, path, ready.set), daemon=True).start()
    assert ready.wait(10)
    assert ask({"do": "one"}, path) == {"did": "one"}
    with pytest.raises(Refused, match="there is no such thing"):
        ask({"do": "fail"}, path)
    assert ask({"do": "two"}, path) == {"did": "two"}


def test_what_is_no_object_is_no_question(capsys: pytest.CaptureFixture[str]) -> None:
    assert parsed(["ask", '{"do": "state"}']).question == {"do": "state"}
    with pytest.raises(SystemExit):
        parsed(["ask", "[]"])
    assert "not a JSON object" in capsys.readouterr().err


def test_a_witness_that_is_not_told_where_the_installation_is_says_what_is_missing() -> None:
    with pytest.raises(SystemExit, match="needs GARANT_BILLING_URL, GARANT_BILLING_TOKEN in"):
        from_environment({"GARANT_KAFKA_BOOTSTRAP": "k:9092", "GARANT_BILLING_DATABASE_URL": "postgresql://"})


def _dump() -> Dump:
    """A result, two seconds later the change, three later the entry, four later the outcome; then repeats."""
    entry = {"source": {"topic": "uptime.changes", "partition": 1, "offset": 0}}
    outcome = {"journal": {"partition": 0, "offset": 0, "index": 0}}

    def at(topic: str, partition: int, offset: int, ms: int, said: object, origin: str = "") -> Record:
        headers = {"origin": origin} if origin else {}
        return Record(topic, partition, offset, None, json.dumps(said).encode(), headers, ms)

    return Dump(
        {
            "probe.results": [at("probe.results", 3, 7, 10_000, {})],
            "uptime.changes": [
                at("uptime.changes", 1, 0, 12_000, {}, "probe.results/3/7/0"),
                at("uptime.changes", 1, 1, 90_000, {}, "probe.results/3/7/0"),
            ],
            "sla.journal": [at("sla.journal", 0, 0, 15_000, entry), at("sla.journal", 0, 1, 90_000, entry)],
            "sla.credits": [
                at("sla.credits", 0, 0, 19_000, outcome),
                at("sla.credits", 0, 1, 90_000, outcome),
            ],
        }
    )
