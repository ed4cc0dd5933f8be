"""The model against figures worked out by hand from the contract."""

import json
from datetime import date
from fractions import Fraction
from typing import Any

import pytest

from tests.oracle.clock import DAY, HOUR, day_start, parse, show, term_days
from tests.oracle.credits import rounded
from tests.oracle.histories import exact_promise, history, one_cut, probe_history
from tests.oracle.known import FIRST_TERMS
from tests.oracle.model import outcomes
from tests.oracle.slots import uptime

Line = dict[str, Any]
NOVEMBER_10 = "2026-11-10T09:00:00.000Z"  # 10:00 local


def credits_of(lines: list[Line]) -> list[tuple[str, int, str, str]]:
    return [
        (told["credit"], told["revision"], told["amount"], told["total"])
        for told in outcomes(lines)
        if told["type"].startswith("Credit")
    ]


def without_quota(lines: list[Line]) -> list[dict[str, Any]]:
    return [told for told in outcomes(lines) if not told["type"].startswith("Quota")]


def month_of(lines: list[Line], month: str) -> dict[str, Any]:
    """The last word on a month."""
    return [told for told in outcomes(lines) if told["type"] == "MonthClosed" and told["month"] == month][-1]


def terms(**changed: Any) -> dict[str, Any]:
    """The built-in terms with parts of "uptime" or "outage" replaced."""
    body: dict[str, Any] = json.loads(json.dumps(FIRST_TERMS))
    for part, values in changed.items():
        body[part].update(values)
    return body


def told(recorded_at: str, **fact: Any) -> Line:
    return {"recorded_at": recorded_at, "fact": fact}


def by_time(lines: list[Line]) -> list[Line]:
    return sorted(lines, key=lambda line: str(line["recorded_at"]))


def seen_past_november(lines: list[Line]) -> list[Line]:
    """The target is observed, as it was, past November's end and before it closes."""
    seen = "2026-12-01T03:00:00.000Z"
    return by_time([*lines, told(seen, type="TargetObserved", target="T-1", through=seen)])


def state(at: str, value: str, target: str = "T-1") -> Line:
    return told(at, type="TargetStateChanged", target=target, at=at, state=value, confirmed_at=at, because=[])


def test_a_cut_of_30_hours_is_two_started_days() -> None:
    """2 x 1200 / 365 = 6.5753."""
    lines = one_cut(NOVEMBER_10, 30 * HOUR, starts_on="2026-01-01")
    assert credits_of(lines) == [("S-1/outage/2026-11-10T09:00:00.000Z", 1, "6.58", "6.58")]
    november = month_of(lines, "2026-11")
    assert (november["window_ms"], november["down_ms"]) == (720 * HOUR, 30 * HOUR)
    # 690 / 720 = 95.8333 %; the cut's time is paid for once, as a cut.
    assert (november["uptime_percent"], november["met"], november["revision"]) == ("95.833", False, 1)


@pytest.mark.parametrize(
    ("length", "credit"),
    [
        (24 * HOUR - 1, ("S-1/uptime/2026-11", 1, "3.29", "3.29")),
        (24 * HOUR, ("S-1/uptime/2026-11", 1, "3.29", "3.29")),
        (24 * HOUR + 1, ("S-1/outage/2026-11-10T09:00:00.000Z", 1, "6.58", "6.58")),
        (48 * HOUR, ("S-1/outage/2026-11-10T09:00:00.000Z", 1, "6.58", "6.58")),
        (48 * HOUR + 1, ("S-1/outage/2026-11-10T09:00:00.000Z", 1, "9.86", "9.86")),
    ],
)
def test_a_cut_must_be_longer_than_24_hours(length: int, credit: tuple[str, int, str, str]) -> None:
    """Up to exactly 24 h it counts for the month's uptime instead: 1200 / 365 = 3.2877 a started day."""
    assert credits_of(one_cut(NOVEMBER_10, length, starts_on="2026-01-01")) == [credit]


@pytest.mark.parametrize(
    ("extra", "percent", "met"), [(-1, "99.500", True), (0, "99.500", True), (1, "99.499", False)]
)
def test_exactly_the_promise_is_met(extra: int, percent: str, met: bool) -> None:
    """0.5 % of the 720 hours of November is 3 h 36 min; a millisecond more never shows as 99.5."""
    november = month_of(exact_promise(extra), "2026-11")
    assert (november["uptime_percent"], november["met"]) == (percent, met)
    assert november["down_ms"] == 3 * HOUR + 36 * 60_000 + extra
    assert credits_of(exact_promise(extra)) == ([] if met else [("S-1/uptime/2026-11", 1, "3.29", "3.29")])


