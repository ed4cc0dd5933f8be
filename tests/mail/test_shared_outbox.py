"""Letters from the outbox to a real relay: exactly once, whenever the sending process is killed."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec import json
from sqlalchemy import Engine, update

from shared.database import reading, wall_clock, writing
from shared.mail.mailbox import Delivery, Mailbox, watching
from shared.mail.outbox import (
    Listed,
    Sending,
    copy_seen,
    counts,
    deliver,
    forget,
    listing,
    mark_accepted,
    resend,
)
from shared.mail.reading import read
from shared.mail.relay import Relay as Settings
from tests.core.billing_books import KINDS
from tests.mail.outboxes import ANNA, COPY, FROM, empty_outbox, letter, letters, put_all
from tests.mail.relay import Relay
from tests.mail.servers import MailServer

QUICK = Sending(FROM, copy_to=COPY, settle_s=0.5, marker_again_s=2.0, every_s=0.02)
ALONE = Sending(FROM, every_s=0.02)


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with empty_outbox(request.param, tmp_path) as found:
        yield found


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Engine]:
    with empty_outbox("sqlite", tmp_path) as found:
        yield found


def settings(relay: Relay) -> Settings:
    return Settings(relay.host, relay.port, ehlo="test.example", timeout_s=5)


@asynccontextmanager
async def delivering(engine: Engine, relay: Relay, sending: Sending = ALONE) -> AsyncIterator[None]:
    task = asyncio.create_task(deliver(engine, letters, settings(relay), sending, wall_clock))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


def shown(engine: Engine) -> dict[str, Listed]:
    with reading(engine) as connection:
        return {one.id: one for one in listing(connection, letters)}


async def until(met: Callable[[], Any], timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not await asyncio.to_thread(met):
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.02)


def states(engine: Engine) -> dict[str, int]:
    with reading(engine) as connection:
        return {state: number for state, number in counts(connection, letters).items() if number}


@contextmanager
def arriving(relay: Relay, copies: Path) -> Iterator[None]:
    """Our own copies arrive in the mailbox a moment after the relay took them."""
    copies.touch()
    over = threading.Event()

    def carry() -> None:
        done = 0
        while not over.wait(0.03):
            arrived = relay.accepted[done:]
            done += len(arrived)
            with copies.open("a") as file:
                file.writelines(f"{one.message_id}\n" for one in arrived if COPY in one.recipients)

    thread = threading.Thread(target=carry)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def sender(
    engine: Engine, relay: Relay, copies: Path, sending: Sending = QUICK, die: str = ""
) -> subprocess.Popen[bytes]:
    url = engine.url.render_as_string(hide_password=False)
    told = [url, str(relay.port), str(copies), json.encode(sending).decode(), die]
    return subprocess.Popen([sys.executable, "-m", "tests.mail.sending_process", *told])


async def test_a_letter_is_given_to_the_relay_with_our_copy_named_beside_the_customer(
    engine: Engine, relay: Relay
) -> None:
    put_all(engine, letter("one"))
    async with delivering(engine, relay, QUICK):
        await until(lambda: states(engine) == {"accepted": 1})
    (sent,) = relay.accepted
    assert (sent.mail_from, sent.recipients) == (FROM, (ANNA, COPY))
    assert shown(engine)["letter/one"].attempts == 1


async def test_the_same_id_again_changes_nothing(engine: Engine, relay: Relay) -> None:
    put_all(engine, letter("one"))
    put_all(engine, letter("one", text="Something else."))
    async with delivering(engine, relay):
        await until(lambda: states(engine) == {"accepted": 1})
        put_all(engine, letter("one"))
        await asyncio.sleep(0.2)
    assert len(relay.accepted) == 1


async def test_refused_for_good_is_shown_with_the_relays_words_and_without_the_address(
    file: Engine, relay: Relay
) -> None:
    relay.answer(ANNA, f"550 5.1.1 <{ANNA}> no such user")
    put_all(file, letter("one"), letter("two", "bob@demo.example"))
    async with delivering(file, relay):
        await until(lambda: states(file) == {"accepted": 1, "refused": 1})
    assert shown(file)["letter/one"].reason == "550 5.1.1 <(address)> no such user"
    assert [one.recipients for one in relay.accepted] == [("bob@demo.example",)]


async def test_a_relay_that_says_later_gets_it_later_once(file: Engine, relay: Relay) -> None:
    put_all(file, letter("one"))
    relay.then(answer="451 4.3.0 later")
    now = [wall_clock()]
    task = asyncio.create_task(deliver(file, letters, settings(relay), ALONE, lambda: now[0]))
    await until(lambda: (shown(file)["letter/one"].reason or "").startswith("451"))
    waiting = shown(file)["letter/one"]
    assert waiting.state == "waiting"
    assert waiting.next_attempt_at == now[0] + 60_000
    now[0] = type(now[0])(now[0] + 60_000)
    await until(lambda: states(file) == {"accepted": 1})
    task.cancel()
    await asyncio.wait({task})
    assert len(relay.accepted) == 1


async def test_a_relay_that_says_later_for_five_days_refused_it(file: Engine, relay: Relay) -> None:
    relay.answer(ANNA, "450 4.2.1 later")
    put_all(file, letter("one"))
    now = [wall_clock()]
    task = asyncio.create_task(deliver(file, letters, settings(relay), ALONE, lambda: now[0]))
    for _ in range(200):
        await until(lambda: shown(file)["letter/one"].state in ("waiting", "refused"))
        found = shown(file)["letter/one"]
        if found.state == "refused":
            break
        if found.next_attempt_at is not None and found.next_attempt_at > now[0]:
            assert found.next_attempt_at - now[0] <= 3_600_000
            now[0] = found.next_attempt_at
        await asyncio.sleep(0.02)
    task.cancel()
    await asyncio.wait({task})
    assert found.reason == "expired: 450 4.2.1 later"
    assert not relay.accepted


async def test_a_relay_that_is_away_gets_all_letters_when_it_is_back(file: Engine, relay: Relay) -> None:
    relay.stop()
    put_all(file, *(letter(str(number)) for number in range(20)))
    async with delivering(file, relay):
        await until(lambda: any(one.reason for one in shown(file).values()))
        assert states(file).keys() <= {"waiting", "sending"}
        relay.start()
        await until(lambda: states(file) == {"accepted": 20})
    assert sorted(relay.copies(letter(str(number)).message_id) for number in range(20)) == [1] * 20


async def test_broken_before_the_dot_it_goes_again_once_the_markers_have_come(
    file: Engine, relay: Relay, tmp_path: Path
) -> None:
    """The dot of a short letter is on its way before the break is seen: nobody but the copy can tell."""
    relay.then(hang_up="before-dot")
    put_all(file, letter("one"))
    with arriving(relay, tmp_path / "copies"):
        process = sender(file, relay, tmp_path / "copies")
        await until(lambda: states(file) == {"accepted": 1})
        process.kill()
        process.wait()
    assert relay.copies(letter("one").message_id) == 1


async def test_broken_after_the_dot_it_is_doubtful_until_our_copy_arrives(file: Engine, relay: Relay) -> None:
    relay.then(hang_up="after-accepting")
    put_all(file, letter("one"))
    async with delivering(file, relay, QUICK):
        await until(lambda: states(file) == {"doubtful": 1})
        with writing(file) as connection:
            assert copy_seen(connection, letters, letter("one").message_id, wall_clock)
        await asyncio.sleep(1)
    assert states(file) == {"accepted": 1}
    assert relay.copies(letter("one").message_id) == 1


async def test_doubt_without_a_copy_waits_for_a_person(file: Engine, relay: Relay) -> None:
    relay.then(hang_up="after-accepting")
    relay.then(hang_up="after-accepting")
    put_all(file, letter("one"), letter("two"))
    async with delivering(file, relay):
        await until(lambda: states(file) == {"doubtful": 2})
        await asyncio.sleep(0.5)
        with writing(file) as connection:
            assert mark_accepted(connection, letters, "letter/one", wall_clock)
            assert resend(connection, letters, "letter/two", wall_clock)
            assert not resend(connection, letters, "letter/one", wall_clock)
        await until(lambda: states(file) == {"accepted": 2})
    assert [relay.copies(letter(name).message_id) for name in ("one", "two")] == [1, 2]


async def test_doubt_stays_while_the_marker_does_not_come(file: Engine, relay: Relay) -> None:
    relay.then(hang_up="after-accepting")
    put_all(file, letter("one"))
    async with delivering(file, relay, QUICK):
        await until(lambda: len(relay.accepted) >= 3)  # the marker is sent again, its copy never comes
        assert states(file) == {"doubtful": 1}
    assert relay.copies(letter("one").message_id) == 1


async def test_a_letter_whose_copy_the_relay_refused_is_never_resent_by_the_machine(
    file: Engine, relay: Relay, tmp_path: Path
) -> None:
    relay.answer(COPY, "452 4.2.2 mailbox full")
    relay.then(hang_up="after-accepting")
    put_all(file, letter("one"))
    with arriving(relay, tmp_path / "copies"):
        process = sender(file, relay, tmp_path / "copies")
        await until(lambda: states(file) == {"doubtful": 1})
        relay.answer(COPY, None)
        await asyncio.sleep(2.5)
        process.kill()
        process.wait()
    assert states(file) == {"doubtful": 1}
    assert relay.copies(letter("one").message_id) == 1


@pytest.mark.parametrize("die", ["accepted", "before-dot"])
async def test_killed_around_the_final_dot_the_relay_has_the_letter_once(
    file: Engine, relay: Relay, tmp_path: Path, die: str
) -> None:
    put_all(file, letter("one"))
    with arriving(relay, tmp_path / "copies"):
        first = sender(file, relay, tmp_path / "copies", die=die)
        assert await asyncio.to_thread(first.wait, 20) == 9
        assert states(file) == {"sending": 1}
        assert relay.copies(letter("one").message_id) == (die == "accepted")
        second = sender(file, relay, tmp_path / "copies")
        await until(lambda: states(file) == {"accepted": 1})
        await asyncio.sleep(0.5)
        second.kill()
        second.wait()
    assert relay.copies(letter("one").message_id) == 1


async def test_killed_at_any_time_thirty_letters_arrive_once_each(
    file: Engine, relay: Relay, tmp_path: Path
) -> None:
    chance = random.Random(20261124)
    for _ in range(200):
        relay.then(delay_s=chance.choice([0, 0.01, 0.05, 0.3]))
    put_all(file, *(letter(str(number)) for number in range(30)))
    kills = doubts = 0
    with arriving(relay, tmp_path / "copies"):
        while kills < 10 and states(file).get("accepted", 0) < 30:
            process = sender(file, relay, tmp_path / "copies")
            before = len(relay.accepted)
            await until(lambda before=before: len(relay.accepted) > before)
            await asyncio.sleep(chance.uniform(0, 0.1))
            process.kill()
            process.wait()
            kills += 1
            doubts += states(file).get("sending", 0)
        process = sender(file, relay, tmp_path / "copies")
        await until(lambda: states(file) == {"accepted": 30}, 60)
        process.kill()
        process.wait()
    assert kills >= 3
    assert doubts > 0
    assert [relay.copies(letter(str(number)).message_id) for number in range(30)] == [1] * 30


async def test_what_is_forgotten_is_not_sent_and_leaves_no_trace_of_whom(file: Engine, relay: Relay) -> None:
    put_all(file, letter("one"), letter("two", "bob@demo.example", "bob"))
    with writing(file) as connection:
        assert forget(connection, letters, "anna") == 1
    async with delivering(file, relay):
        await until(lambda: states(file) == {"accepted": 1, "forgotten": 1})
    gone = shown(file)["letter/one"]
    assert (gone.recipient, gone.state, gone.contact) == (None, "forgotten", "anna")
    assert [one.recipients for one in relay.accepted] == [("bob@demo.example",)]


async def test_stopped_in_order_nothing_is_in_doubt(file: Engine, relay: Relay) -> None:
    for _ in range(4):
        relay.then(delay_s=0.5)
    put_all(file, *(letter(str(number)) for number in range(50)))
    async with delivering(file, relay):
        await until(lambda: states(file).get("sending"))
    found = states(file)
    assert found.keys() <= {"accepted", "waiting"}
    assert len(relay.accepted) == found["accepted"]


async def test_of_two_processes_on_one_postgresql_one_delivers(tmp_path: Path, relay: Relay) -> None:
    with empty_outbox("postgresql", tmp_path) as engine:
        async with delivering(engine, relay), delivering(engine, relay):
            put_all(engine, *(letter(str(number)) for number in range(40)))
            await until(lambda: states(engine) == {"accepted": 40})
    assert len(relay.accepted) == 40


async def test_with_a_real_mail_server_doubt_ends_by_what_arrives_in_our_mailbox(
    file: Engine, mail: MailServer
) -> None:
    """One letter the server had and one it never had, both cut off: the mailbox tells them apart."""
    customer, ours = mail.new_user(), mail.new_user()
    had, never = letter("had", customer), letter("never", customer)
    put_all(file, had, never)
    with writing(file) as connection:
        cut_off = {"state": "sending", "attempts": 1, "copy_to": ours}
        connection.execute(update(letters).values(**cut_off))
    mail.deliver(had.data, FROM, [customer, ours])
    taken = [0]

    def take(deliveries: Sequence[Delivery]) -> None:
        with writing(file) as connection:
            for one in deliveries:
                found = read(one.raw, own_domain="garant.example")
                if found.own and found.message_id:
                    copy_seen(connection, letters, found.message_id, wall_clock)
        taken[0] = deliveries[-1].uid

    box = Mailbox(mail.host, mail.imap_port, ours, mail.users[ours], tls="none")
    relay = Settings(mail.host, mail.smtp_port, ehlo="test.example", timeout_s=20)
    sending = Sending(FROM, copy_to=ours, settle_s=1, marker_again_s=30, every_s=0.05)
    tasks = [
        asyncio.create_task(watching(box, lambda _: taken[0], take)),
        asyncio.create_task(deliver(file, letters, relay, sending, wall_clock)),
    ]
    try:
        await until(lambda: states(file) == {"accepted": 2}, 40)
        arrived = await asyncio.to_thread(mail.wait_for, customer, 2)
        await until(lambda: all(one.copy_seen_at for one in shown(file).values()))
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
    assert sorted(str(read(one.raw).message_id) for one in arrived) == sorted(
        [had.message_id, never.message_id]
    )
    assert shown(file)["letter/had"].reason == "our copy arrived"


async def test_a_hundred_letters_a_second(engine: Engine, relay: Relay) -> None:
    put_all(engine, *(letter(str(number)) for number in range(300)))
    begun = time.monotonic()
    async with delivering(engine, relay, QUICK):
        await until(lambda: states(engine) == {"accepted": 300}, 60)
    rate = 300 / (time.monotonic() - begun)
    print(f"{engine.dialect.name}: {rate:.0f} letters/s")  # noqa: T201
    assert rate > 30, "far slower than the 100 a second that a quiet machine exceeds"
    assert relay.connections <= QUICK.workers + 1  # one is the relay's own, at its start
