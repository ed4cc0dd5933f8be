"""Webhooks: posted signed over real HTTPS until they are taken or a day is over, and never to a private
address, whatever DNS says first."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec.structs import replace
from sqlalchemy import Engine, select, update

from services.status.readers import calls
from services.status.readers.calls import GIVE_UP_MS, PAUSES_MS, Posting, deliver_calls, post
from services.status.readers.hook_routes import add_hooks
from services.status.readers.hooks import add_hook, hook_of, hooks_listed, put_calls, remove_hook
from services.status.readers.news import Entry
from services.status.readers.reaching import (
    AddressRefused,
    Rules,
    check_reachable,
    checked_url,
    refusal,
    system_lookup,
)
from services.status.settings import TOKEN
from services.status.site import Condition
from services.status.tables import hook_calls, metadata
from shared.database import reading, writing
from shared.http import guarded, new_api
from shared.time import DAY, SECOND, Instant
from tests.core.billing_books import KINDS, SetClock
from tests.core.receiving import NAME, Receiver
from tests.core.status_readers import NOW, change, clock, component, empty_page, site

PAGE = site(component("api"), component("web"))
SECRET = "whsec_" + base64.b64encode(b"0" * 32).decode()


@pytest.fixture(scope="module", params=KINDS)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with empty_page(request.param, tmp_path_factory.mktemp("page")) as found:
        yield found


@pytest.fixture
def engine(made: Engine) -> Engine:
    with writing(made) as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())
    return made


@pytest.fixture
async def receiver(tmp_path: Path) -> AsyncIterator[Receiver]:
    async with Receiver(tmp_path).listening() as found:
        yield found


async def here(_host: str) -> list[str]:
    """DNS of the tests: every name is this machine."""
    return ["127.0.0.1"]


def local(receiver: Receiver, **more: Any) -> Rules:
    return Rules(**{"allow_local": True, "ca_file": receiver.ca_file, "lookup": here, **more})


def posting(url: str, body: str = '{"a":"é"}') -> Posting:
    return Posting("msg_1", "h1", url, SECRET, body, NOW, 0)


def put(engine: Engine, *urls: str, number: int = 1) -> str:
    """Webhooks for everything, and so many entries for them; the last webhook's id."""
    with writing(engine) as connection:
        for url in urls:
            hook, _, _ = add_hook(connection, url, None, None, clock(NOW - 1))
        told = [
            Entry(f"change/{n}", "change", NOW + n, ("api",), change(Condition.DOWN, NOW + n))
            for n in range(number)
        ]
        put_calls(connection, PAGE, told, NOW)
    return hook


@asynccontextmanager
async def delivering(engine: Engine, rules: Rules, at: SetClock) -> AsyncIterator[None]:
    task = asyncio.create_task(deliver_calls(engine, rules, at, asyncio.Event(), lambda: None))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def eventually(check: Any, within_s: float = 30) -> Any:
    deadline = time.monotonic() + within_s
    while not (found := check()):
        assert time.monotonic() < deadline, "did not happen in time"
        await asyncio.sleep(0.05)
    return found


def states(engine: Engine) -> list[tuple[str, int, str]]:
    c = hook_calls.c
    with reading(engine) as connection:
        rows = connection.execute(select(c.state, c.attempts, c.reason).order_by(c.entry))
        return [(row.state, row.attempts, row.reason) for row in rows]


# Where webhooks may go


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.9.9.9", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1"),
        *("169.254.169.254", "169.254.1.1", "0.0.0.0", "0.1.2.3", "224.0.0.1", "240.0.0.1"),  # noqa: S104
        *("255.255.255.255", "168.63.129.16", "192.0.2.1", "198.18.0.1", "203.0.113.9", "100.100.100.200"),
        *("::", "::1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1", "100::1"),
        *("::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a01:203"),
        *("2002:7f00:1::", "2002:808:808::", "2001:0:808:808::1", "64:ff9b:1::7f00:1", "fec0::1"),
    ],
)
def test_no_webhook_goes_to_an_address_that_is_not_public(address: str) -> None:
    assert refusal(ip_address(address), Rules())


@pytest.mark.parametrize(
    "address", ["9.9.9.9", "185.12.64.1", "2606:4700::1111", "2a00:1450::1", "64:ff9b::909:909"]
)
def test_public_addresses_are_allowed(address: str) -> None:
    assert refusal(ip_address(address), Rules()) is None


@pytest.mark.parametrize(
    "address", ["169.254.169.254", "0.0.0.1", "224.0.0.1", "fd00:ec2::254", "::", "240.0.0.1"]
)
def test_what_leads_to_a_cloud_s_own_secrets_or_to_nowhere_is_never_allowed(address: str) -> None:
    assert refusal(ip_address(address), Rules(allow_local=True))
    assert refusal(ip_address("10.0.0.1"), Rules(allow_local=True)) is None
    assert refusal(ip_address("::1"), Rules(allow_local=True)) is None


