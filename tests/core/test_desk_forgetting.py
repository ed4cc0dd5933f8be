"""Forgetting a person: nothing is left of them in the database, and history gives the same bytes."""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from sqlalchemy import Engine, LargeBinary, String, Text, select

from services.cli.audit.replay import replay_lines
from services.support.settings import SupportSettings
from services.support.tables import PERSONAL, letters, messages, metadata, outbox, thread_ids, ticket_facts
from shared.codec import encode
from shared.database import reading, writing
from shared.time import format_instant
from tests.core.billing_books import started
from tests.core.desk_books import KINDS, NOW, SetClock, client, empty_desk, mail, served, subscribed

ADDRESS = "emilie.dupont@example.ch"
SECRETS = ("dupont", "émilie", "emilie", "panne", "imprimante", "r=c3=a9par=c3=a9", "rappel")
"""What may be left of her nowhere, in lower case."""
PERSON = {"account": "A-1", "addresses": [ADDRESS], "name": "Émilie Dupont", "language": "fr"}


@pytest.fixture
def clock() -> SetClock:
    return SetClock(NOW)


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with empty_desk(request.param, tmp_path) as found:
        yield found


@pytest.fixture
def http(engine: Engine, clock: SetClock) -> Iterator[httpx.Client]:
    with served(engine, clock, SupportSettings()) as url, client(url) as found:
        yield found


def correspondence(engine: Engine, http: httpx.Client) -> str:
    """A request with mails of hers and of staff, an answer, work and letters; its ticket."""
    subscribed(engine)
    http.put("/contacts/C-1", json=PERSON)
    number = mail(engine, ADDRESS, "Imprimante en panne", "Mon imprimante est en panne. É. Dupont")
    ticket = str(http.post(f"/quarantine/{number}/release", json={}).json()["ticket"])
    mail(engine, ADDRESS, "Re: Imprimante", "Rappel", state="threaded", ticket=ticket, contact="C-1")
    mail(engine, "staff@garant.example", "Re: Imprimante", "Bonjour Mme Dupont", state="staff", ticket=ticket)
    mail(engine, "mailer@example.ch", "Returned", f"<{ADDRESS}>: user unknown", state="bounce")
    mail(engine, ADDRESS, "Imprimante", "Rappel", state="discarded", reason="Mme Dupont a rappelé")
    assert (
        http.post(f"/tickets/{ticket}/response", json={"text": "C'est réparé, Mme Dupont."}).status_code
        == 201
    )
    http.post(f"/tickets/{ticket}/work", json={"minutes": 30})
    http.post(f"/tickets/{ticket}/kind", json={"kind": "account"})
    with writing(engine) as connection:
        connection.execute(letters.update().values(state="bounced", reason=f"5.1.1 <{ADDRESS}> unknown"))
    return ticket


def everything(engine: Engine) -> str:
    """Every value of every row, in lower case; mails as they were before they were compressed."""
    found = []
    with reading(engine) as connection:
        for table in metadata.sorted_tables:
            for row in connection.execute(select(table)):
                for value in row:
                    if isinstance(value, bytes | memoryview):
                        data = bytes(value)
                        found.append((zlib.decompress(data) if data[:1] == b"\x78" else data).decode())
                    else:
                        found.append(str(value))
    return "\n".join(found).lower()


def history(engine: Engine) -> bytes:
    """What was said, as a file to replay, behind the subscription it is about."""
    with reading(engine) as connection:
        rows = connection.execute(select(ticket_facts).join(outbox).order_by(ticket_facts.c.sequence)).all()
    sold = encode(started(price="12000.00"))
    lines = [b'{"recorded_at":"2025-01-01T00:00:00.000Z","fact":%s}' % sold]
    lines += [
        b'{"recorded_at":"%s","fact":%s}' % (format_instant(row.said_at).encode(), row.fact.encode())
        for row in rows
    ]
    return b"\n".join(lines) + b"\n"


