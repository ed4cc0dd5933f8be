"""How a language says what a page says: its catalogue of words, dates, instants, lengths and percentages.

A blank that must not break a line is U+00A0.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

from markupsafe import Markup, escape

from services.status.pages.texts import line, trusted
from services.status.site import LANGUAGES, Language, Texts
from shared.calendar import zone

_HARD = "\u00a0"
_DAY_S = 86_400


class Speech:
    """One language: its catalogue's sentences and its ways to write. Raises KeyError for an unknown word."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self.words: dict[str, Any] = catalogue(language)
        self.tag: str = self.words["tag"]
        self.name: str = self.words["name"]

    def say(self, key: str, **values: object) -> str:
        """A sentence, as text."""
        text: str = self.words[key]
        return text.format(**values) if values else text

    def mark(self, key: str, **values: object) -> Markup:
        """A sentence as markup, with values that may be markup themselves."""
        return trusted(escape(self.words[key])).format(**values)

    def count(self, key: str, n: int) -> str:
        """ "1 day", "3 days": `key_one` or `key_many`."""
        one = n == 1 or (n == 0 and self.language == "fr")
        return self.say(f"{key}_one" if one else f"{key}_many", n=n).replace(f"{n} ", f"{n}{_HARD}")

    def pick(self, texts: Texts) -> str:
        """The text in this language; "" where nothing was written."""
        return texts.get(self.language) or next((text for text in texts.values() if text), "")

    def label(self, texts: Texts) -> str:
        """A name in one harmless line."""
        return line(self.pick(texts))

    def day(self, value: date) -> str:
        """ "1er décembre 2026"."""
        return self._day(value, "months")

    def day_short(self, value: date) -> str:
        """ "28 nov. 2026"."""
        return self._day(value, "months_short")

    def month(self, value: date) -> str:
        """ "novembre 2026"."""
        return f"{self.words['months'][value.month - 1]}{_HARD}{value.year}"

    def weekday_day(self, value: date) -> str:
        """ "lundi 30 novembre 2026"."""
        weekday = self.words["weekdays"][value.weekday()]
        return self.say("weekday_day", weekday=weekday, day=self.day(value))

    def instant(self, ms: int, zone_name: str) -> str:
        """An instant (ms) to the second in a zone: "28 nov. 2026, 14:05:10"; with the hour's distance from
        UTC in the doubled hour of autumn."""
        return _instant(self.language, ms // 1_000, zone_name)

    def when(self, ms: int, zone_name: str) -> Markup:
        """An instant as markup with both texts, local and UTC; the stylesheet shows the chosen one."""
        utc = f"{self.instant(ms, 'UTC')}{_HARD}UTC"
        return trusted(
            f'<time datetime="{machine(ms)}"><span class="tl">{self.instant(ms, zone_name)}</span>'
            f'<span class="tu">{utc}</span></time>'
        )

    def percent(self, value: str) -> str:
        """ "99.950 %": as it was given, no digit added or lost."""
        return str(self.words["percent"]).format(value).replace(" ", _HARD)

    def length(self, ms: int) -> str:
        """A length (ms) in its two or three greatest units, rounded down to the second; at least "1 s"."""
        seconds = max(ms // 1_000, 1 if ms > 0 else 0)
        days, rest = divmod(seconds, _DAY_S)
        hours, rest = divmod(rest, 3_600)
        minutes, seconds = divmod(rest, 60)
        parts = [self.count("days", days)] if days else []
        parts += [
            f"{n}{_HARD}{unit}" for n, unit in ((hours, "h"), (minutes, "min"), (seconds, "s")) if n
        ] or ([] if days else [f"0{_HARD}s"])
        return _HARD.join(parts[:3])

    def listed(self, parts: Sequence[str]) -> str:
        """ "a, b and c"."""
        if len(parts) < 2:
            return "".join(parts)
        return f"{', '.join(parts[:-1])} {self.words['listing_and']} {parts[-1]}"

    def causes(self, causes: Sequence[str]) -> str:
        """Causes in plain words."""
        return self.listed([self.say(f"cause_{cause}") for cause in causes]) or self.say("cause_none")

    def _day(self, value: date, names: str) -> str:
        number = self.words["first"] if value.day == 1 else str(value.day)
        text = str(self.words["day"]).format(
            day=number, month=self.words[names][value.month - 1], year=value.year
        )
        return text.replace(" ", _HARD)


@lru_cache(maxsize=16_384)
def _instant(language: Language, second: int, zone_name: str) -> str:
    local = datetime.fromtimestamp(second, tz=UTC).astimezone(zone(zone_name))
    text = f"{speech(language).day_short(local.date())}, {local:%H:%M:%S}".replace(" ", _HARD)
    if local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset():
        hours = round((local.utcoffset() or timedelta()) / timedelta(hours=1))
        text += f"{_HARD}(UTC{hours:+d})"
    return text


@lru_cache(maxsize=16_384)
def machine(ms: int) -> str:
    """An instant (ms) as RFC 3339 in UTC with milliseconds."""
    return datetime.fromtimestamp(ms // 1_000, tz=UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1_000:03d}Z"


def catalogue(language: Language) -> dict[str, Any]:
    """All words of a language, by key."""
    return tomllib.loads(
        files("services.status.pages").joinpath(f"words/{language}.toml").read_text(encoding="utf-8")
    )


@cache
def speech(language: Language) -> Speech:
    """The one Speech of a language."""
    return Speech(language)


SPEECHES = tuple(speech(language) for language in LANGUAGES)
