"""The support part of the model against instants and minutes worked out by hand from the contract."""

import json
from typing import Any

import pytest

from tests.oracle.clock import parse, show
from tests.oracle.known import FIRST_TERMS
from tests.oracle.model import outcomes
from tests.oracle.office import DAYS, MINUTE, Office, office_of
from tests.oracle.support_histories import support_history

Line = dict[str, Any]
HOURS = 60 * MINUTE
WEEKDAYS = DAYS[:5]
FRIDAY_16 = "2026-11-20T15:00:00.000Z"  # 16:00 local
ALWAYS = {day: [["00:00", "24:00"]] for day in DAYS}


def week(*hours: list[str]) -> dict[str, list[list[str]]]:
    return {day: list(hours) for day in WEEKDAYS}


def terms(**changed: Any) -> dict[str, Any]:
    """The built-in terms with parts of "support" or "quota" replaced."""
    body: dict[str, Any] = json.loads(json.dumps(FIRST_TERMS))
    for part, values in changed.items():
        body[part].update(values)
    return body


# Open time


@pytest.mark.parametrize(
    ("received", "minutes", "due"),
    [
        (FRIDAY_16, 60, "2026-11-20T16:00:00.000Z"),
        ("2026-11-20T15:30:00.000Z", 540, "2026-11-23T15:30:00.000Z"),
        ("2026-11-20T16:00:00.000Z", 60, "2026-11-23T08:00:00.000Z"),
        ("2026-11-21T11:00:00.000Z", 60, "2026-11-23T08:00:00.000Z"),
        # The last millisecond before closing, and one minute at 07:59:59.999.
        ("2026-11-20T15:59:59.999Z", 60, "2026-11-23T07:59:59.999Z"),
        ("2026-11-20T06:59:59.999Z", 1, "2026-11-20T07:01:00.000Z"),
        ("2026-11-20T07:00:30.500Z", 1, "2026-11-20T07:01:30.500Z"),
        # Over the weekend in which summer time ends: Friday 16:00 +02:00, Monday 09:00 +01:00.
        ("2026-10-23T14:00:00.000Z", 120, "2026-10-26T08:00:00.000Z"),
        # Nothing to wait for: due where it begins, though closed.
        ("2026-11-21T11:00:00.000Z", 0, "2026-11-21T11:00:00.000Z"),
    ],
)
def test_due_is_the_earliest_instant(received: str, minutes: int, due: str) -> None:
    """Contract 5: Monday to Friday 08:00 to 17:00 in Zurich."""
    assert show(office_of(FIRST_TERMS).after(parse(received), minutes * MINUTE)) == due


@pytest.mark.parametrize(
    ("zone", "hours", "received", "length", "due"),
    [
        (
            "Europe/Berlin",
            [["08:00", "13:00"], ["14:00", "18:00"]],
            "2015-03-27T11:00:00.000Z",
            15 * HOURS,
            "2015-03-31T07:00:00.000Z",
        ),
        (
            "Europe/Berlin",
            [["08:00", "18:00"]],
            "2016-01-31T11:25:30.000Z",
            5 * HOURS,
            "2016-02-01T12:00:00.000Z",
        ),
        (
            "America/New_York",
            [["09:00", "18:00"]],
            "2007-01-01T22:00:00.000Z",
            2 * HOURS,
            "2007-01-02T15:00:00.000Z",
        ),
    ],
)
def test_worked_cases(zone: str, hours: list[list[str]], received: str, length: int, due: str) -> None:
    """The "Worked" rows of the support cases."""
    office = Office(zone, week(*hours), [])
    assert show(office.after(parse(received), length)) == due


@pytest.mark.parametrize(
    ("zone", "hours", "day", "minutes"),
    [
        ("Europe/Zurich", ["00:00", "24:00"], "2026-10-25", 25 * 60),
        ("Europe/Zurich", ["00:00", "24:00"], "2026-03-29", 23 * 60),
        ("Europe/Zurich", ["02:15", "02:45"], "2026-10-25", 60),
        ("Europe/Zurich", ["02:15", "02:45"], "2026-03-29", 0),
        ("Europe/Zurich", ["01:30", "03:30"], "2026-03-29", 60),
        # Half an hour's change; a change at one minute past midnight, back into the day before.
        ("Australia/Lord_Howe", ["00:00", "24:00"], "2026-04-05", 24 * 60 + 30),
        ("America/St_Johns", ["00:00", "24:00"], "2006-10-29", 24 * 60 + 1),
        ("America/St_Johns", ["23:00", "24:00"], "2006-10-28", 60 + 59),
        # A date that never was.
        ("Pacific/Apia", ["00:00", "24:00"], "2011-12-30", 0),
    ],
)
def test_doubled_minutes_count_twice_and_missing_ones_not(
    zone: str, hours: list[str], day: str, minutes: int
) -> None:
    office = Office(zone, {}, [{"date": day, "hours": [hours]}])
    middle = parse(f"{day}T12:00:00.000Z")
    assert office.between(middle - 48 * HOURS, middle + 48 * HOURS) == minutes * MINUTE


