"""The four catalogues say the same things, each as its language is written in Switzerland."""

from __future__ import annotations

import re
from datetime import date
from importlib.resources import files
from string import Formatter

import pytest

from services.status.pages.language import Speech, catalogue, machine, speech
from services.status.site import LANGUAGES, Cause, Condition, Language
from tests.status.sites import DAY, HOUR, MINUTE, ms

SOURCES = "\n".join(
    file.read_text()
    for folder in ("services.status.pages", "services.status.templates")
    for file in files(folder).iterdir()
    if file.name.endswith((".py", ".html"))
)


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_catalogue_has_the_same_keys_with_the_same_values_in_them(language: Language) -> None:
    words, english = catalogue(language), catalogue("en")

    assert words.keys() == english.keys()
    for key, text in english.items():
        assert type(words[key]) is type(text), key
        if isinstance(text, str):
            assert fields(words[key]) == fields(text), key
        else:
            assert len(words[key]) == len(text), key


def test_every_word_is_used_and_every_word_used_is_there() -> None:
    words = catalogue("en")
    said = {key for key in re.findall(r"""(?:say|mark)\(\s*"([a-z_0-9]+)\"""", SOURCES) if key[-1] != "_"}
    made = {
        *(f"cause_{cause.value}" for cause in Cause),
        *(f"change_{condition.value}" for condition in Condition),
    }

    assert said | made <= words.keys()
    quoted = set(re.findall(r"""["']([a-z_0-9]+)["']""", SOURCES))
    quoted |= set(re.findall(r"words\.([a-z_]+)", SOURCES))
    beginnings = tuple(re.findall(r"""["']([a-z_]+_)(?:\{|" ~)""", SOURCES))
    unused = [
        key
        for key in words
        if key not in quoted
        and re.sub(r"_(one|many)$", "", key) not in quoted
        and not key.startswith(beginnings)
        and not key.endswith("_so_far")
    ]
    assert unused == []


def test_german_is_swiss_and_quotes_are_those_of_switzerland() -> None:
    texts = "\n".join(str(text) for text in catalogue("de").values())

    assert "ß" not in texts
    assert not re.search("[„“”]", texts + str(catalogue("fr")) + str(catalogue("it")))


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_text_has_a_typewriter_apostrophe_or_markup(language: Language) -> None:
    for key, text in catalogue(language).items():
        assert not re.search("['<>&]", str(text) if isinstance(text, str) else "".join(text)), key


@pytest.mark.parametrize(
    ("language", "expected"),
    [
        ("fr", "1er nov. 2026, 14:05:09"),
        ("de", "1. Nov. 2026, 14:05:09"),
        ("it", "1º nov. 2026, 14:05:09"),
        ("en", "1 Nov 2026, 14:05:09"),
    ],
)
def test_an_instant_is_written_as_the_language_does(language: Language, expected: str) -> None:
    text = speech(language).instant(ms("2026-11-01T13:05:09"), "Europe/Zurich")

    assert text.replace("\xa0", " ") == expected


def test_the_doubled_hour_of_autumn_says_which_it_is() -> None:
    spoken = speech("en")
    first, second = ms("2026-10-25T00:30:00"), ms("2026-10-25T01:30:00")

    assert spoken.instant(first, "Europe/Zurich").replace("\xa0", " ") == "25 Oct 2026, 02:30:00 (UTC+2)"
    assert spoken.instant(second, "Europe/Zurich").replace("\xa0", " ") == "25 Oct 2026, 02:30:00 (UTC+1)"


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (0, "0 s"),
        (1, "1 s"),
        (59_999, "59 s"),
        (MINUTE, "1 min"),
        (HOUR + 90_000, "1 h 1 min 30 s"),
        (DAY, "1 jour"),
        (3 * DAY + 2 * HOUR + MINUTE, "3 jours 2 h 1 min"),
    ],
)
def test_a_length_is_rounded_down_to_the_second_and_never_nothing(length: int, expected: str) -> None:
    assert speech("fr").length(length).replace("\xa0", " ") == expected


def test_percentages_keep_each_of_their_digits() -> None:
    assert [speech(language).percent("99.950") for language in LANGUAGES] == [
        *["99.950\xa0%"] * 3,
        "99.950%",
    ]


def test_days_are_written_in_full_in_headings() -> None:
    day = date(2026, 12, 1)

    assert [speech(language).weekday_day(day).replace("\xa0", " ") for language in LANGUAGES] == [
        "mardi 1er décembre 2026",
        "Dienstag, 1. Dezember 2026",
        "martedì 1º dicembre 2026",
        "Tuesday, 1 December 2026",
    ]


def test_machines_get_milliseconds_in_utc() -> None:
    assert machine(1_795_887_010_007) == "2026-11-28T17:30:10.007Z"


def test_a_word_nobody_knows_is_an_error() -> None:
    with pytest.raises(KeyError):
        Speech("en").say("no_such_word")
