"""`garant explain`: what it says follows from the log alone, and its sum is the credit's."""

from __future__ import annotations

import io
from datetime import date
from fractions import Fraction

import pytest
from msgspec.structs import replace
from rich.console import Console

from services.cli.audit.arithmetic import total_of
from services.cli.audit.credit_history import Revision, folded
from services.cli.audit.explained_page import show
from services.cli.audit.explanation import Unfounded, explained
from services.cli.audit.words import about, length, local_time
from shared.codec import encode
from shared.facts import (
    ClockAdvanced,
    DowntimeCorrected,
    MaintenanceAnnounced,
    MaintenanceCancelled,
    SubscriptionCancelled,
    TargetObserved,
)
from shared.money import Amount
from shared.time import HOUR, Instant, parse_instant
from tests.core.explaining import (
    BECAUSE,
    OUTAGE,
    UPTIME,
    Said,
    changed,
    credits,
    cut_of_30_hours,
    explanation,
    journal,
    started,
    terms,
)

CORRECTION = DowntimeCorrected(
    "shop",
    parse_instant("2026-10-10T20:00:00.000Z"),
    parse_instant("2026-10-11T06:00:00.000Z"),
    "up",
    "customers could work",
    "staff-7",
    parse_instant("2026-11-03T08:00:00.000Z"),
)
CORRECTED = [*cut_of_30_hours(), ("2026-11-03T08:00:00.000Z", CORRECTION)]


def page(said: Said, credit: str = OUTAGE) -> str:
    out = io.StringIO()
    show(Console(file=out, width=100, highlight=False), explanation(said, credit), [])
    return out.getvalue()


def test_a_cut_is_told_with_its_length_states_reasons_and_terms() -> None:
    found = explanation(cut_of_30_hours())
    assert (found.down_ms, found.counted_ms, found.lasts) == (30 * HOUR, 30 * HOUR, False)
    assert (found.starts_at, found.ends_at) == (
        parse_instant("2026-10-10T00:00:00.000Z"),
        parse_instant("2026-10-11T06:00:00.000Z"),
    )
    assert [one.state for one in found.stretches] == ["up", "down"]
    assert [one.because for one in found.stretches] == [(), BECAUSE]
    assert (found.terms, found.terms_used["credited"]) == ("2023-02-02", "cuts of more than 24 h")
    assert "24 heures" in found.promise.page


def test_its_claims_say_which_probe_results_confirmed_the_cut_and_its_end() -> None:
    found = explanation(cut_of_30_hours())
    assert [(one.fact, one.origin) for one in found.claims] == [
        (changed("2026-10-10T00:00:00.000Z", "down"), "probe.results/2/2/0"),
        (changed("2026-10-11T06:00:00.000Z", "up"), "probe.results/2/3/0"),
    ]


def test_the_sum_has_a_line_for_each_started_24_hours_and_is_rounded_once() -> None:
    found = explanation(cut_of_30_hours())
    assert [(line.how, line.exact) for line in found.steps] == [("CHF 1200.00 / 365 days", "240/73")] * 2
    assert [line.what for line in found.steps] == [
        "24 hours no. 1, begun on 2026-10-10",
        "24 hours no. 2, begun on 2026-10-11",
    ]
    assert (found.exact, found.total) == ("480/73", Amount(658))


@pytest.mark.parametrize("credit", [OUTAGE, UPTIME])
@pytest.mark.parametrize("rule", ["started-day", "exact", "tiers"])
def test_under_every_rule_the_lines_add_up_to_the_credit(rule: str, credit: str) -> None:
    said = [("2026-09-01T00:00:00.000Z", terms(rule)), *cut_of_30_hours()]
    found = explanation(said, credit)
    assert found.terms == f"with-{rule}"
    assert found.total > 0
    assert sum(Fraction(line.exact) for line in found.steps) == Fraction(found.exact)
    assert total_of(found.steps) == found.total


def test_a_month_tells_what_counts_here_and_what_was_credited_as_a_cut() -> None:
    found = explanation(cut_of_30_hours(), UPTIME)
    assert found.figures is not None
    assert (found.figures.down_ms, found.counted_ms) == (35 * HOUR, 5 * HOUR)
    assert (found.figures.met, found.figures.uptime_percent) == (False, "95.302")
    assert [(one.state, one.ends_at - one.starts_at) for one in found.stretches] == [
        ("down", 30 * HOUR),
        ("down", 5 * HOUR),
    ]
    text = page(cut_of_30_hours(), UPTIME)
    assert "30 h of it in cuts credited on their own" in text
    assert "95.302 %: the promise was missed" in text


def test_a_correction_is_told_with_its_reason_its_author_and_the_revision_it_caused() -> None:
    found = explanation(CORRECTED)
    assert [(one.amount, one.total) for one in found.revisions] == [(658, 658), (-658, 0)]
    assert found.revisions[1].recorded_with == "correction by staff-7: customers could work"
    assert [(one.author, one.reason) for one in found.corrections] == [("staff-7", "customers could work")]
    assert [(one.state, one.ends_at - one.starts_at) for one in found.stretches] == [
        ("up", HOUR),
        ("down", 20 * HOUR),
        ("up", 11 * HOUR),
    ]
    assert (found.down_ms, found.total) == (30 * HOUR, 0)
    assert "as a credit was last given for it" in page(CORRECTED)