def test_seconds_of_local_mean_time() -> None:
    """Zurich was 29 min 46 s ahead until 1 June 1894 and an hour after: that date lacks 30 min 14 s."""
    office = Office("Europe/Zurich", {}, [{"date": "1894-06-01", "hours": [["00:00", "24:00"]]}])
    opens = parse("1894-05-31T23:30:14.000Z")
    assert office.between(opens - 48 * HOURS, opens + 48 * HOURS) == 24 * HOURS - (30 * 60 + 14) * 1000
    assert show(office.after(opens - HOURS, 1)) == "1894-05-31T23:30:14.001Z"


@pytest.mark.parametrize(
    ("holidays", "due"),
    [
        ([], "2026-12-24T12:00:00.000Z"),
        (["2026-12-24"], "2026-12-25T12:00:00.000Z"),
        (["2026-12-24", "2026-12-25"], "2026-12-28T12:00:00.000Z"),
        ([{"date": "2026-12-24", "hours": [["08:00", "12:00"]]}], "2026-12-25T08:00:00.000Z"),
        ([{"date": "2026-12-24", "hours": []}], "2026-12-25T12:00:00.000Z"),
        # A holiday with hours opens a Saturday; of two for one date the later listed counts.
        (["2026-12-24", {"date": "2026-12-24", "hours": [["07:00", "12:00"]]}], "2026-12-24T11:00:00.000Z"),
        ([{"date": "2026-12-24", "hours": [["07:00", "12:00"]]}, "2026-12-24"], "2026-12-25T12:00:00.000Z"),
        (
            ["2026-12-24", "2026-12-25", {"date": "2026-12-26", "hours": [["19:00", "24:00"]]}],
            "2026-12-26T23:00:00.000Z",
        ),
    ],
)
def test_holidays(holidays: list[Any], due: str) -> None:
    """5 h from Wednesday 23 December 2026, 17:00 local."""
    office = Office("Europe/Zurich", week(["08:00", "17:00"]), holidays)
    assert show(office.after(parse("2026-12-23T16:00:00.000Z"), 5 * HOURS)) == due


def test_open_time_between_two_instants() -> None:
    """From Friday 16:59:59.500 to Monday 08:00:00.250: 750 ms."""
    since, until = parse("2026-11-20T15:59:59.500Z"), parse("2026-11-23T07:00:00.250Z")
    assert office_of(FIRST_TERMS).between(since, until) == 750


def test_an_office_that_never_opens_is_an_error() -> None:
    with pytest.raises(ValueError, match="never opens"):
        Office("Europe/Zurich", week(), []).after(0, 1)


# Requests


def told(recorded_at: str, name: str, /, **fact: Any) -> Line:
    return {"recorded_at": recorded_at, "fact": {"type": name, **fact}}


def started(
    *,
    at: str = "2026-01-01T00:00:00.000Z",
    starts_on: str = "2026-01-01",
    price: str = "1000.00",
    term: str = "year",
    deployment: str = "cloud",
) -> Line:
    about = {"account": "A-1", "subscription": "S-1", "deployment": deployment, "targets": [], "price": price}
    more = {"currency": "CHF", "term": term, "starts_on": starts_on, "language": "fr"}
    return told(at, "SubscriptionStarted", **about, **more)


def published(at: str, effective_on: str, body: dict[str, Any], version: str = "v1") -> Line:
    about = {"version": version, "effective_on": effective_on, "major": False}
    return told(at, "TermsPublished", **about, terms=body)


def opened(received: str, severity: str = "down", **more: Any) -> Line:
    about = {"account": "A-1", "subscription": "S-1", "ticket": "R-1", "severity": severity}
    return told(received, "RequestOpened", **{**about, "kind": "account", "received_at": received, **more})


def ticket(name: str, at: str, recorded_at: str | None = None, /, **more: Any) -> Line:
    return told(recorded_at or at, name, **{"account": "A-1", "ticket": "R-1", "at": at, **more})


def clock(at: str) -> Line:
    return told(at, "ClockAdvanced")


def answers(lines: list[Line], *names: str) -> list[tuple[Any, ...]]:
    """(type without "Response", then the named fields that it has) of the outcomes of the request."""
    return [
        (one["type"].removeprefix("Response"), *(one[name] for name in names if name in one))
        for one in outcomes(lines)
        if one["type"].startswith("Re")
    ]


