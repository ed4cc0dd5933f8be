"""Who may do what on the log: the table is what the services do, no more, and nobody does another's work."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from services.cli.acls import by_resource, commands, every_grant
from services.cli.asyncapi.operations import operations
from shared.access import ACCESS, ACCESSES, Access, Grant, grants
from shared.settings import KafkaSettings
from shared.topics import JOURNAL, PROBE_RESULTS, PROMISES_STATE, TOPICS, UPTIME_STATE

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "how-to" / "secure-the-log.md"
SERVICES = ("probe", "sla", "billing", "support", "notify", "status", "operator")


@pytest.mark.parametrize("service", SERVICES)
def test_the_rights_of_a_service_are_what_its_running_code_reads_and_says(service: str) -> None:
    name = "operators" if service == "operator" else service
    mine = [one for one in operations() if one.service == name]
    access = ACCESS[service]
    told = {(one.action, one.topic.name) for one in mine}
    reads = {("receive", topic.name) for topic in access.reads}
    assert told == reads | {("send", topic.name) for topic in access.writes}
    groups = {KafkaSettings().group(group) for group in access.groups}
    assert groups == {one.group for one in mine if one.group}
    assert access.creates == ()


def test_every_service_that_sends_or_receives_has_an_identity() -> None:
    assert {one.service for one in operations()} == {*SERVICES} - {"operator"} | {"operators"}


def test_only_the_sla_service_writes_history_and_touches_the_folds_states() -> None:
    for access in ACCESSES:
        touched = {topic.name for topic in (*access.reads, *access.writes)}
        mine = access.service == "sla"
        assert ({UPTIME_STATE.name, PROMISES_STATE.name} <= touched) == mine
        assert (JOURNAL in access.writes) == mine
        if not mine:
            assert not touched & {UPTIME_STATE.name, PROMISES_STATE.name}


def test_no_topic_but_dead_letters_and_changes_is_written_by_two() -> None:
    writers = {topic.name: [a.service for a in ACCESSES if topic in a.writes] for topic in TOPICS}
    shared = {name: who for name, who in writers.items() if len(who) != 1}
    assert shared == {
        "uptime.changes": ["sla", "operator"],
        "dead.letters": ["sla", "billing", "support", "notify"],
    }


def test_an_auditor_writes_nothing_and_an_admin_reads_nothing() -> None:
    assert (ACCESS["auditor"].writes, ACCESS["auditor"].groups) == ((), ())
    assert (ACCESS["admin"].writes, ACCESS["admin"].reads, ACCESS["admin"].creates) == ((), (), TOPICS)


def test_every_name_has_the_prefix_of_the_installation() -> None:
    settings = KafkaSettings(prefix="acme-")
    found = every_grant(settings)
    assert {grant.user for grant in found} == {f"acme-garant-{access.service}" for access in ACCESSES}
    assert all(grant.name.startswith("acme-") for grant in found)
    assert len(found) == len(set(found))
    (only,) = grants(settings, "probe")
    assert only == Grant("acme-garant-probe", "topic", "acme-probe.results", "Write")


def test_the_commands_say_every_right_once() -> None:
    settings = KafkaSettings(prefix="acme-", bootstrap="kafka.example:9092")
    said = set()
    for line in commands(settings):
        words = line.split()
        assert words[:3] == ["kafka-acls.sh", "--bootstrap-server", "kafka.example:9092"]
        principal = words[words.index("--allow-principal") + 1].removeprefix("User:")
        for number, word in enumerate(words):
            if word == "--operation":
                said.add((principal, words[-2].removeprefix("--"), words[-1], words[number + 1]))
    assert said == {(each.user, each.resource, each.name, each.operation) for each in every_grant(settings)}


def told(access: Access) -> tuple[str, ...]:
    """The cells of the page's row of an identity."""
    rows = re.findall(rf"^\| `garant-{access.service}` \|(.*)\|$", PAGE.read_text(), re.M)
    assert len(rows) == 1
    return tuple(cell.strip() for cell in rows[0].split("|"))


@pytest.mark.parametrize("access", ACCESSES, ids=lambda access: access.service)
def test_the_page_tells_each_identity_as_the_table_has_it(access: Access) -> None:
    what, reads, writes, groups = told(access)
    assert what == access.what
    assert re.findall(r"`([\w.]+)`", reads) == [topic.name for topic in access.reads]
    assert re.findall(r"`([\w.]+)`", writes) == [topic.name for topic in access.writes]
    assert re.findall(r"`([\w.-]+)`", groups) == [f"garant-{group}" for group in access.groups]


CLIENTS = {"KafkaConsumer", "KafkaProducer", "KafkaAdminClient", "KafkaBroker", "create_conn"} | {
    f"AIOKafka{kind}" for kind in ("Consumer", "Producer", "AdminClient", "Client")
}


def test_every_client_is_made_with_the_settings_security() -> None:
    made = 0
    for path in [*(ROOT / "services").rglob("*.py"), *(ROOT / "shared").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", None) in CLIENTS:
                made += 1
                text = ast.unparse(node)
                assert re.search(r"\*\*(blocking_|aiokafka_)?arguments\b|security=", text), f"{path}: {text}"
    assert made >= 8, "the clients go by other names now"


def test_the_grants_of_a_service_come_grouped_by_what_they_are_on() -> None:
    found = list(by_resource(list(grants(KafkaSettings(), "sla"))))
    assert len(found) == len({(grant.resource, grant.name) for grant, _ in found})
    by_name = {grant.name: operations for grant, operations in found}
    assert by_name["sla.journal"] == ["Read", "Write"]
    assert by_name[PROBE_RESULTS.name] == ["Read"]
