"""Metrics, rules, dashboards and runbooks keep step: what one of them names, the others have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Info
from prometheus_client.metrics import MetricWrapperBase

import services.billing.metrics
import services.notify.metrics
import services.sla.app.metrics
import services.status.history.metrics
import services.status.metrics
import services.status.readers.metrics
import services.support.metrics
from services.probe.metrics import Metrics

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy" / "observability" / "rules"
DASHBOARDS = sorted((ROOT / "deploy" / "observability" / "dashboards").glob("*.json"))
OPERATIONS = ROOT / "docs" / "operations"
RUNBOOKS = "https://github.com/garant/garant/blob/main/docs/operations/runbooks/"
MODULES = (
    services.sla.app.metrics,
    services.billing.metrics,
    services.support.metrics,
    services.notify.metrics,
    services.status.metrics,
    services.status.history.metrics,
    services.status.readers.metrics,
)
TOLD_BY_OTHERS = {"job", "namespace", "instance", "persistentvolumeclaim", "le"}
"""Labels that Prometheus or Kubernetes puts on a series."""
BUILD = {"garant_build_info": ("info", ("component", "version", "rules"))}
"""Made by a function for each registry, so no module has it."""


def metrics() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Every metric of ours as Prometheus names it, with its type and labels."""
    found: dict[str, tuple[str, tuple[str, ...]]] = dict(BUILD)
    owners: list[Any] = [*MODULES, Metrics()]
    for owner in owners:
        for one in vars(owner).values():
            if isinstance(one, MetricWrapperBase):
                [described] = one.describe()
                suffix = {"counter": "_total", "info": "_info"}.get(described.type, "")
                labels = ("location",) if isinstance(one, Info) else one._labelnames
                found[described.name + suffix] = (described.type, tuple(labels))
    return found


METRICS = metrics()
RULE_GROUPS = yaml.safe_load((RULES / "garant.yaml").read_text())["groups"]
ALERTS = {rule["alert"]: rule for group in RULE_GROUPS for rule in group["rules"] if "alert" in rule}
RECORDED = {rule["record"] for group in RULE_GROUPS for rule in group["rules"] if "record" in rule}


def panels(dashboard: Path) -> list[dict[str, Any]]:
    return [panel for panel in json.loads(dashboard.read_text())["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[tuple[str, str]]:
    """Where each expression stands, and the expression."""
    for group in RULE_GROUPS:
        for rule in group["rules"]:
            yield rule.get("alert") or rule["record"], rule["expr"]
    for dashboard in DASHBOARDS:
        for panel in panels(dashboard):
            for target in panel["targets"]:
                yield f"{dashboard.name}: {panel['title']}", target["expr"]


EXPRESSIONS = list(expressions())


def family(name: str) -> str:
    """The metric a series belongs to: a histogram's parts have names of their own."""
    base = re.sub(r"_(bucket|count|sum)$", "", name)
    return base if METRICS.get(base, ("",))[0] == "histogram" else name


def test_the_reference_tells_each_metric_with_its_type_and_labels() -> None:
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    rows = re.findall(r"^\| `(garant_\w+)` \| (\w+) \| (.*?) \| .+ \|$", page, re.M)
    told = {name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}
    assert len(told) == len(rows)
    assert told == METRICS


def test_names_follow_the_conventions() -> None:
    """Counters end in _total, nothing else does; no milliseconds, no percent: base units and ratios."""
    for name, (kind, labels) in METRICS.items():
        assert name.startswith("garant_")
        assert name.endswith("_total") == (kind == "counter"), name
        assert not re.search(r"_(ms|milliseconds|minutes|hours|days|kb|mb|percent)(_|$)", name), name
        assert not set(labels) & TOLD_BY_OTHERS, f"{name} has a label that Prometheus sets itself"


def test_no_metric_has_a_label_that_names_a_person_or_an_account() -> None:
    labels = {label for _, found in METRICS.values() for label in found}
    assert labels.isdisjoint({"account", "subscription", "contact", "address", "recipient", "ticket"})


@pytest.mark.parametrize(("place", "expression"), EXPRESSIONS, ids=[place for place, _ in EXPRESSIONS])
def test_rules_and_dashboards_name_only_what_there_is(place: str, expression: str) -> None:
    plain = re.sub(r'"[^"]*"', '""', re.sub(r'\{__name__=~"([^"]+)"\}', r" \1 ", expression))
    named = {family(name) for name in re.findall(r"\bgarant_\w+", plain)}
    recorded = set(re.findall(r"\bgarant:[\w:]+", plain))
    assert named | recorded or re.search(r"\b(up|process_\w+|scrape_\w+|kubelet_\w+|ALERTS)\b", plain)
    assert named <= METRICS.keys()
    assert recorded <= RECORDED
    for name, matchers in re.findall(r"\b(garant_\w+)\{([^}]*)\}", plain):
        labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers))
        assert labels <= {*METRICS[family(name)][1], *TOLD_BY_OTHERS}, f"{place} selects by {labels}"


