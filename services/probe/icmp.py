"""ICMP echo without privileges: a datagram socket where the kernel allows one, else a raw one.

One socket a family serves every ping; a reply is matched by its sequence number and a random token, so
that nobody else's echo counts.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import struct
import time
from collections.abc import Iterable

from services.probe.addresses import Address
from services.probe.verdict import TIMEOUT, Verdict, failure

_TOKEN = 16
_KINDS = {
    socket.AF_INET: (socket.IPPROTO_ICMP, 8, 0),
    socket.AF_INET6: (socket.IPPROTO_ICMPV6, 128, 129),
}


class PingNotPermitted(Exception):
    """This process may not send ICMP echo; the message says which setting to change."""


def open_socket(family: int) -> tuple[socket.socket, bool]:
    """A socket to ping with and whether it is a raw one. Raises PingNotPermitted."""
    protocol = _KINDS[socket.AddressFamily(family)][0]
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            opened = socket.socket(family, kind, protocol)
        except OSError as error:
            if error.errno not in (errno.EACCES, errno.EPERM, errno.EPROTONOSUPPORT):
                raise
            continue
        opened.setblocking(False)
        return opened, kind == socket.SOCK_RAW
    raise PingNotPermitted(
        "ICMP is not permitted here: let this group send pings with `sysctl -w "
        f"net.ipv4.ping_group_range='{os.getegid()} {os.getegid()}'`, or give the process CAP_NET_RAW "
        "(`setcap cap_net_raw+ep` on the interpreter, `capabilities: add: [NET_RAW]` in a container), "
        "or take the icmp checks out of the configuration"
    )


class Pinger:
    """Pings in flight. Runs on the loop it is made on; sockets are opened when first needed."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._sockets: dict[int, tuple[socket.socket, bool]] = {}
        self._waiting: dict[tuple[int, int, bytes], tuple[asyncio.Future[Verdict], int, bool]] = {}
        self._ident = os.getpid() & 0xFFFF
        self._sequence = 0

    async def check(self, addresses: Iterable[Address], timeout_s: float) -> Verdict:
        """Pings the first of `addresses` and waits `timeout_s` seconds for its reply.

        Raises PingNotPermitted.
        """
        for address in addresses:
            try:
                return await self._ping(address, timeout_s)
            except OSError as error:
                return failure(error.errno, address.local)
        return TIMEOUT

    async def _ping(self, address: Address, timeout_s: float) -> Verdict:
        opened = self._socket(address.family)
        self._sequence = (self._sequence + 1) & 0xFFFF
        token = os.urandom(_TOKEN)
        key = (address.family, self._sequence, token)
        reply: asyncio.Future[Verdict] = self._loop.create_future()
        self._waiting[key] = (reply, time.monotonic_ns(), address.local)
        try:
            destination = (address.sockaddr[0], 0, *address.sockaddr[2:])
            opened.sendto(_echo(address.family, self._ident, self._sequence, token), destination)
            async with asyncio.timeout(timeout_s):
                return await reply
        except TimeoutError:
            return TIMEOUT._replace(local=address.local)
        finally:
            self._waiting.pop(key, None)

    def _socket(self, family: int) -> socket.socket:
        found = self._sockets.get(family)
        if found is None:
            found = self._sockets[family] = open_socket(family)
            self._loop.add_reader(found[0], self._readable, family)
        return found[0]

    def _readable(self, family: int) -> None:
        opened, raw = self._sockets[family]
        while True:
            try:
                packet = opened.recv(2048)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                return  # an error queued for one destination: that ping times out or says so itself
            heard = time.monotonic_ns()
            found = _reply(family, packet, raw)
            waiting = None if found is None else self._waiting.get((family, *found))
            if waiting is not None and not waiting[0].done():
                rtt_us = max(1, (heard - waiting[1]) // 1_000)
                waiting[0].set_result(Verdict("up", rtt_us, None, waiting[2]))

    def close(self) -> None:
        """Closes the sockets; pings in flight time out."""
        for opened, _ in self._sockets.values():
            self._loop.remove_reader(opened)
            opened.close()
        self._sockets.clear()


def _echo(family: int, ident: int, sequence: int, token: bytes) -> bytes:
    request = _KINDS[socket.AddressFamily(family)][1]
    # The kernel fills the checksum of ICMPv6 and, on a datagram socket, the identifier.
    total = (
        0
        if family == socket.AF_INET6
        else checksum(struct.pack("!BBHHH", request, 0, 0, ident, sequence) + token)
    )
    return struct.pack("!BBHHH", request, 0, total, ident, sequence) + token


def _reply(family: int, packet: bytes, raw: bool) -> tuple[int, bytes] | None:
    """The sequence number and token of an echo reply, None for any other packet."""
    if raw and family == socket.AF_INET:
        if not packet:
            return None
        packet = packet[(packet[0] & 0x0F) * 4 :]  # a raw IPv4 socket gives the IP header too
    if len(packet) < 8 + _TOKEN or packet[0] != _KINDS[socket.AddressFamily(family)][2]:
        return None
    return int.from_bytes(packet[6:8], "big"), packet[8 : 8 + _TOKEN]


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071) of `data`."""
    if len(data) % 2:
        data += b"\0"
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    total += total >> 16
    return ~total & 0xFFFF