def test_nothing_is_left_of_a_forgotten_person_but_ids_instants_and_facts(
    engine: Engine, http: httpx.Client
) -> None:
    ticket = correspondence(engine, http)
    for word in SECRETS:
        assert word in everything(engine), word
    said = history(engine)
    forgotten = http.delete("/contacts/C-1").json()
    assert forgotten == {
        "contact": "C-1",
        "addresses": 1,
        "messages": 5,
        "tickets": 1,
        "letters": 1,
        "mentioned": [],
        "left_on_disk": False,
    }
    left = everything(engine)
    for word in SECRETS:
        assert word not in left, word
    assert history(engine) == said
    shown = http.get(f"/tickets/{ticket}").json()
    assert (shown["contact"], shown["subject"], shown["work"][0]["minutes"]) == ("C-1", None, 30)
    assert http.get("/contacts/C-1").status_code == 404
    assert http.get("/accounts/A-1/letters-to").json() == []


def test_no_byte_of_a_forgotten_person_is_left_in_the_file(tmp_path: Path, clock: SetClock) -> None:
    with empty_desk("sqlite", tmp_path) as engine, served(engine, clock) as url, client(url) as http:
        correspondence(engine, http)
        for number in range(30):  # pages that fill and split keep old bytes about
            mail(engine, ADDRESS, f"Imprimante {number}", "panne " * 500, contact="C-1")
        files = sorted(tmp_path.glob("billing.db*"))
        assert any(ADDRESS.encode() in file.read_bytes() for file in files)
        assert http.delete("/contacts/C-1").json()["left_on_disk"] is False
        for file in sorted(tmp_path.glob("billing.db*")):
            data = file.read_bytes().lower()
            for word in SECRETS:
                assert word.encode() not in data, (file.name, word)


