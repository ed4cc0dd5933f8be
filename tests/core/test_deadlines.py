"""First-response deadlines: due, at risk, met, missed, late (contract 5)."""

from __future__ import annotations

from datetime import date

import pytest

from shared import facts
from shared.terms import BUILT_IN, HolidayHours
from tests.core.asking import answered, asked, classified, opened, severity, support_with, told, withdrawn
from tests.core.telling import Telling, cancelled, changed, instant, published, reasons, started

FRIDAY = "2026-11-20"
SEVERITIES = ("down", "serious", "moderate", "limited")
ROWS = {
    # received at: due by severity, on cloud and on premises
    "2026-11-20 16:00": (
        ("2026-11-20 17:00", "2026-11-23 11:00", "2026-11-23 16:00", "2026-11-24 16:00"),
        ("2026-11-23 11:00", "2026-11-23 16:00", "2026-11-24 16:00", "2026-11-25 16:00"),
    ),
    "2026-11-20 16:30": (
        ("2026-11-23 08:30", "2026-11-23 11:30", "2026-11-23 16:30", "2026-11-24 16:30"),
        ("2026-11-23 11:30", "2026-11-23 16:30", "2026-11-24 16:30", "2026-11-25 16:30"),
    ),
    "2026-11-20 17:00": (
        ("2026-11-23 09:00", "2026-11-23 12:00", "2026-11-23 17:00", "2026-11-24 17:00"),
        ("2026-11-23 12:00", "2026-11-23 17:00", "2026-11-24 17:00", "2026-11-25 17:00"),
    ),
    "2026-11-21 11:00": (  # Saturday
        ("2026-11-23 09:00", "2026-11-23 12:00", "2026-11-23 17:00", "2026-11-24 17:00"),
        ("2026-11-23 12:00", "2026-11-23 17:00", "2026-11-24 17:00", "2026-11-25 17:00"),
    ),
    "2027-03-26 16:30": (  # the Friday before summer time
        ("2027-03-29 08:30", "2027-03-29 11:30", "2027-03-29 16:30", "2027-03-30 16:30"),
        ("2027-03-29 11:30", "2027-03-29 16:30", "2027-03-30 16:30", "2027-03-31 16:30"),
    ),
    "2026-12-25 10:00": (  # a holiday, a Friday
        ("2026-12-28 09:00", "2026-12-28 12:00", "2026-12-28 17:00", "2026-12-29 17:00"),
        ("2026-12-28 12:00", "2026-12-28 17:00", "2026-12-29 17:00", "2026-12-30 17:00"),
    ),
    "2026-12-24 11:30": (  # a half-day until 12:00, the holiday after it
        ("2026-12-28 08:30", "2026-12-28 11:30", "2026-12-28 16:30", "2026-12-29 16:30"),
        ("2026-12-28 11:30", "2026-12-28 16:30", "2026-12-29 16:30", "2026-12-30 16:30"),
    ),
}
HOLIDAYS = (date(2026, 12, 25), HolidayHours(date(2026, 12, 24), (("08:00", "12:00"),)))


@pytest.mark.parametrize("deployment", ["cloud", "on-premises"])
@pytest.mark.parametrize("received_at", ROWS)
def test_each_row_of_the_page(received_at: str, deployment: str) -> None:
    """Both tables, at the hours that are hard: closing time, the weekend, summer time, holidays."""
    story = Telling().at("2026-11-01 00:00")
    story.tell(published(support_with(holidays=HOLIDAYS)), started())
    story.tell(changed("2026-11-02", deployment=deployment))
    story.at(received_at)
    due = ROWS[received_at][deployment == "on-premises"]
    for row, expected in zip(SEVERITIES, due, strict=True):
        (line,) = told(story.tell(opened(received_at, row, ticket=row)))
        assert line.startswith(f"{row} due {expected}, ")


def test_an_answer_at_the_due_instant_is_in_time() -> None:
    story = asked().at("2026-11-20 16:00")
    assert told(story.tell(opened("2026-11-20 16:00"))) == [
        "down due 2026-11-20 17:00, at risk 2026-11-20 16:45 (1)"
    ]
    assert told(story.passes("2026-11-20 16:45")) == ["at risk of 2026-11-20 17:00"]
    story.at("2026-11-20 17:00")
    assert told(story.tell(answered("2026-11-20 17:00"))) == ["met 2026-11-20 17:00 at 2026-11-20 17:00"]
    assert told(story.passes("2026-12-20 17:00")) == []


