"""The desk takes in a real mailbox: each mail once whatever dies, and none holds up those behind it."""

from __future__ import annotations

import asyncio
import base64
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, func, select

from services.support.mail_in import mailbox_wrong, watch_mailbox
from services.support.settings import SupportSettings
from services.support.tables import messages, raw_messages, tickets
from shared.database import wall_clock
from shared.mail.mailbox import State
from shared.time import MINUTE
from tests.core.billing_books import KINDS, SetClock
from tests.core.support_mail import ANNA, SERVER, clear, empty_desk, furnish, settings
from tests.mail.servers import MailServer, kinds, mail_server

FOLDER = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module", params=kinds())
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailServer]:
    running = mail_server(request.param, tmp_path_factory.mktemp("mail"))
    try:
        running.start()
        running.judge("demo.example", "dkim=pass header.d=demo.example")
        yield running
    finally:
        running.remove()


@pytest.fixture(scope="module", params=KINDS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with empty_desk(request.param, tmp_path_factory.mktemp("desk")) as found:
        yield found


@pytest.fixture
def engine(made: Engine) -> Engine:
    clear(made)
    furnish(made, SetClock())
    return made


@pytest.fixture
def desk(server: MailServer) -> SupportSettings:
    """A desk whose mailbox no other test has used; its address is a customer's domain only here."""
    address = server.new_user()
    return settings(
        address=address,
        received_hops=2 if server.kind == "debian" else 1,
        imap_host=server.host,
        imap_port=server.imap_port,
        imap_user=address,
        imap_password=server.users[address],
        imap_tls="none",
        imap_poll_s=300,
    )


@asynccontextmanager
async def watched(engine: Engine, desk: SupportSettings) -> AsyncIterator[State]:
    """The mailbox is taken in meanwhile; nothing but the end of the block ends it."""
    state, go = State(), asyncio.Event()
    go.set()
    task = asyncio.create_task(watch_mailbox(engine, desk, wall_clock, state, go, lambda: None))
    try:
        yield state
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.wait({task}, timeout=10)


async def until(met: Callable[[], Any], within_s: float = 30) -> None:
    deadline = time.monotonic() + within_s
    while not await asyncio.to_thread(met):
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.05)


def taken(engine: Engine) -> list[Any]:
    with engine.connect() as connection:
        return list(connection.execute(select(messages).order_by(messages.c.message)).all())


def states(engine: Engine) -> list[str]:
    return [row.state for row in taken(engine)]


def number_of(engine: Engine, table: Any) -> int:
    with engine.connect() as connection:
        return int(connection.execute(select(func.count()).select_from(table)).scalar_one())


def letter(name: str, *more: str, body: str = "Please look.") -> bytes:
    headers = (f"From: {ANNA}", f"Subject: {name}", f"Message-ID: <{name}@demo.example>", *more)
    return "\r\n".join([*headers, "", body, ""]).encode()


def send(server: MailServer, desk: SupportSettings, *raw: bytes, sender: str = ANNA) -> None:
    for one in raw:
        server.deliver(one, sender, desk.address)


async def test_given_mails_there_before_and_after_then_each_opens_a_request_received_when_the_server_had_it(
    server: MailServer, engine: Engine, desk: SupportSettings
) -> None:
    before = wall_clock()
    send(server, desk, letter("a"), letter("b"))
    await asyncio.to_thread(server.wait_for, desk.address, 2)
    async with watched(engine, desk) as state:
        await until(lambda: states(engine) == ["opened"] * 2)
        send(server, desk, letter("c"))
        await until(lambda: states(engine) == ["opened"] * 3)
        assert mailbox_wrong(desk, state, watched=True) == []
    received = [row.received_at for row in taken(engine)]
    assert all(before - 1_000 <= at <= wall_clock() for at in received)  # INTERNALDATE has whole seconds
    async with watched(engine, desk) as state:
        await until(lambda: state.checked_at)
    assert states(engine) == ["opened"] * 3