@pytest.mark.parametrize(("month", "day", "hours"), [("2026-03", "10", 743), ("2026-10", "10", 745)])
def test_months_of_the_summer_time_changes(month: str, day: str, hours: int) -> None:
    lines = one_cut(f"{month}-{day}T10:00:00.000Z", HOUR, starts_on="2026-01-01")
    assert month_of(lines, month)["window_ms"] == hours * HOUR
    assert month_of(lines, month)["unmeasured_ms"] == 0


@pytest.mark.parametrize(
    ("starts_on", "months", "day", "days"),
    [
        (date(2024, 2, 29), 12, date(2025, 2, 27), 365),
        (date(2024, 2, 29), 12, date(2025, 2, 28), 365),
        (date(2024, 2, 29), 12, date(2028, 2, 28), 366),
        (date(2011, 6, 17), 12, date(2011, 6, 17), 366),
        (date(2026, 1, 1), 12, date(2026, 12, 31), 365),
        (date(2024, 1, 31), 1, date(2024, 2, 28), 29),
        (date(2024, 1, 31), 1, date(2024, 2, 29), 31),
        (date(2024, 1, 31), 1, date(2024, 3, 31), 30),
    ],
)
def test_days_of_a_term(starts_on: date, months: int, day: date, days: int) -> None:
    """From 29 Feb 2024 to 27 Feb 2025; 31 Jan, 29 Feb, 31 Mar, 30 Apr."""
    assert term_days(starts_on, months, day) == days


def test_a_day_of_a_leap_years_term() -> None:
    """2 x 1200 / 366 = 6.5574."""
    lines = one_cut("2024-11-10T09:00:00.000Z", 30 * HOUR, starts_on="2024-01-01")
    assert [credit[3] for credit in credits_of(lines)] == ["6.56"]


def test_a_monthly_term() -> None:
    """2 x 99.95 / 30 = 6.6633."""
    lines = one_cut(NOVEMBER_10, 30 * HOUR, starts_on="2026-11-01", price="99.95", term="month")
    assert [credit[3] for credit in credits_of(lines)] == ["6.66"]


def test_halves_are_rounded_up_once() -> None:
    """CHF 3.65 / 365 = 0.01 a day; a half of a rappen goes up, less goes down."""
    lines = one_cut(NOVEMBER_10, 30 * HOUR, starts_on="2026-01-01", price="3.65")
    assert [credit[3] for credit in credits_of(lines)] == ["0.02"]
    exactly_half = Fraction(5, 1000)
    assert (rounded(exactly_half), rounded(exactly_half - Fraction(1, 10**9))) == (1, 0)
    lines = one_cut(NOVEMBER_10, 30 * HOUR, starts_on="2026-01-01", price="0.91")  # 2 x 0.00249 = 0.00499
    assert credits_of(lines) == []
    lines = one_cut(NOVEMBER_10, 50 * HOUR, starts_on="2026-01-01", price="0.61")  # 3 x 0.00167 = 0.00501
    assert [credit[3] for credit in credits_of(lines)] == ["0.01"]


def test_the_price_of_the_day_on_which_each_24_hours_begin() -> None:
    """50 h from 10 November 10:00: 10th and 11th at 1200 / 365, the 12th at 3650 / 365: 16.5753."""
    lines = one_cut(NOVEMBER_10, 50 * HOUR, starts_on="2026-01-01")
    change = {"account": "A-1", "subscription": "S-1", "effective_on": "2026-11-12", "price": "3650.00"}
    lines.insert(1, told(lines[0]["recorded_at"], type="SubscriptionChanged", **change))
    assert [credit[3] for credit in credits_of(lines)] == ["16.58"]


def test_a_cut_over_a_months_end_is_one_cut() -> None:
    """30 h from 30 November 12:00. At the close it is 12 h of November, one started day; then it is a cut."""
    start = "2026-11-30T11:00:00.000Z"
    assert credits_of(seen_past_november(one_cut(start, 30 * HOUR, starts_on="2026-01-01"))) == [
        ("S-1/uptime/2026-11", 1, "3.29", "3.29"),
        (f"S-1/outage/{start}", 1, "6.58", "6.58"),
        ("S-1/uptime/2026-11", 2, "-3.29", "0.00"),
    ]