@pytest.mark.parametrize(
    ("deployment", "severity", "due", "at_risk"),
    [
        ("cloud", "down", "2026-11-16T08:00:00.000Z", "2026-11-16T07:45:00.000Z"),
        ("cloud", "serious", "2026-11-16T11:00:00.000Z", "2026-11-16T10:00:00.000Z"),
        ("cloud", "moderate", "2026-11-16T16:00:00.000Z", "2026-11-16T13:45:00.000Z"),
        ("cloud", "limited", "2026-11-17T16:00:00.000Z", "2026-11-17T11:30:00.000Z"),
        ("on-premises", "down", "2026-11-16T11:00:00.000Z", "2026-11-16T10:00:00.000Z"),
        ("on-premises", "serious", "2026-11-16T16:00:00.000Z", "2026-11-16T13:45:00.000Z"),
        ("on-premises", "moderate", "2026-11-17T16:00:00.000Z", "2026-11-17T11:30:00.000Z"),
        ("on-premises", "limited", "2026-11-18T16:00:00.000Z", "2026-11-18T09:15:00.000Z"),
    ],
)
def test_allowances(deployment: str, severity: str, due: str, at_risk: str) -> None:
    """From Monday 08:00; three quarters of 27 h are 20 h 15 min, of which 18 are the first two days."""
    lines = [started(deployment=deployment), opened("2026-11-16T07:00:00.000Z", severity)]
    first = next(one for one in outcomes(lines) if one["type"] == "ResponseDue")
    assert first == {
        "type": "ResponseDue",
        "account": "A-1",
        "subscription": "S-1",
        "ticket": "R-1",
        "revision": 1,
        "severity": severity,
        "due_at": due,
        "at_risk_at": at_risk,
        "terms": "2023-02-02",
        "journal": {"partition": 0, "offset": 1, "index": 0},
    }


def test_at_risk_then_missed_in_time_order() -> None:
    """Friday 16:00 + 1 h: at risk at 16:45, missed one millisecond after 17:05, each once."""
    lines = [
        started(),
        opened(FRIDAY_16),
        clock("2026-11-20T15:44:59.999Z"),
        clock("2026-11-20T15:45:00.000Z"),
    ]
    assert answers(lines) == [("Due",), ("AtRisk",)]
    lines += [clock("2026-11-20T16:05:00.000Z")]
    assert answers(lines) == [("Due",), ("AtRisk",)]
    lines += [clock("2026-11-20T16:05:00.001Z"), clock("2026-11-23T16:00:00.000Z")]
    assert answers(lines, "due_at") == [
        ("Due", "2026-11-20T16:00:00.000Z"),
        ("AtRisk", "2026-11-20T16:00:00.000Z"),
        ("Missed", "2026-11-20T16:00:00.000Z"),
    ]
    assert outcomes(lines)[-1]["journal"] == {"partition": 0, "offset": 5, "index": 0}


def test_news_of_a_request_that_comes_too_late() -> None:
    """Recorded on Monday: all of it is said with the request, in time order."""
    lines = [started(), opened(FRIDAY_16)]
    lines[1]["recorded_at"] = "2026-11-23T09:00:00.000Z"
    assert answers(lines) == [("Due",), ("AtRisk",), ("Missed",)]
    assert [one["journal"]["offset"] for one in outcomes(lines)] == [0, 1, 1, 1]


@pytest.mark.parametrize(
    ("at", "recorded_at", "expected"),
    [
        # At the due instant it is in time; the grace lets the news arrive at the last millisecond.
        ("2026-11-20T16:00:00.000Z", "2026-11-20T16:05:00.000Z", [("AtRisk",), ("Met",)]),
        ("2026-11-20T16:00:00.000Z", "2026-11-20T16:05:00.001Z", [("AtRisk",), ("Missed",), ("Met",)]),
        # Late by no open time: the office is closed until Monday; then by a second, and by 9 h and 1 h.
        ("2026-11-20T16:00:00.001Z", "2026-11-20T16:04:00.000Z", [("AtRisk",), ("Late", 0)]),
        ("2026-11-23T07:00:01.000Z", "2026-11-23T07:00:01.000Z", [("AtRisk",), ("Missed",), ("Late", 1000)]),
        (
            "2026-11-24T08:00:00.000Z",
            "2026-11-24T08:00:00.000Z",
            [("AtRisk",), ("Missed",), ("Late", 10 * HOURS)],
        ),
        ("2026-11-20T15:44:00.000Z", "2026-11-20T15:44:59.999Z", [("Met",)]),
        ("2026-11-20T15:44:00.000Z", "2026-11-20T15:45:00.000Z", [("AtRisk",), ("Met",)]),
    ],
)
def test_responses(at: str, recorded_at: str, expected: list[tuple[Any, ...]]) -> None:
    """Friday 16:00 + 1 h is due at 17:00."""
    lines = [started(), opened(FRIDAY_16), ticket("FirstResponseSent", at, recorded_at)]
    lines += [clock("2026-12-01T09:00:00.000Z")]
    assert answers(lines, "late_by_ms") == [("Due",), *expected]


def test_of_several_responses_the_earliest_counts() -> None:
    """Late by 2 h, then by 1 h, then met; later ones and the same again say nothing."""
    lines = [started(), opened(FRIDAY_16)]
    for day, at in (
        ("23", "2026-11-23T09:00:00.000Z"),
        ("24", "2026-11-23T09:30:00.000Z"),
        ("24", "2026-11-23T08:00:00.000Z"),
        ("25", "2026-11-23T08:00:00.000Z"),
        ("26", "2026-11-20T15:30:00.000Z"),
        ("27", "2026-11-20T15:30:00.001Z"),
    ):
        lines.append(ticket("FirstResponseSent", at, f"2026-11-{day}T12:00:00.000Z"))
    assert answers(lines, "at", "late_by_ms")[3:] == [
        ("Late", "2026-11-23T09:00:00.000Z", 2 * HOURS),
        ("Late", "2026-11-23T08:00:00.000Z", HOURS),
        ("Met", "2026-11-20T15:30:00.000Z"),
    ]


