"""`garant forget CONTACT`: erases a person wherever this installation keeps personal data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import quote

import httpx
import typer
from pydantic import SecretStr

from services.notify.settings import TOKEN as NOTIFY
from services.notify.settings import NotifySettings
from services.support.settings import TOKEN as SUPPORT
from services.support.settings import SupportSettings
from shared.errors import NeedsAPerson
from shared.settings import HomeSettings
from shared.tokens import NoToken, Token, caller_token

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
    url = support.url.rstrip("/") or f"http://127.0.0.1:{support.port}"
    failed = _asked("support", SUPPORT, support.token, f"{url}/{kind}/{quote(contact, safe='')}", _of_support)
    if kind == "contacts":  # notify writes to contacts only
        url = notify.url.rstrip("/") or f"http://127.0.0.1:{notify.port}"
        failed += _asked(
            "notify", NOTIFY, notify.token, f"{url}/contacts/{quote(contact, safe='')}", _of_notify
        )
    if failed:
        raise NotForgotten(
            "; ".join(failed) + ". What was erased stays erased: run it again once that is mended."
        )


def _asked(
    service: str, token: Token, given: SecretStr, url: str, say: Callable[[dict[str, Any]], str | None]
) -> list[str]:
    """Asks one service, prints what it erased; why it did not, if so."""
    try:
        shown = caller_token(token, given, HomeSettings().home)
        answer = httpx.delete(
            url, headers={"Authorization": f"Bearer {shown}"}, timeout=_PATIENCE_S, trust_env=False
        )
        found = answer.json()
    except NoToken as error:
        return [str(error).rstrip(".")]
    except (httpx.HTTPError, ValueError) as error:
        return [f"{service} does not answer ({error or type(error).__name__})"]
    if answer.is_error or not isinstance(found, dict):
        detail = found.get("detail", answer.status_code) if isinstance(found, dict) else answer.status_code
        return [f"{service}: {detail}"]
    wrong = say(found)
    return [f"{service}: {wrong}"] if wrong else []


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
