"""What one submission to a real SMTP server comes to, step by step."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from shared.mail.relay import Accepted, InDoubt, Later, Line, Refused, Result, submit
from shared.mail.relay import Relay as Settings
from tests.mail.outboxes import ANNA, COPY, FROM, letter, own_certificate
from tests.mail.relay import Relay

DATA = letter("one").data
SECRET, WRONG = "a-secret", "a-wrong-one"


def settings(relay: Relay, **more: object) -> Settings:
    return Settings(relay.host, relay.port, ehlo="test.example", timeout_s=5, **more)  # type: ignore[arg-type]


async def sent(relay: Relay, data: bytes = DATA, copy_to: str | None = COPY, **more: object) -> Result:
    return await submit(settings(relay, **more), FROM, ANNA, copy_to, data)


async def test_accepted_with_a_copy(relay: Relay) -> None:
    assert await sent(relay) == Accepted("2.0.0 OK", True)
    (kept,) = relay.accepted
    assert (kept.mail_from, kept.recipients, kept.raw) == (FROM, (ANNA, COPY), DATA)


async def test_lines_that_begin_with_a_dot_and_bare_line_ends_arrive_as_lines(relay: Relay) -> None:
    await sent(relay, b"Subject: x\n\n.\r\n..\r.a\n\nend")
    assert relay.accepted[0].raw == b"Subject: x\r\n\r\n.\r\n..\r\n.a\r\n\r\nend\r\n"


async def test_a_refused_customer_gets_nothing_nor_does_our_copy_and_the_line_stays_good(
    relay: Relay,
) -> None:
    relay.answer(ANNA, f"550 5.1.1 <{ANNA}>: unknown\twhatever")
    line = Line(settings(relay))
    assert await line.submit(FROM, ANNA, COPY, DATA) == Refused(550, "5.1.1 <(address)>: unknown whatever")
    before = relay.connections
    assert isinstance(await line.submit(FROM, "bob@demo.example", COPY, DATA), Accepted)
    await line.close()
    assert [one.recipients for one in relay.accepted] == [("bob@demo.example", COPY)]
    assert relay.connections == before


async def test_a_customer_who_is_refused_for_now_is_tried_later(relay: Relay) -> None:
    relay.answer(ANNA, "450 4.2.1 later")
    assert await sent(relay) == Later(450, "4.2.1 later")
    assert not relay.accepted


async def test_a_refused_copy_is_told_before_the_letter_goes_without_it(relay: Relay) -> None:
    relay.answer(COPY, "552 5.2.2 full")
    told: list[int] = []

    async def copyless() -> None:
        told.append(len(relay.accepted))

    result = await submit(settings(relay), FROM, ANNA, COPY, DATA, copyless)
    assert result == Accepted("2.0.0 OK; without our copy: 552 5.2.2 full", False)
    assert told == [0]
    assert relay.accepted[0].recipients == (ANNA,)


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        ("554 5.7.1 spam", Refused(554, "5.7.1 spam")),
        ("451 4.3.0 later", Later(451, "4.3.0 later")),
        ("421 4.3.2 going down", Later(None, "421 4.3.2 going down")),
    ],
)
async def test_no_after_the_final_dot_is_no(relay: Relay, answer: str, result: Result) -> None:
    relay.then(answer=answer)
    assert await sent(relay) == result
    assert isinstance(await sent(relay), Accepted)


async def test_no_answer_after_the_final_dot_is_doubt(relay: Relay) -> None:
    relay.then(hang_up="after-accepting")
    assert isinstance(await sent(relay), InDoubt)


async def test_an_answer_that_takes_too_long_is_doubt_and_its_line_is_not_used_again(relay: Relay) -> None:
    relay.then(delay_s=1.5)
    line = Line(settings(relay, answer_s=0.3))
    assert isinstance(await line.submit(FROM, ANNA, None, DATA), InDoubt)
    assert isinstance(await line.submit(FROM, "bob@demo.example", None, DATA), Accepted)
    await line.close()


async def test_a_break_while_much_of_the_letter_was_still_ours_is_no_doubt(relay: Relay) -> None:
    relay.then(hang_up="before-dot")
    result = await sent(relay, DATA + b"x" * 70 + b"\r\n" + (b"y" * 70 + b"\r\n") * 500_000)
    assert isinstance(result, Later)
    assert (result.code, result.reached) == (None, True)


async def test_a_relay_that_is_away_was_not_reached(relay: Relay) -> None:
    relay.stop()
    result = await sent(relay)
    assert isinstance(result, Later)
    assert (result.code, result.reached) == (None, False)


async def test_a_sender_whom_the_relay_does_not_take_is_no_letters_fault(relay: Relay) -> None:
    relay.mail = f"553 5.7.1 {FROM} not yours"
    result = await sent(relay)
    assert result == Later(None, "the relay does not take our sender: 553 5.7.1 (address) not yours", False)


async def test_a_kept_line_that_the_relay_closed_is_opened_again_without_failing(relay: Relay) -> None:
    line = Line(settings(relay))
    assert isinstance(await line.submit(FROM, ANNA, None, DATA), Accepted)
    relay.stop()
    relay.start()
    assert isinstance(await line.submit(FROM, ANNA, None, DATA), Accepted)
    await line.close()


async def test_the_line_is_broken_when_its_user_is_cancelled(relay: Relay) -> None:
    relay.then(delay_s=1)
    line = Line(settings(relay))
    task = asyncio.create_task(line.submit(FROM, ANNA, None, DATA))
    await asyncio.sleep(0.3)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    assert isinstance(await line.submit(FROM, "bob@demo.example", None, DATA), Accepted)
    await line.close()


async def test_login(clean_environment: pytest.MonkeyPatch) -> None:
    server = Relay({"garant": SECRET}, must_log_in=True)
    server.start()
    try:
        assert isinstance(await sent(server, user="garant", password=SECRET), Accepted)
        wrong = await sent(server, user="garant", password=WRONG)
        none = await sent(server)
    finally:
        server.stop()
    assert isinstance(wrong, Later)
    assert isinstance(none, Later)
    assert (wrong.reached, none.reached) == (False, False)
    assert WRONG not in wrong.text
    assert SECRET not in repr(settings(server, password=SECRET))


@asynccontextmanager
async def tls_relay(tmp_path: Path, starttls: bool) -> AsyncIterator[tuple[int, Path]]:
    """A minimal SMTP server with a certificate of its own making."""
    cert = tmp_path / "cert.pem"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, await asyncio.to_thread(own_certificate, cert))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 hello\r\n")
        while line := (await reader.readline()).strip().upper():
            if line == b"STARTTLS":
                writer.write(b"220 go\r\n")
                await writer.start_tls(context)
            elif line == b"DATA":
                writer.write(b"354 go\r\n")
                await reader.readuntil(b"\r\n.\r\n")
                writer.write(b"250 kept\r\n")
            elif line.startswith(b"EHLO") and starttls:
                writer.write(b"250-me\r\n250 STARTTLS\r\n")
            else:
                writer.write(b"221 bye\r\n" if line == b"QUIT" else b"250 ok\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=None if starttls else context)
    yield server.sockets[0].getsockname()[1], cert
    server.close()


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
async def test_tls_with_a_verified_certificate_only(tmp_path: Path, tls: str) -> None:
    async with tls_relay(tmp_path, tls == "starttls") as (port, cert):
        trusted = Settings("localhost", port, tls=tls, ehlo="x.example", timeout_s=5, ca_file=str(cert))  # type: ignore[arg-type]
        unknown = Settings("localhost", port, tls=tls, ehlo="x.example", timeout_s=5)  # type: ignore[arg-type]
        assert isinstance(await submit(trusted, FROM, ANNA, COPY, DATA), Accepted)
        refused = await submit(unknown, FROM, ANNA, COPY, DATA)
    assert isinstance(refused, Later)
    assert "certificate verify failed" in refused.text
