"""The three ways to look, against real sockets and real certificates."""

from __future__ import annotations

import asyncio
import errno
import resource
import socket
import ssl
import struct
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from services.probe.config import Http, Icmp, Tcp
from services.probe.icmp import PingNotPermitted, checksum, open_socket
from services.probe.probing import Probe, Probing
from services.probe.verdict import Verdict, failure

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    started = await asyncio.start_server(handler, "127.0.0.1", 0, ssl=tls)
    yield started.sockets[0].getsockname()[1]
    started.close()


def answer(data: bytes) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(data)
            await writer.drain()
            writer.close()
        except (ConnectionError, asyncio.IncompleteReadError):
            writer.close()

    return handle


async def look(
    config: Icmp | Tcp | Http,
    port: int = 0,
    host: str = "127.0.0.1",
    allow: str = "loopback",
    timeout_s: float = 5,
) -> Verdict:
    probing = Probing([allow])
    try:
        return await probing.check(Probe("app", config.check, host, port, config, 10_000, timeout_s))
    finally:
        probing.close()


TCP = Tcp(kind="tcp", port=1)
HTTP = Http(kind="http")
KEY = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"


def unused_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def test_a_tcp_connect_that_is_accepted_is_up_with_its_round_trip() -> None:
    async with server(answer(b"")) as port:
        found = await look(TCP, port)
    assert (found.outcome, found.error, found.local) == ("up", None, True)
    assert found.rtt_us is not None
    assert 1 <= found.rtt_us < 1_000_000


async def test_a_connection_reset_after_it_was_accepted_is_up() -> None:
    async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        accepted = writer.get_extra_info("socket")
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async with server(reset) as port:
        assert (await look(TCP, port)).outcome == "up"


async def test_a_refused_connect_is_down() -> None:
    assert await look(TCP, unused_port()) == Verdict("down", None, "refused", True)


@asynccontextmanager
async def deaf_port() -> AsyncIterator[int]:
    """A port whose queue of connections is full: it neither accepts nor refuses."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        waiting = []
        for _ in range(8):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(deaf.getsockname())
            waiting.append(one)
        await asyncio.sleep(0.1)
        yield int(deaf.getsockname()[1])
        for one in waiting:
            one.close()


async def test_a_connect_without_answer_is_down_when_its_time_is_over() -> None:
    loop = asyncio.get_running_loop()
    async with deaf_port() as port:
        began = loop.time()
        assert await look(TCP, port, timeout_s=0.3) == Verdict("down", None, "timeout", True)
        assert 0.25 < loop.time() - began < 2


async def test_no_open_file_left_is_the_agents_fault_and_unknown() -> None:
    probing = Probing(["loopback"])
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        async with server(answer(b"")) as port:
            await asyncio.sleep(0)
            resource.setrlimit(resource.RLIMIT_NOFILE, (3, limits[1]))
            probe = Probe("app", "tcp:1", "127.0.0.1", port, TCP, 10_000, 1.0)
            found = await probing.check(probe)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        probing.close()
    assert (found.outcome, found.error) == ("unknown", "agent: too many open files")


@pytest.mark.parametrize(
    ("number", "outcome", "error"),
    [
        (errno.ECONNREFUSED, "down", "refused"),
        (errno.ENETUNREACH, "down", "network unreachable"),
        (errno.EADDRNOTAVAIL, "unknown", "agent: out of local ports"),
        (errno.EPERM, "unknown", "agent: not permitted"),
        (errno.EPROTO, "down", "error EPROTO"),
        (None, "down", "failed"),
    ],
)
def test_errors_of_the_system_have_short_stable_reasons(number: int | None, outcome: str, error: str) -> None:
    assert failure(number) == Verdict(outcome, None, error)  # type: ignore[arg-type]


async def test_an_address_that_is_not_allowed_is_never_connected_to() -> None:
    arrived = asyncio.Event()

    async def note(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        arrived.set()
        writer.close()

    async with server(note) as port:
        for config in (TCP, HTTP, Icmp(kind="icmp")):
            for host in ("127.0.0.1", "localhost", "::ffff:127.0.0.1"):
                found = await look(config, port, host, allow="private")
                assert (found.outcome, found.error) == ("unknown", "agent: address not allowed")
    assert not arrived.is_set()


async def test_a_name_that_does_not_exist_is_down() -> None:
    found = await look(TCP, 80, "nowhere.invalid")
    assert found.outcome == "down"
    assert found.error in ("dns: no such name", "dns: no answer")


@pytest.mark.parametrize(
    ("data", "outcome", "error"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", "up", None),
        (b"HTTP/1.0 204\r\n\r\n", "up", None),
        (b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\n\r\n", "up", None),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "up", None),
        (b"HTTP/1.1 503 Unavailable\r\n\r\n", "down", "status 503"),
        (b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 500 No\r\n\r\n", "down", "status 500"),
        (b"SSH-2.0-OpenSSH\r\n", "down", "not http"),
        (b"HTTP/1.1 2x0 OK\r\n\r\n", "down", "not http"),
        (b"HTTP/1.1 200", "down", "not http"),
        (b"x" * 20_000, "down", "not http"),
        (b"HTTP/1.1 100 Continue\r\n\r\n" * 500, "down", "not http"),
        (b"", "down", "closed without an answer"),
    ],
)
async def test_the_status_line_decides(data: bytes, outcome: str, error: str | None) -> None:
    async with server(answer(data)) as port:
        found = await look(HTTP, port)
    assert (found.outcome, found.error) == (outcome, error)


async def test_only_the_configured_statuses_are_up() -> None:
    async with server(answer(b"HTTP/1.1 401 No\r\n\r\n")) as port:
        assert (await look(Http(kind="http", status="200, 400-401"), port)).outcome == "up"
        assert (await look(Http(kind="http", status="200"), port)).error == "status 401"


async def test_a_server_that_says_nothing_is_down_when_its_time_is_over() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with server(silent) as port:
        assert await look(HTTP, port, timeout_s=0.3) == Verdict("down", None, "timeout", True)


async def test_the_request_names_the_host_and_no_more_than_needed() -> None:
    heard: list[bytes] = []

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        writer.close()

    async with server(note) as port:
        assert (await look(Http(kind="http", path="/health?deep=1"), port, "localhost")).outcome == "up"
    assert heard[0].startswith(f"GET /health?deep=1 HTTP/1.1\r\nHost: localhost:{port}\r\n".encode())


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a certificate authority of the test's own: `ca.pem`."""
    home = tmp_path_factory.mktemp("ca")
    openssl(home, f"req -x509 {KEY} -keyout ca.key -out ca.pem -days 30 -subj /CN=ca")
    return home


