"""The agent's YAML file: each mistake is told with its line, its path and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.probe.config import load, parse
from services.probe.probing import probes_of
from shared.yaml_files import ConfigurationInvalid

GOOD = """\
locations: [zurich, geneva, lugano]
allow: [loopback, private]
references:
  endpoints:
    - {kind: tcp, host: 9.9.9.9, port: 53}
    - {kind: icmp, host: dns.example}
targets:
  - target: app
    name: The application
    host: app.example
    interval_s: 10
    checks:
      - {kind: icmp, required: false}
      - {kind: tcp, port: 443}
      - {kind: https, path: "/health?deep=1", status: "200,204", timeout_s: 4}
      - {kind: http, port: 8080}
"""


def mistakes(text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigurationInvalid) as refused:
        parse(text, "agent.yaml")
    return refused.value.mistakes


def test_a_good_file_is_taken_with_its_defaults() -> None:
    found = parse(GOOD, "agent.yaml")
    target = found.targets[0]
    assert [check.check for check in target.checks] == ["icmp", "tcp:443", "https:/health", "http:8080/"]
    assert [target.timeout_s(check) for check in target.checks] == [5.0, 5.0, 4.0, 5.0]
    assert (target.confirm_down, target.confirm_up) == (2, 2)
    assert found.locations_of(target) == ("zurich", "geneva", "lugano")
    assert found.warnings() == []


def test_the_shipped_examples_are_good() -> None:
    services = Path(__file__).parents[2] / "services"
    assert [probe.check for probe in probes_of(load(services / "cli/demo/probes.yaml"), "geneva")] == [
        "icmp", "tcp:28081", "http:28080/",
    ]  # fmt: skip
    assert load(services / "probe/example.yaml").warnings() == []


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "port: 443}",
            "port: 70000}",
            "14: targets[0].checks[1].port: 70000 is not allowed; 1 to 65535",
        ),
        (
            "port: 443}",
            "port: '443'}",
            "14: targets[0].checks[1].port: '443' is not allowed; a valid integer",
        ),
        (
            "port: 443}",
            "port: 443, prot: tcp}",
            "14: targets[0].checks[1].prot: is not known; allowed here: kind, port, required, timeout_s",
        ),
        (
            "kind: tcp, port: 443",
            "kind: udp, port: 443",
            "14: targets[0].checks[1]: kind 'udp' is not allowed; 'icmp', 'tcp', 'http', 'https'",
        ),
        (
            "kind: tcp, port: 443",
            "port: 443",
            "14: targets[0].checks[1]: kind is missing; 'icmp', 'tcp', 'http' or 'https'",
        ),
        (
            "interval_s: 10",
            "interval_s: 0",
            "11: targets[0].interval_s: 0 is not allowed; 1 to 86400",
        ),
        (
            "interval_s: 10",
            "interval: 10",
            "11: targets[0].interval: is not known; allowed here: checks, confirm_down, "
            "confirm_up, host, interval_s, locations, name, target",
        ),
        (
            "allow: [loopback, private]",
            "allow: [link-local]",
            "2: allow[0]: 'link-local' is not allowed; 'loopback' or 'private'",
        ),
        (
            "    host: app.example\n",
            "",
            "8: targets[0].host: is missing; it must be there",
        ),
        (
            "host: app.example",
            "host: https://app.example/",
            "10: targets[0].host: 'https://app.example/' is not allowed; a host name or an "
            "address, without scheme, port or path",
        ),
        (
            "host: app.example",
            "host: app.example\n    host: b.example",
            "11: targets[0].host: stands twice; once",
        ),
        (
            "timeout_s: 4",
            "timeout_s: 9.5",
            "8: targets[0]: timeout_s 9.5 of https:/health is not allowed; at most 9 (0.9 of "
            "interval_s): a slot ends before the next begins",
        ),
        (
            "port: 8080",
            "port: 80, timeout_s: .nan",
            "16: targets[0].checks[3].timeout_s: nan is not allowed; 0.05 to 60",
        ),
        (
            'status: "200,204"',
            'status: "2xx"',
            "15: targets[0].checks[2].status: '2xx' is not allowed; statuses 200 to 599 such "
            "as '200-399' or '200,204'",
        ),
        (
            'path: "/health?deep=1"',
            'path: "/a\\r\\nX: y"',
            "15: targets[0].checks[2].path: '/a\\r\\nX: y' is not allowed; '/' and at most 149 "
            "ASCII characters, no blanks",
        ),
        (
            "host: 9.9.9.9, port: 53",
            "host: 9.9.9.9",
            "5: references.endpoints[0]: port is needed for kind tcp and not allowed for kind icmp",
        ),
        (
            "[zurich, geneva, lugano]",
            "[zurich, zurich]",
            "1: a location stands twice; each location once",
        ),
        (
            "    interval_s: 10",
            "    locations: [basel]",
            "1: locations of target app are not allowed; some of zurich, geneva, lugano",
        ),
        (
            "locations: [zurich, geneva, lugano]",
            "locations: [zurich",
            "2: not YAML: expected ',' or ']', but got ':'",
        ),
    ],
)
def test_a_mistake_is_told_with_line_path_and_what_is_allowed(old: str, new: str, told: str) -> None:
    assert old in GOOD
    assert mistakes(GOOD.replace(old, new)) == (f"agent.yaml:{told}",)


def test_all_mistakes_are_told_at_once_in_order_of_lines() -> None:
    told = mistakes(GOOD.replace("port: 443}", "port: 0}").replace("interval_s: 10", "interval_s: x"))
    assert [one.split(": ")[0] for one in told] == ["agent.yaml:11", "agent.yaml:14"]


def test_a_target_or_a_check_that_stands_twice_is_a_mistake() -> None:
    again = GOOD + GOOD[GOOD.index("  - target") :]
    assert mistakes(again) == ("agent.yaml:1: targets app stand twice; each target once",)
    assert mistakes(GOOD + "      - {kind: tcp, port: 443, required: false}\n") == (
        "agent.yaml:8: targets[0]: checks tcp:443 stand twice; each check of a target once",
    )


def test_a_target_without_a_required_check_is_a_mistake() -> None:
    text = GOOD.replace("port: 443}", "port: 443, required: false}").replace(
        "timeout_s: 4", "required: false"
    )
    assert "no check is required" in mistakes(text.replace("port: 8080}", "port: 8080, required: false}"))[0]


def test_an_even_number_of_locations_and_no_references_are_warned_of() -> None:
    text = GOOD.replace("geneva, ", "").replace("    - {kind: tcp, host: 9.9.9.9, port: 53}\n", "")
    text = text.replace("  endpoints:\n    - {kind: icmp, host: dns.example}\n", "  interval_s: 1\n")
    warnings = parse(text, "agent.yaml").warnings()
    assert "even number" in warnings[0]
    assert "references.endpoints" in warnings[1]


@pytest.mark.parametrize("text", ["", "- a", "3", "a: !!python/object:os.system x", "&a [*a]"])
def test_what_is_no_configuration_at_all_is_refused(text: str) -> None:
    assert mistakes(text)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match="cannot be read: No such file"):
        load(tmp_path / "none.yaml")
