"""What our letters say, in four languages: text from `templates/LANGUAGE.txt`, the same as HTML."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from services.support.correspondence import Written
from services.support.settings import SupportSettings
from services.support.severity import NAMES, severity_name
from shared.calendar import zone
from shared.facts import Severity
from shared.time import SECOND

_texts = Environment(
    loader=PackageLoader("services.support"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    autoescape=False,  # noqa: S701 - plain text; what becomes HTML of it is escaped there
)
_pages = Environment(
    loader=PackageLoader("services.support"), undefined=StrictUndefined, autoescape=True, trim_blocks=True
)

_WEEKDAYS = {
    "fr": "lundi mardi mercredi jeudi vendredi samedi dimanche",
    "de": "Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag",
    "it": "lunedì martedì mercoledì giovedì venerdì sabato domenica",
    "en": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
}
_MONTHS = {
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "en": "January February March April May June July August September October November December",
}
_FORMS = {
    "fr": "{weekday} {day} {month} {year} à {time}",
    "de": "{weekday}, {day}. {month} {year}, {time} Uhr",
    "it": "{weekday} {day} {month} {year} alle {time}",
    "en": "{weekday} {day} {month} {year} at {time}",
}


def written_out(ms: int, zone_name: str, language: str) -> str:
    """An instant in local time, in words: "vendredi 27 novembre 2026 à 16:30"."""
    local = datetime.fromtimestamp(ms // SECOND, tz=UTC).astimezone(zone(zone_name))
    day = "1er" if language == "fr" and local.day == 1 else str(local.day)
    return _FORMS[language].format(
        weekday=_WEEKDAYS[language].split()[local.weekday()],
        day=day,
        month=_MONTHS[language].split()[local.month - 1],
        year=local.year,
        time=f"{local.hour:02d}:{local.minute:02d}",
    )


def acknowledgement_wording(
    settings: SupportSettings, ticket: str, language: str, severity: Severity, due_at: int, now: int
) -> Written:
    """That a request was received, how grave it is held to be, and when the first response is due."""
    return _written(
        "acknowledgement",
        settings,
        language,
        ticket=ticket,
        severity=severity_name(severity, language),
        names=NAMES[language],
        due=written_out(due_at, settings.zone, language),
        zone=settings.zone,
        late=due_at <= now,
    )


def uncovered_wording(settings: SupportSettings, ticket: str, language: str, *, known: bool) -> Written:
    """That no active subscription covers the request; `known`: the account had one, or will have."""
    return _written("ended" if known else "uncovered", settings, language, ticket=ticket)


def reply_wording(settings: SupportSettings, ticket: str, text: str, language: str) -> Written:
    """A person's own words, and whom they are from."""
    return _written("reply", settings, language, ticket=ticket, text=text.strip("\n"))


def _written(name: str, settings: SupportSettings, language: str, **values: Any) -> Written:
    macro = getattr(_texts.get_template(f"{language}.txt").module, name)
    text = str(macro(sender=settings.sender_name, **values)).strip("\n") + "\n"
    paragraphs = [part.split("\n") for part in text.strip("\n").split("\n\n")]
    html = _pages.get_template("letter.html").render(language=language, paragraphs=paragraphs)
    return Written(text, html)
