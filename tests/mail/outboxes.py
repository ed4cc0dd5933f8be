"""For the tests of shared.mail: an empty outbox on each kind of database, letters, a certificate."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, MetaData

from shared.database import Keeping, open_engine, wall_clock, writing
from shared.mail.composing import Letter, compose, message_id
from shared.mail.outbox import Outgoing, letters_table, put
from tests.core.billing_books import empty_url

FROM, COPY, ANNA = "support@garant.example", "copies@garant.example", "anna@demo.example"
metadata = MetaData()
letters = letters_table(metadata)


def open_outbox(url: str) -> Engine:
    """The engine of an outbox whose table is there."""
    return open_engine(url, Keeping("outbox", "GARANT_TEST", Path(), "letters"))


@contextmanager
def empty_outbox(kind: str, directory: Path) -> Iterator[Engine]:
    """An outbox of `kind` that nobody has used."""
    with empty_url(kind, directory) as url:
        engine = open_outbox(url)
        metadata.create_all(engine)
        yield engine
        engine.dispose()


def letter(name: str, to: str = ANNA, contact: str | None = "anna", text: str = "Hello.") -> Outgoing:
    """A letter about `name`."""
    written = Letter(
        message_id=message_id("letter", name, "garant.example"),
        sender_name="Garant",
        sender=FROM,
        to_name="",
        to=to,
        subject=f"About {name}",
        text=text,
        date_ms=1_700_000_000_000,
    )
    return Outgoing(f"letter/{name}", "letter", to, written.message_id, compose(written), contact)


def put_all(engine: Engine, *outgoing: Outgoing) -> None:
    """Puts them into the outbox, in one transaction."""
    with writing(engine) as connection:
        for one in outgoing:
            put(connection, letters, one, wall_clock)


def own_certificate(cert: Path) -> Path:
    """Makes a certificate for localhost, signed by itself; where its key is."""
    key = cert.with_suffix(".key")
    new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    made = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(cert)]
    subprocess.run([*new, *made], check=True, capture_output=True)
    return key