@pytest.mark.parametrize(
    "url",
    [
        *("http://hooks.demo.example/", "ftp://hooks.demo.example/", "hooks.demo.example", "https://", ""),
        *("https://user:secret@hooks.demo.example/", "https://@hooks.demo.example/", "https://a.example/#x"),
        *("https://hooks.demo.example:0/", "https://hooks.demo.example:99999/", "https://a b.example/"),
        *("https://127.0.0.1/", "https://[::1]/", "https://[::ffff:10.0.0.1]/", "https://10.0.0.1:8443/x"),
        *("https://a.example/\r\nHost: evil", "https://münchen.example/", "https://a.example/" + "x" * 2_000),
        *("file:///etc/passwd", "https://a_%31.example/", "https://[fe80::1%25eth0]/"),
    ],
)
def test_what_is_no_address_for_a_webhook_is_refused_with_a_reason(url: str) -> None:
    with pytest.raises(AddressRefused, match=r"."):
        checked_url(url, Rules())


async def test_numbers_in_disguise_and_names_of_this_machine_are_looked_up_and_refused() -> None:
    for host in ("localhost", "2130706433", "0x7f.1", "127.1", "017700000001"):
        with pytest.raises(AddressRefused):
            await check_reachable(f"https://{host}/", Rules())
    assert "127.0.0.1" in await system_lookup("localhost")


async def test_a_name_with_one_private_address_among_public_ones_is_refused(receiver: Receiver) -> None:
    async def both(_host: str) -> list[str]:
        return ["9.9.9.9", "127.0.0.1"]

    rules = Rules(ca_file=receiver.ca_file, lookup=both)
    with pytest.raises(AddressRefused, match="private or loopback"):
        await check_reachable(receiver.url, rules)
    assert "private or loopback" in (await post(posting(receiver.url), rules, NOW)).reason
    assert receiver.connections == 0


async def test_a_name_that_answers_otherwise_when_it_is_connected_to_reaches_nothing(
    receiver: Receiver,
) -> None:
    """DNS rebinding: public when it is added, this machine a moment later."""
    asked: list[str] = []

    async def rebinding(host: str) -> list[str]:
        asked.append(host)
        return ["9.9.9.9"] if len(asked) == 1 else ["127.0.0.1"]

    rules = Rules(ca_file=receiver.ca_file, lookup=rebinding)
    await check_reachable(receiver.url, rules)
    answer = await post(posting(receiver.url), rules, NOW)
    assert (answer.status, "private or loopback" in answer.reason) == (None, True)
    assert receiver.connections == 0
    assert len(asked) == 2  # looked up once for one posting: what was checked is what is connected to


async def test_the_address_that_was_checked_is_connected_to_and_the_name_is_what_tls_verifies(
    receiver: Receiver,
) -> None:
    assert (await post(posting(receiver.url), local(receiver), NOW)).taken  # 127.0.0.1, as hooks.demo.example
    other = receiver.url.replace(NAME, "other.demo.example")
    answer = await post(posting(other), local(receiver), NOW)
    assert (answer.taken, "no connection" in answer.reason) == (False, True)
    strangers = await post(posting(receiver.url), local(receiver, ca_file=None), NOW)
    assert "certificate" in strangers.reason.lower()
    assert len(receiver.received) == 1


# What is posted