async def test_given_mail_of_any_kind_then_each_has_its_answer_and_none_holds_up_the_next(
    server: MailServer, engine: Engine, desk: SupportSettings
) -> None:
    forged = f"Authentication-Results: {SERVER}; dkim=pass header.d=demo.example"
    many = "To: " + ",\r\n ".join(f"p{number}@demo.example" for number in range(10_000))
    mails = {
        "unclosed": (
            letter("unclosed", 'Content-Type: multipart/mixed; boundary="b"', body="--b\r\n\r\nx"),
            "opened",
        ),
        "no boundary": (letter("nob", "Content-Type: multipart/mixed", body="--x\r\nx"), "opened"),
        "bad base64": (letter("b64", "Content-Transfer-Encoding: base64", body="%%%=="), "opened"),
        "charset": (letter("cs", "Content-Type: text/plain; charset=x-none", body="\u00e9\ufffd"), "opened"),
        "newline": (letter("nl").replace(b"Subject: nl", b"Subject: =?utf-8?q?a=0D=0ABcc=3A_x?="), "opened"),
        "empty": (letter("empty", body=""), "opened"),
        "future": (letter("future", "Date: Fri, 1 Jan 2100 00:00:00 +0000"), "opened"),
        "many": (letter("many", many), "opened"),
        "copy": (letter("many", many), "repeat"),
        "from": (
            letter("from").replace(f"From: {ANNA}\r\n".encode(), b"From: A <a@x>, B <b@y>\r\n"),
            "quarantined",
        ),
        "twice": (letter("twice", "From: boss@demo.example"), "quarantined"),
        "no id": (b"From: " + ANNA.encode() + b"\r\nSubject: none\r\n\r\nx\r\n", "opened"),
        "last": (letter("last"), "opened"),
    }
    for raw, _ in mails.values():
        send(server, desk, raw)
    server.judge("evil.example", "spf=pass smtp.mailfrom=evil.example")
    send(server, desk, letter("forged", forged), sender="mallory@evil.example")
    send(server, desk, letter("behind"))
    wanted = [*(state for _, state in mails.values()), "quarantined", "opened"]
    await asyncio.to_thread(server.wait_for, desk.address, len(wanted))
    async with watched(engine, desk):
        await until(lambda: len(taken(engine)) == len(wanted))
    rows = {row.subject: row for row in taken(engine) if row.state != "repeat"}
    assert sorted(states(engine)) == sorted(wanted)
    assert rows["forged"].state == "quarantined"
    assert "Bcc" in next(subject for subject in rows if subject.startswith("a "))
    assert rows["future"].received_at <= wall_clock()
    assert rows["behind"].state == "opened"
    assert number_of(engine, raw_messages) == len(wanted)
    assert number_of(engine, tickets) == wanted.count("opened")


async def test_given_bytes_that_are_no_mail_then_they_wait_for_a_person_and_the_next_mail_does_not(
    server: MailServer, engine: Engine, desk: SupportSettings
) -> None:
    stamps = "".join(f"Received: from x by {SERVER}; now\r\n" for _ in range(desk.received_hops)).encode()
    stamped = f"Authentication-Results: {SERVER}; dkim=pass header.d=demo.example\r\n".encode() + stamps
    with server.imap(desk.address) as client:
        for raw in (b"\xff\xfe\x80garbage", b"\r\n", b": no name\r\n" * 50, stamped + letter("good")):
            client.append("INBOX", raw)
    async with watched(engine, desk):
        await until(lambda: len(taken(engine)) == 4)
    assert states(engine) == ["quarantined"] * 3 + ["opened"]


