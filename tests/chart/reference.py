"""docs/reference/chart.md, made of values.yaml and arrows.yaml.

.venv/bin/python -m tests.chart.reference
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

from tests.chart.rendering import CHART, ROOT

PAGE = ROOT / "docs" / "reference" / "chart.md"
_NOTES = """\
Every value of `deploy/chart` and its default. `helm install garant deploy/chart` with nothing else is a
trial; [install](../operations/install.md) says what a production installation needs. Wrong values are
refused before anything is installed, with a line for each mistake. This page and the schema are tested
against the chart; after a change: `.venv/bin/python -m tests.chart.reference`.

- Before each install, upgrade and rollback `garant preflight` looks at settings, secrets, Kafka, topics
  and databases. What is wrong stops Helm with a line for each mistake, and nothing is changed. A first
  install that was stopped is repeated with `helm upgrade --install`. In a trial, and where an operator
  makes secrets or certificates, only upgrades are looked at: before the first install there is nothing to
  see.
- Each version of the SLA service's rules is a StatefulSet of its own, `RELEASE-sla-rN`. An upgrade to
  other rules makes the new one and takes the old one away; Kafka lets the new one in when the last of the
  old has left ([ADR 13](../adr/0013-one-rules-version-at-a-time.md)).
- A changed `probe.config` reaches the agents within two minutes without a restart. A changed
  `status.config` restarts the status page. A changed Secret restarts nothing.
- A trial makes its passwords and tokens once and keeps them over upgrades.
- `helm install` from this folder says that it follows a symbolic link: alerts and dashboards are those of
  `deploy/observability`. A package (`helm package deploy/chart`) holds the files."""
_ARROWS = """\
The network policies let exactly these connections through. `deploy/chart/arrows.yaml` is the same as data.
`when` is what has to be on. In a trial, kafka, database and mail are its own."""
_KEY = re.compile(r"^( *)([A-Za-z]+):")


def page() -> str:
    """The whole page."""
    text = (CHART / "values.yaml").read_text()
    values, told = yaml.safe_load(text), descriptions(text)
    lines = [
        "# The Helm chart",
        "",
        *_NOTES.splitlines(),
        "",
        "## Values",
        "",
        "| value | default | what |",
        "| --- | --- | --- |",
        *(f"| `{path}` | {shown(value)} | {told.get(path, '')} |" for path, value in leaves(values)),
        "",
        "Where nothing is said, the value is what it is in a pod, or the same as for another component.",
        "",
        "## Who speaks to whom",
        "",
        *_ARROWS.splitlines(),
        "",
        "| from | to | ports | when |",
        "| --- | --- | --- | --- |",
        *(_arrow(one) for one in yaml.safe_load((CHART / "arrows.yaml").read_text())["arrows"]),
        "",
    ]
    return "\n".join(lines)


def descriptions(text: str) -> dict[str, str]:
    """Of each value that has one (`# --`), its description, by its dotted path."""
    found: dict[str, str] = {}
    path: list[tuple[int, str]] = []
    words: list[str] = []
    for line in text.splitlines():
        if (comment := re.match(r" *# ?(.*)", line)) is not None:
            if comment[1].startswith("-- "):
                words = [comment[1][3:]]
            elif words:
                words.append(comment[1])
        elif (key := _KEY.match(line)) is not None:
            path = [one for one in path if one[0] < len(key[1])] + [(len(key[1]), key[2])]
            if words:
                found[".".join(name for _, name in path)] = " ".join(words)
            words = []
        else:
            words = []
    return found


def leaves(values: dict[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Every value, by its dotted path."""
    for name, value in values.items():
        path = f"{above}{name}"
        if isinstance(value, dict) and value and name not in ("requests", "limits", "labels", "imap", "smtp"):
            yield from leaves(value, f"{path}.")
        else:
            yield path, value


def shown(value: Any) -> str:
    """A default as it stands in the table."""
    return (
        "empty"
        if value in ("", [], {})
        else f"`{json.dumps(value) if not isinstance(value, str) else value}`"
    )


def _arrow(one: dict[str, Any]) -> str:
    ports = ", ".join([*map(str, one.get("ports", ())), *(["ping"] if one.get("pings") else [])])
    return f"| {one['from']} | {one['to']} | {ports} | {one.get('when', '')} |"


if __name__ == "__main__":
    PAGE.write_text(page())