def test_a_cut_that_lasts_is_concluded_at_each_close() -> None:
    """From 29 November 00:00 to 2 December 12:00: 48 h at the close (2 days), 84 h at the end (4 days)."""
    start = "2026-11-28T23:00:00.000Z"
    assert credits_of(seen_past_november(one_cut(start, 84 * HOUR, starts_on="2026-01-01"))) == [
        (f"S-1/outage/{start}", 1, "6.58", "6.58"),
        (f"S-1/outage/{start}", 2, "6.57", "13.15"),
    ]


@pytest.mark.parametrize(("gap", "totals"), [(6 * HOUR, ["6.58"]), (6 * HOUR + 1, ["3.29"])])
def test_the_bridge(gap: int, totals: list[str]) -> None:
    """12 h down, a silence, 12 h down: 30 h are one cut; a longer silence makes it two, 24 h in all."""
    at = parse(NOVEMBER_10)
    lines = one_cut(NOVEMBER_10, 24 * HOUR + gap, starts_on="2026-01-01")
    lines.append(state(show(at + 12 * HOUR), "unmeasured"))
    lines.append(state(show(at + 12 * HOUR + gap), "down"))
    assert [credit[3] for credit in credits_of(by_time(lines))] == totals


def test_excluded_maintenance_neither_counts_nor_ends_a_cut() -> None:
    """45 h down of which 20 h are excluded: one cut of 25 h, its second day begins 44 h after its start."""
    lines = one_cut(
        NOVEMBER_10,
        45 * HOUR,
        starts_on="2026-01-01",
        terms=terms(uptime={"maintenance": {"excluded": True, "notice_hours": 48}}),
    )
    starts = parse(NOVEMBER_10) + 2 * HOUR
    about = {"target": "T-1", "maintenance": "M-1"}
    announced = show(starts - 48 * HOUR)
    when = {"starts_at": show(starts), "ends_at": show(starts + 20 * HOUR), "announced_at": announced}
    on_time = by_time([*lines, told(announced, type="MaintenanceAnnounced", **about, **when)])
    november = month_of(on_time, "2026-11")
    assert (november["down_ms"], november["excluded_ms"]) == (25 * HOUR, 20 * HOUR)
    # 675 of 700 measured hours.
    assert november["uptime_percent"] == "96.428"
    assert credits_of(on_time) == [(f"S-1/outage/{NOVEMBER_10}", 1, "6.58", "6.58")]

    late = {**when, "announced_at": show(starts - 48 * HOUR + 1)}
    too_late = by_time([*lines, told(late["announced_at"], type="MaintenanceAnnounced", **about, **late)])
    assert month_of(too_late, "2026-11")["excluded_ms"] == 0

    stopped = {"type": "MaintenanceCancelled", **about, "at": show(starts + HOUR)}
    cancelled = by_time([*on_time, told(stopped["at"], **stopped)])
    assert month_of(cancelled, "2026-11")["excluded_ms"] == HOUR


def test_a_credit_to_the_millisecond_on_a_day_of_25_hours() -> None:
    """30 h from 25 October 2026 00:00: 25 of 25 h, then 5 of 24 h: 3.2877 x (1 + 5/24) = 3.9726."""
    lines = one_cut(
        "2026-10-24T22:00:00.000Z",
        30 * HOUR,
        starts_on="2026-01-01",
        terms=terms(outage={"credit": {"rule": "exact"}}),
    )
    assert [credit[3] for credit in credits_of(lines)] == ["3.97"]


@pytest.mark.parametrize(
    ("length", "total"), [(11 * HOUR, "9.86"), (24 * HOUR, "9.86"), (40 * HOUR, "49.32")]
)
def test_tiers(length: int, total: str) -> None:
    """November's fee is 30 x 1200 / 365 = 98.6301: 10 % below 99.5 %, 50 % below 95 % (40 h: 94.44 %)."""
    tiers = [
        {"below_percent": "99.5", "percent_of_fee": "10"},
        {"below_percent": "95", "percent_of_fee": "50"},
    ]
    body = terms(
        uptime={"credit": {"rule": "tiers", "tiers": tiers}},
        outage={"longer_than_hours": 48},
    )
    lines = one_cut(NOVEMBER_10, length, starts_on="2026-01-01", terms=body)
    assert [credit[3] for credit in credits_of(lines)] == [total]