def test_a_request_is_at_risk_once_for_each_due() -> None:
    story = asked().at("2026-11-20 08:00")
    story.tell(opened("2026-11-20 08:00", "serious"))
    assert told(story.passes("2026-11-20 11:00")) == ["at risk of 2026-11-20 12:00"]
    assert told(story.passes("2026-11-20 11:59")) == []


def test_a_miss_is_concluded_strictly_after_the_time_that_news_takes() -> None:
    story = asked().at("2026-11-20 09:00")
    story.tell(opened("2026-11-20 09:00"))
    story.passes("2026-11-20 09:45")
    assert told(story.passes("2026-11-20 10:05")) == []
    assert story.fold.next_due == instant("2026-11-20 10:05:00.001")
    assert told(story.passes("2026-11-20 10:05:00.001")) == ["missed 2026-11-20 10:00"]


def test_what_a_late_told_request_made_overdue_is_concluded_with_it_in_time_order() -> None:
    story = asked().at("2026-11-24 12:00")
    assert told(story.tell(opened("2026-11-20 09:00"))) == [
        "down due 2026-11-20 10:00, at risk 2026-11-20 09:45 (1)",
        "at risk of 2026-11-20 10:00",
        "missed 2026-11-20 10:00",
    ]


def test_news_of_an_answer_in_time_that_came_late_turns_the_miss_to_met() -> None:
    story = asked().at("2026-11-20 09:00")
    story.tell(opened("2026-11-20 09:00"))
    story.passes("2026-11-20 12:00")
    assert told(story.tell(answered("2026-11-20 09:59"))) == ["met 2026-11-20 10:00 at 2026-11-20 09:59"]


def test_a_late_answer_is_late_by_open_time() -> None:
    """Due on Friday at 17:00, answered on Monday at 08:30: half an hour late."""
    story = asked().at("2026-11-20 16:00")
    story.tell(opened("2026-11-20 16:00"))
    story.at("2026-11-23 08:30")
    assert told(story.tell(answered("2026-11-23 08:30"))) == [
        "at risk of 2026-11-20 17:00",
        "missed 2026-11-20 17:00",
        "late for 2026-11-20 17:00 at 2026-11-23 08:30 by 30 min",
    ]


def test_a_late_answer_told_at_once_is_late_and_no_miss() -> None:
    story = asked().at("2026-11-20 09:00")
    story.tell(opened("2026-11-20 09:00"))
    story.at("2026-11-20 10:02")
    assert told(story.tell(answered("2026-11-20 10:02")))[1:] == [
        "late for 2026-11-20 10:00 at 2026-11-20 10:02 by 2 min"
    ]
    assert told(story.passes("2026-11-30 10:02")) == []


def test_of_several_answers_the_earliest_counts_in_whatever_order_they_are_told() -> None:
    story = asked().at("2026-11-20 09:00")
    story.tell(opened("2026-11-20 09:00"))
    story.at("2026-11-20 11:30")
    assert told(story.tell(answered("2026-11-20 11:00")))[-1].startswith("late for")
    assert told(story.tell(answered("2026-11-20 11:20"))) == []
    assert told(story.tell(answered("2026-11-20 10:30"))) == [
        "late for 2026-11-20 10:00 at 2026-11-20 10:30 by 30 min"
    ]
    assert told(story.tell(answered("2026-11-20 09:30"))) == ["met 2026-11-20 10:00 at 2026-11-20 09:30"]
    assert told(story.tell(answered("2026-11-20 09:20"))) == ["met 2026-11-20 10:00 at 2026-11-20 09:20"]


def test_raised_it_is_due_after_the_new_allowance_from_the_change_unless_it_was_due_before() -> None:
    story = asked().at("2026-11-20 09:00")
    story.tell(opened("2026-11-20 09:00", "moderate"))
    story.at("2026-11-20 10:00")
    assert told(story.tell(severity("down", "2026-11-20 10:00"))) == [
        "down due 2026-11-20 11:00, at risk 2026-11-20 10:45 (2)"
    ]
    other = asked().at("2026-11-20 09:00")
    other.tell(opened("2026-11-20 09:00", "serious"))
    other.at("2026-11-20 12:30")
    assert told(other.tell(severity("down", "2026-11-20 12:30")))[-1] == (
        "down due 2026-11-20 13:00, at risk 2026-11-20 12:00 (2)"
    )