def test_the_replay_agrees_with_the_log_to_the_byte_or_says_so() -> None:
    records = journal(CORRECTED)
    revisions = credits(records)[OUTAGE]
    replay = folded(records, revisions)
    good = explained(revisions, replay).proof
    assert (good.agrees, good.entries, good.offset) == (True, 9, 8)
    assert good.digest == revisions[-1].credit.journal.digest
    forged = Revision(revisions[0].credit, revisions[0].data.replace(b'"6.58"', b'"9.87"'))
    assert not explained([forged, revisions[1]], replay).proof.agrees
    assert not explained([revisions[1]], replay).proof.agrees


def test_a_credit_the_journal_never_led_to_is_not_explained_but_refused() -> None:
    records = journal(cut_of_30_hours())
    forged = credits(records)[OUTAGE][0].credit
    forged = replace(forged, subscription="S-9", credit=OUTAGE.replace("S-1", "S-9"))
    revisions = [Revision(forged, encode(forged))]
    with pytest.raises(Unfounded, match="Do not pay it"):
        explained(revisions, folded(records, revisions))


def test_a_replay_stops_at_the_entry_that_caused_the_last_revision() -> None:
    records = journal([*cut_of_30_hours(), ("2026-12-01T05:00:00.000Z", ClockAdvanced())])
    revisions = credits(records)[OUTAGE]
    assert folded(records, revisions).entries == 4


def test_a_cut_that_lasts_is_told_as_ended_with_the_closed_month() -> None:
    said = [
        *cut_of_30_hours()[:2],
        ("2026-10-30T00:01:00.000Z", changed("2026-10-30T00:00:00.000Z", "down")),
        ("2026-11-01T03:00:00.000Z", TargetObserved("shop", parse_instant("2026-11-01T03:00:00.000Z"))),
        ("2026-11-01T05:00:00.000Z", ClockAdvanced()),
    ]
    found = explanation(said, "S-1/outage/2026-10-30T00:00:00.000Z")
    assert found.lasts
    assert found.ends_at == parse_instant("2026-10-31T23:00:00.000Z")
    assert "It had not ended" in page(said, found.credit)


@pytest.mark.parametrize(
    ("excluded", "notice_days", "cancelled", "counts"),
    [
        (False, 10, False, "no: terms with-started-day count maintenance like any other time"),
        (True, 10, False, "yes: this time is excluded"),
        (True, 1, False, "no: announced less than 48 h before"),
        (True, 10, True, "no: cancelled before it began"),
    ],
)
def test_maintenance_says_whether_it_counts_and_why(
    excluded: bool, notice_days: int, cancelled: bool, counts: str
) -> None:
    start = parse_instant("2026-10-10T02:00:00.000Z")
    announced = MaintenanceAnnounced(
        "shop", "M-1", start, Instant(start + HOUR), Instant(start - notice_days * 24 * HOUR)
    )
    rule = replace(terms("started-day").terms.uptime.maintenance, excluded=excluded)
    said = [
        ("2026-09-01T00:00:00.000Z", terms("started-day", maintenance=rule)),
        ("2026-09-30T00:00:00.000Z", announced),
        *cut_of_30_hours(),
    ]
    if cancelled:
        said.insert(
            2, ("2026-09-30T01:00:00.000Z", MaintenanceCancelled("shop", "M-1", Instant(start - HOUR)))
        )
    (found,) = explanation(said).maintenance
    assert found.counts == counts


def test_other_targets_are_left_out() -> None:
    other = replace(changed("2026-10-10T03:00:00.000Z", "down"), target="mail")
    said = [("2026-09-30T22:00:00.000Z", other), *cut_of_30_hours()]
    assert {one.target for one in explanation(said).stretches} == {"shop"}


def test_a_month_without_anything_measured_is_told_when_its_credit_was_taken_back() -> None:
    """The subscription turned out never to have run: the month has no figure, the credit goes to zero."""
    never = SubscriptionCancelled("A-1", "S-1", date(2026, 10, 1))
    said = [*cut_of_30_hours(), ("2026-11-05T00:00:00.000Z", never)]
    found = explanation(said, UPTIME)
    assert (found.total, found.stretches) == (0, ())
    assert "not judged" in page(said, UPTIME)


@pytest.mark.parametrize("credit", [OUTAGE, UPTIME])
def test_the_page_fits_100_columns_and_names_what_a_customer_asks_for(credit: str) -> None:
    text = page(CORRECTED, credit)
    assert max(len(line) for line in text.splitlines()) <= 100
    for part in ("The promise", "length", "Terms used", "The sum", "Corrections", "replay agrees", "staff-7"):
        assert part in text
    assert "Sat 10 Oct 2026 02:00:00 CEST" in text
    assert "tcp:443 refused from geneva, zurich" in text


def test_subscription_of_several_targets_shows_each() -> None:
    said = [
        ("2026-09-30T22:00:00.000Z", started(targets=("shop", "mail"))),
        *cut_of_30_hours()[1:],
    ]
    assert {one.target for one in explanation(said).stretches} == {"shop", "mail"}


@pytest.mark.parametrize(
    ("ms", "text"),
    [(0, "0 s"), (30 * HOUR, "30 h"), (3_725_000, "1 h 2 min 5 s"), (86_400_001, "24 h 0.001 s")],
)
def test_lengths_are_exact(ms: int, text: str) -> None:
    assert length(ms) == text


def test_local_times_name_their_offset_and_fractions_their_first_places() -> None:
    at = parse_instant("2026-10-25T00:30:00.250Z")
    assert local_time(at, "Europe/Zurich") == "Sun 25 Oct 2026 02:30:00.250 CEST"
    assert local_time(at + HOUR, "Europe/Zurich") == "Sun 25 Oct 2026 02:30:00.250 CET"
    assert about(Fraction(240, 73)) == "3.2877"