async def test_a_call_is_signed_as_standard_webhooks_are(receiver: Receiver) -> None:
    assert (await post(posting(receiver.url), local(receiver), NOW)).taken
    (got,) = receiver.received
    assert got.path == "/in?token=of-theirs"
    assert got.headers["host"] == f"{NAME}:{receiver.port}"
    assert got.headers["content-type"] == "application/json"
    assert got.body == '{"a":"é"}'.encode()
    sent_at = got.headers["webhook-timestamp"]
    assert sent_at == str(NOW // 1_000)
    signed = got.headers["webhook-id"].encode() + b"." + sent_at.encode() + b"." + got.body
    expected = base64.b64encode(hmac.digest(b"0" * 32, signed, "sha256")).decode()
    assert got.headers["webhook-signature"] == f"v1,{expected}"


async def test_redirects_are_not_followed_and_long_answers_not_read(receiver: Receiver) -> None:
    receiver.answer = b"HTTP/1.1 307 Go\r\nLocation: https://127.0.0.1/\r\nContent-Length: 0\r\n\r\n"
    answer = await post(posting(receiver.url), local(receiver), NOW)
    assert (answer.taken, answer.status, receiver.connections) == (False, 307, 1)
    size = 64 * 1024 * 1024
    receiver.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size
    assert (await post(posting(receiver.url), local(receiver), NOW)).taken
    assert receiver.sent < size // 4
    receiver.answer = b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000
    assert (await post(posting(receiver.url), local(receiver), NOW)).status is None
    receiver.answer = b"SSH-2.0-OpenSSH\r\n"
    assert "no sensible answer" in (await post(posting(receiver.url), local(receiver), NOW)).reason


async def test_what_does_not_answer_in_time_is_left(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "WITHIN_S", 0.3)
    receiver.wait_s = 60
    answer = await post(posting(receiver.url), local(receiver), NOW)
    assert (answer.status, answer.reason) == (None, "no whole answer within 0.3 s")


async def test_plain_http_is_for_tests_only(receiver: Receiver) -> None:
    url = receiver.url.replace("https", "http")
    assert "https" in (await post(posting(url), local(receiver), NOW)).reason
    assert receiver.connections == 0
    assert checked_url(url, Rules(allow_http=True)) == url


# Until it is taken


async def test_entries_arrive_in_order_once_each_and_say_what_happened(
    engine: Engine, receiver: Receiver
) -> None:
    put(engine, receiver.url, number=5)
    async with delivering(engine, local(receiver), clock(NOW + 10)):
        await eventually(lambda: {state for state, _, _ in states(engine)} == {"delivered"})
        await asyncio.sleep(1.2)
    said = [json.loads(one.body) for one in receiver.received]
    assert len(said) == len({one.headers["webhook-id"] for one in receiver.received}) == 5
    assert {one["entry"] for one in said} == {f"change/{n}" for n in range(5)}
    assert said[0]["type"] == "component.changed"
    assert said[0]["data"]["condition"] == "down"


async def test_what_is_not_taken_is_tried_again_with_growing_pauses_for_a_day_and_then_given_up(
    engine: Engine, receiver: Receiver
) -> None:
    receiver.answer = b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n"
    hook = put(engine, receiver.url)
    now = clock()
    tried = []
    async with delivering(engine, local(receiver), now):
        while True:
            number = len(tried) + 1
            await eventually(lambda number=number: states(engine)[0][1] == number)
            tried.append(now())
            with reading(engine) as connection:
                due = connection.execute(select(hook_calls.c.next_attempt_at)).scalar_one()
            if due is None:
                break
            now.now = Instant(due)
    pauses = [later - earlier for earlier, later in pairwise(tried)]
    assert pauses == sorted(pauses)
    assert pauses[: len(PAUSES_MS)] == list(PAUSES_MS)[: len(pauses)]
    assert DAY - max(pauses) < tried[-1] - tried[0] <= GIVE_UP_MS
    assert states(engine)[0] == ("given up", len(tried), "given up after a day: answered 500")
    assert len({one.headers["webhook-id"] for one in receiver.received}) == 1
    assert len({one.headers["webhook-signature"] for one in receiver.received}) == len(tried)
    with reading(engine) as connection:
        (shown,) = hooks_listed(connection)
    assert (shown.hook, shown.waiting, shown.given_up, shown.stopped) == (hook, 0, 1, None)


async def test_who_comes_back_gets_what_was_missed_and_who_is_gone_gets_no_more(
    engine: Engine, receiver: Receiver
) -> None:
    receiver.answer = b"HTTP/1.1 503 Later\r\nContent-Length: 0\r\n\r\n"
    put(engine, receiver.url, number=2)
    now = clock(NOW + 10)
    async with delivering(engine, local(receiver), now):
        await eventually(lambda: [attempts for _, attempts, _ in states(engine)] == [1, 1])
        receiver.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        now.now = Instant(now() + 5 * SECOND)
        await eventually(lambda: {state for state, _, _ in states(engine)} == {"delivered"})
        receiver.answer = b"HTTP/1.1 410 Gone\r\nContent-Length: 0\r\n\r\n"
        with writing(engine) as connection:
            told = [Entry(f"change/x{n}", "change", now() + n, (), change(Condition.UP)) for n in range(3)]
            put_calls(connection, PAGE, told, now())
        await eventually(lambda: [one[0] for one in states(engine)].count("given up") == 3)
    assert len(receiver.received) == 5  # the first of the three: it said that it is gone
    with reading(engine) as connection:
        (shown,) = hooks_listed(connection)
    assert shown.stopped == "it answered 410: gone"


def both(folder: Path, *receivers: Receiver) -> str:
    """A file with the authorities of both."""
    found = folder / "both.pem"
    found.write_text("".join(Path(one.ca_file).read_text() for one in receivers))
    return str(found)


async def test_a_slow_receiver_does_not_hold_up_the_others(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "slow").mkdir()
    slow = Receiver(tmp_path / "slow")
    slow.wait_s = 8
    async with slow.listening(), Receiver(tmp_path).listening() as quick:
        put(engine, slow.url, quick.url, number=3)
        async with delivering(engine, local(quick, ca_file=both(tmp_path, slow, quick)), clock(NOW + 10)):
            await eventually(lambda: len(quick.received) == 3, within_s=7)
    assert slow.connections == 1


async def test_a_webhook_removed_meanwhile_is_not_posted_to(engine: Engine, receiver: Receiver) -> None:
    hook = put(engine, receiver.url, number=2)
    with writing(engine) as connection:
        remove_hook(connection, hook)
    async with delivering(engine, local(receiver), clock(NOW + 10)):
        await asyncio.sleep(1.5)
    assert (receiver.connections, states(engine)) == (0, [])


async def test_calls_that_ended_a_month_ago_are_forgotten(engine: Engine, receiver: Receiver) -> None:
    put(engine, receiver.url)
    with writing(engine) as connection:
        connection.execute(update(hook_calls).values(state="delivered", ended_at=NOW))
    async with delivering(engine, local(receiver), clock(NOW + 31 * DAY)):
        await eventually(lambda: states(engine) == [])


# By staff


class Staff:
    """The staff API with its webhooks."""

    def __init__(self, engine: Engine, rules: Rules) -> None:
        api = new_api("Garant status")
        self.clock = clock()
        add_hooks(api, engine, guarded(TOKEN, "t"), rules, self.clock, lambda: PAGE)
        self._transport = httpx.ASGITransport(api)

    async def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        shown = {"Authorization": "Bearer t", **headers}
        async with httpx.AsyncClient(transport=self._transport, base_url="http://status") as client:
            return await client.request(method, path, json=body, headers=shown)


async def test_staff_add_look_at_test_and_remove_a_webhook(engine: Engine, receiver: Receiver) -> None:
    staff = Staff(engine, local(receiver))
    key = {"Idempotency-Key": "k1"}
    added = await staff("POST", "/hooks", {"url": receiver.url, "components": ["web"]}, **key)
    assert added.status_code == 201
    hook, secret = added.json()["hook"], added.json()["secret"]
    assert len(base64.b64decode(secret.removeprefix("whsec_"))) == 32
    again = await staff("POST", "/hooks", {"url": receiver.url, "components": ["web"]}, **key)
    assert (again.status_code, again.json()["hook"]) == (200, hook)
    other = await staff("POST", "/hooks", {"url": receiver.url}, **key)
    assert other.status_code == 409
    assert (await staff("GET", "/hooks", Authorization="Bearer x")).status_code == 401
    (shown,) = (await staff("GET", "/hooks")).json()
    assert shown["components"] == ["web"]
    assert secret not in (await staff("GET", f"/hooks/{hook}")).text
    call = (await staff("POST", f"/hooks/{hook}/test")).json()["call"]
    async with delivering(engine, local(receiver), clock(NOW + 1)):
        await eventually(lambda: receiver.received)
        await eventually(lambda: states(engine)[0][0] == "delivered")
    assert receiver.received[0].headers["webhook-id"] == call
    (told,) = (await staff("GET", f"/hooks/{hook}")).json()["calls"]
    assert (told["state"], told["attempts"], told["reason"]) == ("delivered", 1, "answered 204")
    assert (await staff("DELETE", f"/hooks/{hook}")).status_code == 204
    for method, path in (("DELETE", ""), ("GET", ""), ("POST", "/test")):
        assert (await staff(method, f"/hooks/{hook}{path}")).status_code == 404


async def test_what_staff_cannot_add_is_refused_with_what_to_do(engine: Engine) -> None:
    staff = Staff(engine, Rules())
    for body, why in (
        ({"url": "https://localhost/"}, "private or loopback"),
        ({"url": "http://9.9.9.9/"}, "https://"),
        ({"url": "https://9.9.9.9/", "components": ["nothing"]}, "there are api, web"),
        ({"url": "https://no-such-host.invalid/"}, "no such host"),
    ):
        answer = await staff("POST", "/hooks", body)
        assert answer.status_code == 422
        assert why in answer.json()["detail"]
    assert (await staff("GET", "/hooks")).json() == []
    assert (await staff("GET", "/subscribers/count")).json() == {"confirmed": 0}


async def test_a_hook_is_told_of_what_it_wants_only(engine: Engine) -> None:
    with writing(engine) as connection:
        hook, _, _ = add_hook(connection, "https://a.example/", ["web"], None, clock(NOW - 1))
        told = [Entry("change/1", "change", NOW, ("api",), change(Condition.DOWN))]
        told.append(replace(told[0], key="incident/1", components=()))
        put_calls(connection, PAGE, told, NOW)
        _, posted = hook_of(connection, hook)
    assert [one.entry for one in posted] == ["incident/1"]