def test_a_correction_that_moves_the_start_moves_the_credit() -> None:
    """The first 2 of 30 hours were up: 28 h under the new start, and nothing under the old."""
    lines = one_cut(NOVEMBER_10, 30 * HOUR, starts_on="2026-01-01")
    said, moved = "2026-11-20T09:00:00.000Z", "2026-11-10T11:00:00.000Z"
    about = {"target": "T-1", "starts_at": NOVEMBER_10, "ends_at": moved, "state": "up"}
    why = {"reason": "it worked", "author": "staff-7", "at": said}
    corrected = by_time([*lines, told(said, type="DowntimeCorrected", **about, **why)])
    assert credits_of(corrected) == [
        (f"S-1/outage/{NOVEMBER_10}", 1, "6.58", "6.58"),
        (f"S-1/outage/{NOVEMBER_10}", 2, "-6.58", "0.00"),
        (f"S-1/outage/{moved}", 1, "6.58", "6.58"),
    ]


def test_a_cut_ends_with_the_service_window() -> None:
    """Cancelled for 12 November: of a cut from the 10th 10:00 on, 38 hours are inside, two started days."""
    lines = one_cut(NOVEMBER_10, 80 * HOUR, starts_on="2026-01-01", ends_on="2026-11-12")
    assert [credit[3] for credit in credits_of(lines)] == ["6.58"]
    november = month_of(lines, "2026-11")
    assert (november["window_ms"], november["down_ms"]) == (11 * DAY, 38 * HOUR)


def test_a_subscription_that_starts_within_a_month() -> None:
    lines = one_cut("2026-11-20T09:00:00.000Z", HOUR, starts_on="2026-11-16")
    assert month_of(lines, "2026-11")["window_ms"] == 15 * DAY


def test_a_silent_target_is_neither_up_nor_down() -> None:
    """Nothing observed: no figure and no credit."""
    lines = [one_cut(NOVEMBER_10, HOUR, starts_on="2026-11-01")[0]]
    lines.append(told("2026-12-01T05:00:00.000Z", type="ClockAdvanced"))
    (november,) = without_quota(lines)
    assert november["unmeasured_ms"] == november["window_ms"] == 720 * HOUR
    assert (november["uptime_percent"], november["met"]) == (None, None)
    assert november["journal"] == {"partition": 0, "offset": 1, "index": 0}


def test_a_month_that_lost_its_window_is_restated() -> None:
    lines = one_cut(NOVEMBER_10, 11 * HOUR, starts_on="2026-10-01")
    whose = {"account": "A-1", "subscription": "S-1"}
    lines.append(
        told("2026-12-20T12:00:00.000Z", type="SubscriptionCancelled", **whose, ends_on="2026-11-01")
    )
    november = month_of(lines, "2026-11")
    assert (november["revision"], november["window_ms"], november["met"]) == (2, 0, None)
    assert [credit[2] for credit in credits_of(lines)] == ["3.29", "-3.29"]


def test_nonsense_is_rejected_at_its_place() -> None:
    """What was due comes before the rejection; a second start changes nothing."""
    start = one_cut(NOVEMBER_10, HOUR, starts_on="2026-11-01")[0]
    source = {"topic": "subscription.events", "partition": 0, "offset": 4}
    again = {"recorded_at": "2026-12-01T05:00:00.000Z", "source": source, "fact": start["fact"]}
    closed, rejected = without_quota([start, again])
    assert closed["type"] == "MonthClosed"
    place = {"partition": 0, "offset": 1, "index": 1}
    assert rejected == {"type": "FactRejected", "source": source, "journal": place}


def test_a_major_version_is_told_to_active_accounts_only() -> None:
    start = one_cut(NOVEMBER_10, HOUR, starts_on="2026-11-01")[0]
    ended = {**start["fact"], "account": "A-2", "subscription": "S-2"}
    day = "2026-11-05T12:00:00.000Z"
    about = {"effective_on": "2027-01-01", "major": True, "terms": FIRST_TERMS}
    lines = [
        start,
        told(start["recorded_at"], **ended),
        told(day, type="SubscriptionCancelled", account="A-2", subscription="S-2", ends_on="2026-11-05"),
        told(day, type="TermsPublished", version="v1", **about),
        # The second one may not reach back: the 4th is before the local date it is recorded on.
        told(day, type="TermsPublished", version="v2", **{**about, "effective_on": "2026-11-04"}),
    ]
    assert [(one["type"], one.get("account")) for one in without_quota(lines)] == [
        ("TermsNoticeDue", "A-1"),
        ("FactRejected", None),
    ]