@pytest.mark.parametrize(
    ("first", "new", "at", "due", "at_risk"),
    [
        # Raised: the change + 1 h, at risk after 45 min of it.
        (
            "limited",
            "down",
            "2026-11-16T09:00:00.000Z",
            "2026-11-16T10:00:00.000Z",
            "2026-11-16T09:45:00.000Z",
        ),
        # Raised too late to help: 10:30 + 1 h is after 12:00 local less nothing; the old due is the earlier.
        (
            "serious",
            "down",
            "2026-11-16T10:30:00.000Z",
            "2026-11-16T11:00:00.000Z",
            "2026-11-16T10:00:00.000Z",
        ),
        # A tie keeps the old pair: 10:00Z + 1 h is 11:00Z, and at risk stays at 10:00Z, not 10:45Z.
        (
            "serious",
            "down",
            "2026-11-16T10:00:00.000Z",
            "2026-11-16T11:00:00.000Z",
            "2026-11-16T10:00:00.000Z",
        ),
        # One millisecond earlier it gives the due and the at-risk instant.
        (
            "serious",
            "down",
            "2026-11-16T09:59:59.999Z",
            "2026-11-16T10:59:59.999Z",
            "2026-11-16T10:44:59.999Z",
        ),
        # Lowered: received + 4 h, wherever the change is up to the due, and nothing after it.
        (
            "down",
            "serious",
            "2026-11-16T08:00:00.000Z",
            "2026-11-16T11:00:00.000Z",
            "2026-11-16T10:00:00.000Z",
        ),
        (
            "down",
            "serious",
            "2026-11-16T08:00:00.001Z",
            "2026-11-16T08:00:00.000Z",
            "2026-11-16T07:45:00.000Z",
        ),
    ],
)
def test_severity_changes(first: str, new: str, at: str, due: str, at_risk: str) -> None:
    """A request of Monday 08:00 local (07:00Z) in the cloud."""
    lines = [
        started(),
        opened("2026-11-16T07:00:00.000Z", first),
        ticket("SeverityChanged", at, severity=new),
    ]
    last = [one for one in outcomes(lines) if one["type"] == "ResponseDue"][-1]
    assert (last["revision"], last["severity"]) == (2, new)
    assert (last["due_at"], last["at_risk_at"]) == (due, at_risk)


def test_raised_and_lowered_again() -> None:
    """limited, at 10:00 local down (due 11:00), at 10:30 limited again: received + 2 bd, Tuesday 17:00."""
    lines = [started(), opened("2026-11-16T07:00:00.000Z", "limited")]
    lines.append(ticket("SeverityChanged", "2026-11-16T09:00:00.000Z", severity="down"))
    lines.append(ticket("SeverityChanged", "2026-11-16T09:30:00.000Z", severity="limited"))
    lines.append(ticket("SeverityChanged", "2026-11-16T09:40:00.000Z", severity="limited"))
    lines.append(clock("2026-11-20T09:00:00.000Z"))
    assert answers(lines, "revision", "due_at") == [
        ("Due", 1, "2026-11-17T16:00:00.000Z"),
        ("Due", 2, "2026-11-16T10:00:00.000Z"),
        ("Due", 3, "2026-11-17T16:00:00.000Z"),
        ("AtRisk", "2026-11-17T16:00:00.000Z"),
        ("Missed", "2026-11-17T16:00:00.000Z"),
    ]


def test_a_due_that_comes_back_is_at_risk_once() -> None:
    """down is due at 09:00 local, serious at 12:00; each is said to be at risk once."""
    lines = [started(), opened("2026-11-16T07:00:00.000Z", "down"), clock("2026-11-16T07:50:00.000Z")]
    lines.append(ticket("SeverityChanged", "2026-11-16T07:55:00.000Z", severity="serious"))
    lines.append(clock("2026-11-16T10:00:00.000Z"))
    # Raised with effect from the very beginning, so the due of 09:00 is back.
    lines.append(
        ticket("SeverityChanged", "2026-11-16T07:00:00.000Z", "2026-11-16T10:01:00.000Z", severity="down")
    )
    assert answers(lines, "due_at") == [
        ("Due", "2026-11-16T08:00:00.000Z"),
        ("AtRisk", "2026-11-16T08:00:00.000Z"),
        ("Due", "2026-11-16T11:00:00.000Z"),
        ("AtRisk", "2026-11-16T11:00:00.000Z"),
        ("Due", "2026-11-16T08:00:00.000Z"),
        ("Missed", "2026-11-16T08:00:00.000Z"),
    ]