def openssl(home: Path, arguments: str) -> None:
    done = subprocess.run(
        ["openssl", *arguments.split()], cwd=home, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def certificate(home: Path, name: str, days: int) -> ssl.SSLContext:
    """A server's side with a certificate for `name` that ends in `days` days."""
    names = f"-subj /CN=x -addext subjectAltName=DNS:{name}"
    openssl(home, f"req {KEY} -keyout {name}.key -out {name}.csr {names}")
    signer = "-CA ca.pem -CAkey ca.key -CAcreateserial -copy_extensions copy"
    openssl(home, f"x509 -req -in {name}.csr {signer} -days {days} -out {name}.pem")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(home / f"{name}.pem", home / f"{name}.key")
    return context


OK = answer(b"HTTP/1.1 200 OK\r\n\r\n")


async def test_a_trusted_certificate_is_up_and_its_end_is_told(authority: Path) -> None:
    async with server(OK, certificate(authority, "localhost", 10)) as port:
        found = await look(Http(kind="https", ca_file=str(authority / "ca.pem")), port, "localhost")
    assert (found.outcome, found.error) == ("up", None)
    assert found.certificate_ends is not None
    assert found.certificate_ends % 1_000 == 0


@pytest.mark.parametrize(
    ("name", "days", "trusted", "error"),
    [
        ("localhost", -1, True, "tls: certificate expired"),
        ("elsewhere.example", 10, True, "tls: certificate for another name"),
        ("localhost", 10, False, "tls: certificate issuer unknown"),
    ],
)
async def test_a_certificate_that_is_not_good_is_down(
    authority: Path, name: str, days: int, trusted: bool, error: str
) -> None:
    config = Http(kind="https", ca_file=str(authority / "ca.pem") if trusted else None)
    async with server(OK, certificate(authority, name, days)) as port:
        found = await look(config, port, "localhost")
    assert (found.outcome, found.error) == ("down", error)


async def test_https_to_a_port_that_speaks_no_tls_is_down() -> None:
    async with server(answer(b"HTTP/1.1 200 OK\r\n\r\n")) as port:
        found = await look(Http(kind="https"), port, timeout_s=1)
    assert found.outcome == "down"


async def test_a_ping_of_loopback_is_up_wherever_pings_are_permitted() -> None:
    permitted = True
    try:
        open_socket(socket.AF_INET)[0].close()
    except PingNotPermitted:
        permitted = False
    found = await look(Icmp(kind="icmp"))
    if permitted:
        assert (found.outcome, found.error, found.rtt_us is None) == ("up", None, False)
    else:
        assert found == Verdict("unknown", None, "agent: icmp not permitted")


async def test_without_permission_a_ping_is_unknown_and_the_settings_are_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object) -> socket.socket:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("services.probe.icmp.socket.socket", refuse)
    with pytest.raises(PingNotPermitted, match=r"net\.ipv4\.ping_group_range.*CAP_NET_RAW"):
        open_socket(socket.AF_INET)
    monkeypatch.undo()


def test_the_internet_checksum_is_right() -> None:
    header = bytes.fromhex("0800000012340001") + b"abc"
    total = checksum(header)
    checked = header[:2] + total.to_bytes(2, "big") + header[4:]
    assert checksum(checked) == 0


async def test_many_connects_at_once_each_get_their_own_answer() -> None:
    async with server(answer(b"")) as open_port, deaf_port() as deaf:
        closed = unused_port()
        probing = Probing(["loopback"])
        ports = [open_port, closed, deaf] * 100
        found = await asyncio.gather(
            *(probing.check(Probe("app", "tcp:1", "127.0.0.1", port, TCP, 10_000, 1.0)) for port in ports)
        )
        probing.close()
    assert [one.error for one in found] == [None, "refused", "timeout"] * 100
