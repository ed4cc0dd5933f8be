"""The network policies are the arrows of deploy/chart/arrows.yaml and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.chart.rendering import CHART, EVERY_VALUES, Object, component, named, of_kind, pods, render

OUTSIDES = ("dns", "kafka", "database", "mail", "otlp", "webhooks", "targets")
CALLERS = ("gateway", "monitoring")
ALL_ON = {
    "httpRoute",
    "httpRoute.billing",
    "httpRoute.support",
    "httpRoute.statusApi",
    "monitoring",
    "otlp",
    "mail",
}
ON: dict[str, set[str]] = {"trial": {"trial", "mail"}, "production": set(), "everything": ALL_ON}
OWN = {
    "kafka": ("trial-kafka", (9092,)),
    "database": ("trial-postgres", (5432,)),
    "mail": ("trial-mail", (28025, 28143)),
}
Arrow = tuple[str, str, tuple[int, ...]]


def arrows(values: str) -> list[Arrow]:
    """Those that hold with the values, worked out again without the templates."""
    found = []
    for one in yaml.safe_load((CHART / "arrows.yaml").read_text())["arrows"]:
        if one.get("when") and one["when"] not in ON[values]:
            continue
        to, ports = one["to"], tuple(one.get("ports", ()) if not one.get("pings") else ())
        if values == "trial":
            to, ports = OWN.get(to, (to, ports))
        found.append((one["from"], to, ports))
    return found


def policies(values: str) -> dict[str, Object]:
    """Of each component, its policy's spec."""
    found = {}
    for one in of_kind(render(values), "NetworkPolicy"):
        selector = one["spec"]["podSelector"]["matchLabels"]
        found[selector.get("app.kubernetes.io/component", "any")] = one["spec"]
    return found


def said(policy: Object, way: str, peers: str) -> Iterator[tuple[str, tuple[int, ...]]]:
    """The components that a policy lets in or reaches, each with its ports."""
    for rule in policy.get(way, ()):
        for peer in rule.get(peers, ()):
            labels = peer.get("podSelector", {}).get("matchLabels", {})
            if "app.kubernetes.io/component" in labels:
                assert labels["app.kubernetes.io/instance"] == "garant"
                ports = tuple(port["port"] for port in rule.get("ports", ()))
                yield labels["app.kubernetes.io/component"], ports


@pytest.mark.parametrize("values", EVERY_VALUES)
def test_nothing_is_let_through_by_default_but_names(values: str) -> None:
    default = policies(values)["any"]
    assert default["podSelector"]["matchLabels"] == {
        "app.kubernetes.io/name": "garant",
        "app.kubernetes.io/instance": "garant",
    }
    assert default["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in default
    (names,) = default["egress"]
    assert {port["port"] for port in names["ports"]} == {53}
    assert "to" in names


@pytest.mark.parametrize("values", EVERY_VALUES)
def test_between_our_own_pods_each_arrow_is_there_from_both_sides_and_no_other(values: str) -> None:
    between = {one for one in arrows(values) if one[0] not in ("any", *CALLERS) and one[1] not in OUTSIDES}
    out = {
        (name, to, ports)
        for name, policy in policies(values).items()
        for to, ports in said(policy, "egress", "to")
    }
    into = {
        (source, name, ports)
        for name, policy in policies(values).items()
        for source, ports in said(policy, "ingress", "from")
    }
    assert out == between
    assert into == between


@pytest.mark.parametrize("values", EVERY_VALUES)
def test_the_rules_are_as_many_as_the_arrows(values: str) -> None:
    extra = 1 if values == "everything" else 0  # support.extraIngress
    rules = sum(len(p.get(way, ())) for p in policies(values).values() for way in ("ingress", "egress"))
    within = sum(one[0] not in ("any", *CALLERS) and one[1] not in OUTSIDES for one in arrows(values))
    assert rules == len(arrows(values)) + within + extra


@pytest.mark.parametrize("values", EVERY_VALUES)
def test_every_pod_has_a_policy_of_its_own_or_only_names(values: str) -> None:
    for name, pod in pods(render(values)):
        if component(pod) in ("trial-mail", "trial-kafka", "trial-postgres"):
            assert "egress" not in policies(values)[component(pod)], name
        assert component(pod) in policies(values), name


def test_outsides_are_those_of_the_values() -> None:
    found = policies("everything")
    kafka = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kafka"}}}
    assert {"ports": [{"protocol": "TCP", "port": 9093}], "to": [kafka]} in found_rules(found, "sla")
    database = {
        "ports": [{"protocol": "TCP", "port": 5432}, {"protocol": "TCP", "port": 6432}],
        "to": [{"ipBlock": {"cidr": "10.1.0.0/16"}}],
    }
    mail = {
        "ports": [{"protocol": "TCP", "port": port} for port in (993, 587, 25)],
        "to": [{"ipBlock": {"cidr": "10.2.0.0/16"}}],
    }
    assert database in found_rules(found, "billing")
    assert mail in found_rules(found, "support")
    for name in ("sla", "probe"):
        assert database not in found_rules(found, name)
        assert mail not in found_rules(found, name)
    for name in ("sla", "billing", "support", "notify", "status", "probe"):
        assert 4318 in {port["port"] for rule in found_rules(found, name) for port in rule.get("ports", ())}


def found_rules(found: dict[str, Object], name: str) -> list[dict[str, Any]]:
    return list(found[name]["egress"])


def test_webhooks_reach_the_public_internet_and_agents_reach_everything() -> None:
    found = policies("production")
    hooks = next(r for r in found_rules(found, "status") if r["ports"] == [{"protocol": "TCP", "port": 443}])
    assert "10.0.0.0/8" in hooks["to"][0]["ipBlock"]["except"]
    assert "169.254.0.0/16" in hooks["to"][0]["ipBlock"]["except"]
    targets = next(rule for rule in found_rules(found, "probe") if "ports" not in rule)
    assert [peer["ipBlock"]["cidr"] for peer in targets["to"]] == ["0.0.0.0/0", "::/0"]


def test_callers_reach_what_is_published_and_metrics_only() -> None:
    found = policies("everything")
    gateway = [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "gateways"}}}]
    ports = {
        name: [rule["ports"][0]["port"] for rule in policy.get("ingress", ()) if rule["from"] == gateway]
        for name, policy in found.items()
    }
    assert {name: one for name, one in ports.items() if one} == {
        "status": [28087, 28088],
        "billing": [28083],
        "support": [28084],
    }
    assert "ingress" not in policies("production")["sla"]


def test_without_policies_there_are_none() -> None:
    assert of_kind(render("trial", "--set", "networkPolicy.enabled=false"), "NetworkPolicy") == []


def test_the_gateway_is_sent_to_ports_the_services_have() -> None:
    objects = render("everything")
    routes = of_kind(objects, "HTTPRoute")
    assert len(routes) == 4
    for route in routes:
        (backend,) = route["spec"]["rules"][0]["backendRefs"]
        service = named(objects, "Service", backend["name"])
        assert backend["port"] in {port["port"] for port in service["spec"]["ports"]}
