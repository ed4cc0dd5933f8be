"""How a language writes dates, durations, percentages, money and lists.

A blank that must not break a line is U+00A0; the plain text of a letter shows it as a blank.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

from msgspec import Struct

from services.notify.settings import Language
from shared.calendar import zone
from shared.severities import PUBLISHED
from shared.terms import WEEKDAYS, Allowance, Week

_HARD = "\u00a0"


def _each(names: str) -> tuple[str, ...]:
    return tuple(names.split())


class Words(Struct, frozen=True):
    """What differs between languages beyond the letters' own text."""

    months: tuple[str, ...]
    weekdays: tuple[str, ...]
    first: str
    """How the first day of a month is written; empty: as a plain number."""
    day: str
    at: str
    conjunction: str
    decimal: str
    thousands: str
    percent: str
    through: str
    none: str
    business_days: tuple[str, str]


_WORDS: dict[Language, Words] = {
    "fr": Words(
        months=_each("janvier février mars avril mai juin juillet août septembre octobre novembre décembre"),
        weekdays=_each("lundi mardi mercredi jeudi vendredi samedi dimanche"),
        first="1er",
        day=f"{{day}}{_HARD}{{month}}{_HARD}{{year}}",
        at="{weekday} {day} à {time}",
        conjunction="et",
        decimal=",",
        thousands="’",
        percent=f"{{}}{_HARD}%",
        through="de {} à {}",
        none="aucune",
        business_days=("jour ouvrable", "jours ouvrables"),
    ),
    "de": Words(
        months=_each("Januar Februar März April Mai Juni Juli August September Oktober November Dezember"),
        weekdays=_each("Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag"),
        first="",
        day=f"{{day}}.{_HARD}{{month}}{_HARD}{{year}}",
        at=f"{{weekday}}, {{day}}, {{time}}{_HARD}Uhr",
        conjunction="und",
        decimal=",",
        thousands="’",
        percent=f"{{}}{_HARD}%",
        through="{} bis {}",
        none="keine",
        business_days=("Arbeitstag", "Arbeitstage"),
    ),
    "it": Words(
        months=_each(
            "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre"
        ),
        weekdays=_each("lunedì martedì mercoledì giovedì venerdì sabato domenica"),
        first="1º",
        day=f"{{day}}{_HARD}{{month}}{_HARD}{{year}}",
        at="{weekday} {day} alle {time}",
        conjunction="e",
        decimal=",",
        thousands="’",
        percent=f"{{}}{_HARD}%",
        through="da {} a {}",
        none="nessuno",
        business_days=("giorno lavorativo", "giorni lavorativi"),
    ),
    "en": Words(
        months=_each("January February March April May June July August September October November December"),
        weekdays=_each("Monday Tuesday Wednesday Thursday Friday Saturday Sunday"),
        first="",
        day=f"{{day}}{_HARD}{{month}}{_HARD}{{year}}",
        at="{weekday}, {day}, at {time}",
        conjunction="and",
        decimal=".",
        thousands=",",
        percent="{}%",
        through="{} to {}",
        none="none",
        business_days=("business day", "business days"),
    ),
}


def day(value: date, language: Language) -> str:
    """A date: "30 novembre 2026"."""
    words = _WORDS[language]
    number = words.first if value.day == 1 and words.first else str(value.day)
    return words.day.format(day=number, month=words.months[value.month - 1], year=value.year)


def moment(ms: int, zone_name: str, language: Language) -> str:
    """An instant (ms) in local time, to the minute: "lundi 30 novembre 2026 à 14:05"."""
    local = datetime.fromtimestamp(ms // 1_000, tz=UTC).astimezone(zone(zone_name))
    return _WORDS[language].at.format(
        weekday=_WORDS[language].weekdays[local.weekday()],
        day=day(local.date(), language),
        time=f"{local:%H:%M}",
    )


def duration(minutes: int) -> str:
    """Minutes as hours and minutes, the same in each language: "2 h 15 min"."""
    hours, rest = divmod(minutes, 60)
    parts = [f"{hours}{_HARD}h"] if hours else []
    if rest or not hours:
        parts.append(f"{rest}{_HARD}min")
    return _HARD.join(parts)


def number(value: Decimal | int, language: Language) -> str:
    """A number as it is, no digit added or lost: "1’000", "99,5"."""
    words = _WORDS[language]
    whole, point, fraction = f"{Decimal(value):,f}".partition(".")
    fraction = fraction.rstrip("0")
    return whole.replace(",", words.thousands) + (words.decimal + fraction if point and fraction else "")


def percent(value: Decimal | int, language: Language) -> str:
    """A percentage: "99,5 %"."""
    return _WORDS[language].percent.format(number(value, language))


def money(value: Decimal, language: Language) -> str:
    """Swiss francs: "CHF 1’000"."""
    return f"CHF{_HARD}{number(value, language)}"


def listed(parts: Sequence[str], language: Language) -> str:
    """A list in a sentence: "75, 90 et 100"."""
    if len(parts) < 2:
        return "".join(parts) or _WORDS[language].none
    return f"{', '.join(parts[:-1])} {_WORDS[language].conjunction} {parts[-1]}"


def allowance(value: Allowance, language: Language) -> str:
    """An allowance of the terms: "4 h", "2 jours ouvrables"."""
    if value.endswith("h"):
        return f"{int(value[:-1])}{_HARD}h"
    days = int(value[:-2])
    one, several = _WORDS[language].business_days
    return f"{days}{_HARD}{one if days == 1 else several}"


def severity(value: str, language: Language) -> str:
    """What a severity is called; one nobody knows stays what it is."""
    return PUBLISHED[language].get(value, value)  # type: ignore[call-overload, no-any-return]


def hours(week: Week, language: Language) -> str:
    """Support hours: "de lundi à vendredi, 08:00–17:00"; days with the same hours together."""
    words = _WORDS[language]
    groups: list[tuple[list[int], str]] = []
    for index, name in enumerate(WEEKDAYS):
        open_hours = [f"{start}–{end}" for start, end in getattr(week, name) if start != end]
        text = listed(open_hours, language) if open_hours else ""
        if groups and groups[-1][1] == text:
            groups[-1][0].append(index)
        else:
            groups.append(([index], text))
    said = []
    for days, text in groups:
        if text:
            first, last = words.weekdays[days[0]], words.weekdays[days[-1]]
            name = first if len(days) == 1 else words.through.format(first, last)
            said.append(f"{name}, {text}")
    return "; ".join(said) or words.none
