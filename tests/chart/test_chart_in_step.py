"""The chart and the code say the same: rules, versions, settings, ports, values, reference."""

from __future__ import annotations

import json
import tarfile
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic_settings import BaseSettings

from services.billing.settings import BillingSettings
from services.cli.mail.settings import MailboxSettings
from services.notify.settings import NotifySettings
from services.probe.config import load as load_probes
from services.sla.app.service import SlaSettings
from services.sla.rules import RULES_VERSION
from services.status.configuration import parse as parse_page
from services.status.settings import StatusSettings
from services.support.settings import SupportSettings
from shared.settings import HomeSettings, KafkaSettings
from tests.chart.reference import PAGE, leaves, page
from tests.chart.rendering import CHART, EVERY_VALUES, ROOT, component, named, pods, render, run

SETTINGS: dict[str, type[BaseSettings]] = {
    "sla": SlaSettings,
    "billing": BillingSettings,
    "support": SupportSettings,
    "notify": NotifySettings,
    "status": StatusSettings,
}
OTHERS: tuple[type[BaseSettings], ...] = (HomeSettings, KafkaSettings, MailboxSettings)
SETTINGS_PAGE = (ROOT / "docs" / "reference" / "settings.md").read_text()


def variables(settings: type[BaseSettings]) -> set[str]:
    prefix = settings.model_config["env_prefix"]
    return {f"{prefix}{name}".upper() for name in settings.model_fields}


def schema() -> Any:
    return json.loads((CHART / "values.schema.json").read_text())


def test_the_rules_version_is_the_code_s() -> None:
    assert yaml.safe_load((CHART / "rules.yaml").read_text()) == {"rulesVersion": RULES_VERSION}


def test_the_version_is_the_project_s() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert (chart["version"], chart["appVersion"]) == (project, project)


@pytest.mark.parametrize("values", EVERY_VALUES)
def test_every_variable_is_a_setting(values: str) -> None:
    known = {name for settings in (*SETTINGS.values(), *OTHERS) for name in variables(settings)}
    for name, pod in pods(render(values)):
        for container in pod["spec"]["containers"]:
            said = [one["name"] for one in container.get("env", ())]
            assert sorted(said) == sorted(set(said)), name
            for variable in said:
                assert variable in known or variable.startswith("OTEL_") or f"`{variable}`" in SETTINGS_PAGE


@pytest.mark.parametrize("service", SETTINGS)
def test_a_service_takes_every_setting_but_what_the_chart_decides(service: str) -> None:
    offered = set(schema()["properties"][service]["properties"]["settings"]["properties"])
    assert offered <= variables(SETTINGS[service])
    said: set[str] = set()
    for values in EVERY_VALUES:
        for _, pod in pods(render(values)):
            if component(pod) == service:
                said |= {one["name"] for one in pod["spec"]["containers"][0]["env"]}
    free = {
        # In a trial the chart says them; what a production says itself comes after, and wins.
        *("GARANT_SUPPORT_AUTHSERV_ID", "GARANT_SUPPORT_STAFF", "GARANT_SUPPORT_SETTLE_S"),
        *("GARANT_NOTIFY_STAFF", "GARANT_NOTIFY_STAFF_LANGUAGE", "GARANT_NOTIFY_SETTLE_S"),
        *("GARANT_SLA_SNAPSHOT_EVERY_S", "GARANT_BILLING_CAP_PER_DAY", "GARANT_NOTIFY_VENDOR"),
    }
    decided = {
        # It is a secret: extraEnv takes it from one.
        "GARANT_SUPPORT_ZAMMAD_SECRET",
        # Ports are the container's; where the command line finds a service is not for the service.
        *(f"GARANT_{service.upper()}_{name}" for name in ("PORT", "URL", "API_PORT", "FOLDER", "WORKERS")),
        *(f"GARANT_SUPPORT_{name}" for name in ("MAIL_IN_HOST", "SMTP_IN_PORT", "LMTP_IN_PORT")),
        *(f"GARANT_{service.upper()}_{name}" for name in ("DOMAIN", "IMAP_CA_FILE", "SMTP_CA_FILE")),
    }
    assert variables(SETTINGS[service]) - offered - decided - said == set()
    assert offered & (said - free) == set()


def test_a_settings_value_reaches_its_service() -> None:
    (container,) = named(render("everything"), "StatefulSet", "garant-sla-r1")["spec"]["template"]["spec"][
        "containers"
    ]
    assert {"name": "GARANT_SLA_SNAPSHOT_EVERY_S", "value": "5"} in container["env"]


