"""From records to letters, on both databases: one letter for one crossing, nothing twice, nothing lost."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import Engine, func, inspect, select, update

from services.notify.database import began_at
from services.notify.listings import standing, waiting_listed
from services.notify.recipients import Contact
from services.notify.tables import letters, metadata
from shared import facts, outcomes
from shared.database import reading, writing
from shared.mail.letters import forget
from shared.outcomes import Stamp
from shared.terms import BUILT_IN
from shared.time import HOUR, Instant, parse_instant
from tests.core.billing_books import KINDS, SetClock, started
from tests.core.notify_books import ANNA, BEAT, YEAR, Office, empty_office, used, warned

QUOTA, DEADLINES, NOTICES, TERMS = "quota", "deadlines", "notices", "terms"
DUE = parse_instant("2026-11-24T16:00:00.000Z")
LETTER = "quota/S-1/2026-01-01/0/10/C-1"


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with empty_office(request.param, tmp_path) as found:
        yield found


@pytest.fixture
def office(engine: Engine) -> Office:
    return Office(engine)


def stamp(offset: int, index: int = 0) -> Stamp:
    return Stamp(0, offset, index, "00")


def due(offset: int = 1, due_at: Instant = DUE, revision: int = 1) -> outcomes.ResponseDue:
    return outcomes.ResponseDue(
        "A-1", "S-1", "T-1", revision, "down", due_at, Instant(due_at - HOUR), "v", stamp(offset)
    )


def at_risk(offset: int = 2, due_at: Instant = DUE) -> outcomes.ResponseAtRisk:
    return outcomes.ResponseAtRisk("A-1", "S-1", "T-1", due_at, stamp(offset))


def missed(offset: int = 3) -> outcomes.ResponseMissed:
    return outcomes.ResponseMissed("A-1", "S-1", "T-1", DUE, stamp(offset))


def met(offset: int = 4) -> outcomes.ResponseMet:
    return outcomes.ResponseMet("A-1", "S-1", "T-1", DUE, DUE, stamp(offset))


def notice(account: str = "A-1", offset: int = 1, version: str = "v2") -> outcomes.TermsNoticeDue:
    return outcomes.TermsNoticeDue(account, version, date(2027, 1, 1), stamp(offset))


def published(version: str = "v2") -> facts.TermsPublished:
    return facts.TermsPublished(version, date(2027, 1, 1), True, BUILT_IN)


def count(engine: Engine) -> int:
    with reading(engine) as connection:
        return int(connection.execute(select(func.count()).select_from(letters)).scalar_one())


def test_the_migrations_make_what_the_tables_say(engine: Engine) -> None:
    found = inspect(engine)
    for table in metadata.sorted_tables:
        assert {one["name"] for one in found.get_columns(table.name)} == set(table.columns.keys())
        assert {one["name"] for one in found.get_indexes(table.name)} >= {one.name for one in table.indexes}


def test_thresholds_crossed_by_one_entry_are_one_letter_with_the_highest_and_the_figures(
    office: Office,
) -> None:
    office.take(QUOTA, used(500), *(warned(percent, 500, at=(10, percent)) for percent in (75, 90)))
    assert office.write() == []
    office.later(2)
    assert office.write() == ["written"]
    (said,) = office.letters().values()
    assert said.subject == "Support : 90 % du temps compris sont utilisés (S-1)"
    assert "8 h 20 min (92 %)" in said.text
    assert "40 min" in said.text
    assert "31 décembre 2026" in said.text
    assert said.recipients == ("anna@demo.example",)
    assert said.automatic == "auto-generated"


def test_a_record_of_a_later_entry_ends_the_wait_for_further_crossings(office: Office) -> None:
    office.take(QUOTA, warned())
    assert office.write() == []
    office.take(QUOTA, used(406, at=(11, 0)))
    assert office.write() == ["written"]


def test_a_straggler_of_an_entry_whose_letter_is_written_writes_no_second_one(office: Office) -> None:
    office.take(QUOTA, warned(75, 500, at=(10, 1)))
    office.later(2)
    assert office.write() == ["written"]
    office.take(QUOTA, warned(90, 500, at=(10, 2)))
    office.later(10)
    assert office.write() == []
    assert list(office.letters()) == [LETTER]


def test_two_entries_that_cross_are_two_letters(office: Office) -> None:
    office.take(QUOTA, warned(75, 405, at=(10, 1)))
    office.later(2)
    office.write()
    office.take(QUOTA, warned(90, 490, at=(20, 1)))
    office.later(2)
    office.write()
    subjects = [letter.subject for letter in office.letters().values()]
    assert ["75 %" in subjects[0], "90 %" in subjects[1]] == [True, True]


def test_restored_before_it_was_written_is_overtaken_and_crossed_again_is_a_new_letter(
    office: Office,
) -> None:
    office.take(QUOTA, warned(75, 405, at=(10, 1)), warned(75, 300, at=(11, 1), restored=True))
    office.later(2)
    assert office.write() == ["overtaken"]
    office.take(QUOTA, warned(75, 410, at=(12, 1)))
    office.later(2)
    assert office.write() == ["written"]
    assert list(office.letters()) == ["quota/S-1/2026-01-01/0/12/C-1"]


def test_restored_after_its_letter_and_crossed_again_writes_again(office: Office) -> None:
    office.take(QUOTA, warned(75, 405, at=(10, 1)))
    office.later(2)
    office.write()
    office.take(QUOTA, warned(75, 300, at=(11, 1), restored=True), warned(75, 410, at=(12, 1)))
    office.later(2)
    assert office.write() == ["written"]
    assert len(office.letters()) == 2


def test_what_is_said_twice_at_whatever_place_is_taken_once(office: Office) -> None:
    records = [used(405), warned(75, 405)]
    assert office.take(QUOTA, *records) == ["taken", "taken"]
    office.later(2)
    office.write()
    office.take(QUOTA, used(420, at=(11, 0)))
    assert office.take(QUOTA, *records) == ["repeat", "repeat"]
    office.later(10)
    assert office.write() == []
    assert len(office.letters()) == 1


def test_of_history_nobody_gets_a_letter_but_its_figures_count(office: Office, engine: Engine) -> None:
    past = "2025-12-31T23:59:59.999Z"
    office.take(QUOTA, warned(75, 405, at=(1, 1)), recorded_at=past)
    office.take(DEADLINES, due(), at_risk(), missed(), recorded_at=past)
    office.take(TERMS, published(), recorded_at=past)
    office.take(NOTICES, notice(), recorded_at=past)
    office.later(1_000)
    assert office.write() == []
    assert set(office.states().values()) == {"history"}
    assert len(office.states()) == 4
    office.take(QUOTA, warned(90, 490, at=(5, 1)))
    office.later(2)
    assert office.write() == ["written"]
    assert count(engine) == 1


def test_when_notify_began_is_noted_at_its_first_start_only(engine: Engine) -> None:
    clock = SetClock("2026-01-01T00:00:00.000Z")
    with writing(engine) as connection:
        first = began_at(connection, clock)
    clock.now = Instant(clock.now + HOUR)
    with writing(engine) as connection:
        assert began_at(connection, clock) == first


def test_every_contact_gets_the_letter_in_the_own_language(office: Office) -> None:
    office.people = [ANNA, BEAT, Contact("C-3", "", "c@demo.example", "xx")]
    office.take("subscriptions", replace(started(starts_on="2026-01-01"), language="it"))
    office.take(QUOTA, warned())
    office.later(2)
    office.write()
    found = {name.rpartition("/")[2]: letter.text for name, letter in office.letters().items()}
    assert found["C-1"].startswith("Bonjour Anna Rochat,")
    assert found["C-2"].startswith("Guten Tag Beat Müller")
    assert found["C-3"].startswith("Buongiorno,")


def test_without_anybody_to_write_to_it_waits_and_goes_out_once_there_is(
    office: Office, engine: Engine
) -> None:
    office.people = []
    office.take(QUOTA, warned())
    office.later(2)
    assert office.write() == ["no address"]
    with reading(engine) as connection:
        (waiting,) = waiting_listed(connection, 10)
        assert (waiting.state, waiting.account) == ("no address", "A-1")
        assert standing(connection, office.clock())[1] == {"open": 0, "no address": 1}
    office.people = [Contact("C-9", "Eve", "no address at all", "fr"), ANNA]
    assert office.write() == []
    office.later(60)
    assert office.write() == ["written"]
    assert list(office.letters()) == [LETTER]


def test_a_warning_that_found_nobody_until_its_year_was_over_is_dropped(office: Office) -> None:
    office.people = []
    office.take(QUOTA, warned())
    office.later(2)
    assert office.write() == ["no address"]
    office.people = [ANNA]
    office.clock.now = parse_instant("2026-12-31T23:00:00.000Z")  # midnight where the year ends
    assert office.write() == ["overtaken"]


def test_the_year_ends_by_the_subscription_s_own_calendar_or_with_the_subscription(office: Office) -> None:
    leap = replace(started("S-9", starts_on="2024-02-29"), account="A-1")
    office.take("subscriptions", leap)
    year = date(2026, 2, 28)
    record = replace(warned(subscription="S-9"), year_starts_on=year)
    office.take(QUOTA, replace(record, journal=stamp(10)))
    office.later(2)
    office.write()
    office.take("subscriptions", facts.SubscriptionCancelled("A-1", "S-9", date(2026, 12, 1)))
    office.take(QUOTA, replace(record, percent=90, used_minutes=500, journal=stamp(20)))
    office.later(2)
    office.write()
    whole, ended = (letter.text for letter in office.letters().values())
    assert "27 février 2027" in whole
    assert "commence le 28 février 2027" in " ".join(whole.split())
    assert "30 novembre 2026" in ended
    assert "jusqu’à la fin de l’abonnement" in " ".join(ended.split())


def test_a_deadline_at_risk_and_then_missed_is_two_letters_to_each_of_the_staff(engine: Engine) -> None:
    office = Office(engine, staff="x@garant.example, y@garant.example", staff_language="en")
    office.take(DEADLINES, due(), at_risk())
    assert office.write() == ["written"]
    with writing(engine) as connection:
        connection.execute(update(letters).values(state="accepted", attempts=1))
    office.take(DEADLINES, missed())
    assert office.write() == ["written"]
    assert office.asked == []
    found = sorted((letter.subject[:15], letter.recipients[0]) for letter in office.letters().values())
    assert found == [
        ("Deadline at ris", "x@garant.example"),
        ("Deadline at ris", "y@garant.example"),
        ("Deadline missed", "x@garant.example"),
        ("Deadline missed", "y@garant.example"),
    ]
    assert all("Tuesday, 24 November 2026, at 17:00" in one.text for one in office.letters().values())
    assert not any("garant.example" in name for name in office.letters())


@pytest.mark.parametrize(
    "then",
    [met(3), missed(3), due(3, Instant(DUE + HOUR), 2), facts.RequestWithdrawn("A-1", "T-1", DUE)],
    ids=["met", "missed", "moved", "withdrawn"],
)
@pytest.mark.parametrize("written", [False, True], ids=["before it is written", "before it has left"])
def test_at_risk_is_overtaken_by_what_makes_it_pointless(
    office: Office, engine: Engine, then: outcomes.ResponseMet, written: bool
) -> None:
    office.take(DEADLINES, due(), at_risk())
    if written:
        assert office.write() == ["written"]
        assert count(engine) == 1
    office.take("other" if isinstance(then, facts.RequestWithdrawn) else DEADLINES, then)
    (name,) = [name for name in office.states() if name.startswith("at-risk/")]
    assert office.states()[name] == "overtaken"
    assert count(engine) == 0
    office.write()
    assert not [letter for letter in office.letters() if letter.startswith("at-risk/")]


def test_a_withdrawal_heard_first_overtakes_as_well_and_a_stranger_s_does_not(office: Office) -> None:
    office.take("tickets", facts.RequestWithdrawn("A-2", "T-1", DUE))
    office.take(DEADLINES, due())
    other = replace(at_risk(), ticket="T-2")
    office.take("tickets", facts.RequestWithdrawn("A-1", "T-2", DUE))
    office.take(DEADLINES, other, at_risk(5))
    assert sorted(office.states().values()) == ["open", "overtaken"]
    assert office.write() == ["written"]
    assert list(office.letters()) == [name for name in office.letters() if name.startswith("at-risk/T-1/")]


def test_at_risk_that_has_left_stays_as_it_is(office: Office, engine: Engine) -> None:
    office.take(DEADLINES, due(), at_risk())
    office.write()
    with writing(engine) as connection:
        connection.execute(update(letters).values(state="sending", attempts=1))
    office.take(DEADLINES, met())
    assert list(office.states().values()) == ["written"]
    assert count(engine) == 1


def test_missed_is_dropped_only_if_news_of_a_response_in_time_came_before_it_left(office: Office) -> None:
    office.take(DEADLINES, due(), missed(), met())
    assert office.write() == []
    late = outcomes.ResponseLate("A-1", "S-2", "T-2", DUE, DUE, 60_000, stamp(9))
    office.take(DEADLINES, replace(missed(8), ticket="T-2"), late)
    office.take("tickets", facts.RequestWithdrawn("A-1", "T-2", DUE))
    assert office.write() == ["written"]


def test_without_staff_a_missed_deadline_waits_for_an_address(engine: Engine) -> None:
    office = Office(engine, staff="")
    office.take(DEADLINES, due(), missed())
    assert office.write() == ["no address"]


def test_new_terms_are_told_once_per_version_and_contact_when_their_document_is_known(
    office: Office,
) -> None:
    office.take(NOTICES, notice())
    assert office.write() == ["not yet"]
    office.take(TERMS, published())
    office.people = [ANNA, BEAT]
    office.later(2)
    assert office.write() == ["written"]
    office.take(NOTICES, notice(offset=7))
    office.later(100)
    assert office.write() == []
    assert list(office.letters()) == ["terms/v2/A-1/C-1", "terms/v2/A-1/C-2"]
    assert "99,5 % par mois civil" in office.letters()["terms/v2/A-1/C-1"].text
    office.take(NOTICES, notice(offset=8, version="v3"))
    office.take(TERMS, published("v3"))
    assert office.write() == ["written"]


def test_the_same_letter_has_the_same_message_id_and_ids_hold_no_address(office: Office) -> None:
    office.people = [replace(ANNA, contact="anna@demo.example")]
    office.take(QUOTA, warned())
    office.later(2)
    office.write()
    ((name, letter),) = office.letters().items()
    assert "anna" not in name
    assert letter.message_id is not None
    assert letter.message_id.startswith("<quota.")
    assert letter.message_id.endswith("@garant.example>")
    assert "anna" not in letter.message_id


def test_ids_as_long_as_they_may_be_fit(office: Office) -> None:
    long = "ü/" * 100
    office.people = [replace(ANNA, contact=long)]
    office.take(QUOTA, warned(account=long, subscription=long))
    office.take(TERMS, published(long))
    office.take(NOTICES, notice(long, 99, long))
    office.later(2)
    assert office.write() == ["written", "written"]


def test_forgetting_a_contact_erases_address_and_text_and_sends_nothing_more(
    office: Office, engine: Engine
) -> None:
    office.people = [ANNA, BEAT]
    office.take(QUOTA, warned())
    office.later(2)
    office.write()
    with writing(engine) as connection:
        assert forget(connection, letters, "C-1") == 1
        rows = {row.contact: row for row in connection.execute(select(letters))}
    assert (rows["C-1"].recipient, rows["C-1"].data, rows["C-1"].state) == (None, None, "forgotten")
    assert rows["C-2"].state == "waiting"
    assert YEAR.isoformat() in rows["C-1"].id
