"""The API's routes about requests: open, say what happened, look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Path, Query, Response
from sqlalchemy import Connection, Engine

from services.support import acting, answers, bodies, requests
from services.support.replying import reply
from services.support.saying import Opening, open_request, say
from services.support.settings import SupportSettings
from services.support.worklist import worklist
from shared import facts
from shared.database import Clock, reading, writing
from shared.http import Key
from shared.time import Instant

TicketId = Annotated[str, Path(pattern=bodies.ID)]
AccountQuery = Annotated[str | None, Query(pattern=bodies.ID)]
_Answer = answers.ShownTicket


def add_tickets(
    api: FastAPI, engine: Engine, settings: SupportSettings, clock: Clock, may: list[Any]
) -> None:
    """Adds them. Each that says something answers 201 where it was new, 200 where it was said before."""
    _opening(api, engine, settings, clock, may)
    _saying(api, engine, settings, clock, may)
    _work(api, engine, clock, may)
    _looking(api, engine, clock, may)


def _opening(api: FastAPI, engine: Engine, settings: SupportSettings, clock: Clock, may: list[Any]) -> None:
    @api.post("/tickets", dependencies=may, status_code=201, tags=["requests"])
    def open_(body: bodies.Open, response: Response, key: Key = None) -> _Answer:
        """Opens a request. Its clock starts at `received_at`."""
        with writing(engine) as connection:
            person, language = acting.asked_by(
                connection, body.account, body.contact, settings.default_language
            )
            opening = Opening(
                body.account,
                body.subscription,
                body.severity,
                body.kind,
                clock() if body.received_at is None else body.received_at,
                language,
                "api",
                body.contact,
                body.subject,
                body.ticket,
            )
            acknowledge = body.acknowledge and person is not None
            ticket, new = open_request(connection, opening, clock, key, acknowledge=acknowledge)
            return _shown(connection, ticket, clock, response, new)

    @api.post("/tickets/{ticket}/assign", dependencies=may, status_code=201, tags=["requests"])
    def assign(ticket: TicketId, body: bodies.Assign, response: Response) -> _Answer:
        """Opens it anew for the account it is of, as received when it was, and withdraws this one: facts keep
        the account they were said of. Answers with the new request."""
        with writing(engine) as connection:
            found, new = acting.assign(
                connection, settings, ticket, body.account, body.subscription, body.contact, clock
            )
            return _shown(connection, found, clock, response, new)


def _saying(api: FastAPI, engine: Engine, settings: SupportSettings, clock: Clock, may: list[Any]) -> None:
    def said(
        ticket: str,
        response: Response,
        key: str | None,
        fact: Callable[[str, Instant], facts.TicketFact],
        at: int | None,
    ) -> _Answer:
        with writing(engine) as connection:
            account = acting.locked(connection, ticket).account
            new = say(connection, fact(account, Instant(clock() if at is None else at)), clock, key)
            return _shown(connection, ticket, clock, response, new)

    @api.post("/tickets/{ticket}/kind", dependencies=may, status_code=201, tags=["requests"])
    def classify(ticket: TicketId, body: bodies.Classify, response: Response, key: Key = None) -> _Answer:
        """Says what kind of request it is; all work on it goes along."""
        return said(
            ticket, response, key, lambda a, at: facts.RequestClassified(a, ticket, body.kind, at), body.at
        )

    @api.post("/tickets/{ticket}/severity", dependencies=may, status_code=201, tags=["requests"])
    def severity(
        ticket: TicketId, body: bodies.ChangeSeverity, response: Response, key: Key = None
    ) -> _Answer:
        """Changes how bad it is."""
        return said(
            ticket, response, key, lambda a, at: facts.SeverityChanged(a, ticket, body.severity, at), body.at
        )

    @api.post("/tickets/{ticket}/response", dependencies=may, status_code=201, tags=["requests"])
    def respond(ticket: TicketId, body: bodies.Respond, response: Response, key: Key = None) -> _Answer:
        """A person answers: with a text it is mailed, without one only the fact is stated. Of several the
        earliest counts. The same text goes out once, or once for each key."""
        with writing(engine) as connection:
            if body.text is not None:
                new = reply(connection, settings, ticket, body.text, clock, key)
            else:
                new = acting.respond(connection, ticket, body.at, clock, key)
            return _shown(connection, ticket, clock, response, new)

    @api.post("/tickets/{ticket}/close", dependencies=may, status_code=201, tags=["requests"])
    def close(ticket: TicketId, body: bodies.At, response: Response, key: Key = None) -> _Answer:
        """Closes it. Closing is no response: unanswered, it goes on waiting for one."""
        return said(ticket, response, key, lambda a, at: facts.RequestClosed(a, ticket, at), body.at)

    @api.post("/tickets/{ticket}/reopen", dependencies=may, status_code=201, tags=["requests"])
    def reopen(ticket: TicketId, body: bodies.At, response: Response, key: Key = None) -> _Answer:
        """Opens it again; no new wait begins."""
        return said(ticket, response, key, lambda a, at: facts.RequestReopened(a, ticket, at), body.at)

    @api.post("/tickets/{ticket}/withdraw", dependencies=may, status_code=201, tags=["requests"])
    def withdraw(ticket: TicketId, body: bodies.At, response: Response, key: Key = None) -> _Answer:
        """The customer takes it back, or it was none: nothing is awaited any more."""
        return said(ticket, response, key, lambda a, at: facts.RequestWithdrawn(a, ticket, at), body.at)


def _work(api: FastAPI, engine: Engine, clock: Clock, may: list[Any]) -> None:
    @api.post("/tickets/{ticket}/work", dependencies=may, status_code=201, tags=["work"])
    def log_work(
        ticket: TicketId, body: bodies.LogWork, response: Response, key: Key = None
    ) -> answers.ShownLogged:
        """Logs minutes of work. Without an entry or a key each call is work of its own."""
        with writing(engine) as connection:
            entry, new = acting.log_work(connection, ticket, body.entry, body.minutes, body.at, clock, key)
            shown = _shown(connection, ticket, clock, response, new)
            return answers.ShownLogged(entry=entry, **shown.model_dump())

    @api.post("/tickets/{ticket}/work/corrections", dependencies=may, status_code=201, tags=["work"])
    def correct(
        ticket: TicketId, body: bodies.CorrectWork, response: Response, key: Key = None
    ) -> answers.ShownLogged:
        """Replaces an entry, minutes and date. To take it back, correct it to 0 minutes."""
        with writing(engine) as connection:
            new = acting.correct_work(connection, ticket, body.entry, body.minutes, body.at, clock, key)
            shown = _shown(connection, ticket, clock, response, new)
            return answers.ShownLogged(entry=body.entry, **shown.model_dump())


def _looking(api: FastAPI, engine: Engine, clock: Clock, may: list[Any]) -> None:
    @api.get("/tickets", dependencies=may, tags=["requests"])
    def listed(
        status: Literal["open", "closed", "withdrawn"] | None = None,
        account: AccountQuery = None,
        subscription: AccountQuery = None,
        limit: Annotated[int, Query(ge=1, le=1_000)] = 100,
    ) -> list[_Answer]:
        """Requests that match everything given, the newest received first."""
        with reading(engine) as connection:
            found = requests.listed(
                connection, clock(), account=account, subscription=subscription, status=status, limit=limit
            )
        return [_Answer.model_validate(one) for one in found]

    @api.get("/tickets/{ticket}", dependencies=may, tags=["requests"])
    def shown(ticket: TicketId) -> answers.ShownThread:
        """One request: how it stands, its work, what was said, its mails and letters."""
        with reading(engine) as connection:
            return thread(requests.about(connection, ticket, clock()))

    @api.get("/worklist", dependencies=may, tags=["work list"])
    def work_list() -> answers.ShownWorklist:
        """What is due next, at-risk and overdue ones first; quota left; what waits for a person."""
        with reading(engine) as connection:
            return answers.ShownWorklist.model_validate(worklist(connection, clock()))


def thread(found: requests.About) -> answers.ShownThread:
    """The request with everything about it, as it is answered."""
    return answers.ShownThread(
        **_Answer.model_validate(found.request).model_dump(),
        work=[answers.ShownWork.model_validate(one) for one in found.work],
        facts=[answers.ShownFact.model_validate(one) for one in found.facts],
        messages=[answers.ShownMessage.model_validate(one) for one in found.messages],
        letters=[answers.ShownWritten.model_validate(one) for one in found.letters],
    )


def _shown(connection: Connection, ticket: str, clock: Clock, response: Response, new: bool) -> _Answer:
    response.status_code = 201 if new else 200
    return _Answer.model_validate(requests.request_of(connection, ticket, clock()))
