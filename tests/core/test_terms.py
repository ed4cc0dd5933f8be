"""Contract 7: complete documents of terms, accepted or rejected, in force by date, told to customers."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pytest

from services.sla.terms import Book
from shared.codec import encode
from shared.outcomes import Outcome, TermsNoticeDue
from shared.terms import BUILT_IN, BUILT_IN_VERSION, Terms
from tests.core.telling import (
    HOUR,
    Telling,
    after,
    but_quota,
    cancelled,
    closed,
    credits,
    instant,
    months,
    november,
    published,
    reasons,
    started,
    terms_with,
)

EVENTS_MD = """
{"zone": "Europe/Zurich",
 "uptime": {"target_percent": "99.5", "close_after_hours": 6, "bridge_hours": 6,
            "maintenance": {"excluded": false, "notice_hours": 48},
            "credit": {"rule": "started-day"}},
 "outage": {"longer_than_hours": 24, "credit": {"rule": "started-day"}},
 "support": {"week": {"mon": [["08:00","17:00"]], "tue": [["08:00","17:00"]], "wed": [["08:00","17:00"]],
                      "thu": [["08:00","17:00"]], "fri": [["08:00","17:00"]]},
             "business_day_minutes": 540, "holidays": [], "at_risk_percent": 75, "news_grace_minutes": 5,
             "first_response": {
                "cloud": {"down": "1h", "serious": "4h", "moderate": "1bd", "limited": "2bd"},
                "on-premises": {"down": "4h", "serious": "1bd", "moderate": "2bd", "limited": "3bd"}}},
 "quota": {"chf_per_hour": "1000", "warn_percent": [75, 90, 100]}}