def test_lowered_it_is_due_after_the_new_allowance_from_the_receipt() -> None:
    story = asked().at("2026-11-20 09:00")
    story.tell(opened("2026-11-20 09:00", "down"))
    assert told(story.tell(severity("moderate", "2026-11-20 09:00"))) == [
        "moderate due 2026-11-23 09:00, at risk 2026-11-20 15:45 (2)"
    ]


def test_lowered_after_it_was_raised_late_the_later_due_stays() -> None:
    """Raised at 12:00 to an hour, lowered to four hours from 09:00: 13:00 both, and the old pair stays."""
    story = asked().at("2026-11-20 09:00")
    story.tell(opened("2026-11-20 09:00", "moderate"))
    story.at("2026-11-20 12:00")
    story.tell(severity("down", "2026-11-20 12:00"))
    assert told(story.tell(severity("serious", "2026-11-20 12:00"))) == [
        "serious due 2026-11-20 13:00, at risk 2026-11-20 12:45 (3)"
    ]


def test_a_due_that_comes_back_is_not_at_risk_a_second_time() -> None:
    story = asked().at("2026-11-20 08:00")
    story.tell(opened("2026-11-20 08:00", "moderate"))
    assert told(story.passes("2026-11-20 15:00")) == ["at risk of 2026-11-20 17:00"]
    story.tell(severity("down", "2026-11-20 15:00"))
    assert told(story.tell(severity("moderate", "2026-11-20 15:01"))) == [
        "moderate due 2026-11-20 17:00, at risk 2026-11-20 14:45 (3)"
    ]
    assert told(story.passes("2026-11-20 17:05")) == []


def test_a_change_after_the_due_moves_nothing_but_the_severity() -> None:
    story = asked().at("2026-11-20 09:00")
    story.tell(opened("2026-11-20 09:00", "down"))
    story.passes("2026-11-20 10:02")
    assert told(story.tell(severity("limited", "2026-11-20 10:01"))) == [
        "limited due 2026-11-20 10:00, at risk 2026-11-20 09:45 (2)"
    ]
    assert told(story.passes("2026-11-20 10:06")) == ["missed 2026-11-20 10:00"]


def test_nor_does_any_once_an_answer_is_in_the_journal() -> None:
    story = asked().at("2026-11-20 09:00")
    story.tell(opened("2026-11-20 09:00", "limited"), answered("2026-11-20 09:00"))
    assert told(story.tell(severity("down", "2026-11-20 09:01"))) == [
        "down due 2026-11-24 09:00, at risk 2026-11-23 13:30 (2)"
    ]


def test_the_same_severity_again_says_nothing() -> None:
    story = asked().at("2026-11-20 09:00")
    story.tell(opened("2026-11-20 09:00", "down"))
    assert told(story.tell(severity("down", "2026-11-20 09:30"))) == []


def test_a_withdrawal_ends_the_wait_and_no_answer_counts_after_it() -> None:
    story = asked().at("2026-11-20 09:00")
    story.tell(opened("2026-11-20 09:00"), withdrawn("2026-11-20 09:10"))
    assert told(story.passes("2026-11-30 09:00")) == []
    assert told(story.tell(answered("2026-11-20 09:05"))) == []


def test_a_withdrawal_told_after_the_miss_leaves_it() -> None:
    story = asked().at("2026-11-20 09:00")
    story.tell(opened("2026-11-20 09:00"))
    assert told(story.passes("2026-11-20 11:00"))[-1] == "missed 2026-11-20 10:00"
    assert told(story.tell(withdrawn("2026-11-20 09:10"), answered("2026-11-20 09:05"))) == []


def test_closing_is_no_answer_and_reopening_starts_no_new_wait() -> None:
    story = asked().at("2026-11-20 09:00")
    story.tell(opened("2026-11-20 09:00"))
    closed = facts.RequestClosed("A-1", "T-1", instant("2026-11-20 09:01"))
    reopened = facts.RequestReopened("A-1", "T-1", instant("2026-11-20 09:02"))
    assert told(story.tell(closed, reopened)) == []
    assert told(story.passes("2026-11-20 10:06"))[-1] == "missed 2026-11-20 10:00"
    assert told(story.tell(reopened)) == []
    assert told(story.passes("2026-12-20 10:06")) == []


