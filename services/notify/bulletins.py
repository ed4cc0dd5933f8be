"""Bulletins: mails to readers of the status page. Whoever hands one over says it again until it is taken;
under the same id it goes out once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import structlog
from sqlalchemy import Connection, func, select

from services.notify import words
from services.notify.rendering import render
from services.notify.settings import Language, NotifySettings
from services.notify.tables import letters
from shared.bulletins import (
    NAME_MOST,
    TEXT_MOST,
    About,
    Bulletin,
    Changed,
    Confirm,
    Corrected,
    Incident,
    Maintenance,
    Taken,
    Turned,
)
from shared.database import Clock
from shared.failpoints import reach
from shared.mail.composing import Letter, compose, harmless, message_id
from shared.mail.letters import Outgoing, put
from shared.time import MINUTE, Instant, parse_instant

log = structlog.get_logger()

BOUNCES_MOST = 3
"""A reader to whom so many letters came back for good gets no further ones."""
_NAMED = 3
"""Components a subject names; the others are counted."""


def put_bulletins(
    connection: Connection, settings: NotifySettings, given: Sequence[Bulletin], clock: Clock
) -> list[Taken]:
    """Puts the bulletins' letters into the outbox, in the caller's transaction, and says what became of each,
    in their order. One whose id is there changes nothing, whatever it says."""
    now = clock()  # each a little later than the one before: the relay gets them in this order
    taken = [
        Taken(id=one.id, state=_put(connection, settings, one, Instant(now + number)))
        for number, one in enumerate(given)
    ]
    reach("bulletins.putting")
    return taken


def _put(connection: Connection, settings: NotifySettings, bulletin: Bulletin, now: Instant) -> str:
    c = letters.c
    state = connection.execute(select(c.state).where(c.id == bulletin.id)).scalar_one_or_none()
    if state is not None:
        return str(state)
    back = select(func.count()).where(c.contact == bulletin.contact, c.state == "bounced")
    if connection.execute(back).scalar_one() >= BOUNCES_MOST:
        return "bouncing"
    put(connection, letters, letter(settings, bulletin, now), lambda: now)
    log.info("bulletin.taken", letter=bulletin.id, kind=bulletin.about.kind)
    return "waiting"


def letter(settings: NotifySettings, bulletin: Bulletin, now: Instant) -> Outgoing:
    """The bulletin as a letter: where to end it stands in the text, and in headers for the reader's mail
    program (RFC 2369); over https one click is enough (RFC 8058)."""
    about, language = bulletin.about, bulletin.language
    said = render(
        f"status-{about.kind}",
        language,
        {
            "vendor": bulletin.vendor,
            "product": bulletin.product,
            "zone": bulletin.zone,
            "page_url": bulletin.page_url,
            "unsubscribe_url": bulletin.unsubscribe_url,
            **_values(about, language, bulletin.zone),
        },
        TEXT_MOST,
    )
    headers = [("Auto-Submitted", "auto-generated"), ("X-Auto-Response-Suppress", "All")]
    if bulletin.unsubscribe_url:
        headers.append(("List-Unsubscribe", f"<{bulletin.unsubscribe_url}>"))
        if bulletin.unsubscribe_url.startswith("https://"):
            headers.append(("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"))
    if settings.support_address:
        headers.append(("Reply-To", settings.support_address))
    purpose = f"status-{about.kind}"
    written = Letter(
        message_id=message_id(purpose, bulletin.id, settings.id_domain()),
        sender_name=harmless(settings.sender_name),
        sender=settings.address,
        to_name="",
        to=bulletin.to,
        subject=said.subject,
        text=said.text,
        html=said.html,
        date_ms=now,
        headers=tuple(headers),
    )
    return Outgoing(bulletin.id, purpose, bulletin.to, written.message_id, compose(written), bulletin.contact)


def _values(about: About, language: Language, zone: str) -> dict[str, Any]:
    def moment(text: str) -> str:
        return words.moment(parse_instant(text), zone, language)

    match about:
        case Confirm():
            return {
                "confirm_url": about.confirm_url,
                "hours": about.hours,
                "components": _short(about.components, language),
            }
        case Changed():
            return {
                "down": about.condition == "down",
                "names": _short([one.name for one in about.components], language),
                "several": len(about.components) > 1,
                "turned": [_turned(one, moment(one.at)) for one in about.components],
            }
        case Incident():
            return {
                "title": about.title,
                "status": about.status,
                "paragraphs": about.paragraphs,
                "at": moment(about.at),
                "components": _all(about.components, language),
                "url": about.url,
            }
        case Maintenance():
            return {
                "phase": about.phase,
                "starts": moment(about.starts_at),
                "ends": moment(about.ends_at),
                "names": _short(about.components, language),
                "components": _all(about.components, language),
            }
        case Corrected():
            return {
                "names": _short(about.components, language),
                "components": _all(about.components, language),
                "periods": [_period(one, language) for one in about.periods],
            }


def _turned(one: Turned, at: str) -> dict[str, str]:
    lasted = "" if one.lasted_ms is None else words.duration(-(-one.lasted_ms // MINUTE))
    return {"name": one.name, "at": at, "lasted": lasted}


def _period(text: str, language: Language) -> str:
    if len(text) == len("2026-11"):
        first = date.fromisoformat(f"{text}-01")
        return words.day(first, language).split("\u00a0", 1)[1]
    return words.day(date.fromisoformat(text), language)


def _short(names: Sequence[str], language: Language) -> str:
    """Names for a subject: the first ones, cut, and how many there are besides. Empty for none."""
    return _listed([one if len(one) <= 60 else one[:59] + "…" for one in names], _NAMED, language)


def _all(names: Sequence[str], language: Language) -> str:
    """Every name, as long as they fit a value. Empty for none."""
    return _listed(names, TEXT_MOST // NAME_MOST, language)


def _listed(names: Sequence[str], most: int, language: Language) -> str:
    if len(names) > most:
        return f"{', '.join(names[:most])}, +{len(names) - most}"
    return words.listed(names, language) if names else ""
