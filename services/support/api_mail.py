"""The API's routes about mail: what waits in quarantine, mails to part or empty, letters to send again."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Path, Query, Response
from sqlalchemy import Connection, Engine, select

from services.support import acting, answers, bodies, quarantine, requests
from services.support.forgetting import erase
from services.support.saying import Nonsense, Unknown
from services.support.settings import SupportSettings
from services.support.severity import said_severity
from services.support.tables import letters
from shared.database import Clock, reading, writing
from shared.mail import letters as outbox

Number = Annotated[int, Path(ge=1, le=2**53)]
LetterId = Annotated[str, Path(max_length=300, pattern=r"^[!-~]+$")]


def add_mail(api: FastAPI, engine: Engine, settings: SupportSettings, clock: Clock, may: list[Any]) -> None:
    """Adds them."""
    _quarantine(api, engine, settings, clock, may)
    _messages(api, engine, settings, clock, may)
    _letters(api, engine, clock, may)


def _quarantine(
    api: FastAPI, engine: Engine, settings: SupportSettings, clock: Clock, may: list[Any]
) -> None:
    @api.get("/quarantine", dependencies=may, tags=["quarantine"])
    def waiting() -> list[answers.ShownMessage]:
        """Mails nobody vouches for, the oldest first, at most 500."""
        with reading(engine) as connection:
            return [answers.ShownMessage.model_validate(one) for one in quarantine.waiting(connection)]

    @api.post("/quarantine/{message}/release", dependencies=may, status_code=201, tags=["quarantine"])
    def release(message: Number, body: bodies.Release, response: Response) -> answers.ShownMessage:
        """A person vouches for the mail: it opens a request, or joins the one it is about. The clock starts
        when our server had the mail, not now."""
        with writing(engine) as connection:
            _, new = quarantine.release(
                connection,
                settings,
                message,
                body.contact,
                body.account,
                body.subscription,
                body.severity,
                body.ticket,
                clock,
            )
            response.status_code = 201 if new else 200
            return answers.ShownMessage.model_validate(acting.message_of(connection, message))

    @api.post("/quarantine/{message}/discard", dependencies=may, tags=["quarantine"])
    def discard(message: Number, body: bodies.Discard) -> answers.ShownMessage:
        """Nobody answers it, and why. It is kept, not deleted."""
        with writing(engine) as connection:
            quarantine.discard(connection, message, body.reason)
            return answers.ShownMessage.model_validate(acting.message_of(connection, message))


def _messages(api: FastAPI, engine: Engine, settings: SupportSettings, clock: Clock, may: list[Any]) -> None:
    @api.post("/messages/{message}/split", dependencies=may, status_code=201, tags=["requests"])
    def split(message: Number, body: bodies.Split, response: Response) -> answers.ShownTicket:
        """A mail in the thread of a request asks something else: it becomes a request of its own, received
        when that mail was."""
        with writing(engine) as connection:
            subject = acting.message_of(connection, message).subject or ""
            severity = body.severity or said_severity(subject, (), settings.address)
            ticket, new = acting.split(
                connection, settings, message, severity or settings.default_severity, clock
            )
            response.status_code = 201 if new else 200
            return answers.ShownTicket.model_validate(requests.request_of(connection, ticket, clock()))

    @api.delete("/messages/{message}", dependencies=may, tags=["people"])
    def empty(message: Number) -> answers.ShownErased:
        """Erases what a mail says and who wrote it; that there was one stays."""
        return answers.ShownErased(message=message, left_on_disk=not erase(engine, message))


def _letters(api: FastAPI, engine: Engine, clock: Clock, may: list[Any]) -> None:
    @api.get("/letters", dependencies=may, tags=["letters"])
    def listed(
        state: outbox.Standing | None = None, limit: Annotated[int, Query(ge=1, le=1_000)] = 100
    ) -> list[answers.ShownLetter]:
        """Letters, the newest first; of one state if named."""
        with reading(engine) as connection:
            found = outbox.listing(connection, letters, state, limit)
        return [answers.ShownLetter.model_validate(one) for one in found]

    @api.post("/letters/{letter:path}/resend", dependencies=may, tags=["letters"])
    def resend(letter: LetterId) -> answers.ShownLetter:
        """Sends a doubtful, refused or bounced letter (again). In doubt, the relay may have it already: then
        it arrives twice."""
        with writing(engine) as connection:
            if not outbox.resend(connection, letters, letter, clock):
                raise _cannot(connection, letter, "only doubtful, refused and bounced ones are sent again")
            return _letter(connection, letter)

    @api.post("/letters/{letter:path}/accepted", dependencies=may, tags=["letters"])
    def accepted(letter: LetterId) -> answers.ShownLetter:
        """A person found that the relay had this doubtful letter: it is not sent again."""
        with writing(engine) as connection:
            if not outbox.mark_accepted(connection, letters, letter, clock):
                raise _cannot(connection, letter, "only doubtful ones can be settled so")
            return _letter(connection, letter)


def _letter(connection: Connection, letter: str) -> answers.ShownLetter:
    found = connection.execute(select(letters).where(letters.c.id == letter)).one_or_none()
    if found is None:
        raise Unknown(f"no letter {letter}; `garant support letters` lists them")
    return answers.ShownLetter.model_validate(found)


def _cannot(connection: Connection, letter: str, why: str) -> Nonsense:
    return Nonsense(f"letter {letter} is {_letter(connection, letter).state}; {why}")
