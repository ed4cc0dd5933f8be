"""Occasions become letters in the outbox: looked up when due, worded for each person and put down, all in one
transaction. An instance that dies in between leaves the occasion as it was."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import structlog
from sqlalchemy import Connection, Engine, Row, select

from services.notify import deadlines
from services.notify.occasions import (
    FOR_CUSTOMERS,
    FOR_STAFF,
    WAITING,
    Crossed,
    Kind,
    Published,
    done,
    named,
    overtake,
    put_off,
)
from services.notify.recipients import Contact
from services.notify.rendering import render
from services.notify.settings import LANGUAGES, Language, NotifySettings
from services.notify.tables import letters, occasions, quotas, subscriptions, terms
from services.notify.values import About, NewTerms, Quota, values
from shared.calendar import add_months, local_date, term_of
from shared.database import Clock, writing
from shared.failpoints import reach
from shared.mail.address import BadAddress
from shared.mail.composing import HeaderInjection, Letter, compose, harmless, message_id
from shared.mail.letters import Outgoing, put
from shared.terms import Terms
from shared.time import SECOND, Instant

log = structlog.get_logger()

Written = Literal["written", "overtaken", "no address", "not yet", "gone"]

_YEAR_MONTHS = 12
_AT_ONCE = 50
_TERMS_AGAIN_MS = 2 * SECOND


def due(connection: Connection, now: Instant) -> tuple[list[str], list[tuple[str, str]]]:
    """What is to be written about now, the oldest first: occasions for staff, and (occasion, account) for
    customers. Apart, so that neither waits for the other."""

    def of(kinds: Sequence[Kind]) -> list[Row[Any]]:
        c = occasions.c
        ready = c.kind.in_(kinds) & c.state.in_(WAITING) & (c.next_at <= now)
        return list(
            connection.execute(
                select(c.occasion, c.account).where(ready).order_by(c.next_at, c.occasion).limit(_AT_ONCE)
            )
        )

    return [row.occasion for row in of(FOR_STAFF)], [(row.occasion, row.account) for row in of(FOR_CUSTOMERS)]


def write(
    engine: Engine, settings: NotifySettings, occasion: str, people: Sequence[Contact], clock: Clock
) -> Written:
    """Puts the occasion's letters to `people` into the outbox, once: whoever else writes about it finds it
    done. With nobody to write to it waits, and is tried again."""
    with writing(engine) as connection:
        row = connection.execute(
            select(occasions).where(occasions.c.occasion == occasion).with_for_update()
        ).one()
        if row.state not in WAITING:
            return "gone"
        now = clock()
        about = _about(connection, row, settings, now)
        if about is None:
            reason = "waits for the terms document"
            put_off(connection, occasion, row.state, reason, now + _TERMS_AGAIN_MS)
            return "not yet"
        if isinstance(about, str):
            overtake(connection, occasion, about)
            return "overtaken"
        fallback = _language_of(connection, row)
        composed = [_letter(settings, row, about, each, fallback, now) for each in people]
        found = [letter for letter in composed if letter is not None]
        if not found:
            who = "staff" if row.kind in FOR_STAFF else "contact who gets letters and has a good address"
            again = now + int(settings.ask_again_s * SECOND)
            put_off(connection, occasion, "no address", f"no {who}", again)
            return "no address"
        for letter in found:
            put(connection, letters, letter, clock)
        reach("notify.letter.putting")
        done(connection, occasion, [letter.id for letter in found])
        reach("notify.letter.writing")
        return "written"


def staff(settings: NotifySettings) -> list[Contact]:
    """Everyone who is told of deadlines."""
    return [Contact(None, "", each, settings.staff_language) for each in settings.staff]


def _about(
    connection: Connection, row: Row[Any], settings: NotifySettings, now: Instant
) -> About | str | None:
    """What the letter tells; a reason why none is to be written any more; None: not known yet."""
    if row.kind in FOR_STAFF:
        return deadlines.about(connection, row)
    if row.kind == "quota":
        return _quota(connection, row, settings, now)
    about = msgspec.json.decode(row.about, type=Published)
    document = connection.execute(
        select(terms.c.document).where(
            terms.c.version == about.version, terms.c.effective_on == about.effective_on
        )
    ).scalar_one_or_none()
    if document is None:
        return None
    return NewTerms(about.version, about.effective_on, msgspec.json.decode(document, type=Terms))


def _quota(connection: Connection, row: Row[Any], settings: NotifySettings, now: Instant) -> Quota | str:
    """The figures as they are now: a threshold that is no longer reached is not warned of."""
    about = msgspec.json.decode(row.about, type=Crossed)
    year = connection.execute(
        select(quotas).where(
            quotas.c.subscription == row.subscription, quotas.c.year_starts_on == about.year_starts_on
        )
    ).one()
    used, quota = year.used_minutes, year.quota_minutes
    reached = [percent for percent in about.percents if used > 0 and used * 100 >= percent * quota]
    if not reached:
        return "the quota was restored"
    known = connection.execute(
        select(subscriptions).where(subscriptions.c.subscription == row.subscription)
    ).one_or_none()
    until, ends_on = add_months(about.year_starts_on, _YEAR_MONTHS), None
    if known is not None:
        _, until = term_of(about.year_starts_on, known.starts_on, _YEAR_MONTHS)
        ends_on = known.ends_on
    ends = ends_on is not None and ends_on <= until
    until = min(until, ends_on or until)
    if until <= local_date(now, settings.zone):
        return "the subscription year is over"
    return Quota(
        row.subscription, max(reached), used, quota, about.year_starts_on, until, not ends, year.as_of
    )


def _language_of(connection: Connection, row: Row[Any]) -> Language:
    """The language of the account's subscription, for contacts who have none."""
    c = subscriptions.c
    said = connection.execute(
        select(c.language).where(c.account == row.account).order_by(c.subscription).limit(1)
    ).scalar_one_or_none()
    return _known(said or "") or "en"


def _known(name: str) -> Language | None:
    """The language `name` means: "fr", also as "fr-CH"."""
    return next((language for language in LANGUAGES if language == name[:2].lower()), None)


def _letter(
    settings: NotifySettings,
    row: Row[Any],
    about: About,
    to: Contact,
    fallback: Language,
    now: Instant,
) -> Outgoing | None:
    """The letter to one person; None where no letter can be sent to that address."""
    id = f"{row.occasion}/{named(to.contact if to.contact is not None else 'staff:' + to.address)}"
    language = _known(to.language) or fallback
    said = render(
        row.kind,
        language,
        {
            "name": to.name,
            "vendor": settings.vendor,
            "product": settings.product,
            "terms_url": settings.terms_url,
            "support_address": settings.support_address,
            "desk_url": settings.desk_url,
            **values(about, language, settings.zone),
        },
    )
    headers = [("Auto-Submitted", "auto-generated"), ("X-Auto-Response-Suppress", "All")]
    if settings.support_address and to.contact is not None:
        headers.append(("Reply-To", settings.support_address))
    letter = Letter(
        message_id=message_id(row.kind, id, settings.id_domain()),
        sender_name=harmless(settings.sender_name),
        sender=settings.address,
        to_name=harmless(to.name),
        to=to.address,
        subject=said.subject,
        text=said.text,
        html=said.html,
        date_ms=now,
        headers=tuple(headers),
    )
    try:
        data = compose(letter)
    except (BadAddress, HeaderInjection) as error:
        log.error("letter.impossible", letter=id, contact=to.contact, error=str(error))
        return None
    return Outgoing(id, row.kind, to.address, letter.message_id, data, to.contact)
