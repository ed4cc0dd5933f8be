"""An agent's folder as it is left behind: half of what waited was delivered, and the last line is torn."""

from __future__ import annotations

from pathlib import Path

from services.probe.config import load
from services.probe.declarations import Declarations
from services.probe.spool import Spool
from shared.codec import encode
from shared.facts import ProbeResult
from shared.time import Instant
from tests.upgrade.story import NOON

CONFIGURATION = """\
locations: [zurich, geneva]
allow: [loopback]
references: {endpoints: [{kind: tcp, host: 127.0.0.1, port: 9}]}
targets:
  - {target: old, name: Old, host: 127.0.0.1, interval_s: 60, checks: [{kind: tcp, port: 9}]}
  - {target: other, name: Other, host: 127.0.0.1, interval_s: 60, checks: [{kind: tcp, port: 9}]}
"""
LOCATION = "zurich"
DELIVERED = 15


def waited() -> list[bytes]:
    """What was put into the spool, in order."""
    return [
        encode(ProbeResult("old", "tcp:9", LOCATION, Instant(NOON + n * 60_000), "down", None, "refused"))
        for n in range(40)
    ]


def write_spool(folder: Path, work: Path) -> None:
    """Makes the folder: 40 records in several files, 15 of them delivered, a line cut off behind them."""
    folder.mkdir()
    (folder / "agent.yaml").write_text(CONFIGURATION)
    configuration = load(folder / "agent.yaml")
    home = work / "probe"
    spool = Spool(home / "spool", max_bytes=10**9, max_age_s=10**9, file_bytes=1_200)
    spool.append(waited())
    spool.peek(DELIVERED)
    spool.advance(DELIVERED)
    spool.close()
    said = Declarations(home / "declared.json")
    said.remember(said.due(configuration, LOCATION, NOON))
    for path in sorted([*(home / "spool").iterdir(), home / "declared.json"]):
        (folder / path.name).write_bytes(path.read_bytes())
    last = sorted(folder.glob("*.spool"))[-1]
    last.write_bytes(last.read_bytes() + b'0badc0de {"type":"ProbeResult","target":"old","ch')
