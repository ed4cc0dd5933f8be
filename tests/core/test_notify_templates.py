"""Letters in four languages: every value rendered, exact dates and figures, no value breaks out."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from email import message_from_bytes
from email.policy import default
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError
from msgspec.structs import replace

from services.notify import words
from services.notify.rendering import render
from services.notify.settings import LANGUAGES, Language
from services.notify.values import About, Deadline, NewTerms, Quota, values
from shared.mail.composing import Letter, compose
from shared.terms import BUILT_IN, Exact, HolidayHours, Maintenance, Tier, Tiers, Week
from shared.time import parse_instant

ZONE = "Europe/Zurich"
AT = parse_instant("2026-11-24T15:21:00.000Z")
QUOTA = Quota("S-1", 75, 405, 540, date(2026, 1, 1), date(2027, 1, 1), True, AT)
DEADLINE = Deadline("T-000017", "A-1", "S-1", "down", AT)
TERMS = NewTerms("2027", date(2027, 1, 1), BUILT_IN)
OTHER_TERMS = replace(
    BUILT_IN,
    uptime=replace(
        BUILT_IN.uptime,
        credit=Tiers((Tier(Decimal("99.5"), Decimal("10")), Tier(Decimal("95"), Decimal("50.5")))),
        maintenance=Maintenance(excluded=True, notice_hours=48),
    ),
    outage=replace(BUILT_IN.outage, credit=Exact()),
    support=replace(
        BUILT_IN.support,
        week=Week(mon=(("08:00", "12:00"), ("13:00", "17:30")), sat=(("09:00", "12:00"),)),
        holidays=(date(2027, 8, 1), HolidayHours(date(2027, 12, 24), ())),
    ),
)
KINDS: dict[str, About] = {"quota": QUOTA, "at-risk": DEADLINE, "missed": DEADLINE, "terms": TERMS}
COMMON = {
    "name": "Anna Rochat",
    "vendor": "Acme SA",
    "product": "Acme Suite",
    "support_address": "support@acme.example",
    "terms_url": "https://acme.example/terms",
    "desk_url": "https://desk.acme.example/",
}


def rendered(kind: str, about: About, language: Language, **more: str) -> Any:
    return render(kind, language, {**COMMON, **values(about, language, ZONE), **more})


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_each_letter_says_what_it_must_in_text_and_html(kind: str, language: Language) -> None:
    said = rendered(kind, KINDS[kind], language)
    told = {
        "quota": ("S-1", "6 h 45 min", "2 h 15 min", "9 h", "75", "2026", "2027", "support@acme.example"),
        "at-risk": ("T-000017", "A-1", "S-1", "16:21", "24", "https://desk.acme.example/"),
        "missed": ("T-000017", "A-1", "S-1", "16:21", "24", "https://desk.acme.example/"),
        "terms": ("2027", "99", "1 h", "24 h", "08:00–17:00", "https://acme.example/terms", "CHF 1"),
    }[kind]
    page = said.html.replace("\u00a0", " ")
    for value in told:
        assert value in said.text
        assert value in page
    assert f'lang="{language}"' in page
    assert said.subject
    assert "\n" not in said.subject
    assert "{" not in said.text + said.subject
    assert max(len(line) for line in said.text.splitlines()) <= 76


def test_the_year_ends_on_its_last_day_in_the_words_of_each_language() -> None:
    about = replace(QUOTA, until=date(2026, 12, 2))
    found = {language: rendered("quota", about, language).text for language in LANGUAGES}
    assert "au 1er décembre 2026 compris" in found["fr"]
    assert "bis und mit 1. Dezember 2026" in found["de"]
    assert "al 1º dicembre 2026 compreso" in found["it"]
    assert "to 1 December 2026 inclusive" in found["en"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_quota_used_up_exceeded_or_of_nothing_at_all_is_said_as_such(language: Language) -> None:
    exact = rendered("quota", replace(QUOTA, used_minutes=540, percent=100), language)
    over = rendered("quota", replace(QUOTA, used_minutes=605, percent=100), language)
    none = rendered("quota", replace(QUOTA, used_minutes=30, quota_minutes=0, percent=100), language)
    assert "1 h 5 min" in over.text
    assert "100" in exact.text
    assert "30 min" in none.text
    assert "%" not in none.text
    assert len({exact.subject, none.subject, rendered("quota", QUOTA, language).subject}) == 3


@pytest.mark.parametrize("language", LANGUAGES)
def test_other_terms_are_told_with_their_own_rules(language: Language) -> None:
    said = rendered("terms", NewTerms("v2", date(2027, 1, 1), OTHER_TERMS), language)
    decimal = "." if language == "en" else ","
    assert f"50{decimal}5" in said.text
    assert "48 h" in said.text
    assert "08:00–12:00" in said.text
    assert said.text != rendered("terms", TERMS, language).text


@pytest.mark.parametrize("language", LANGUAGES)
def test_without_name_links_and_address_the_letter_is_still_whole(language: Language) -> None:
    for kind, about in KINDS.items():
        said = rendered(kind, about, language, name="", support_address="", terms_url="", desk_url="")
        assert "http" not in said.text
        assert "  ," not in said.text
        assert " ," not in said.text


def test_a_value_that_is_missing_is_an_error_and_not_a_hole() -> None:
    with pytest.raises(UndefinedError):
        render("quota", "fr", {**COMMON, "subscription": "S-1"})


HOSTILE = (
    "x\r\nBcc: everyone@demo.example",
    "=?utf-8?q?x=0D=0ABcc:_everyone@demo.example?=",
    "=?utf-8?b?eA0KQmNjOiBldmVyeW9uZUBkZW1vLmV4YW1wbGU=?=",
    "<script>alert(1)</script><img src=https://evil.example/x>",
    "{{ 7 * 7 }}{% raw %}",
    "a\n\n| Left | everything\n\nhttps://evil.example/",
    "\u2028| Left | everything",
)


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [(tag, value or "") for name, value in attrs if name in ("href", "src")] or [(tag, "")]


def shape(page: str) -> list[tuple[str, str]]:
    tags = Tags()
    tags.feed(page)
    return tags.found


def no_injection(hostile: str, language: Language) -> None:
    kinds: dict[str, tuple[About, dict[str, str]]] = {
        "quota": (replace(QUOTA, subscription=hostile), {"name": hostile}),
        "missed": (Deadline(hostile, hostile, hostile, hostile, AT), {}),
        "terms": (replace(TERMS, version=hostile), {"name": hostile}),
    }
    for kind, (about, more) in kinds.items():
        said = rendered(kind, about, language, **more)
        plain = rendered(kind, KINDS[kind], language)
        assert shape(said.html) == shape(plain.html)
        data = compose(
            Letter(
                "<x.y@acme.example>",
                "Acme",
                "l@acme.example",
                "",
                "a@demo.example",
                said.subject,
                said.text,
                0,
            )
        )
        read = message_from_bytes(data, policy=default)
        assert "Bcc" not in read
        assert not any(name.lower() == "bcc" for name in read)


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_value_adds_no_header_no_markup_and_no_row(hostile: str, language: Language) -> None:
    no_injection(hostile, language)


@given(st.text(max_size=80))
def test_whatever_a_value_is_the_letter_keeps_its_shape(hostile: str) -> None:
    no_injection(hostile, "fr")


def test_numbers_and_dates_are_written_as_the_language_does() -> None:
    assert words.duration(135) == "2\u00a0h\u00a015\u00a0min"
    assert [words.duration(minutes) for minutes in (0, 45, 60)] == ["0\u00a0min", "45\u00a0min", "1\u00a0h"]
    assert words.percent(Decimal("99.50"), "fr") == "99,5\u00a0%"
    assert words.percent(Decimal("99.995"), "en") == "99.995%"
    assert words.money(Decimal("1000"), "de") == "CHF\u00a01’000"
    assert words.money(Decimal("1250.50"), "en") == "CHF\u00a01,250.5"
    assert words.moment(parse_instant("2026-03-29T01:30:00.000Z"), ZONE, "it").endswith("alle 03:30")
    assert words.allowance("1bd", "de") == "1\u00a0Arbeitstag"
    assert words.hours(OTHER_TERMS.support.week, "en") == (
        "Monday, 08:00–12:00 and 13:00–17:30; Saturday, 09:00–12:00"
    )