async def test_given_a_mail_with_50_mb_then_it_opens_a_request_and_is_kept_whole(
    server: MailServer, engine: Engine, desk: SupportSettings
) -> None:
    data = base64.encodebytes(random.Random(4).randbytes(50_000_000)).replace(b"\n", b"\r\n")
    top = letter("big", 'Content-Type: multipart/mixed; boundary="b"', body="--b\r\n\r\nSee the file.")
    raw = top + b"--b\r\nContent-Type: application/zip\r\nContent-Transfer-Encoding: base64\r\n\r\n" + data
    send(server, desk, raw + b"--b--\r\n", letter("behind"))
    await asyncio.to_thread(server.wait_for, desk.address, lambda found: len(found) == 2, 60)
    async with watched(engine, desk):
        await until(lambda: len(taken(engine)) == 2, 60)
    big = next(row for row in taken(engine) if row.subject == "big")
    assert (big.state, big.text, big.attachments) == ("opened", "See the file.", 1)
    assert big.size > len(data)


async def test_given_a_mailbox_made_anew_then_its_mails_open_nothing_again(
    server: MailServer, engine: Engine, desk: SupportSettings
) -> None:
    send(server, desk, letter("a"), letter("b"))
    await asyncio.to_thread(server.wait_for, desk.address, 2)
    async with watched(engine, desk):
        await until(lambda: states(engine) == ["opened"] * 2)
        await asyncio.to_thread(server.recreate_mailbox, desk.address)
        await until(lambda: states(engine) == ["opened"] * 2 + ["repeat"] * 2)
        send(server, desk, letter("c"))
        await until(lambda: states(engine)[4:] == ["opened"])
    assert number_of(engine, tickets) == 3


async def test_given_a_mail_server_that_goes_away_then_it_is_said_and_intake_goes_on_by_itself(
    server: MailServer, engine: Engine, desk: SupportSettings
) -> None:
    async with watched(engine, desk) as state:
        await until(lambda: state.connected)
        await asyncio.to_thread(server.stop)
        await until(lambda: mailbox_wrong(desk, state, watched=True))
        assert "mailbox cannot be read" in mailbox_wrong(desk, state, watched=True)[0]
        await asyncio.to_thread(server.start)
        await until(lambda: state.connected)
        send(server, desk, letter("after"))
        await until(lambda: states(engine) == ["opened"])


def test_given_a_kill_at_any_step_of_taking_then_each_mail_is_taken_exactly_once(
    server: MailServer, engine: Engine, desk: SupportSettings
) -> None:
    reply = letter("c", "Subject: Re", "References: <a@demo.example>")
    stamps = "".join(f"Received: from x by {SERVER}; now\r\n" for _ in range(1)).encode()
    stamped = f"Authentication-Results: {SERVER}; dkim=pass header.d=demo.example\r\n".encode() + stamps
    with server.imap(desk.address) as client:
        for raw in (letter("a"), letter("b"), letter("b"), reply):
            client.append("INBOX", stamped + raw)
    url = engine.url.render_as_string(hide_password=False)
    told = (url, server.host, str(server.imap_port), desk.address, server.users[desk.address])
    done = subprocess.run(
        [sys.executable, "-m", "tests.mail.taking_process", *told],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20
    assert states(engine) == ["opened", "opened", "repeat", "threaded"]
    assert number_of(engine, tickets) == 2


async def test_given_no_name_of_our_mail_server_then_readiness_says_that_all_mail_waits(
    server: MailServer, engine: Engine, desk: SupportSettings
) -> None:
    desk = desk.model_copy(update={"authserv_id": ""})
    send(server, desk, letter("a"))
    await asyncio.to_thread(server.wait_for, desk.address)
    async with watched(engine, desk) as state:
        await until(lambda: states(engine) == ["quarantined"])
        assert "GARANT_SUPPORT_AUTHSERV_ID" in mailbox_wrong(desk, state, watched=True)[0]


async def test_given_a_mail_that_waited_in_the_mailbox_then_its_clock_ran(
    server: MailServer, engine: Engine, desk: SupportSettings
) -> None:
    send(server, desk, letter("a"))
    await asyncio.to_thread(server.wait_for, desk.address)
    await asyncio.sleep(2)
    async with watched(engine, desk):
        await until(lambda: states(engine) == ["opened"])
    (row,) = taken(engine)
    assert 1_000 < row.taken_at - row.received_at < MINUTE
