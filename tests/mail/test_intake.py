"""The desk takes in a real mailbox: each mail once whatever dies, and none holds up those behind it."""

from __future__ import annotations

import asyncio
import base64
import random
import subprocess
import sys
import time
import zlib
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


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailServer]:
    """One server, for what takes long and does not depend on whose it is."""
    running = mail_server(kinds()[0], tmp_path_factory.mktemp("usual"))
    try:
        running.start()
        yield running
    finally:
        running.remove()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with empty_desk("sqlite", tmp_path_factory.mktemp("desk")) as found:
        yield found


@pytest.fixture
def engine(made: Engine) -> Engine:
    clear(made)
    furnish(made, SetClock())
    return made


@pytest.fixture
def desk(server: MailServer) -> SupportSettings:
    return desk_on(server)


def desk_on(server: MailServer) -> SupportSettings:
    """A desk whose mailbox no other test has used; its address is of a customer's domain only here."""
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


def append(server: MailServer, desk: SupportSettings, *raw: bytes) -> None:
    """Puts the mails into the mailbox as our server would have delivered them."""
    stamps = [f"Authentication-Results: {SERVER}; dkim=pass header.d=demo.example\r\n"]
    stamps += [f"Received: from x by {SERVER}; now\r\n"] * desk.received_hops
    with server.imap(desk.address) as client:
        for one in raw:
            client.append("INBOX", "".join(stamps).encode() + one)


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
    with server.imap(desk.address) as client:
        for raw in (b"\xff\xfe\x80garbage", b"\r\n", b": no name\r\n" * 50):
            client.append("INBOX", raw)
    append(server, desk, letter("good"))
    async with watched(engine, desk):
        await until(lambda: len(taken(engine)) == 4)
    assert states(engine) == ["quarantined"] * 3 + ["opened"]


async def test_given_a_mail_with_50_mb_then_it_opens_a_request_and_is_kept_whole(
    usual: MailServer, engine: Engine
) -> None:
    desk = desk_on(usual)
    data = base64.encodebytes(random.Random(4).randbytes(50_000_000)).replace(b"\n", b"\r\n")
    top = letter("big", 'Content-Type: multipart/mixed; boundary="b"', body="--b\r\n\r\nSee the file.")
    big = top + b"--b\r\nContent-Type: application/zip\r\nContent-Transfer-Encoding: base64\r\n\r\n" + data
    append(usual, desk, big + b"--b--\r\n", letter("behind"))
    async with watched(engine, desk):
        await until(lambda: len(taken(engine)) == 2, 60)
    assert states(engine) == ["opened", "opened"]
    row = taken(engine)[0]
    assert (row.subject, row.text, row.attachments) == ("big", "See the file.", 1)
    assert row.size > len(data)
    with engine.connect() as connection:
        kept = (
            connection.execute(select(raw_messages.c.data).order_by(raw_messages.c.message)).scalars().first()
        )
    assert zlib.decompress(kept or b"").endswith(big[-1_000:] + b"--b--\r\n")


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
        server.start()  # in this thread: the server ends with the thread that started it
        await until(lambda: state.connected)
        send(server, desk, letter("after"))
        await until(lambda: states(engine) == ["opened"])


@pytest.mark.parametrize("kind", KINDS)
def test_given_a_kill_at_any_step_of_taking_then_each_mail_is_taken_exactly_once(
    usual: MailServer, kind: str, tmp_path: Path
) -> None:
    desk = desk_on(usual)
    reply = letter("c", "References: <a@demo.example>")
    append(usual, desk, letter("a"), letter("a"), reply)
    with empty_desk(kind, tmp_path) as engine:
        furnish(engine, SetClock())
        url = engine.url.render_as_string(hide_password=False)
        told = (url, usual.host, str(usual.imap_port), desk.address, usual.users[desk.address])
        done = subprocess.run(
            [sys.executable, "-m", "tests.mail.taking_process", *told, str(desk.received_hops)],
            cwd=FOLDER,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert int(done.stdout) >= 15  # each statement, the commit and what is after it
        assert states(engine) == ["opened", "repeat", "threaded"]
        assert number_of(engine, tickets) == 1


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
