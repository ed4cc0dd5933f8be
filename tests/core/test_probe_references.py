"""Whose fault is a failure: the target's, or this agent's own network."""

from __future__ import annotations

from services.probe.references import Judge, Round, judge_round
from services.probe.verdict import Verdict

UP, DOWN = Verdict("up", 10), Verdict("down", error="timeout")
NO_ANSWER = Verdict("down", error="dns: no answer")


def judged(
    *steps: tuple[str, Verdict, float, float] | Round, active: bool = True
) -> list[tuple[str, str, str | None]]:
    said: list[tuple[str, str, str | None]] = []
    judge: Judge[str] = Judge(
        lambda item, verdict: said.append((item, verdict.outcome, verdict.error)), active
    )
    for step in steps:
        if isinstance(step, Round):
            judge.round_ended(step)
        else:
            judge.add(*step)
    return said


def test_more_than_half_of_the_references_must_be_silent() -> None:
    def gone(*verdicts: Verdict) -> bool:
        return judge_round(0, 1, [(False, one) for one in verdicts]).network_gone

    assert gone(DOWN)
    assert gone(DOWN, DOWN, UP)
    assert not gone(DOWN, UP)
    assert not gone(DOWN, UP, UP)
    assert not gone()


def test_lookups_are_gone_when_no_named_reference_can_be_looked_up() -> None:
    assert judge_round(0, 1, [(False, UP), (True, NO_ANSWER)]).names_gone
    assert not judge_round(0, 1, [(False, UP), (True, DOWN)]).names_gone
    assert not judge_round(0, 1, [(False, NO_ANSWER)]).names_gone


def test_a_failure_while_the_references_answer_is_down() -> None:
    assert judged(("a", DOWN, 1, 2), Round(2.1, 2.2, False, False)) == [("a", "down", "timeout")]


def test_a_failure_while_the_network_is_gone_is_unknown_and_what_is_up_stays_up() -> None:
    said = judged(("a", DOWN, 1, 2), ("b", UP, 1, 2), Round(2.1, 2.2, True, False))
    assert said == [("a", "unknown", "agent: network gone"), ("b", "up", None)]


def test_a_network_that_was_gone_during_the_check_and_is_back_excuses_it() -> None:
    said = judged(Round(0.5, 1.5, True, False), ("a", DOWN, 1, 2), Round(2.5, 2.6, False, False))
    assert said == [("a", "unknown", "agent: network gone")]


def test_an_older_loss_of_the_network_excuses_nothing() -> None:
    said = judged(Round(0.1, 0.5, True, False), ("a", DOWN, 1, 2), Round(2.5, 2.6, False, False))
    assert said == [("a", "down", "timeout")]


def test_a_round_that_began_before_the_failure_does_not_decide_it() -> None:
    assert judged(("a", DOWN, 1, 2), Round(1.9, 2.9, False, False)) == []


def test_results_keep_their_order_while_a_failure_waits() -> None:
    said = judged(("a", UP, 0, 1), ("b", DOWN, 1, 2), ("b", UP, 3, 4), Round(3.5, 3.6, False, False))
    assert [item for item, _, _ in said] == ["a", "b", "b"]
    assert said[1:] == [("b", "down", "timeout"), ("b", "up", None)]


def test_a_lookup_without_answer_is_excused_by_lost_lookups_only() -> None:
    lost = Round(2.5, 2.6, False, True)
    assert judged(("a", NO_ANSWER, 1, 2), lost) == [("a", "unknown", "agent: lookups gone")]
    assert judged(("a", DOWN, 1, 2), lost) == [("a", "down", "timeout")]


def test_losing_the_network_excuses_no_failure_on_loopback() -> None:
    local = DOWN._replace(local=True)
    assert judged(("a", local, 1, 2), Round(2.5, 2.6, True, True)) == [("a", "down", "timeout")]


def test_without_references_nothing_is_ever_unknown_and_nothing_waits() -> None:
    assert judged(("a", DOWN, 1, 2), active=False) == [("a", "down", "timeout")]


def test_failures_nobody_could_judge_before_the_end_are_unknown() -> None:
    said: list[tuple[str, str]] = []
    judge: Judge[str] = Judge(lambda item, verdict: said.append((item, verdict.outcome)), active=True)
    judge.add("a", DOWN, 1, 2)
    judge.add("b", UP, 1, 2)
    assert judge.waiting == 2
    judge.flush()
    assert said == [("a", "unknown"), ("b", "up")]