@pytest.mark.parametrize(
    ("received_at", "subscription"),
    [
        ("2026-11-20 09:00", None),
        ("2026-11-20 09:00", "S-9"),
        ("2026-11-20 09:00", "S-2"),  # someone else's
        ("2026-10-31 23:59", "S-1"),  # not begun
        ("2026-12-01 00:00", "S-1"),  # over
    ],
)
def test_a_request_without_an_active_subscription_is_accepted_and_uncovered(
    received_at: str, subscription: str | None
) -> None:
    story = asked()
    story.tell(started("S-2", "A-2"), cancelled("2026-12-01"))
    story.at("2026-12-02 09:00")
    assert told(story.tell(opened(received_at, subscription=subscription))) == ["uncovered T-1"]
    assert told(story.tell(severity("limited", received_at), answered(received_at), classified("bug"))) == []
    assert told(story.passes("2027-01-20 09:00")) == []


def test_coverage_is_that_known_when_the_request_is_recorded() -> None:
    story = asked().at("2026-11-20 09:00")
    assert told(story.tell(opened("2026-11-20 09:00", subscription="S-2"))) == ["uncovered T-1"]
    story.tell(started("S-2", starts_on="2026-11-01"))
    assert told(story.passes("2026-11-20 12:00")) == []


def test_a_request_is_judged_by_the_terms_known_when_it_was_recorded() -> None:
    """A holiday added after the due was given leaves it, also for a later change of the severity."""
    story = asked().at("2026-11-20 16:30")
    story.tell(published(BUILT_IN, "first", "2026-11-20"))
    assert told(story.tell(opened("2026-11-20 16:30", "limited")))[0].startswith(
        "limited due 2026-11-24 16:30"
    )
    story.tell(published(support_with(holidays=(date(2026, 11, 23),)), "shut", "2026-11-20"))
    assert told(story.tell(severity("moderate", "2026-11-20 16:30")))[0].startswith(
        "moderate due 2026-11-23 16:30"
    )
    (line,) = told(story.tell(opened("2026-11-20 16:30", "moderate", ticket="T-2")))
    assert line.startswith("moderate due 2026-11-24 16:30")


def test_the_deployment_is_that_of_the_day_of_receipt() -> None:
    story = asked().at("2026-11-20 00:00")
    story.tell(changed("2026-11-20", deployment="on-premises"))
    story.at("2026-11-20 10:00")
    assert told(story.tell(opened("2026-11-19 09:00", "down", ticket="a")))[0].startswith(
        "down due 2026-11-19 10:00"
    )
    assert told(story.tell(opened("2026-11-20 09:00", "down", ticket="b")))[0].startswith(
        "down due 2026-11-20 13:00"
    )


def test_two_requests_due_at_one_instant_are_concluded_by_account_and_ticket() -> None:
    story = asked()
    story.tell(started("S-2", "A-0"))
    story.at("2026-11-20 09:00")
    for account, subscription, ticket in (("A-1", "S-1", "b"), ("A-1", "S-1", "a"), ("A-0", "S-2", "c")):
        story.tell(opened("2026-11-20 09:00", ticket=ticket, subscription=subscription, account=account))
    said = story.passes("2026-11-20 12:00")
    assert [one.ticket for one in said] == ["c", "a", "b"] * 2  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("fact", "reason"),
    [
        (answered("2026-11-20 09:00", ticket="T-9"), "ticket T-9 was never opened"),
        (answered("2026-11-20 09:00", account="A-2"), "ticket T-1 is not of account A-2"),
        (opened("2026-11-20 09:00", account="A-2"), "ticket T-1 is open already"),
        (severity("down", "2026-11-20 09:00", ticket="T-9"), "ticket T-9 was never opened"),
        (withdrawn("2026-11-20 09:00", ticket="T-9"), "ticket T-9 was never opened"),
    ],
)
def test_what_makes_no_sense_is_rejected_with_a_reason(fact: facts.TicketFact, reason: str) -> None:
    story = asked().at("2026-11-20 09:00")
    story.tell(opened("2026-11-20 09:00"))
    assert reasons(story.tell(fact)) == [reason]
