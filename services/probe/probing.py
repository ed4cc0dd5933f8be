"""One run of one check: the name, the address policy, then the right way to look."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import NamedTuple

import structlog

from services.probe import http
from services.probe.addresses import Address, AddressRefused, Resolver, is_name, literal
from services.probe.config import Configuration, Http, Icmp, Target, Tcp
from services.probe.icmp import Pinger, PingNotPermitted
from services.probe.tcp import TcpProber
from services.probe.verdict import LookupFailed, Verdict

log = structlog.get_logger()


class Probe(NamedTuple):
    """One check of one target as an agent runs it. `timeout_s` covers all of a run, its lookup too.

    `address` is set for a TCP check of a numeric address: it can be prepared before its slot.
    """

    target: str
    check: str
    host: str
    port: int
    config: Icmp | Tcp | Http
    interval_ms: int
    timeout_s: float
    address: Address | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What no two runs at one time may share."""
        return self.target, self.check


class Probing:
    """The sockets and lookups of one agent. Runs on the loop it is made on."""

    def __init__(self, allow: Iterable[str]) -> None:
        self.resolver = Resolver(frozenset(allow))
        self.tcp = TcpProber()
        self._pinger = Pinger()

    async def check(self, probe: Probe) -> Verdict:
        """Runs `probe` once. Never raises for what it finds: that is the verdict."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + probe.timeout_s
        try:
            async with asyncio.timeout_at(deadline):
                addresses = await self.resolver.addresses(probe.host, probe.port)
        except TimeoutError:
            return Verdict("down", error="dns: no answer")
        except LookupFailed as error:
            return Verdict("down", error=str(error))
        except AddressRefused as error:
            log.error("check.address_refused", target=probe.target, check=probe.check, reason=str(error))
            return Verdict("unknown", error="agent: address not allowed")
        left = max(0.001, deadline - loop.time())
        match probe.config:
            case Tcp():
                return await self.tcp.check(addresses, left)
            case Http() as config:
                request = http.Request(
                    probe.host,
                    probe.port,
                    config.path,
                    config.kind == "https",
                    config.statuses,
                    config.ca_file,
                )
                return await http.check(request, addresses, left)
            case Icmp():
                try:
                    return await self._pinger.check(addresses, left)
                except PingNotPermitted:
                    return Verdict("unknown", error="agent: icmp not permitted")

    def close(self) -> None:
        """Closes every socket."""
        self.tcp.close()
        self._pinger.close()
        self.resolver.close()


def probes_of(configuration: Configuration, location: str) -> list[Probe]:
    """Every check that the agent at `location` runs."""
    allow = frozenset(configuration.allow)
    return [
        _probe(target, config, allow)
        for target in configuration.targets
        if location in configuration.locations_of(target)
        for config in target.checks
    ]


def _probe(target: Target, config: Icmp | Tcp | Http, allow: frozenset[str]) -> Probe:
    host, port, address = target.host, 0, None
    if isinstance(config, Http):
        host, port = config.host or host, config.port or config.usual_port
    elif isinstance(config, Tcp):
        port = config.port
        try:
            address = literal(host, port, allow)
        except AddressRefused:
            address = None  # each run of the check says so
    interval_ms, timeout_s = target.interval_s * 1_000, target.timeout_s(config)
    return Probe(target.target, config.check, host, port, config, interval_ms, timeout_s, address)


def reference_probes(configuration: Configuration) -> list[tuple[bool, Probe]]:
    """The references as probes, each with whether it is named rather than numbered."""
    timeout_s = configuration.references.timeout_s
    found = []
    for endpoint in configuration.references.endpoints:
        config: Icmp | Tcp = (
            Icmp(kind="icmp") if endpoint.port is None else Tcp(kind="tcp", port=endpoint.port)
        )
        probe = Probe("reference", config.check, endpoint.host, endpoint.port or 0, config, 0, timeout_s)
        found.append((is_name(endpoint.host), probe))
    return found