@pytest.mark.parametrize(
    "settled",
    [
        ticket("FirstResponseSent", "2026-11-16T07:30:00.000Z"),
        ticket("RequestWithdrawn", "2026-11-16T07:30:00.000Z"),
        clock("2026-11-16T08:05:00.001Z"),
    ],
)
def test_a_change_moves_nothing_once_settled(settled: Line) -> None:
    """After a response, a withdrawal or a miss it says the same due with its severity."""
    lines = [started(), opened("2026-11-16T07:00:00.000Z"), settled]
    lines.append(
        ticket("SeverityChanged", "2026-11-16T07:35:00.000Z", "2026-11-16T09:00:00.000Z", severity="limited")
    )
    lines.append(clock("2026-12-01T09:00:00.000Z"))
    last = outcomes(lines)[-1]
    assert (last["type"], last["revision"], last["severity"]) == ("ResponseDue", 2, "limited")
    assert last["due_at"] == "2026-11-16T08:00:00.000Z"


def test_withdrawing_ends_the_wait_and_closing_does_not() -> None:
    """A withdrawal told after the miss leaves it; after one no response counts."""
    lines = [started(), opened(FRIDAY_16)]
    lines += [ticket(kind, "2026-11-20T15:10:00.000Z") for kind in ("RequestClosed", "RequestReopened")]
    missed = [("Due",), ("AtRisk",), ("Missed",)]
    late = ticket("RequestWithdrawn", "2026-11-20T15:20:00.000Z", "2026-11-23T15:20:00.000Z")
    assert answers([*lines, late]) == missed
    withdrawn = ticket("RequestWithdrawn", "2026-11-20T15:20:00.000Z")
    response = ticket("FirstResponseSent", "2026-11-20T15:15:00.000Z", "2026-11-20T15:30:00.000Z")
    assert answers([*lines, withdrawn, response, clock("2026-11-23T15:20:00.000Z")]) == [("Due",)]


@pytest.mark.parametrize(
    "more",
    [
        {"subscription": None},
        {"subscription": "S-2"},
        {"account": "A-2"},
        {"received_at": "2025-12-31T22:59:59.999Z"},
        {"received_at": "2026-11-19T23:00:00.000Z"},
    ],
)
def test_a_request_outside_a_subscription_is_said_to_be_uncovered(more: dict[str, Any]) -> None:
    """None, unknown, someone else's, not yet begun, ended: once, and nothing more whatever follows."""
    whose = {"account": "A-1", "subscription": "S-1"}
    lines = [
        started(),
        told("2026-02-01T00:00:00.000Z", "SubscriptionCancelled", **whose, ends_on="2026-11-20"),
    ]
    lines.append(opened(FRIDAY_16, **more))
    account = more.get("account", "A-1")
    lines.append(ticket("SeverityChanged", FRIDAY_16, account=account, severity="limited"))
    work = {"entry": "W-1", "minutes": 600}
    lines.append(ticket("WorkLogged", "2026-11-19T22:59:00.000Z", FRIDAY_16, account=account, **work))
    lines.append(ticket("FirstResponseSent", FRIDAY_16, account=account))
    lines.append(clock("2026-12-01T00:00:00.000Z"))
    opening, uncovered = outcomes(lines)
    assert opening["type"] == "QuotaOpened"
    del uncovered["journal"]
    assert uncovered == {"type": "RequestUncovered", "account": account, "ticket": "R-1"}


def test_covered_to_the_last_millisecond() -> None:
    whose = {"account": "A-1", "subscription": "S-1"}
    lines = [
        started(),
        told("2026-02-01T00:00:00.000Z", "SubscriptionCancelled", **whose, ends_on="2026-11-20"),
    ]
    lines.append(opened("2026-11-19T22:59:59.999Z"))
    assert answers(lines, "due_at") == [("Due", "2026-11-20T08:00:00.000Z")]


def test_a_holiday_added_later_leaves_the_due() -> None:
    """Terms and deployment are those known when the request is recorded."""
    lines = [started(), opened("2026-11-20T15:30:00.000Z", "moderate")]
    closed = terms(support={"holidays": ["2026-11-23"]})
    lines.append(published("2026-11-20T15:40:00.000Z", "2026-11-20", closed))
    change = {
        "account": "A-1",
        "subscription": "S-1",
        "effective_on": "2026-11-01",
        "deployment": "on-premises",
    }
    lines.append(told("2026-11-20T15:41:00.000Z", "SubscriptionChanged", **change))
    lines.append(ticket("SeverityChanged", "2026-11-20T15:45:00.000Z", severity="limited"))
    lines.append(opened("2026-11-20T15:50:00.000Z", "moderate", ticket="R-2"))
    assert answers(lines, "due_at", "terms") == [
        ("Due", "2026-11-23T15:30:00.000Z", "2023-02-02"),
        ("Due", "2026-11-24T15:30:00.000Z", "2023-02-02"),
        # On-premises, 2 bd, with the Monday closed: 10 min of Friday, Tuesday, and 8 h 50 min of Wednesday.
        ("Due", "2026-11-25T15:50:00.000Z", "v1"),
    ]


