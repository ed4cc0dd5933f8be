"""`garant forget CONTACT`: erases a person wherever this installation keeps personal data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from services.notify.settings import TOKEN as NOTIFY
from services.notify.settings import NotifySettings
from services.support.settings import TOKEN as SUPPORT
from services.support.settings import SupportSettings
from shared.calling import Refused, Service, part
from shared.errors import NeedsAPerson
from shared.tokens import NoToken

_PATIENCE_S = 600
"""A large SQLite file is written anew."""


class NotForgotten(NeedsAPerson):
    """A service did not erase the person; the message says which, and to run it again."""


def forget(
    contact: Annotated[
        str, typer.Argument(metavar="CONTACT", help="A contact, or the address of somebody who is none.")
    ],
) -> None:
    """Forget a person: name, addresses, mails and letters are erased; facts hold ids only and stay.

    Mails still in the mailbox itself, and backups, are yours to erase.
    """
    support, notify = SupportSettings(), NotifySettings()
    kind = "senders" if "@" in contact else "contacts"
    path = f"/{kind}/{part(contact)}"
    failed = _asked(Service(SUPPORT, support.token, support.service_url()), path, _of_support)
    if kind == "contacts":  # notify writes to contacts only
        failed += _asked(Service(NOTIFY, notify.token, notify.service_url()), path, _of_notify)
    if failed:
        raise NotForgotten(
            "; ".join(failed) + ". What was erased stays erased: run it again once that is mended."
        )


def _asked(service: Service, path: str, say: Callable[[dict[str, Any]], str | None]) -> list[str]:
    """Asks one service, prints what it erased; why it did not, if so."""
    try:
        wrong = say(service.call("DELETE", path, patience_s=_PATIENCE_S).json())
    except (Refused, NoToken, ValueError) as error:
        return [f"{service.token.service}: {str(error).rstrip('.')}"]
    return [f"{service.token.service}: {wrong}"] if wrong else []


def _of_support(found: dict[str, Any]) -> str | None:
    typer.echo(
        f"support: erased {found['addresses']} addresses, {found['messages']} mails, "
        f"{found['letters']} letters and {found['tickets']} subjects"
    )
    if found["mentioned"]:
        numbers = ", ".join(str(one) for one in found["mentioned"])
        typer.echo(
            f"support: other people's mails name this person: {numbers}. Look, and erase those that must go: "
            "garant support erase MESSAGE"
        )
    return (
        "old bytes are still in the database's file, somebody was reading it"
        if found["left_on_disk"]
        else None
    )


def _of_notify(found: dict[str, Any]) -> str | None:
    counts = ", ".join(
        f"{value} {name}"
        for name, value in found.items()
        if isinstance(value, int) and not isinstance(value, bool)
    )
    typer.echo(f"notify: erased {counts or 'what there was'}")
    return None
