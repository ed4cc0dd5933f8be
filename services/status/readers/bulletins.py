"""Entries in a reader's language, as notify takes them; without the reader."""

from __future__ import annotations

from typing import Any

import msgspec

from services.status.readers.news import Corrected, Entry, Written, lasted_ms
from services.status.readers.subscribers import CONFIRM_WITHIN_MS
from services.status.site import Change, Condition, Language, Maintenance, Site
from shared import bulletins
from shared.bulletins import NAME_MOST, TEXT_MOST
from shared.time import HOUR, format_instant

_PERIODS_MOST = 100
_PARAGRAPHS_MOST = 100
_NAMES_MOST = 1_000


def bulletin_body(site: Site, group: tuple[Entry, ...], language: Language) -> str:
    """The JSON of a bulletin about the entries, which are told together; whose it is and where to is added
    when it is handed over."""
    return _body(site, language, _about(site, group, language))


def confirm_body(site: Site, language: Language, url: str, components: list[str] | None) -> str:
    """The JSON of the mail that asks whether somebody wants the news; `url` is where to confirm it."""
    names = () if components is None else _names(site, components, language)
    hours = CONFIRM_WITHIN_MS // HOUR
    return _body(site, language, bulletins.Confirm(confirm_url=url, hours=hours, components=names))


def addressed(body: str, id: str, contact: str, to: str, unsubscribe_token: str) -> dict[str, Any]:
    """The whole bulletin as notify takes it: with whose it is, where to, and how to end it ("": nothing to
    end yet)."""
    said = msgspec.json.decode(body)
    ending = f"{said['page_url']}unsubscribe/{unsubscribe_token}" if unsubscribe_token else ""
    return {"id": id, "contact": contact, **said, "to": to, "unsubscribe_url": ending}


def _body(site: Site, language: Language, about: bulletins.About) -> str:
    body = {
        "language": language,
        "vendor": clipped(site.vendor),
        "product": clipped(site.product[language]),
        "zone": site.zone,
        "page_url": f"{site.url}/{language}/",
        "about": about.model_dump(mode="json"),
    }
    return msgspec.json.encode(body).decode()


def _about(site: Site, group: tuple[Entry, ...], language: Language) -> bulletins.About:
    what = group[0].what
    match what:
        case Change():
            return _changed(site, [one.what for one in group if isinstance(one.what, Change)], language)
        case Written():
            return _incident(site, what, language)
        case Maintenance():
            return bulletins.Maintenance(
                phase=what.phase.value,
                starts_at=format_instant(what.starts_at),
                ends_at=format_instant(what.ends_at),
                components=_names(site, what.components, language),
            )
        case Corrected():
            told = [one.what for one in group if isinstance(one.what, Corrected)]
            return bulletins.Corrected(
                components=_names(site, sorted({one.component for one in told}), language),
                periods=tuple(sorted({one.period for one in told}))[-_PERIODS_MOST:],
            )


def _changed(site: Site, changes: list[Change], language: Language) -> bulletins.Changed:
    return bulletins.Changed(
        condition="down" if changes[0].condition is Condition.DOWN else "up",
        components=tuple(
            bulletins.Turned(
                name=clipped(site.components[one.component].name[language]),
                at=format_instant(one.at),
                lasted_ms=lasted_ms(site, one),
            )
            for one in sorted(changes, key=lambda one: one.at)[:_NAMES_MOST]
        ),
    )


def _incident(site: Site, what: Written, language: Language) -> bulletins.Incident:
    text = what.update.text[language]
    paragraphs = [clipped(one, TEXT_MOST) for one in text.split("\n\n") if one.strip()]
    return bulletins.Incident(
        title=clipped(what.incident.title[language]),
        status=what.update.status,
        paragraphs=tuple(paragraphs[:_PARAGRAPHS_MOST]),
        at=format_instant(what.update.at),
        components=_names(site, what.incident.components, language),
        url=f"{site.url}/{language}/incidents/{what.incident.id}/",
    )


def _names(site: Site, ids: tuple[str, ...] | list[str], language: Language) -> tuple[str, ...]:
    shown = [site.components[one] for one in ids[:_NAMES_MOST] if one in site.components]
    return tuple(clipped(one.name[language]) for one in shown)


def clipped(text: str, most: int = NAME_MOST) -> str:
    """The text, cut where a mail would become unreadable."""
    text = text.encode("utf-8", "replace").decode()
    return text if len(text) <= most else text[: most - 1] + "…"
