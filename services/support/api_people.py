"""The API's routes about people: contacts, who an account's letters go to, forgetting."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from fastapi import FastAPI, Path, Query, Response
from sqlalchemy import Engine

from services.support import answers, bodies, contacts, forgetting
from shared.database import Clock, reading, writing

ContactId = Annotated[str, Path(pattern=bodies.ID)]
AccountId = Annotated[str, Path(pattern=bodies.ID)]


def add_people(api: FastAPI, engine: Engine, clock: Clock, may: list[Any]) -> None:
    """Adds them."""

    @api.put("/contacts/{contact}", dependencies=may, status_code=201, tags=["people"])
    def put(contact: ContactId, body: bodies.PutContact, response: Response) -> answers.ShownContact:
        """Makes the contact what is sent, addresses and all: 201 where it is new, 200 where it was known."""
        wanted = contacts.Contact(
            contact,
            body.account,
            tuple(body.addresses),
            body.name,
            body.language,
            body.letters,
            body.subscription,
        )
        with writing(engine) as connection:
            new = contacts.put(connection, wanted, clock)
            found = contacts.find(connection, contact)
        response.status_code = 201 if new else 200
        return answers.ShownContact.model_validate(msgspec.to_builtins(found))

    @api.get("/contacts", dependencies=may, tags=["people"])
    def listed(
        account: Annotated[str | None, Query(pattern=bodies.ID)] = None,
    ) -> list[answers.ShownContact]:
        """Every contact, or an account's; without those who were forgotten."""
        with reading(engine) as connection:
            found = contacts.listed(connection, account)
        return [answers.ShownContact.model_validate(msgspec.to_builtins(one)) for one in found]

    @api.get("/contacts/{contact}", dependencies=may, tags=["people"])
    def shown(contact: ContactId) -> answers.ShownContact:
        """One contact."""
        with reading(engine) as connection:
            return answers.ShownContact.model_validate(
                msgspec.to_builtins(contacts.find(connection, contact))
            )

    @api.delete("/contacts/{contact}", dependencies=may, tags=["people"])
    def forget(contact: ContactId) -> answers.ShownForgotten:
        """Forgets a person: name, addresses, mails, letters. Facts hold ids only and stay as they are. Said
        again it erases what has come since."""
        return answers.ShownForgotten.model_validate(
            msgspec.to_builtins(forgetting.forget(engine, contact, clock))
        )

    @api.delete("/senders/{address}", dependencies=may, tags=["people"])
    def forget_sender(
        address: Annotated[str, Path(max_length=254, pattern=r"^[!-~]+@[!-~]+$")],
    ) -> answers.ShownForgotten:
        """Forgets somebody who wrote from this address and is no contact."""
        return answers.ShownForgotten.model_validate(
            msgspec.to_builtins(forgetting.forget_sender(engine, address, clock))
        )

    @api.get("/accounts/{account}/letters-to", dependencies=may, tags=["people"])
    def letters_to(account: AccountId) -> list[answers.ShownRecipient]:
        """Who an account's warnings and notices go to."""
        with reading(engine) as connection:
            found = contacts.letters_to(connection, account)
        return [
            answers.ShownRecipient(
                contact=one.contact, name=one.name, address=one.addresses[0], language=one.language
            )
            for one in found
        ]
