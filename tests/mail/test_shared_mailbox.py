"""Watching a real mailbox, on every kind of server that can run here, and with a line that fails."""

from __future__ import annotations

import asyncio
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from shared.mail.mailbox import Delivery, Mailbox, State, watch, watching
from tests.mail.meddling import meddling
from tests.mail.outboxes import own_certificate
from tests.mail.servers import MailServer, kinds, mail_server

FROM = "anna@demo.example"


@pytest.fixture(scope="module", params=kinds())
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailServer]:
    running = mail_server(request.param, tmp_path_factory.mktemp("mail"))
    try:
        running.start()
        yield running
    finally:
        running.remove()


def mail(name: str, size: int = 0) -> bytes:
    lines = (b"x" * 70 + b"\r\n") * (size // 72)
    return f"From: {FROM}\r\nSubject: {name}\r\nMessage-ID: <{name}@demo.example>\r\n\r\n".encode() + lines


class Taker:
    """Keeps what it is handed; its position is the highest uid it has of a uidvalidity."""

    def __init__(self) -> None:
        self.taken: list[Delivery] = []
        self.batches: list[int] = []

    def position(self, uidvalidity: int) -> int:
        return max((one.uid for one in self.taken if one.uidvalidity == uidvalidity), default=0)

    def take(self, deliveries: Sequence[Delivery]) -> None:
        self.batches.append(len(deliveries))
        self.taken += deliveries

    def subjects(self) -> list[str]:
        return [subject(one.raw) for one in list(self.taken)]


def subject(raw: bytes) -> str:
    return raw.partition(b"Subject: ")[2].partition(b"\r\n")[0].decode()


def box(server: MailServer, address: str, **more: Any) -> Mailbox:
    told = {"port": server.imap_port, "password": server.users.get(address, ""), "poll_s": 300.0} | more
    return Mailbox(server.host, user=address, tls="none", **told)


@contextmanager
def watched(mailbox: Mailbox, taker: Taker, state: State | None = None) -> Iterator[State]:
    state, stop = state or State(), threading.Event()
    failed: list[BaseException] = []

    def run() -> None:
        try:
            watch(mailbox, taker.position, taker.take, stop, state)
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield state
    finally:
        stop.set()
        thread.join(1.5)
        assert not thread.is_alive(), "it did not end within a second"
    assert not failed, failed


def until(met: Callable[[], Any], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not met():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def deliver(server: MailServer, address: str, *names: str, size: int = 0) -> None:
    """Sends them one after the other: Postfix delivers what it has at one time in no order."""
    before = len(server.messages(address))
    for number, name in enumerate(names, start=1):
        server.deliver(mail(name, size), FROM, address)
        server.wait_for(address, before + number)


def test_what_was_there_and_what_is_pushed_is_taken_in_order(server: MailServer) -> None:
    address, taker = server.new_user(), Taker()
    deliver(server, address, "a", "b", "c")
    before = time.time()
    with watched(box(server, address), taker) as state:
        until(lambda: taker.subjects() == ["a", "b", "c"])
        until(lambda: state.checked_at)
        for name in ("d", "e", "f"):
            deliver(server, address, name)
            until(lambda name=name: name in taker.subjects(), 5)
        assert (state.connected, state.error, state.taken) == (True, None, 6)
    assert taker.subjects() == ["a", "b", "c", "d", "e", "f"]
    assert state.connected is False
    assert all(abs(one.received_at / 1000 - before) < 60 for one in taker.taken)
    assert all(one.size == len(one.raw) and not one.cut_short for one in taker.taken)
    assert not any(b"\\Seen" in one.flags for one in server.messages(address))


def test_a_burst_while_it_watches_is_taken_whole_without_polling(server: MailServer) -> None:
    address, taker = server.new_user(), Taker()
    names = [str(number) for number in range(40)]
    with watched(box(server, address), taker) as state:
        until(lambda: state.checked_at)
        for name in names:
            server.deliver(mail(name), FROM, address)
        until(lambda: len(taker.taken) >= 40, 20)
    assert sorted(taker.subjects(), key=int) == names
    assert [one.uid for one in taker.taken] == sorted(one.uid for one in taker.taken)


def test_started_again_it_goes_on_above_the_position_in_batches(server: MailServer) -> None:
    address, taker = server.new_user(), Taker()
    deliver(server, address, "a", "b")
    with watched(box(server, address), taker):
        until(lambda: len(taker.taken) == 2)
    deliver(server, address, "c", "d", "e")
    taker.batches.clear()
    with watched(box(server, address, batch_messages=2), taker):
        until(lambda: len(taker.taken) == 5)
    assert taker.batches == [2, 1]
    assert taker.subjects() == ["a", "b", "c", "d", "e"]


def test_what_was_taken_is_marked_as_read_if_wished(server: MailServer) -> None:
    address, taker = server.new_user(), Taker()
    deliver(server, address, "a", "b")
    with watched(box(server, address, mark_seen=True), taker):
        until(lambda: len(taker.taken) == 2)
        until(lambda: all(b"\\Seen" in one.flags for one in server.messages(address)))


def test_a_mailbox_made_anew_is_taken_anew(server: MailServer) -> None:
    address, taker = server.new_user(), Taker()
    deliver(server, address, "a", "b")
    with watched(box(server, address, retry_s=1), taker):
        until(lambda: len(taker.taken) == 2)
        server.recreate_mailbox(address)
        until(lambda: len(taker.taken) == 4, 20)
        deliver(server, address, "c")
        until(lambda: len(taker.taken) == 5)
    assert taker.subjects() == ["a", "b", "a", "b", "c"]
    assert len({one.uidvalidity for one in taker.taken}) == 2


def test_a_big_mail_is_cut_short_and_holds_up_nobody(server: MailServer) -> None:
    address, taker = server.new_user(), Taker()
    deliver(server, address, "a")
    deliver(server, address, "big", size=300_000)
    deliver(server, address, "c")
    with watched(box(server, address, max_bytes=200_000, cut_bytes=10_000), taker):
        until(lambda: len(taker.taken) == 3)
    found = {subject(one.raw): one for one in taker.taken}
    assert (len(found["big"].raw), found["big"].cut_short, found["big"].problem) == (10_000, True, None)
    assert found["big"].size > 290_000
    assert not found["a"].cut_short


def test_wrong_login_and_missing_folder_are_told_and_tried_again(server: MailServer) -> None:
    address, taker = server.new_user(), Taker()
    with watched(box(server, address, **{"password": "wrong"}), taker) as state:
        until(lambda: state.error)
        assert "refuses the login" in str(state.error)
    with watched(box(server, address, folder="Help", retry_s=0.5), taker) as state:
        until(lambda: state.error)
        assert "the folder Help" in str(state.error)
        with server.imap(address) as client:
            client.create_folder("Help")
            client.append("Help", mail("a"))
        until(lambda: taker.subjects() == ["a"])
        until(lambda: state.error is None)


def test_a_server_that_comes_back_is_watched_again(server: MailServer) -> None:
    address, taker = server.new_user(), Taker()
    deliver(server, address, "a")
    with watched(box(server, address, retry_s=0.5), taker) as state:
        until(lambda: len(taker.taken) == 1)
        server.kill()
        until(lambda: state.error)
        assert state.connected is False
        time.sleep(1)
        server.start()
        until(lambda: state.connected and state.error is None, 30)
        deliver(server, address, "b")
        until(lambda: taker.subjects() == ["a", "b"])
    assert state.connections >= 2


@pytest.mark.parametrize("answer", [b"", b"NO [SERVERBUG] cannot read it", b"OK nothing for you"])
def test_a_mail_that_cannot_be_fetched_is_given_up_and_those_behind_it_come(
    server: MailServer, answer: bytes
) -> None:
    address, taker = server.new_user(), Taker()
    deliver(server, address, "a", "b", "c")
    with meddling(server.imap_port) as line:
        bad = server.messages(address)[1].uid

        def command(said: bytes) -> bytes | None:
            if b"BODY" not in said:
                return None
            uids = said.split(b"FETCH ")[1].split(b" ")[0]
            return answer if str(bad).encode() in uids.split(b",") else None

        line.command = command
        with watched(box(server, address, port=line.port, retry_s=0.2), taker):
            until(lambda: len(taker.taken) == 3, 30)
    assert [one.raw == b"" for one in taker.taken] == [False, True, False]
    assert taker.taken[1].problem == "the mail server did not give it in 3 tries"
    assert [one.problem for one in taker.taken[::2]] == [None, None]


def test_where_only_the_beginning_comes_the_beginning_is_taken(server: MailServer) -> None:
    address, taker = server.new_user(), Taker()
    deliver(server, address, "a", size=50_000)
    with meddling(server.imap_port) as line:
        line.command = lambda said: b"" if b"BODY.PEEK[])" in said else None
        with watched(box(server, address, port=line.port, retry_s=0.2, cut_bytes=1_000), taker):
            until(lambda: taker.taken)
    (one,) = taker.taken
    assert (len(one.raw), one.cut_short, one.problem) == (1_000, True, "only its beginning could be fetched")


def test_without_idle_it_polls(server: MailServer) -> None:
    address, taker = server.new_user(), Taker()
    with meddling(server.imap_port) as line:
        line.told = lambda data: data.replace(b" IDLE", b"")
        with watched(box(server, address, port=line.port, poll_s=0.3), taker) as state:
            until(lambda: state.checked_at)
            deliver(server, address, "a")
            until(lambda: taker.subjects() == ["a"])
            assert line.connections == 1


def test_where_idle_is_promised_and_fails_it_polls(server: MailServer) -> None:
    address, taker = server.new_user(), Taker()
    with meddling(server.imap_port) as line:
        line.command = lambda said: b"NO not today" if b"IDLE" in said else None
        with watched(box(server, address, port=line.port, poll_s=0.3), taker) as state:
            until(lambda: state.checked_at)
            deliver(server, address, "a")
            until(lambda: taker.subjects() == ["a"])
            assert state.error is None
            assert line.connections == 2


def test_a_cut_line_while_idle_is_noticed_and_a_silent_one_ends_when_asked(server: MailServer) -> None:
    address, taker = server.new_user(), Taker()
    with meddling(server.imap_port) as line, watched(box(server, address, port=line.port), taker) as state:
        until(lambda: state.checked_at)
        time.sleep(0.2)
        line.cut()
        until(lambda: line.connections == 2)
        until(lambda: state.connected)
        deliver(server, address, "a")
        until(lambda: taker.subjects() == ["a"])
        line.silent = True
        deliver(server, address, "b")
        time.sleep(0.5)


@asynccontextmanager
async def tls_before(port: int, folder: Path, starttls: bool) -> AsyncIterator[tuple[int, Path]]:
    """A real server's IMAP behind TLS with a certificate of the test's own."""
    cert = folder / "cert.pem"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, await asyncio.to_thread(own_certificate, cert))

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65_536):
                writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            inner, outer = await asyncio.open_connection("127.0.0.1", port)
            greeting = await inner.readline()
            if starttls:
                writer.write(b"* OK [CAPABILITY IMAP4rev1 STARTTLS] hello\r\n")
                while (line := await reader.readline()) and b"STARTTLS" not in line:
                    writer.write(
                        b"* CAPABILITY IMAP4rev1 STARTTLS\r\n" + line.split(b" ")[0] + b" OK done\r\n"
                    )
                writer.write(line.split()[0] + b" OK go\r\n")
                await writer.start_tls(context)
            else:
                writer.write(greeting)
            await asyncio.gather(pump(reader, outer), pump(inner, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=None if starttls else context)
    yield server.sockets[0].getsockname()[1], cert
    server.close()


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_tls_with_a_verified_certificate_only(server: MailServer, tmp_path: Path, tls: str) -> None:
    address, taker, state = server.new_user(), Taker(), State()
    await asyncio.to_thread(deliver, server, address, "a")
    async with tls_before(server.imap_port, tmp_path, tls == "starttls") as (port, cert):
        trusted = replace(box(server, address, port=port), host="localhost", tls=tls, ca_file=str(cert))
        for mailbox, met in (
            (replace(trusted, ca_file=None), lambda: "is not trusted" in (state.error or "")),
            (trusted, lambda: taker.subjects() == ["a"]),
        ):
            task = asyncio.create_task(watching(mailbox, taker.position, taker.take, state))
            await asyncio.to_thread(until, met)
            task.cancel()
            await asyncio.wait({task})


def test_what_take_raises_ends_the_watching(server: MailServer) -> None:
    address = server.new_user()
    deliver(server, address, "a")

    def take(_: Sequence[Delivery]) -> None:
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        watch(box(server, address), lambda _: 0, take, threading.Event())


async def test_watching_ends_with_its_task(server: MailServer) -> None:
    address, taker, state = server.new_user(), Taker(), State()
    await asyncio.to_thread(deliver, server, address, "a")
    task = asyncio.create_task(watching(box(server, address), taker.position, taker.take, state))
    await asyncio.to_thread(until, lambda: taker.taken)
    begun = time.monotonic()
    task.cancel()
    await asyncio.wait({task})
    assert time.monotonic() - begun < 1.5
    assert state.connected is False