def test_nonsense_is_rejected() -> None:
    at = "2026-11-20T15:10:00.000Z"
    lines = [
        started(),
        opened(FRIDAY_16),
        opened(FRIDAY_16, account="A-2"),
        ticket("FirstResponseSent", at, ticket="R-2"),
        ticket("RequestWithdrawn", at, account="A-2"),
        ticket("WorkLogged", at, entry="W-1", minutes=-1),
        ticket("WorkCorrected", at, entry="W-1", minutes=5),
        ticket("WorkLogged", at, entry="W-1", minutes=0),
        ticket("WorkLogged", at, entry="W-1", minutes=5),
        ticket("WorkCorrected", at, entry="W-1", minutes=-5),
    ]
    rejected = [one["journal"]["offset"] for one in outcomes(lines) if one["type"] == "FactRejected"]
    assert rejected == [2, 3, 4, 5, 6, 8, 9]
    # An entry's id is known per ticket.
    lines += [opened(at, ticket="R-2"), ticket("WorkLogged", at, ticket="R-2", entry="W-1", minutes=5)]
    assert outcomes(lines)[-1]["type"] == "QuotaUsed"


# Quota


def quota(lines: list[Line], *names: str) -> list[tuple[Any, ...]]:
    """(type without "Quota", then the named fields that it has)."""
    return [
        (one["type"].removeprefix("Quota"), *(one[name] for name in names if name in one))
        for one in outcomes(lines)
        if one["type"].startswith("Quota")
    ]


def logged(at: str, minutes: int, entry: str = "W-1", recorded_at: str | None = None, **more: Any) -> Line:
    return ticket("WorkLogged", at, recorded_at, entry=entry, minutes=minutes, **more)


@pytest.mark.parametrize(
    ("price", "term", "minutes"),
    [
        ("900.00", "year", 0),
        ("999.99", "year", 0),
        ("1000.00", "year", 60),
        ("2500.00", "year", 120),
        ("290.00", "month", 180),
        ("83.33", "month", 0),
        ("83.34", "month", 60),
    ],
)
def test_an_hour_for_each_full_thousand(price: str, term: str, minutes: int) -> None:
    """12 x 290 is 3480; 12 x 83.33 is 999.96, 12 x 83.34 is 1000.08."""
    (first,) = outcomes([started(price=price, term=term)])
    assert first == {
        "type": "QuotaOpened",
        "account": "A-1",
        "subscription": "S-1",
        "year_starts_on": "2026-01-01",
        "quota_minutes": minutes,
        "used_minutes": 0,
        "terms": "2023-02-02",
        "journal": {"partition": 0, "offset": 0, "index": 0},
    }


def test_years_from_29_february() -> None:
    """28 February, and 29 February again in 2028; each opens at its local midnight."""
    lines = [
        started(at="2024-02-01T00:00:00.000Z", starts_on="2024-02-29"),
        clock("2024-02-28T22:59:59.999Z"),
    ]
    assert quota(lines) == []
    lines += [clock("2024-02-28T23:00:00.000Z"), clock("2028-02-28T22:59:59.999Z")]
    days = [day for _, day in quota(lines, "year_starts_on")]
    assert days == ["2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28"]
    lines.append(clock("2028-02-28T23:00:00.000Z"))
    assert quota(lines, "year_starts_on")[-1] == ("Opened", "2028-02-29")


def test_a_price_raised_within_the_year_raises_the_quota_from_that_day() -> None:
    """1000 to 3000 from 10 June, to 2000 from 1 July, which does not shrink it; the next year has 2000."""
    lines = [started()]
    for at, day, price in (("03", "2026-06-10", "3000.00"), ("04", "2026-07-01", "2000.00")):
        change = {"account": "A-1", "subscription": "S-1", "effective_on": day, "price": price}
        lines.append(told(f"2026-02-{at}T00:00:00.000Z", "SubscriptionChanged", **change))
    lines += [clock("2026-06-09T21:59:59.999Z")]
    assert quota(lines, "quota_minutes") == [("Opened", 60)]
    lines += [clock("2026-06-09T22:00:00.000Z"), clock("2027-01-01T00:00:00.000Z")]
    assert quota(lines, "year_starts_on", "quota_minutes") == [
        ("Opened", "2026-01-01", 60),
        ("Changed", "2026-01-01", 180),
        ("Opened", "2027-01-01", 120),
    ]
    # History restated: of two prices for one date the later said counts, so the 3000 never was.
    change = {"account": "A-1", "subscription": "S-1", "effective_on": "2026-06-10", "price": "999.00"}
    lines.append(told("2027-02-01T00:00:00.000Z", "SubscriptionChanged", **change))
    assert quota(lines, "year_starts_on", "quota_minutes")[3:] == [("Changed", "2026-01-01", 120)]