def test_a_reader_that_holds_old_pages_is_told_of_and_forgetting_again_clears_them(
    tmp_path: Path, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.support.forgetting._PATIENCE_S", 0.2)
    with empty_desk("sqlite", tmp_path) as engine, served(engine, clock) as url, client(url) as http:
        correspondence(engine, http)
        with reading(engine) as connection:
            connection.execute(select(messages.c.message)).all()
            assert http.delete("/contacts/C-1").json()["left_on_disk"] is True
        again = http.delete("/contacts/C-1").json()
        assert (again["left_on_disk"], again["messages"], again["letters"]) == (False, 0, 0)
        for file in sorted(tmp_path.glob("billing.db*")):
            assert b"dupont" not in file.read_bytes().lower(), file.name


def test_history_replays_to_the_same_bytes_after_forgetting(engine: Engine, http: httpx.Client) -> None:
    correspondence(engine, http)
    before = list(replay_lines(io.BytesIO(history(engine))))
    http.delete("/contacts/C-1")
    assert list(replay_lines(io.BytesIO(history(engine)))) == before
    names = {msgspec.json.decode(one)["type"] for one in before}
    assert names >= {"QuotaOpened", "ResponseDue", "ResponseMet", "QuotaUsed"}


def test_every_personal_column_of_the_schema_is_emptied(engine: Engine, http: httpx.Client) -> None:
    correspondence(engine, http)
    http.delete("/contacts/C-1")
    with reading(engine) as connection:
        for table, columns in PERSONAL.items():
            for column in columns:
                values = connection.execute(select(metadata.tables[table].c[column])).scalars()
                assert set(values) <= {None}, (table, column)


def test_forgetting_leaves_others_alone_and_names_their_mails_that_mention_the_person(
    engine: Engine, http: httpx.Client
) -> None:
    correspondence(engine, http)
    http.put("/contacts/C-2", json={**PERSON, "addresses": ["beat@example.ch"], "name": "Beat Egli"})
    beat = {"contact": "C-2", "sender_name": "Beat Egli"}
    number = mail(engine, "beat@example.ch", "Export", f"Kopie an {ADDRESS}", **beat)
    other = mail(engine, "beat@example.ch", "Export", "Wo?", **beat)
    assert http.delete("/contacts/C-1").json()["mentioned"] == [number]
    texts = {one["message"]: one["text"] for one in http.get("/quarantine").json()}
    assert texts == {number: f"Kopie an {ADDRESS}", other: "Wo?"}
    assert http.get("/contacts/C-2").json()["name"] == "Beat Egli"
    assert http.delete(f"/messages/{number}").json() == {"message": number, "left_on_disk": False}
    assert "dupont" not in everything(engine)
    assert http.delete("/messages/999").status_code == 404


def test_somebody_who_is_no_contact_is_forgotten_by_the_address(engine: Engine, http: httpx.Client) -> None:
    number = mail(engine, ADDRESS, "Imprimante en panne", "Rappel")
    ticket = http.post(f"/quarantine/{number}/release", json={}).json()["ticket"]
    assert http.post(f"/tickets/{ticket}/response", json={"text": "C'est réparé."}).status_code == 201
    found = http.delete(f"/senders/{ADDRESS.upper()}").json()
    assert (found["messages"], found["tickets"], found["letters"]) == (1, 1, 1)
    left = everything(engine)
    for word in SECRETS:
        assert word not in left, word
    http.put("/contacts/C-1", json=PERSON)
    refused = http.delete(f"/senders/{ADDRESS}")
    assert (refused.status_code, "C-1" in refused.json()["detail"]) == (422, True)


def test_nobody_is_written_to_once_forgotten_and_who_never_was_is_a_404(
    engine: Engine, http: httpx.Client
) -> None:
    ticket = correspondence(engine, http)
    with writing(engine) as connection:
        connection.execute(letters.update().values(state="waiting"))
    http.delete("/contacts/C-1")
    assert [one["state"] for one in http.get("/letters").json()] == ["forgotten"]
    refused = http.post(f"/tickets/{ticket}/response", json={"text": "Encore ?"})
    assert (refused.status_code, "nobody is known" in refused.json()["detail"]) == (422, True)
    assert http.post(f"/tickets/{ticket}/close", json={}).status_code == 201
    assert http.put("/contacts/C-1", json=PERSON).status_code == 409
    assert http.delete("/contacts/C-9").status_code == 404


def test_a_reply_still_finds_the_request_of_a_forgotten_person(engine: Engine, http: httpx.Client) -> None:
    ticket = correspondence(engine, http)
    with reading(engine) as connection:
        before = connection.execute(select(thread_ids.c.digest)).all()
    http.delete("/contacts/C-1")
    with reading(engine) as connection:
        assert connection.execute(select(thread_ids.c.digest)).all() == before
        assert set(connection.execute(select(thread_ids.c.ticket)).scalars()) == {ticket}


def test_no_column_that_could_hold_somebodys_words_is_overlooked() -> None:
    """A column of text or bytes is personal, or is known to hold ids and words of our own."""
    ours = {
        "contacts": {"contact", "account", "subscription", "language"},
        "addresses": {"contact"},
        "messages": {"mailbox", "raw_digest", "content_digest", "state", "reason", "ticket", "contact"},
        "letters": {"id", "purpose", "contact", "message_id", "state", "reason", "copy_to"},
        "tickets": {
            "ticket",
            "account",
            "subscription",
            "contact",
            "language",
            "origin",
            "severity",
            "kind",
            "status",
            "response",
        },
        "ticket_facts": {"ticket", "idempotency_key", "fact"},
        "work_entries": {"ticket", "entry"},
        "thread_ids": {"digest", "ticket"},
        "mailbox_positions": {"mailbox"},
        "counters": {"name"},
        "positions": {"place"},
        "zammad_tickets": {"ticket"},
        "quotas": {"subscription", "account", "warned"},
        "subscriptions": {"subscription", "account", "language"},
    }
    for name, table in metadata.tables.items():
        words: set[Any] = {
            column.name for column in table.columns if isinstance(column.type, String | Text | LargeBinary)
        }
        assert words <= set(PERSONAL.get(name, ())) | ours.get(name, set()), name
