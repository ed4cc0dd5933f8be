"""How bad it is, in the customer's own words: `[down]` in front of the subject, or mail to support+down@."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import get_args

from services.support.threads import plain_subject
from shared.facts import Severity
from shared.severities import PUBLISHED

SEVERITIES: tuple[Severity, ...] = get_args(Severity)

NAMES: dict[str, dict[Severity, str]] = {
    "fr": {
        "down": "hors service",
        "serious": "grave",
        "moderate": "modéré",
        "limited": "limité",
    },
    "de": {
        "down": "ausgefallen",
        "serious": "schwerwiegend",
        "moderate": "mittel",
        "limited": "gering",
    },
    "it": {
        "down": "fuori servizio",
        "serious": "grave",
        "moderate": "moderato",
        "limited": "limitato",
    },
    "en": {
        "down": "down",
        "serious": "serious",
        "moderate": "moderate",
        "limited": "limited",
    },
}
"""What each severity may be called in a subject, in short; the published names are understood as well."""

_BRACKETED = re.compile(r"\s*\[([^\[\]]{1,40})\]")


def _plain(text: str) -> str:
    """Without accents, case and doubled blanks: people write MODERE."""
    bare = unicodedata.normalize("NFKD", text.casefold())
    return " ".join("".join(one for one in bare if not unicodedata.combining(one)).split())


_WORDS: dict[str, Severity] = {_plain(one): one for one in SEVERITIES} | {
    _plain(name): severity
    for words in (NAMES, PUBLISHED)
    for names in words.values()
    for severity, name in names.items()
}


def said_severity(subject: str, recipients: Iterable[str], our_address: str) -> Severity | None:
    """The severity the mail asks for, None if it says none: of several brackets in front of the subject the
    first that is one, then the part behind the + of our own address (both ours and theirs in any case)."""
    text, at = plain_subject(subject), 0
    while found := _BRACKETED.match(text, at):
        if (said := _WORDS.get(_plain(found[1]))) is not None:
            return said
        at = found.end()
    local, _, domain = our_address.lower().rpartition("@")
    for one in recipients:
        name, _, at_domain = one.lower().rpartition("@")
        base, plus, detail = name.partition("+")
        if plus and (base, at_domain) == (local, domain) and (said := _WORDS.get(_plain(detail))) is not None:
            return said
    return None


def severity_name(severity: Severity, language: str) -> str:
    """What the severity is called in a letter: as on the published page."""
    return PUBLISHED.get(language, PUBLISHED["en"])[severity]
