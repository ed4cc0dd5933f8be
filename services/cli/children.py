"""The table of what `garant up` runs besides the broker, and the demo application's probe configuration."""

from __future__ import annotations

import sys
from pathlib import Path

from services.cli.ports import HOST
from services.cli.supervisor import Child
from services.cli.up_settings import UpSettings

LOCATIONS = ("zurich", "geneva", "lugano")
GARANT = (sys.executable, "-m", "services.cli.main")

PROBES = """\
# Written by `garant up` at each start: what its agents probe. GARANT_UP_PROBES names a file of your own.
locations: [{locations}]
allow: [loopback]
targets:
  - target: demo
    name: Demo application
    host: {host}
    interval_s: 2
    checks:
      - kind: tcp
        port: {tcp}
      - kind: http
        port: {http}
        path: /
"""


def children(home: Path, settings: UpSettings) -> tuple[Child, ...]:
    """One row for each process, in the order of their start. Writes the probe configuration of the demo."""
    probes = settings.probes.absolute() if settings.probes else _demo_probes(home, settings)
    return (
        Child(
            "demo",
            (
                *GARANT,
                *("demo", "serve"),
                *("--http-port", str(settings.demo_http_port), "--tcp-port", str(settings.demo_tcp_port)),
            ),
            ready_url=f"http://{HOST}:{settings.demo_http_port}/ready",
            ports={
                settings.demo_http_port: "GARANT_UP_DEMO_HTTP_PORT",
                settings.demo_tcp_port: "GARANT_UP_DEMO_TCP_PORT",
            },
        ),
        Child(
            "sla",
            (*GARANT, "sla"),
            ready_url=f"http://{HOST}:{settings.sla_port}/ready",
            ports={settings.sla_port: "GARANT_UP_SLA_PORT"},
            env={"GARANT_SLA_PORT": str(settings.sla_port)},
        ),
        Child(
            "billing",
            (*GARANT, "billing", "serve"),
            ready_url=f"http://{HOST}:{settings.billing_port}/ready",
            ports={settings.billing_port: "GARANT_UP_BILLING_PORT"},
            env={"GARANT_BILLING_PORT": str(settings.billing_port)},
        ),
        *(
            Child(
                f"probe-{location}",
                (*GARANT, "probe", "--config", str(probes), "--location", location),
                ready_url=f"http://{HOST}:{settings.probe_port + number}/ready",
                ports={settings.probe_port + number: "GARANT_UP_PROBE_PORT"},
                env={"GARANT_PROBE_PORT": str(settings.probe_port + number)},
            )
            for number, location in enumerate(LOCATIONS)
        ),
    )


def _demo_probes(home: Path, settings: UpSettings) -> Path:
    path = home / "demo-probes.yaml"
    path.write_text(
        PROBES.format(
            locations=", ".join(LOCATIONS),
            host=HOST,
            tcp=settings.demo_tcp_port,
            http=settings.demo_http_port,
        )
    )
    return path
