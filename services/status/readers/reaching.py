"""Which addresses a webhook may go to, and connections that go nowhere else.

A name is looked up when connecting, every address of it is checked, and the connection goes to a checked
address itself, never to the name again: a name that answers otherwise a moment later gains nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

import httpcore
from msgspec import Struct

_Ip = ipaddress.IPv4Address | ipaddress.IPv6Address
Lookup = Callable[[str], Awaitable[list[str]]]
"""The numeric addresses of a name, as DNS says. Raises OSError."""

URL_MOST = 2_000
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_METADATA = tuple(
    ipaddress.ip_network(text)
    for text in (
        "169.254.0.0/16",
        "100.100.100.200/32",
        "168.63.129.16/32",
        "fd00:ec2::/32",
        "fd20:ce::254/128",
    )
)
_LOCAL = tuple(
    ipaddress.ip_network(text)
    for text in (
        *("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"),
        *("::1/128", "fc00::/7"),
    )
)
_HOST = re.compile(r"[A-Za-z0-9._:-]{1,253}")


class AddressRefused(Exception):
    """A webhook may not go there; the message says why, and names no address."""


async def system_lookup(host: str) -> list[str]:
    """What this machine's resolver says."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found))


class Rules(Struct, frozen=True):
    """What webhooks may do beside https to public addresses: `allow_http`; `allow_local`: private and
    loopback addresses. `ca_file`: certificates to trust instead of the system's."""

    allow_http: bool = False
    allow_local: bool = False
    ca_file: str | None = None
    lookup: Lookup = system_lookup


def checked_url(url: str, rules: Rules) -> str:
    """The URL, if a webhook may have it as far as it can be told without a lookup. Raises AddressRefused."""
    if len(url) > URL_MOST or not re.fullmatch(r"[!-~]+", url):
        raise AddressRefused(f"a webhook's address is a URL of at most {URL_MOST} ASCII characters")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise AddressRefused("that is no URL; write https://host/path") from None
    if parts.scheme != "https" and not (rules.allow_http and parts.scheme == "http"):
        raise AddressRefused("a webhook's address begins with https://")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise AddressRefused("a webhook's address holds no user, password or #fragment")
    if not _HOST.fullmatch(host) or port == 0:
        raise AddressRefused("that is no URL; write https://host/path (other letters than ASCII as xn--...)")
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return url
    _check(ip, rules)
    return url


async def check_reachable(url: str, rules: Rules) -> None:
    """Raises AddressRefused where the URL, or any address of its host now, may not be posted to, or there is
    no such host."""
    host = urlsplit(checked_url(url, rules)).hostname or ""
    await _addresses(host, rules)


def refusal(ip: _Ip, rules: Rules) -> str | None:
    """Why no webhook goes to the address; None: it may."""
    if isinstance(ip, ipaddress.IPv6Address):
        if ip in _NAT64:
            return refusal(ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF), rules)
        if ip.ipv4_mapped or ip.sixtofour or ip.teredo:
            return "it hides an IPv4 address in an IPv6 one"
        if ip.is_site_local:
            return "it is no public address"
    if any(ip in network for network in _METADATA):
        return "it is a link-local or cloud metadata address"
    if any(ip in network for network in _LOCAL):
        if rules.allow_local:
            return None
        return "it is a private or loopback address (GARANT_STATUS_HOOK_LOCAL would allow it)"
    if not ip.is_global or ip.is_multicast or ip.is_reserved or ip.is_link_local:
        return "it is no public address"
    return None


def _check(ip: _Ip, rules: Rules) -> None:
    if (reason := refusal(ip, rules)) is not None:
        raise AddressRefused(f"no webhook goes to that address: {reason}")


async def _addresses(host: str, rules: Rules) -> list[str]:
    """Every address of the host, all of them checked."""
    try:
        found = [str(ipaddress.ip_address(host))]
    except ValueError:
        try:
            found = await rules.lookup(host)
        except (OSError, UnicodeError):
            found = []
    if not found:
        raise AddressRefused("there is no such host")
    for text in found:
        _check(ipaddress.ip_address(text), rules)
    return found


class CheckedNetwork(httpcore.AsyncNetworkBackend):
    """Connects to addresses that were checked only; TLS still verifies the name."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the library's own signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """A connection to the first address that answers. Raises AddressRefused, httpcore.ConnectError."""
        failed: Exception = httpcore.ConnectError("no address")
        for address in await _addresses(host, self._rules):
            try:
                return await self._network.connect_tcp(
                    address, port, timeout, local_address=local_address, socket_options=socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
        raise failed


def trusting(rules: Rules) -> ssl.SSLContext:
    """What certificates are verified by."""
    return ssl.create_default_context(cafile=rules.ca_file)
