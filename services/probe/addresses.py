"""Which addresses may be probed, whatever DNS says, and names turned into checked addresses.

Every address of a name is checked at the time of connecting, and the connection goes to the checked
address itself, never to the name again: a name that answers differently a moment later gains nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Literal, NamedTuple

from services.probe.verdict import LookupFailed, lookup_reason

Allowance = Literal["loopback", "private"]
_Ip = ipaddress.IPv4Address | ipaddress.IPv6Address

_METADATA = tuple(
    ipaddress.ip_network(text)
    for text in (
        "169.254.169.254/32",
        "169.254.170.0/24",
        "100.100.100.200/32",
        "168.63.129.16/32",
        "192.0.0.192/32",
        "fd00:ec2::/32",
        "fd20:ce::254/128",
    )
)
_LOCAL_NAT64 = ipaddress.ip_network("64:ff9b:1::/48")
_CARRYING_IPV4 = tuple(
    (ipaddress.IPv6Network(text), shift)
    for text, shift in (
        ("::ffff:0:0/96", 0),
        ("::ffff:0:0:0/96", 0),
        ("64:ff9b::/96", 0),
        ("::/96", 0),
        ("2002::/16", 80),
    )
)
"""IPv6 networks whose addresses lead to an IPv4 address: mapped, translated, NAT64, compatible, 6to4."""


class Address(NamedTuple):
    """An address that passed the policy: what to give to connect()."""

    family: int
    sockaddr: tuple[str, int] | tuple[str, int, int, int]
    local: bool


class AddressRefused(Exception):
    """The address may not be probed; the message says why and what would allow it."""


def refusal(text: str, allow: Collection[str]) -> str | None:
    """Why the numeric address `text` may not be probed, or None when it may.

    Link-local, metadata, multicast, unspecified and reserved addresses never may; loopback and private
    ones only when `allow` names them. An IPv4 address inside an IPv6 one counts as itself too.
    """
    ip = ipaddress.ip_address(text)
    carried = _carried(ip)
    reasons = [_refusal(one, allow) for one in carried] if carried else [_refusal(ip, allow)]
    return next((reason for reason in reasons if reason), None)


def _carried(ip: _Ip) -> list[_Ip]:
    if isinstance(ip, ipaddress.IPv4Address) or ip in (ipaddress.IPv6Address(0), ipaddress.IPv6Address(1)):
        return []
    if ip.teredo is not None:
        return list(ip.teredo)
    for network, shift in _CARRYING_IPV4:
        if ip in network:
            return [ipaddress.IPv4Address((int(ip) >> shift) & 0xFFFFFFFF)]
    return []


def _refusal(ip: _Ip, allow: Collection[str]) -> str | None:
    if any(ip in network for network in _METADATA):
        return "a cloud metadata address is never probed"
    if ip in _LOCAL_NAT64:
        return "a local NAT64 address hides where it leads and is never probed"
    if ip.is_link_local:
        return "a link-local address is never probed"
    if ip.is_multicast:
        return "a multicast address is never probed"
    if ip.is_unspecified or (ip.version == 4 and int(ip) >> 24 == 0):
        return "an unspecified address is never probed"
    if ip.version == 4 and int(ip) >> 28 == 15:
        return "a reserved or broadcast address is never probed"
    if ip.is_loopback:
        return None if "loopback" in allow else "a loopback address needs `allow: [loopback]`"
    if not ip.is_global:
        return None if "private" in allow else "a private address needs `allow: [private]`"
    return None


@lru_cache(maxsize=65_536)
def literal(host: str, port: int, allow: frozenset[str]) -> Address | None:
    """The checked address when `host` is a number already, None when it is a name. Raises AddressRefused."""
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return None
    reason = refusal(str(ip), allow)
    if reason is not None:
        raise AddressRefused(reason)
    if isinstance(ip, ipaddress.IPv4Address):
        return Address(socket.AF_INET, (str(ip), port), ip.is_loopback)
    return Address(socket.AF_INET6, (str(ip), port, 0, 0), ip.is_loopback)


class Resolver:
    """Names to checked addresses. Lookups of one name that overlap share one answer; none is kept."""

    def __init__(self, allow: frozenset[str], threads: int = 16) -> None:
        self.allow = allow
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="lookup")
        self._asking: dict[str, asyncio.Future[list[str]]] = {}

    async def addresses(self, host: str, port: int) -> list[Address]:
        """Every address of `host`, all of them checked, in the order to try.

        Raises AddressRefused when any of them may not be probed, LookupFailed when there is none.
        """
        known = literal(host, port, self.allow)
        if known is not None:
            return [known]
        asking = self._asking.get(host)
        if asking is None:
            asking = asyncio.ensure_future(self._ask(host))
            self._asking[host] = asking
            asking.add_done_callback(lambda _: self._asking.pop(host, None))
        found = [literal(text, port, self.allow) for text in await asyncio.shield(asking)]
        return [address for address in found if address is not None]

    async def _ask(self, host: str) -> list[str]:
        loop = asyncio.get_running_loop()
        try:
            answers = await loop.run_in_executor(self._threads, _getaddrinfo, host)
        except socket.gaierror as error:
            raise LookupFailed(lookup_reason(error)) from None
        except (UnicodeError, OSError):
            raise LookupFailed("dns: no such name") from None
        return answers

    def close(self) -> None:
        """Ends the lookup threads without waiting for answers."""
        self._threads.shutdown(wait=False, cancel_futures=True)


def _getaddrinfo(host: str) -> list[str]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    # dict.fromkeys: each address once, in the resolver's order of preference.
    return list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))


def is_name(host: str) -> bool:
    """Whether `host` has to be looked up."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return True
    return False