def test_every_recorded_rule_is_used() -> None:
    used = {name for _, expression in EXPRESSIONS for name in re.findall(r"\bgarant:[\w:]+", expression)}
    assert used - RECORDED == set()
    unused = RECORDED - used
    assert unused == set(), f"nobody reads {unused}"


def test_each_alert_says_how_bad_it_is_what_it_means_and_where_its_page_is() -> None:
    for name, rule in ALERTS.items():
        assert rule["labels"]["severity"] in ("page", "ticket"), name
        assert set(rule["annotations"]) == {"summary", "description", "runbook_url"}, name
        assert rule["annotations"]["runbook_url"] == f"{RUNBOOKS}{name}.md"


def test_each_alert_has_a_runbook_and_each_runbook_an_alert() -> None:
    pages = {path.stem: path.read_text() for path in (OPERATIONS / "runbooks").glob("*.md")}
    assert pages.keys() == ALERTS.keys()
    for name, text in pages.items():
        assert text.startswith(f"# {name}\n")
        assert re.findall(r"^## (.+)$", text, re.M) == ["What it means", "Look", "Do", "Over when"], name


def test_the_table_of_alerts_has_each_with_its_severity_and_how_long_it_waits() -> None:
    rows = re.findall(
        r"^\| \[(\w+)\]\(runbooks/(\w+)\.md\) \| (\w+) \| (\S+) \|",
        (OPERATIONS / "alerts.md").read_text(),
        re.M,
    )
    assert [row[0] for row in rows] == list(ALERTS)
    for name, page, severity, waits in rows:
        assert (name, ALERTS[name]["labels"]["severity"]) == (page, severity)
        assert waits == ALERTS[name].get("for", "0m")


def test_the_rules_tests_have_for_each_alert_when_it_fires_and_when_it_does_not() -> None:
    fires, quiet = set(), set()
    for case in yaml.safe_load((RULES / "garant.test.yaml").read_text())["tests"]:
        given = {
            name for one in case["input_series"] for name in re.findall(r'namespace="(\w+)"', one["series"])
        }
        assert {"bad", "good"} <= given, case["name"]
        for check in case["promql_expr_test"]:
            named = {
                name
                for sample in check["exp_samples"]
                for name in re.findall(r'alertname="(\w+)",namespace="bad"', sample["labels"])
            }
            fires |= named
            if not named:
                quiet |= {alert for alert in ALERTS if case["name"].startswith(alert)}
    assert fires == set(ALERTS)
    assert quiet == set(ALERTS)


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.name)
def test_every_panel_says_what_it_shows_in_which_unit_and_reads_the_chosen_source(dashboard: Path) -> None:
    board = json.loads(dashboard.read_text())
    variables = [one["name"] for one in board["templating"]["list"]]
    assert variables == ["datasource", "job", "namespace", "instance"]
    assert board["uid"].startswith("garant-")
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    for panel in panels(dashboard):
        assert panel["description"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"], panel["title"]
        for target in panel["targets"]:
            assert target["datasource"]["uid"] == "${datasource}"
            assert "namespace" in target["expr"] or "$job" in target["expr"], panel["title"]
        for link in panel.get("links", []):
            assert link["url"] == f"{RUNBOOKS}{link['title']}.md"
            assert link["title"] in ALERTS


def test_no_two_panels_lie_on_one_another() -> None:
    for dashboard in DASHBOARDS:
        taken: set[tuple[int, int]] = set()
        for panel in json.loads(dashboard.read_text())["panels"]:
            at = panel["gridPos"]
            cells = {
                (x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])
            }
            assert at["x"] + at["w"] <= 24
            assert not cells & taken, f"{dashboard.name}: {panel['title']}"
            taken |= cells
