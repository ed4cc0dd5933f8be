"""How often one source may ask in an hour. Kept in memory only: nobody's address is written down."""

from __future__ import annotations

from collections import OrderedDict
from ipaddress import IPv6Address, ip_address

from shared.time import HOUR, Instant

_KEPT = 10_000
"""Sources remembered; beyond, those that asked longest ago are forgotten."""


class Sources:
    """Counts requests by IPv4 address, or by IPv6 network of 64 bits: one household's or machine's."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._asked: OrderedDict[str, list[int]] = OrderedDict()

    def may(self, host: str, now: Instant) -> bool:
        """Counts a request from `host` at `now` (ms), and whether it is within what one source may ask."""
        source = _network(host)
        recent = [at for at in self._asked.pop(source, []) if at > now - HOUR]
        allowed = len(recent) < self._most
        self._asked[source] = [*recent, now] if allowed else recent
        if len(self._asked) > _KEPT:
            self._asked.popitem(last=False)
        return allowed


def _network(host: str) -> str:
    try:
        ip = ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if not isinstance(ip, IPv6Address):
        return str(ip)
    return str(ip.ipv4_mapped or (int(ip) >> 64))