def test_every_value_is_in_the_schema_and_every_property_in_the_values() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert differences(schema(), schema(), values) == []


def differences(whole: Any, part: Any, values: Any, path: str = "") -> list[str]:
    """Where the schema and the values do not have the same names."""
    if "$ref" in part:
        part = whole["definitions"][part["$ref"].rpartition("/")[2]]
    if part.get("type") != "object" or "properties" not in part:
        return []
    assert part["additionalProperties"] is False, path
    wanted, given = set(part["properties"]) - {"global"}, set(values)
    found = [f"{path}.{name}" for name in wanted ^ given]
    for name in sorted(wanted & given):
        if isinstance(values[name], dict) and name != "settings":
            found += differences(whole, part["properties"][name], values[name], f"{path}.{name}")
    return [one for one in found if not one.endswith(".limits.cpu")]


def test_the_reference_is_the_chart_s() -> None:
    assert PAGE.read_text() == page()
    assert len(list(leaves(yaml.safe_load((CHART / "values.yaml").read_text())))) > 100


def test_the_trial_s_files_are_what_its_services_read(tmp_path: Path) -> None:
    objects = render("trial")
    probes = tmp_path / "agent.yaml"
    probes.write_text(named(objects, "ConfigMap", "garant-probe")["data"]["agent.yaml"])
    configuration = load_probes(probes)
    page = parse_page(named(objects, "ConfigMap", "garant-status")["data"]["status.yaml"], "status.yaml")
    assert page.targets == {target.target for target in configuration.targets} == {"demo-app"}
    assert configuration.targets[0].host == "garant-trial-demo"
    agents = {pod["metadata"]["labels"].get("garant.ch/location") for _, pod in pods(objects)} - {None}
    assert agents == set(configuration.locations)


def test_the_examples_of_the_values_are_what_their_services_read(tmp_path: Path) -> None:
    for values in ("production", "everything"):
        objects = render(values)
        probes = tmp_path / f"{values}.yaml"
        probes.write_text(named(objects, "ConfigMap", "garant-probe")["data"]["agent.yaml"])
        load_probes(probes)
        parse_page(named(objects, "ConfigMap", "garant-status")["data"]["status.yaml"], values)


def test_helm_has_nothing_to_complain_of() -> None:
    for values in EVERY_VALUES:
        answer = run(
            "lint",
            "--strict",
            str(CHART),
            "--values",
            str(Path(__file__).parent / "values" / f"{values}.yaml"),
        )
        assert answer.returncode == 0, answer.stdout + answer.stderr


def test_the_package_has_the_alerts_and_dashboards_themselves(tmp_path: Path) -> None:
    """The chart links to deploy/observability; a package has the files."""
    answer = run("package", str(CHART), "--destination", str(tmp_path))
    assert answer.returncode == 0, answer.stderr
    (package,) = tmp_path.glob("garant-*.tgz")
    with tarfile.open(package) as archive:
        names = set(archive.getnames())
        file = archive.extractfile("garant/files/rules/garant.yaml")
        assert file is not None
        assert file.read() == (ROOT / "deploy/observability/rules/garant.yaml").read_bytes()
    assert "garant/arrows.yaml" in names
    assert "garant/rules.yaml" in names
    assert not [name for name in names if name.endswith(".test.yaml")]
    packed = run("template", "garant", str(package))
    assert packed.returncode == 0, packed.stderr


def test_alerts_and_dashboards_are_the_files() -> None:
    objects = render("everything")
    rules = yaml.safe_load((ROOT / "deploy/observability/rules/garant.yaml").read_text())
    shipped = named(objects, "PrometheusRule", "garant")["spec"]
    assert [group["name"] for group in shipped["groups"]] == [group["name"] for group in rules["groups"]]
    for group in shipped["groups"]:
        for rule in group["rules"]:
            address = rule.get("annotations", {}).get("runbook_url", "https://wiki.example.ch/garant/")
            assert address.startswith("https://wiki.example.ch/garant/")
    dashboards = sorted((ROOT / "deploy/observability/dashboards").glob("*.json"))
    assert dashboards
    for file in dashboards:
        found = named(objects, "ConfigMap", f"garant-dashboard-{file.stem}")
        assert found["data"] == {file.name: file.read_text()}
        assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