"""
"""The published page, as the wire contract writes it."""


def document(change: Any = None, **fields: Any) -> bytes:
    """A TermsPublished whose terms are the built-in ones, changed by hand."""
    terms = json.loads(EVENTS_MD)
    if change is not None:
        change(terms)
    fact = {
        "type": "TermsPublished",
        "version": "t",
        "effective_on": "2026-01-01",
        "major": False,
        "terms": terms,
        **fields,
    }
    return json.dumps(fact).encode()


def in_force(story: Telling, day: str) -> str:
    return story.fold.history.book.on(date.fromisoformat(day)).version


def notices(said: list[Outcome]) -> list[tuple[str, str, date]]:
    return [(one.account, one.version, one.effective_on) for one in said if isinstance(one, TermsNoticeDue)]


def test_the_built_in_terms_are_those_of_the_published_page() -> None:
    story = Telling().at("2026-11-01 00:00")
    assert story.tell(document()) == []
    assert story.fold.history.book.versions[0].terms == BUILT_IN
    written = json.loads(encode(BUILT_IN))
    written["support"]["week"] = {day: hours for day, hours in written["support"]["week"].items() if hours}
    assert written == json.loads(EVENTS_MD)


def test_the_built_in_terms_are_in_force_from_the_beginning() -> None:
    assert Book().on(date.min).version == BUILT_IN_VERSION == "2023-02-02"
    assert Book().on(date(2026, 11, 1)).terms is BUILT_IN
    assert Book().zone == "Europe/Zurich"


@pytest.mark.parametrize("effective_on", ["0001-01-01", "2019-05-01", "2026-11-01", "2030-01-01"])
def test_the_first_published_terms_may_be_of_any_date(effective_on: str) -> None:
    story = Telling().at("2026-11-01 12:00")
    assert but_quota(story.tell(started(), published(terms_with(), "first", effective_on))) == []
    assert in_force(story, effective_on) == "first"
    if effective_on > "0001-01-01":
        before = date.fromisoformat(effective_on).toordinal() - 1
        assert story.fold.history.book.on(date.fromordinal(before)).version == BUILT_IN_VERSION


def test_later_terms_cannot_take_effect_before_the_local_date_on_which_they_are_recorded() -> None:
    """Recorded on 10 November at 00:30 local, which is still the 9th in UTC."""
    story = Telling().at("2026-11-01 00:00")
    story.tell(published(terms_with(), "first", "2026-01-01"))
    story.at("2026-11-10 00:30")
    said = story.tell(published(terms_with(), "late", "2026-11-09"))
    assert reasons(said) == ["terms recorded on 2026-11-10 cannot take effect on 2026-11-09"]
    assert story.tell(published(terms_with(), "today", "2026-11-10")) == []
    assert [in_force(story, day) for day in ("2026-11-09", "2026-11-10")] == ["first", "today"]


def test_rejected_terms_are_not_the_first_published() -> None:
    story = Telling().at("2026-11-01 00:00")
    assert len(reasons(story.tell(document(lambda terms: terms.pop("quota"))))) == 1
    assert story.tell(published(terms_with(), "first", "2020-01-01")) == []


def test_of_two_for_one_date_the_later_said_counts() -> None:
    story = Telling().at("2026-11-01 00:00")
    story.tell(published(terms_with(), "a", "2026-12-01"), published(terms_with(), "b", "2026-12-01"))
    assert in_force(story, "2026-12-01") == "b"
    assert len(story.fold.history.book.versions) == 1


def test_terms_are_in_force_by_date_in_whatever_order_they_are_published() -> None:
    story = Telling().at("2026-11-01 00:00")
    for version, effective_on in (("b", "2026-12-15"), ("c", "2027-02-01"), ("a", "2026-11-20")):
        assert story.tell(published(terms_with(), version, effective_on)) == []
    days = ("2026-11-19", "2026-11-20", "2026-12-14", "2026-12-15", "2027-01-31", "2027-02-01", "2031-01-01")
    assert [in_force(story, day) for day in days] == [BUILT_IN_VERSION, "a", "a", "b", "b", "c", "c"]


def test_the_first_terms_may_bring_their_zone_before_any_subscription() -> None:
    """Then dates and months are local to it: November begins in New York five hours later than in UTC."""
    story = Telling().at("2026-10-01 00:00")
    first = published(terms_with(zone="America/New_York"), "ny", "2020-01-01")
    assert but_quota(story.tell(first, started())) == []
    due = instant("2026-12-01 06:00") + 6 * HOUR
    assert but_quota(story.passes(due - 1)) == []
    assert [month.window_ms for month in months(story.passes(due))] == [721 * HOUR]


def test_terms_of_another_zone_are_rejected_once_a_subscription_or_terms_are_there() -> None:
    other = published(terms_with(zone="Europe/Berlin"), "b", "2027-01-01")
    expected = ["terms have the zone Europe/Zurich; Europe/Berlin cannot replace it"]
    subscribed = Telling().at("2026-11-01 00:00")
    subscribed.tell(started())
    assert reasons(subscribed.tell(other)) == expected
    published_ = Telling().at("2026-11-01 00:00")
    published_.tell(published(terms_with(), "a", "2026-01-01"))
    assert reasons(published_.tell(other)) == expected


@pytest.mark.parametrize(
    "zone", ["Mars/Olympus", "", "/etc/localtime", "../Europe/Zurich", "Europe", "zone.tab"]
)
def test_a_zone_that_does_not_exist_is_rejected(zone: str) -> None:
    story = Telling().at("2026-11-01 00:00")
    (reason,) = reasons(story.tell(published(terms_with(zone=zone))))
    assert reason == f"{zone!r} is no time zone; use a name like Europe/Zurich"


def without(*path: str) -> Any:
    def change(terms: dict[str, Any]) -> None:
        for name in path[:-1]:
            terms = terms[name]
        del terms[path[-1]]

    return change


def with_(value: Any, *path: str) -> Any:
    def change(terms: dict[str, Any]) -> None:
        for name in path[:-1]:
            terms = terms[name]
        terms[path[-1]] = value

    return change


def paths(terms: dict[str, Any], *above: str) -> list[tuple[str, ...]]:
    """Every field of the document; the days of the week are free."""
    found = []
    for name, value in terms.items():
        found.append((*above, name))
        if isinstance(value, dict) and name != "week":
            found += paths(value, *above, name)
    return found


@pytest.mark.parametrize("path", paths(json.loads(EVENTS_MD)), ids=".".join)
def test_incomplete_terms_are_rejected(path: tuple[str, ...]) -> None:
    """Whatever field is missing: half a promise is none."""
    story = Telling().at("2026-11-01 00:00")
    (reason,) = reasons(story.tell(document(without(*path))))
    assert path[-1] in reason
    assert story.fold.history.book == Book()


@pytest.mark.parametrize(
    "change",
    [
        with_("100.1", "uptime", "target_percent"),
        with_("-1", "uptime", "target_percent"),
        with_("NaN", "uptime", "target_percent"),
        with_("a lot", "uptime", "target_percent"),
        with_(-1, "uptime", "close_after_hours"),
        with_("6", "uptime", "bridge_hours"),
        with_({"rule": "generous"}, "uptime", "credit"),
        with_({"rule": "tiers", "tiers": []}, "outage", "credit"),
        with_({"rule": "tiers"}, "uptime", "credit"),
        with_({"rule": "tiers", "tiers": [{"below_percent": "99"}]}, "uptime", "credit"),
        with_(
            {"rule": "tiers", "tiers": [{"below_percent": "101", "percent_of_fee": "1"}]}, "uptime", "credit"
        ),
        with_("0", "quota", "chf_per_hour"),
        with_("soon", "support", "first_response", "cloud", "down"),
    ],
)
def test_terms_that_promise_nonsense_are_rejected(change: Any) -> None:
    story = Telling().at("2026-11-01 00:00")
    assert len(reasons(story.tell(document(change)))) == 1
    assert story.fold.history.book == Book()


@pytest.mark.parametrize(
    "change",
    [
        with_({"rule": "exact"}, "uptime", "credit"),
        with_({"rule": "exact"}, "outage", "credit"),
        with_(
            {"rule": "tiers", "tiers": [{"below_percent": "99.5", "percent_of_fee": "10"}]},
            "uptime",
            "credit",
        ),
        with_(["2026-12-25", {"date": "2026-12-24", "hours": [["08:00", "12:00"]]}], "support", "holidays"),
        with_({"mon": [["08:00", "12:00"], ["13:00", "24:00"]], "sat": []}, "support", "week"),
        with_("more", "a field of a later version"),
    ],
)
def test_every_form_the_wire_contract_allows_is_accepted_and_written_as_it_was_read(change: Any) -> None:
    story = Telling().at("2026-11-01 00:00")
    assert story.tell(document(change)) == []
    (version,) = story.fold.history.book.versions
    again = json.loads(encode(version.terms))
    terms = json.loads(EVENTS_MD)
    change(terms)
    terms.pop("a field of a later version", None)
    again["support"]["week"] = {day: again["support"]["week"][day] for day in terms["support"]["week"]}
    assert again == terms


def test_terms_of_the_future_change_nothing_now() -> None:
    story = november(after("2026-11-10 10:00", 5 * HOUR))
    closed(story)
    assert story.tell(published(terms_with(target_percent="50"), "mild", "2027-06-01")) == []


def test_a_cut_is_judged_by_the_terms_of_the_day_it_began() -> None:
    """A cut over the date of new terms keeps the old ones."""
    story = Telling().at("2026-10-01 00:00")
    story.tell(
        published(terms_with(), "old", "2026-01-01"),
        published(terms_with(longer_than_hours=72), "new", "2026-11-11"),
    )
    story.tell(started())
    said = story.watch(
        "2026-11-01 00:00",
        "2026-12-01 00:00",
        ("2026-11-10 23:00", "2026-11-12 00:00"),
        ("2026-11-20 00:00", "2026-11-22 00:00"),
    )
    assert credits(said) == [("outage/2026-11-10 23:00", "6.58", "6.58")]
    assert credits(closed(story)) == [("uptime/2026-11", "6.58", "6.58")]


def test_a_major_change_is_to_be_told_to_every_account_with_an_active_subscription() -> None:
    """Active on the local date on which it is recorded; each account once, in order."""
    story = Telling().at("2026-11-01 00:00")
    story.tell(
        started("S-1", "A-2"),
        started("S-2", "A-2"),
        started("S-3", "A-1"),
        started("S-4", "A-3", starts_on="2026-11-10"),
        started("S-5", "A-4", starts_on="2026-11-11"),
        started("S-6", "A-5"),
        cancelled("2026-11-10", "S-6", "A-5"),
        started("S-7", "A-6"),
        cancelled("2026-11-11", "S-7", "A-6"),
    )
    story.at("2026-11-10 00:30")
    told = notices(story.tell(published(terms_with(), "2027-01-01", "2027-01-01", major=True)))
    assert told == [(account, "2027-01-01", date(2027, 1, 1)) for account in ("A-1", "A-2", "A-3", "A-6")]


def test_a_minor_change_is_not_told() -> None:
    story = Telling().at("2026-11-01 00:00")
    assert but_quota(story.tell(started(), published(terms_with(), major=False))) == []


def test_rejected_terms_are_not_told() -> None:
    story = Telling().at("2026-11-01 00:00")
    said = story.tell(started(), published(terms_with(zone="Europe/Berlin"), major=True))
    assert (len(reasons(said)), notices(said)) == (1, [])


def test_a_version_is_told_to_an_account_once() -> None:
    """Published again under its name, it is told to those who came since only."""
    story = Telling().at("2026-11-01 00:00")
    again = published(terms_with(), "v", "2027-01-01", major=True)
    assert len(notices(story.tell(started(), again))) == 1
    assert [account for account, _, _ in notices(story.tell(started("S-2", "A-2"), again))] == ["A-2"]
    other = published(terms_with(), "w", "2027-01-01", major=True)
    assert [account for account, _, _ in notices(story.tell(other))] == ["A-1", "A-2"]


def test_notices_come_before_what_the_terms_restate() -> None:
    story = november(after("2026-11-10 10:00", HOUR))
    closed(story)
    strict: Terms = terms_with(target_percent="100")
    said = story.tell(published(strict, "strict", "2020-01-01", major=True))
    expected = ["TermsNoticeDue", "MonthClosed", "CreditGranted", "QuotaChanged"]
    assert [type(one).__name__ for one in said] == expected