def slots(script: str, locations: int = 1, confirm: int = 2) -> list[tuple[str, str]]:
    """What the fold says of hourly slots from midnight: one word a slot, a letter a location, `-` absent."""
    names = ["bern", "genf", "zug"][:locations]
    checks = [{"check": "icmp", "required": True}]
    about = {"target": "T-1", "interval_s": 3600, "checks": checks, "locations": names}
    lines = [told("", type="TargetDeclared", **about, confirm_down=confirm, confirm_up=confirm)]
    outcome = {"u": "up", "d": "down", "?": "unknown"}
    for number, word in enumerate(script.split()):
        slot = show(day_start(date(2026, 11, 1)) + number * HOUR)
        for name, letter in zip(names, word, strict=False):
            if word != "-":
                result = {"target": "T-1", "check": "icmp", "location": name, "slot": slot}
                lines.append(told("", type="ProbeResult", **result, outcome=outcome[letter]))
    first = day_start(date(2026, 11, 1))
    line: dict[int, str] = {}
    for _, fact in uptime(lines):
        if fact["type"] == "TargetStateChanged":
            line[(parse(fact["at"]) - first) // HOUR] = fact["state"]
    return [(str(at), line[at]) for at in sorted(line)]


@pytest.mark.parametrize(
    ("script", "line"),
    [
        ("u", []),
        ("u u u d u d", [("0", "up")]),
        ("u u d d u d u u", [("0", "up"), ("2", "down"), ("6", "up")]),
        # An unmeasured slot shows, and does not break the run it lies in.
        ("u u d ? d", [("0", "up"), ("2", "down"), ("3", "unmeasured"), ("4", "down")]),
        ("u u ? u", [("0", "up"), ("2", "unmeasured"), ("3", "up")]),
        ("u u ? d d", [("0", "up"), ("2", "unmeasured"), ("3", "down")]),
        ("u u ? d u", [("0", "up"), ("2", "unmeasured"), ("3", "up")]),
        # One absent slot is two intervals; two absent ones are more.
        ("u u - u", [("0", "up")]),
        ("u u - - u", [("0", "up"), ("2", "unmeasured"), ("4", "up")]),
        # Six hours from the first absent slot to the next measured one keep the run, seven do not.
        ("u u d - - - - - - d", [("0", "up"), ("2", "down"), ("3", "unmeasured"), ("9", "down")]),
        ("u u d - - - - - - - d", [("0", "up"), ("3", "unmeasured"), ("10", "up")]),
        ("u u d - - - - - - - d d", [("0", "up"), ("3", "unmeasured"), ("10", "down")]),
    ],
)
def test_runs_of_slots(script: str, line: list[tuple[str, str]]) -> None:
    assert slots(script) == line


@pytest.mark.parametrize(
    ("script", "line"),
    [
        ("uu uu ud ud", [("0", "up")]),
        ("uu uu dd dd ud ud", [("0", "up"), ("2", "down")]),
        ("uu uu d? d?", [("0", "up"), ("2", "down")]),
        ("uu uu ?? uu", [("0", "up"), ("2", "unmeasured"), ("3", "up")]),
    ],
)
def test_votes_of_two_locations(script: str, line: list[tuple[str, str]]) -> None:
    """A tie keeps the last verdict; `unknown` is no vote."""
    assert slots(script, locations=2) == line


def test_random_histories_are_valid_and_the_same_every_time() -> None:
    """Recorded times never go back, and the histories reach every kind of outcome."""
    kinds = set()
    for seed in range(30):
        lines = history(seed)
        assert lines == history(seed)
        times = [line["recorded_at"] for line in lines]
        assert times == sorted(times)
        kinds |= {told["type"] for told in outcomes(lines)}
    quota = {"QuotaOpened", "QuotaChanged"}
    assert kinds == quota | {
        *("MonthClosed", "CreditGranted", "CreditAdjusted", "TermsNoticeDue", "FactRejected"),
    }


def test_what_the_slots_say_adds_up_to_their_time_line() -> None:
    """Nothing said once must be unsaid later: the facts of every prefix give the states of that prefix."""
    from tests.oracle.slots import states, verdict

    lines = probe_history(3)
    about = next(line["fact"] for line in lines if line["fact"]["type"] == "TargetDeclared")
    said: dict[int, str] = {}
    for _, fact in uptime(lines):
        if fact["type"] == "TargetStateChanged":
            said[parse(fact["at"])] = fact["state"]
    votes: dict[int, dict[tuple[str, str], str]] = {}
    for line in lines:
        if (fact := line["fact"])["type"] == "ProbeResult":
            votes.setdefault(parse(fact["slot"]), {})[fact["check"], fact["location"]] = fact["outcome"]
    merged: list[tuple[int, str]] = []
    for at in sorted(said):
        if not merged or merged[-1][1] != said[at]:
            merged.append((at, said[at]))
    assert len(merged) > 5
    assert merged == states(about, {slot: verdict(about, votes, slot) for slot in votes})
