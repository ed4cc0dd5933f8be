"""HTTP and HTTPS: one GET, its status line, and when the certificate ends.

The connection goes to an address that was checked; redirects are not followed, so that no answer can
lead the agent anywhere else. Only the status line and, for a 1xx, the headers after it are read.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from services.probe.addresses import Address
from services.probe.verdict import TIMEOUT, Verdict, failure

_LINE = 4096
_LINES = 200

_CERTIFICATE_REASONS = {
    9: "tls: certificate not yet valid",
    10: "tls: certificate expired",
    18: "tls: certificate self-signed",
    19: "tls: certificate self-signed",
    20: "tls: certificate issuer unknown",
    21: "tls: certificate issuer unknown",
    62: "tls: certificate for another name",
    64: "tls: certificate for another name",
}


class Request(NamedTuple):
    """What to ask. `statuses` are the ones that mean up, inclusive ranges."""

    host: str
    port: int
    path: str
    tls: bool
    statuses: tuple[tuple[int, int], ...]
    ca_file: str | None = None


class _Refused(Exception):
    """The answer is one that means down; the message is the stable reason."""


async def check(request: Request, addresses: Iterable[Address], timeout_s: float) -> Verdict:
    """Asks the first of `addresses` that accepts a connection; all of it within `timeout_s` seconds."""
    verdict = TIMEOUT
    local = False
    try:
        async with asyncio.timeout(timeout_s):
            for address in addresses:
                local = address.local
                verdict = await _ask(request, address)
                if verdict.error not in ("refused", "network unreachable", "host unreachable"):
                    break
    except TimeoutError:
        return TIMEOUT._replace(local=local)
    return verdict


async def _ask(request: Request, address: Address) -> Verdict:
    started = time.monotonic_ns()
    writer: asyncio.StreamWriter | None = None
    connected: socket.socket | None = None
    try:
        connected = socket.socket(address.family, socket.SOCK_STREAM)
        connected.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connected, address.sockaddr)
        reader, writer = await asyncio.open_connection(
            sock=connected,
            limit=_LINE,
            ssl=_context(request.ca_file) if request.tls else None,
            server_hostname=request.host if request.tls else None,
        )
        ends = _certificate_ends(writer)
        writer.write(_bytes(request))
        status = await _status(reader)
        rtt_us = max(1, (time.monotonic_ns() - started) // 1_000)
        if not any(low <= status <= high for low, high in request.statuses):
            return Verdict("down", None, f"status {status}", address.local, ends)
        return Verdict("up", rtt_us, None, address.local, ends)
    except ssl.SSLCertVerificationError as error:
        reason = _CERTIFICATE_REASONS.get(error.verify_code, "tls: certificate not trusted")
        return Verdict("down", None, reason, address.local)
    except ssl.SSLError:
        return Verdict("down", None, "tls: handshake failed", address.local)
    except _Refused as error:
        return Verdict("down", None, str(error), address.local)
    except OSError as error:
        return failure(error.errno, address.local)
    finally:
        if writer is not None:
            writer.transport.abort()
        elif connected is not None:
            connected.close()


def _bytes(request: Request) -> bytes:
    host = f"[{request.host}]" if ":" in request.host else request.host
    if request.port != (443 if request.tls else 80):
        host = f"{host}:{request.port}"
    lines = (
        f"GET {request.path} HTTP/1.1",
        f"Host: {host}",
        "User-Agent: garant-probe",
        "Accept: */*",
        "Cache-Control: no-cache",
        "Connection: close",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")


async def _status(reader: asyncio.StreamReader) -> int:
    """The final status: interim answers (1xx) and their headers are passed over."""
    lines = 0
    while lines < _LINES:
        line = await _line(reader)
        version, _, rest = line.partition(b" ")
        if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit() or len(rest[:3]) < 3:
            raise _Refused("not http")
        status = int(rest[:3])
        if status >= 200:
            return status
        while lines < _LINES and await _line(reader):
            lines += 1
        lines += 1
    raise _Refused("not http")


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return (await reader.readuntil(b"\n")).rstrip(b"\r\n")
    except asyncio.IncompleteReadError as error:
        raise _Refused("not http" if error.partial else "closed without an answer") from None
    except asyncio.LimitOverrunError:
        raise _Refused("not http") from None


@lru_cache(maxsize=256)
def _context(ca_file: str | None) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=ca_file)


def _certificate_ends(writer: asyncio.StreamWriter) -> int | None:
    certificate = writer.get_extra_info("peercert")
    if not certificate or "notAfter" not in certificate:
        return None
    return int(ssl.cert_time_to_seconds(certificate["notAfter"])) * 1_000