def test_each_crossing_is_warned_of_once_and_rearmed() -> None:
    """Of 60 min: 44 is none, 45 is 75 %, 54 is 90 %; one entry crosses two; a correction falls below."""
    day = "2026-11-20T{:02}:00:00.000Z"
    lines = [started(), opened(day.format(8)), logged(day.format(9), 44), logged(day.format(10), 1, "W-2")]
    names = ("percent", "used_minutes")
    assert quota(lines, *names) == [("Opened", 0), ("Used", 44), ("Used", 45), ("Warned", 75, 45)]
    lines += [logged(day.format(11), 15, "W-3"), logged(day.format(12), 0, "W-4")]
    assert quota(lines, *names)[4:] == [("Used", 60), ("Warned", 90, 60), ("Warned", 100, 60)]
    lines.append(ticket("WorkCorrected", day.format(9), day.format(13), entry="W-1", minutes=37))
    assert quota(lines, *names)[7:] == [("Used", 53), ("Restored", 90, 53), ("Restored", 100, 53)]
    lines.append(ticket("WorkCorrected", day.format(9), day.format(13), entry="W-1", minutes=38))
    assert quota(lines, *names)[10:] == [("Used", 54), ("Warned", 90, 54)]


def test_a_quota_of_nothing_is_crossed_by_the_first_minute() -> None:
    lines = [started(price="900.00"), opened(FRIDAY_16), logged(FRIDAY_16, 0), logged(FRIDAY_16, 1, "W-2")]
    assert quota(lines, "percent") == [
        ("Opened",),
        ("Used",),
        ("Warned", 75),
        ("Warned", 90),
        ("Warned", 100),
    ]


def test_reclassified_as_bug_and_back() -> None:
    """All its work goes along; `bug`, `global` and `unclassified` do not count."""
    lines = [started(), opened(FRIDAY_16), logged(FRIDAY_16, 30), logged(FRIDAY_16, 15, "W-2")]
    for hour, kind in ((16, "bug"), (17, "global"), (18, "account"), (19, "unclassified")):
        lines.append(ticket("RequestClassified", f"2026-11-20T{hour}:00:00.000Z", kind=kind))
    assert quota(lines, "percent", "used_minutes")[1:] == [
        *[("Used", 30), ("Used", 45), ("Warned", 75, 45)],
        *[("Used", 0), ("Restored", 75, 0)],
        *[("Used", 45), ("Warned", 75, 45)],
        *[("Used", 0), ("Restored", 75, 0)],
    ]


def test_work_of_a_request_is_split_over_two_years() -> None:
    """By the local date it was done, to the millisecond; a corrected date takes it into the other year."""
    new_year = "2026-12-31T23:00:00.000Z"
    lines = [started(), opened("2026-12-31T09:00:00.000Z"), clock("2027-01-02T00:00:00.000Z")]
    lines.append(logged("2026-12-31T22:59:59.999Z", 10, recorded_at="2027-01-02T00:00:00.000Z"))
    lines.append(logged(new_year, 20, "W-2", "2027-01-02T00:00:00.000Z"))
    lines.append(ticket("WorkCorrected", new_year, "2027-01-03T00:00:00.000Z", entry="W-1", minutes=11))
    assert quota(lines, "year_starts_on", "used_minutes")[2:] == [
        ("Used", "2026-01-01", 10),
        ("Used", "2027-01-01", 20),
        ("Used", "2026-01-01", 0),
        ("Used", "2027-01-01", 31),
    ]


def test_work_told_ahead_counts_when_its_year_opens() -> None:
    lines = [started(), opened("2026-12-31T09:00:00.000Z")]
    lines.append(logged("2027-01-05T09:00:00.000Z", 54, recorded_at="2026-12-31T10:00:00.000Z"))
    # Outside every year: before the subscription began.
    lines.append(logged("2025-12-31T22:59:59.999Z", 99, "W-2", "2026-12-31T10:00:00.000Z"))
    lines.append(clock("2026-12-31T23:00:00.000Z"))
    assert quota(lines, "year_starts_on", "percent", "used_minutes") == [
        ("Opened", "2026-01-01", 0),
        ("Opened", "2027-01-01", 54),
        ("Warned", "2027-01-01", 75, 54),
        ("Warned", "2027-01-01", 90, 54),
    ]


