"""What is new on the page is told once, to whom it concerns, whatever is said again, by whomever."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, text

from services.status.readers.hooks import add_hook
from services.status.readers.news import entries
from services.status.readers.telling import STALE_MS, News
from services.status.site import Change, Condition, Day, Figure, Month, Phase, Site
from services.status.tables import metadata
from shared.database import writing
from shared.time import DAY, HOUR, MINUTE
from tests.core.billing_books import KINDS, SetClock
from tests.core.status_readers import (
    ANNA,
    BEAT,
    NOW,
    calls,
    change,
    clock,
    component,
    cut,
    empty_page,
    incident,
    maintenance,
    put_down,
    read_up,
    same,
    site,
    update,
)

DOWN, UP, UNMEASURED = Condition.DOWN, Condition.UP, Condition.UNMEASURED
EARLIER = NOW - HOUR
API, WEB = component("api"), component("web")


@pytest.fixture(scope="module", params=KINDS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with empty_page(request.param, tmp_path_factory.mktemp("page")) as found:
        yield found


@pytest.fixture
def engine(made: Engine) -> Engine:
    empty(made)
    return made


def empty(engine: Engine) -> None:
    with writing(engine) as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())


def news(engine: Engine, at: SetClock | None = None) -> News:
    return News(engine, at or clock(), lambda: None)


def begun(engine: Engine, first: Site | None = None) -> News:
    """News whose page was there before, with both readers: Anna wants everything, Beat the component web."""
    found = news(engine)
    assert found.take(first or site(API, WEB)) == 0
    read_up(engine, ANNA, None, EARLIER)
    read_up(engine, BEAT, ["web"], EARLIER, "de")
    return found


def kinds(engine: Engine) -> list[tuple[str, str]]:
    return sorted((who, about["kind"]) for who, about in put_down(engine))


def test_the_migrated_schema_is_the_one_the_code_declares(engine: Engine) -> None:
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_at_the_first_start_everything_is_history(engine: Engine) -> None:
    read_up(engine, ANNA, None, EARLIER)
    page = site(API, changes=[change(DOWN)], incidents=(incident(update()),), maintenance=(maintenance(),))
    first = news(engine)
    assert first.take(page) == 0
    assert put_down(engine) == []
    assert first.take(site(API, changes=[change(DOWN), change(UP, NOW + MINUTE)])) == 1


def test_a_component_that_goes_down_is_told_once_to_those_it_concerns(engine: Engine) -> None:
    found = begun(engine)
    page = site(API, WEB, changes=[change(DOWN)])
    assert found.take(page) == 1
    told = put_down(engine)
    assert [who for who, _ in told] == [ANNA]
    assert told[0][1] == {
        "kind": "change",
        "condition": "down",
        "components": [{"name": "API", "at": "2026-11-24T12:00:00.000Z", "lasted_ms": None}],
    }
    assert found.take(page) == 0
    assert found.take(site(API, WEB, changes=[change(DOWN)])) == 0
    assert news(engine).take(page) == 0  # after a restart
    assert put_down(engine) == told


def test_up_again_says_how_long_it_lasted_and_each_reader_gets_his_own_language(engine: Engine) -> None:
    found = begun(engine)
    found.take(site(API, WEB, changes=[change(DOWN, of="web")]))
    whole = component("web", cuts=(cut(NOW, NOW + 5 * MINUTE, "web"),))
    again = [change(DOWN, of="web"), change(UP, NOW + 5 * MINUTE, "web", before=DOWN)]
    assert found.take(site(API, whole, changes=again)) == 1
    ups = [(who, about) for who, about in put_down(engine) if about["condition"] == "up"]
    assert sorted(who for who, _ in ups) == [ANNA, BEAT]
    assert {about["components"][0]["lasted_ms"] for _, about in ups} == {5 * MINUTE}


def test_a_while_in_which_nobody_could_say_is_no_news_but_what_follows_it_may_be(engine: Engine) -> None:
    found = begun(engine)
    history = [change(UP, EARLIER), change(UNMEASURED, NOW), change(UP, NOW + 1, before=UNMEASURED)]
    assert found.take(site(API, WEB, changes=history)) == 0
    history += [change(DOWN, NOW + 2), change(UNMEASURED, NOW + 3), change(UP, NOW + 4, before=UNMEASURED)]
    assert found.take(site(API, WEB, changes=history)) == 2
    # Both in one look: the mail of the last turn tells of both, and none can overtake it.
    assert [about["condition"] for _, about in put_down(engine)] == ["up"]


def test_components_that_go_down_together_are_one_mail_with_those_the_reader_wants(engine: Engine) -> None:
    found = begun(engine)
    assert found.take(site(API, WEB, changes=[change(DOWN), change(DOWN, NOW + 1, "web")])) == 2
    told = dict(put_down(engine))
    assert len(put_down(engine)) == 2
    assert [one["name"] for one in told[ANNA]["components"]] == ["API", "WEB"]
    assert [one["name"] for one in told[BEAT]["components"]] == ["WEB"]


def test_what_is_older_than_the_subscription_is_not_mailed(engine: Engine) -> None:
    found = begun(engine)
    old = change(DOWN, EARLIER - MINUTE)
    assert found.take(site(API, WEB, changes=[old])) == 1
    assert put_down(engine) == []


def test_what_is_stale_is_not_told(engine: Engine) -> None:
    found = begun(engine)
    with writing(engine) as connection:
        connection.execute(text("UPDATE subscribers SET confirmed_at = 1"))
    assert found.take(site(API, WEB, changes=[change(DOWN, NOW - STALE_MS - MINUTE)])) == 0
    assert put_down(engine) == []


def test_the_past_of_a_component_that_is_new_on_the_page_is_history(engine: Engine) -> None:
    found = begun(engine)
    mail = component("mail")
    history = [change(DOWN, NOW, "mail"), change(DOWN, NOW)]
    assert found.take(site(API, WEB, mail, changes=history)) == 1
    assert kinds(engine) == [(ANNA, "change")]
    assert found.take(site(API, WEB, mail, changes=[*history, change(UP, NOW + 1, "mail")])) == 1


def test_each_update_of_an_incident_is_told_in_paragraphs(engine: Engine) -> None:
    found = begun(engine)
    assert found.take(site(API, WEB, incidents=(incident(update(), components=()),))) == 1
    assert kinds(engine) == [(ANNA, "incident"), (BEAT, "incident")]
    more = incident(update(), update("u2", NOW + 1, "Found."))
    assert found.take(site(API, WEB, incidents=(more,))) == 1
    told = [about for who, about in put_down(engine) if who == ANNA]
    assert sorted(about["paragraphs"] for about in told) == [["Found."], ["We look.", "More soon."]]
    assert {about["url"] for about in told} == {"https://status.acme.example/fr/incidents/i1/"}


@pytest.mark.parametrize(
    ("phases", "told"),
    [
        ([Phase.ANNOUNCED, Phase.RUNNING, Phase.DONE], ["announced", "done", "running"]),
        ([Phase.ANNOUNCED, Phase.CANCELLED], ["announced", "cancelled"]),
        ([Phase.RUNNING], ["running"]),  # the page was off when it was announced
        ([Phase.DONE], ["done"]),
    ],
)
def test_maintenance_is_told_phase_by_phase(engine: Engine, phases: list[Phase], told: list[str]) -> None:
    found = begun(engine)
    for phase in phases:
        assert found.take(site(API, WEB, maintenance=(maintenance(phase),))) == 1
        assert news(engine).take(site(API, WEB, maintenance=(maintenance(phase),))) == 0
    assert sorted(about["phase"] for _, about in put_down(engine)) == told


def corrected_day(ago: int, down_ms: int, *, over: bool = True) -> Day:
    figure = Figure(DAY, down_ms=down_ms)
    return Day(date(2026, 11, 24) - timedelta(days=ago), figure, over=over, corrected=True)


def days(*special: Day) -> tuple[Day, ...]:
    """90 days up to 24 November 2026, `special` in their places."""
    known = {day.day: day for day in special}
    every = [date(2026, 11, 24) - timedelta(days=ago) for ago in range(89, -1, -1)]
    return tuple(known.get(day) or Day(day, Figure(DAY)) for day in every)


def test_a_corrected_past_is_told_once_whatever_days_it_touches_and_again_when_it_changes(
    engine: Engine,
) -> None:
    found = begun(engine)
    first = component("api", days=days(corrected_day(3, MINUTE), corrected_day(2, MINUTE)))
    stated = change(DOWN, NOW - 3 * DAY + MINUTE, corrected=True)
    assert found.take(site(first, WEB, changes=[stated])) == 2
    assert [about["periods"] for _, about in put_down(engine)] == [["2026-11-21", "2026-11-22"]]
    assert news(engine).take(site(first, WEB, changes=[stated])) == 0
    other = component("api", days=days(corrected_day(3, MINUTE), corrected_day(2, HOUR)))
    assert found.take(site(other, WEB, changes=[stated])) == 1
    assert len(put_down(engine)) == 2


def test_a_correction_of_today_is_told_at_once_and_not_again_when_the_day_is_over(engine: Engine) -> None:
    found = begun(engine)
    today = component("api", days=days(corrected_day(0, MINUTE, over=False)))
    assert found.take(site(today, WEB)) == 1
    grown = component("api", days=days(corrected_day(0, 2 * MINUTE, over=False)))
    assert found.take(site(grown, WEB)) == 0
    assert found.take(site(component("api", days=days(corrected_day(0, 3 * MINUTE))), WEB)) == 0
    assert found.take(site(component("api", days=days(corrected_day(0, HOUR))), WEB)) == 0
    assert len(put_down(engine)) == 1


def test_a_month_is_told_of_only_where_its_days_are_no_longer_there(engine: Engine) -> None:
    found = begun(engine)

    def month(first: date, down_ms: int) -> Month:
        return Month(first, Figure(30 * DAY, down_ms=down_ms), "99.5", True, corrected=True)

    august = component("api", days=days(), months=(month(date(2026, 8, 1), MINUTE),))
    assert found.take(site(august, WEB)) == 0  # its last days are among the 90
    june = component("api", days=days(), months=(month(date(2026, 6, 1), MINUTE),))
    assert found.take(site(june, WEB)) == 1
    assert put_down(engine)[0][1]["periods"] == ["2026-06"]


def test_webhooks_get_each_entry_that_they_want(engine: Engine) -> None:
    found = begun(engine)
    with writing(engine) as connection:
        add_hook(connection, "https://a.example/", None, None, clock(EARLIER))
        add_hook(connection, "https://b.example/", ["web"], None, clock(EARLIER))
        add_hook(connection, "https://c.example/", None, None, clock(NOW + HOUR))
    found.take(
        site(
            API,
            WEB,
            changes=[change(DOWN), change(DOWN, NOW + 1, "web")],
            incidents=(incident(update()),),
            maintenance=(maintenance(),),
        )
    )
    told = calls(engine)
    types = ["component.changed"] * 3 + ["incident.updated", "maintenance.announced"]
    assert sorted(one["type"] for one in told) == types
    (down,) = [one for one in told if one["data"].get("component") == "api"]
    assert down["data"]["condition"] == "down"
    assert down["data"]["name"] == same("API")


def test_without_an_address_of_the_page_webhooks_are_told_and_no_mail_is_written(engine: Engine) -> None:
    found = begun(engine)
    assert found.take(site(API, WEB, changes=[change(DOWN)], url="")) == 1
    assert put_down(engine) == []


def test_two_instances_that_see_the_same_at_once_tell_it_once(engine: Engine) -> None:
    begun(engine)
    pages = [site(API, WEB, changes=[change(DOWN, NOW + n), change(DOWN, NOW + n, "web")]) for n in range(5)]
    with ThreadPoolExecutor(4) as pool:
        instances = [news(engine) for _ in range(4)]
        told = [sum(pool.map(lambda one, page=page: one.take(page), instances)) for page in pages]
    assert told[0] == 2
    assert len({who for who, _ in put_down(engine)}) == 2


def test_a_transaction_that_fails_has_told_nobody_and_is_tried_again(engine: Engine) -> None:
    found = begun(engine)
    page = site(API, WEB, changes=[change(DOWN)])
    with writing(engine) as connection:
        connection.execute(text("ALTER TABLE mails RENAME TO away"))
    try:
        with pytest.raises(Exception, match="mails"):
            found.take(page)
    finally:
        with writing(engine) as connection:
            connection.execute(text("ALTER TABLE away RENAME TO mails"))
    assert found.take(page) == 1
    assert kinds(engine) == [(ANNA, "change")]


def test_only_what_is_not_the_same_object_is_looked_at() -> None:
    quiet = {f"c{number}": component(f"c{number}", days=days(corrected_day(2, 1))) for number in range(500)}
    before = site(*quiet.values(), changes=[change(DOWN)])
    assert list(entries(before, before)) == []
    assert len(list(entries(None, before))) == 501


moves = st.lists(
    st.tuples(st.sampled_from(["api", "web"]), st.sampled_from([DOWN, UP, UNMEASURED])), max_size=8
)


@given(moves, st.lists(st.booleans(), min_size=9, max_size=9))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_restarts_and_repeats_change_nothing_of_what_is_told(
    engine: Engine, moves: list[tuple[str, Condition]], restarts: list[bool]
) -> None:
    pages = [
        site(API, WEB, changes=[change(what, NOW + n, of) for n, (of, what) in enumerate(moves[:length])])
        for length in range(len(moves) + 1)
    ]

    def told(restarting: bool) -> list[Any]:
        empty(engine)
        found = begun(engine)
        for page, restart in zip(pages, restarts, strict=False):
            if restarting and restart:
                found = news(engine)
                found.take(page)
            found.take(page)
        return sorted((who, str(about)) for who, about in put_down(engine))

    assert told(True) == told(False) == expected(moves)


def expected(moves: list[tuple[str, Condition]]) -> list[tuple[str, str]]:
    """The same, thought of otherwise: a mail to each reader at each turn of what was last known."""
    known: dict[str, Condition] = {}
    found = []
    for number, (of, what) in enumerate(moves):
        if what is UNMEASURED:
            continue
        if known.get(of, UP) is not what:
            moment = f"2026-11-24T12:00:00.{number:03d}Z"
            about = {
                "kind": "change",
                "condition": what.value,
                "components": [{"name": of.upper(), "at": moment, "lasted_ms": None}],
            }
            found += [(who, str(about)) for who in ((ANNA, BEAT) if of == "web" else (ANNA,))]
        known[of] = what
    return sorted(found)


def test_a_change_says_of_which_component_it_is() -> None:
    assert isinstance(next(entries(None, site(API, changes=[change(DOWN)]))).what, Change)


def test_what_is_long_gone_from_the_page_is_forgotten(engine: Engine) -> None:
    found = begun(engine)
    found.take(site(API, WEB, changes=[change(DOWN)]))
    late = News(engine, clock(NOW + 430 * DAY), lambda: None)
    late.take(site(API, WEB, incidents=(incident(update(at=NOW + 430 * DAY)),)))
    with writing(engine) as connection:
        left = set(connection.execute(text("SELECT entry FROM noted")).scalars())
    assert left == {"began", "component/api", "component/web", "incident/i1/u1"}


def test_of_a_component_that_turns_several_times_before_it_is_looked_at_the_last_turn_is_mailed(
    engine: Engine,
) -> None:
    found = begun(engine)
    with writing(engine) as connection:
        add_hook(connection, "https://a.example/", None, None, clock(EARLIER))
    history = [change(DOWN, NOW), change(DOWN, NOW + 1, "web"), change(UP, NOW + 2, before=DOWN)]
    history.append(change(DOWN, NOW + 3))
    assert found.take(site(API, WEB, changes=history)) == 4
    anna = [about for who, about in put_down(engine) if who == ANNA]
    assert [(about["condition"], len(about["components"])) for about in anna] == [("down", 2)]
    assert len(calls(engine)) == 4  # programs are told of each
