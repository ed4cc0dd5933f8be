"""The HTTP API of notify: see letters and what waits, decide on those in doubt, forget someone.

Every route but health and metrics wants `Authorization: Bearer TOKEN`. Errors say what to do next.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Query
from sqlalchemy import Engine

from services.notify import answers, metrics
from services.notify.listings import Unknown, letter_of, letters_listed, waiting_listed
from services.notify.settings import TOKEN
from services.notify.tables import letters
from shared.database import Clock, reading, writing
from shared.http import Check, add_health, answer_errors, guarded, new_api
from shared.mail.letters import Standing, forget, mark_accepted, resend

Limit = Annotated[int, Query(ge=1, le=1_000)]


class NotNow(RuntimeError):
    """The letter's state does not allow it; the message says which does."""


def build_api(engine: Engine, token: str, clock: Clock, live: Check, ready: Check) -> FastAPI:
    """The application; `live` and `ready` answer /live and /ready."""
    api = new_api("Garant notify")
    answer_errors(api, {Unknown: 404, NotNow: 409})
    add_health(api, live, ready, metrics.REGISTRY)
    may = guarded(TOKEN, token)

    def shown(letter: str) -> answers.LetterWithText:
        with reading(engine) as connection:
            found, subject, text = letter_of(connection, letter)
        return answers.LetterWithText(**answers.told(found), subject=subject, text=text)

    @api.get("/letters", dependencies=may, tags=["letters"])
    def listed(
        state: Standing | None = None, account: str | None = None, limit: Limit = 100
    ) -> list[answers.Letter]:
        """Letters, the newest first."""
        with reading(engine) as connection:
            found = letters_listed(connection, state, account, limit)
        return [answers.Letter(**answers.told(one)) for one in found]

    @api.get("/letters/{letter:path}", dependencies=may, tags=["letters"])
    def one(letter: str) -> answers.LetterWithText:
        """One letter, with its text."""
        return shown(letter)

    @api.post("/letters/{letter:path}/resend", dependencies=may, tags=["needs a person"])
    def again(letter: str) -> answers.LetterWithText:
        """Sends a doubtful, refused or bounced letter (again)."""
        state = shown(letter).state
        with writing(engine) as connection:
            if not resend(connection, letters, letter, clock):
                raise NotNow(
                    f"letter {letter} is {state}; only a doubtful, refused or bounced one whose text is "
                    "still here can be sent again"
                )
        return shown(letter)

    @api.post("/letters/{letter:path}/accepted", dependencies=may, tags=["needs a person"])
    def accepted(letter: str) -> answers.LetterWithText:
        """Notes that the relay had a doubtful letter: it is not sent again."""
        state = shown(letter).state
        with writing(engine) as connection:
            if not mark_accepted(connection, letters, letter, clock):
                raise NotNow(f"letter {letter} is {state}; only a doubtful one needs a decision")
        return shown(letter)

    @api.get("/waiting", dependencies=may, tags=["letters"])
    def waiting(limit: Limit = 100) -> list[answers.Waiting]:
        """What is still to be written, the oldest first: also for want of anybody to write to."""
        with reading(engine) as connection:
            found = waiting_listed(connection, limit)
        return [answers.Waiting(**answers.told(each)) for each in found]

    @api.delete("/contacts/{contact}", dependencies=may, tags=["contacts"])
    def forgotten(contact: str) -> answers.Forgotten:
        """Erases recipient and text of every letter to the contact; what was not sent is not sent."""
        with writing(engine) as connection:
            number = forget(connection, letters, contact)
        return answers.Forgotten(contact=contact, letters=number)

    return api
