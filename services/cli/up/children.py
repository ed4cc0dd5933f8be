"""The table of what `garant up` runs besides the broker, and the demo application's probe configuration."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from socket import gethostname
from zlib import crc32

import yaml

from services.cli.local.ports import HOST
from services.cli.up.mail_children import mail_children
from services.cli.up.settings import UpSettings
from services.cli.up.supervisor import Child
from services.probe.config import load
from shared.errors import NeedsAPerson
from shared.yaml_files import ConfigurationInvalid

GARANT = str(Path(sys.executable).with_name("garant"))
DEMO_PROBES = Path(__file__).parents[1] / "demo" / "probes.yaml"


class ProbesUnusable(NeedsAPerson):
    """The probe configuration has mistakes; the message has each of them."""


def children(home: Path, settings: UpSettings) -> tuple[Child, ...]:
    """One row for each process, in the order of their start, an agent for each location of the probe
    configuration. Writes the demo's configuration to `home`. Raises ProbesUnusable."""
    probes = settings.probes.absolute() if settings.probes else _demo_probes(home, settings)
    http, tcp, sla, billing = (
        str(port)
        for port in (
            settings.demo_http_port,
            settings.demo_tcp_port,
            settings.sla_port,
            settings.billing_port,
        )
    )
    rows = [
        Child(
            "demo",
            (GARANT, "demo", "serve", "--http-port", http, "--tcp-port", tcp),
            f"http://{HOST}:{http}/health",
            {int(http): "GARANT_UP_DEMO_HTTP_PORT", int(tcp): "GARANT_UP_DEMO_TCP_PORT"},
        ),
        Child(
            "sla",
            (GARANT, "sla", "--port", sla),
            f"http://{HOST}:{sla}/ready",
            {int(sla): "GARANT_UP_SLA_PORT"},
            {"GARANT_SLA_INSTANCE": os.environ.get("GARANT_SLA_INSTANCE") or _instance(home)},
        ),
        Child(
            "billing",
            (GARANT, "billing", "serve"),
            f"http://{HOST}:{billing}/ready",
            {int(billing): "GARANT_UP_BILLING_PORT"},
            {"GARANT_BILLING_PORT": billing},
        ),
    ]
    rows += mail_children(GARANT, home, settings)
    rows.append(_status(home, settings))
    for port, location in enumerate(_locations(probes), settings.probe_port):
        argv = (GARANT, "probe", "--config", str(probes), "--location", location, "--port", str(port))
        ready = f"http://{HOST}:{port}/ready"
        rows.append(Child(f"probe-{location}", argv, ready, {port: "GARANT_UP_PROBE_PORT"}))
    return tuple(rows)


def _status(home: Path, settings: UpSettings) -> Child:
    page, api = settings.status_port, settings.status_api_port
    env = {
        "GARANT_STATUS_PORT": str(page),
        "GARANT_STATUS_API_PORT": str(api),
        "GARANT_STATUS_NOTIFY_URL": f"http://{HOST}:{settings.notify_port}",
    }
    if not os.environ.get("GARANT_STATUS_PUBLIC_URL"):
        env["GARANT_STATUS_PUBLIC_URL"] = page_address(settings)
    if settings.probes and not os.environ.get("GARANT_STATUS_CONFIG"):
        env["GARANT_STATUS_CONFIG"] = str(_shown(home, settings.probes))
    return Child(
        "status",
        (GARANT, "status", "serve"),
        f"http://{HOST}:{api}/ready",
        {page: "GARANT_UP_STATUS_PORT", api: "GARANT_UP_STATUS_API_PORT"},
        env,
    )


def _shown(home: Path, probes: Path) -> Path:
    """A page that shows every target of `probes` to those on this machine, until one says what is public."""
    components = [
        {"id": f"c{number}", "name": target.name, "targets": [target.target]}
        for number, target in enumerate(load(probes).targets, 1)
    ]
    page = {"vendor": "Garant", "product": "Garant", "groups": [{"id": "all", "components": components}]}
    path = home / "status-page.yaml"
    path.write_text(yaml.safe_dump(page, allow_unicode=True, sort_keys=False))
    return path


def page_address(settings: UpSettings) -> str:
    """Where the status page is on this machine."""
    return f"http://{HOST}:{settings.status_port}"


def _instance(home: Path) -> str:
    """The SLA service's name: the same at each start here, another for another directory or machine."""
    return f"up-{crc32(f'{gethostname()} {home.resolve()}'.encode()):08x}"


def _locations(probes: Path) -> tuple[str, ...]:
    try:
        return load(probes).locations
    except ConfigurationInvalid as mistakes:
        raise ProbesUnusable(f"{probes} cannot be used:\n{mistakes}") from mistakes


def _demo_probes(home: Path, settings: UpSettings) -> Path:
    usual = UpSettings.model_fields
    text = DEMO_PROBES.read_text()
    for name, port in (
        ("demo_http_port", settings.demo_http_port),
        ("demo_tcp_port", settings.demo_tcp_port),
    ):
        text = text.replace(f"port: {usual[name].default}", f"port: {port}")
    path = home / "demo-probes.yaml"
    path.write_text(text)
    return path