def test_a_year_once_opened_stays_with_the_work_inside_the_service_window() -> None:
    """Cancelled in March 2027 for 1 December 2026: of 30 and 40 min only November's 30 count."""
    whose = {"account": "A-1", "subscription": "S-1"}
    lines = [
        started(),
        opened(FRIDAY_16),
        logged(FRIDAY_16, 30),
        logged("2026-12-01T09:00:00.000Z", 40, "W-2"),
    ]
    lines.append(logged("2027-01-15T09:00:00.000Z", 5, "W-3"))
    cancelled = {**whose, "ends_on": "2026-12-01"}
    lines.append(told("2027-03-01T00:00:00.000Z", "SubscriptionCancelled", **cancelled))
    assert quota(lines, "year_starts_on", "percent", "used_minutes")[-5:] == [
        ("Used", "2026-01-01", 30),
        ("Restored", "2026-01-01", 75, 30),
        ("Restored", "2026-01-01", 90, 30),
        ("Restored", "2026-01-01", 100, 30),
        ("Used", "2027-01-01", 0),
    ]
    # No year begins outside the window, until the end said last lets it.
    lines.append(clock("2028-02-01T00:00:00.000Z"))
    assert quota(lines, "year_starts_on")[-1] == ("Used", "2027-01-01")
    open_again = {**whose, "ends_on": "2028-01-02"}
    lines.append(told("2028-02-01T00:00:00.000Z", "SubscriptionCancelled", **open_again))
    # Nothing crosses back silently: the 70 min of 2026 are said and warned of again.
    assert quota(lines, "year_starts_on", "percent")[-6:] == [
        ("Used", "2026-01-01"),
        *[("Warned", "2026-01-01", percent) for percent in (75, 90, 100)],
        ("Used", "2027-01-01"),
        ("Opened", "2028-01-01"),
    ]


def test_terms_of_the_years_first_day() -> None:
    """Published on 1 January 2027 for that day: 2027 is restated, 2026 is not; 75 and 90 % are forgotten."""
    half = terms(quota={"chf_per_hour": "500", "warn_percent": [50, 100]})
    lines = [started(), opened("2026-12-31T09:00:00.000Z"), logged("2027-01-01T00:00:00.000Z", 60)]
    lines.append(published("2027-01-01T01:00:00.000Z", "2027-01-01", half))
    assert quota(lines, "year_starts_on", "percent", "quota_minutes", "used_minutes", "terms")[1:] == [
        ("Opened", "2027-01-01", 60, 0, "2023-02-02"),
        ("Used", "2027-01-01", 60, 60),
        *[("Warned", "2027-01-01", percent, 60, 60) for percent in (75, 90, 100)],
        ("Changed", "2027-01-01", 120, 60, "v1"),
        ("Warned", "2027-01-01", 50, 120, 60),
        ("Restored", "2027-01-01", 100, 120, 60),
    ]


def test_a_subscription_told_late_opens_its_years_at_once() -> None:
    """Told in March 2027 for 2025: three years, in order, each with the figures of now."""
    lines = [started(at="2027-03-01T00:00:00.000Z", starts_on="2025-01-01")]
    assert [day for _, day in quota(lines, "year_starts_on")] == ["2025-01-01", "2026-01-01", "2027-01-01"]


def test_what_is_due_at_one_instant() -> None:
    """By account and subscription; there months, deadlines by ticket, then quota."""
    body = terms(uptime={"close_after_hours": 0}, support={"week": ALWAYS, "at_risk_percent": 100})
    lines = [published("2026-01-01T00:00:00.000Z", "2023-01-01", body)]
    for subscription in ("S-2", "S-1"):
        line = started()
        line["fact"] |= {"subscription": subscription, "targets": ["T-1"]}
        lines.append(line)
    lines.append(clock("2026-12-31T20:00:00.000Z"))
    for number, subscription in ((3, "S-1"), (2, "S-2"), (1, "S-1")):
        about = {"ticket": f"R-{number}", "subscription": subscription}
        lines.append(opened("2026-12-31T22:00:00.000Z", **about))
    lines.append(clock("2026-12-31T23:00:00.000Z"))
    last = [one for one in outcomes(lines) if one["journal"]["offset"] == len(lines) - 1]
    assert [(one["subscription"], one["type"], one.get("ticket")) for one in last] == [
        ("S-1", "MonthClosed", None),
        ("S-1", "ResponseAtRisk", "R-1"),
        ("S-1", "ResponseAtRisk", "R-3"),
        ("S-1", "QuotaOpened", None),
        ("S-2", "MonthClosed", None),
        ("S-2", "ResponseAtRisk", "R-2"),
        ("S-2", "QuotaOpened", None),
    ]


def test_random_histories_are_valid_and_the_same_every_time() -> None:
    """Recorded times never go back, and the histories reach every kind of outcome."""
    kinds = set()
    for seed in range(40):
        lines = support_history(seed)
        assert lines == support_history(seed)
        times = [line["recorded_at"] for line in lines]
        assert times == sorted(times)
        kinds |= {one["type"] for one in outcomes(lines)}
    assert kinds == {
        *(
            "ResponseDue",
            "ResponseAtRisk",
            "ResponseMet",
            "ResponseMissed",
            "ResponseLate",
            "RequestUncovered",
        ),
        *("QuotaOpened", "QuotaChanged", "QuotaUsed", "QuotaWarned", "QuotaRestored"),
        *("MonthClosed", "CreditGranted", "CreditAdjusted", "TermsNoticeDue", "FactRejected"),
    }


def test_what_is_said_of_a_prefix_is_a_prefix() -> None:
    """Nothing that comes later changes what was said."""
    for seed in range(12):
        lines = support_history(seed)
        whole = outcomes(lines)
        assert whole[: len(part := outcomes(lines[: len(lines) // 2]))] == part
