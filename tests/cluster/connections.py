"""Who may connect to whom, as the arrows say it, and who can, tried from inside the pods."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

PORTS = {
    "sla": [28082],
    "billing": [28083],
    "support": [28084],
    "notify": [28085],
    "status": [28087, 28088],
    "probe": [28091],
    "trial-kafka": [9092],
    "trial-postgres": [5432],
    "trial-mail": [28025, 28143, 28086],
    "trial-demo": [28080, 28081],
}
"""Everything that a trial's pods listen on."""
OUTSIDES = {
    "kafka": ("trial-kafka", [9092]),
    "database": ("trial-postgres", [5432]),
    "mail": ("trial-mail", [28025, 28143]),
}
"""What stands for an outside in a trial."""
WHEN = ("trial", "mail")
"""What is on in a trial; whatever else has to be on is not."""
ELSEWHERE = ("dns", "webhooks", "targets", "gateway", "monitoring", "otlp")

TRY = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor

def one(place):
    try:
        socket.create_connection((place[0], place[1]), timeout=3).close()
        return "open"
    except OSError as error:
        return type(error).__name__

places = json.loads(sys.argv[1])
with ThreadPoolExecutor(64) as pool:
    print(json.dumps(list(pool.map(one, places))))
"""
"""A program for a pod: argument [[host, port], ..], prints "open" or what went wrong for each."""
LISTEN = """
import socketserver
class Answer(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(b"here")
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(("", 8080), Answer).serve_forever()
"""
"""A program for a pod that listens on 8080."""


class Way(NamedTuple):
    """From a component, or a stranger, to a port of a component."""

    origin: str
    to: str
    port: int


def allowed_ways(arrows: Iterable[Mapping[str, Any]]) -> set[Way]:
    """The ways within a trial that the arrows allow, those that have to be switched on left out."""
    ways = set()
    for arrow in arrows:
        outside = arrow["to"] in ELSEWHERE or arrow["from"] in ELSEWHERE
        if outside or arrow.get("when", "trial") not in WHEN:
            continue
        to, ports = OUTSIDES.get(arrow["to"], (arrow["to"], []))
        for port in arrow.get("ports") or ports:
            ways.add(Way(arrow["from"], to, port))
    return ways


def differences(found: Mapping[Way, str], allowed: set[Way]) -> list[str]:
    """A line for each way that is open and should not be, or the other way round."""
    said = []
    for way, how in sorted(found.items()):
        if way in allowed and how != "open":
            said.append(f"{way.origin} -> {way.to}:{way.port} is an arrow, and: {how}")
        elif way not in allowed and how == "open":
            said.append(f"{way.origin} -> {way.to}:{way.port} is no arrow, and open")
    untried = allowed - found.keys()
    return said + [f"{way.origin} -> {way.to}:{way.port} was not tried" for way in sorted(untried)]


def places(ips: Mapping[str, str]) -> list[tuple[str, int, str]]:
    """(component, port, address) of everything that listens."""
    return [(component, port, ips[component]) for component, ports in PORTS.items() for port in ports]


def asked(wanted: Iterable[tuple[str, int, str]]) -> str:
    """The argument of TRY."""
    return json.dumps([[ip, port] for _, port, ip in wanted])
