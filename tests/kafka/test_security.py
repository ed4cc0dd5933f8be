"""Security on a real broker with its authoriser on: each service does its own work, and nothing of the
others'."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiokafka.errors import TopicAuthorizationFailedError
from kafka import KafkaAdminClient
from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ConfigResource,
    ConfigResourceType,
    NewTopic,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
)
from kafka.errors import ClusterAuthorizationFailedError

from services.cli.acls import apply, every_grant
from services.cli.local.ports import HOST, free_port
from services.probe.publisher import Publisher
from shared.access import ACCESS, ACCESSES, Access, user
from shared.codec import encode
from shared.facts import MaintenanceAnnounced
from shared.kafka import BrokerUnreachable, read_topic, send, service_broker, wait_for_broker
from shared.rights import Refused, check_rights, watch
from shared.security import blocking_arguments
from shared.settings import KafkaSettings
from shared.time import HOUR, Instant
from shared.topic_admin import ensure_topics
from shared.topics import CREDITS, DEAD_LETTERS, JOURNAL, SUBSCRIPTION_EVENTS, TERMS_EVENTS, TOPICS
from tests.core.billing_books import credit
from tests.kafka.allowed import GROUPS, readable, refused, usable_groups, writable
from tests.kafka.conftest import GARANT
from tests.kafka.secure_kafka import PLAIN_PASSWORD, PLAIN_USER, SecureKafka, secure_kafka
from tests.kafka.secure_services import TOKEN, Installation
from tests.kafka.test_sla_service import CUT, history
from tests.waiting import eventually

PASSWORD = "swordfish"  # noqa: S105

Garant = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    with secure_kafka(tmp_path_factory.mktemp("secure")) as found:
        yield found


def furnish(secure: SecureKafka, prefix: str) -> str:
    """Users and their rights for an installation of this `prefix`."""
    for access in ACCESSES:
        secure.let_in(access.service, prefix, f"{PASSWORD}-{access.service}")
    apply(secure.super_user(prefix))
    eventually(lambda: all_rights_are_known(secure, prefix))
    return prefix


def all_rights_are_known(secure: SecureKafka, prefix: str) -> bool:
    """The broker takes a moment to know what it was told."""
    try:
        for access in ACCESSES:
            asyncio.run(check_rights(secure.settings(access.service, prefix), access))
    except Refused:
        return False
    return True


@pytest.fixture(scope="module")
def matrix(secure: SecureKafka) -> str:
    """The prefix of an installation with its topics, its users and their rights, that nobody works in."""
    ensure_topics(secure.super_user("matrix-"))
    return furnish(secure, "matrix-")


@pytest.fixture(scope="module")
def bare(secure: SecureKafka) -> str:
    """The prefix of an installation whose users have their rights; there are no topics yet."""
    return furnish(secure, "bare-")


@pytest.fixture
def garant(tmp_path: Path) -> Iterator[Garant]:
    """Starts `garant ARGUMENTS` under an environment of its own; whatever still runs is killed after."""
    started: list[subprocess.Popen[str]] = []

    def start(env: Mapping[str, str], *arguments: str) -> subprocess.Popen[str]:
        home = tmp_path / f"home-{len(started)}"
        home.mkdir()
        usual = {"GARANT_HOME": str(home), "GARANT_SUPPORT_TOKEN": TOKEN, "GARANT_BILLING_TOKEN": TOKEN}
        for name in ("BILLING", "SUPPORT", "NOTIFY"):
            usual[f"GARANT_{name}_PORT"] = str(free_port())
        process = subprocess.Popen(
            [GARANT, *arguments],
            env={**os.environ, **usual, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str], status: int) -> str:
    """What a process that has ended by itself said."""
    text, _ = process.communicate(timeout=150)
    assert process.returncode == status, text
    assert PASSWORD not in text
    assert "Traceback" not in text
    return text


@pytest.mark.parametrize("access", ACCESSES, ids=lambda access: access.service)
def test_an_identity_may_do_what_the_table_says_and_nothing_else(
    secure: SecureKafka, matrix: str, access: Access
) -> None:
    settings = secure.settings(access.service, matrix)
    name = settings.topic
    assert asyncio.run(readable(settings)) == {name(topic): topic in access.reads for topic in TOPICS}
    assert asyncio.run(writable(settings)) == {name(topic): topic in access.writes for topic in TOPICS}
    assert asyncio.run(usable_groups(settings)) == {group: group in access.groups for group in GROUPS}
    asyncio.run(check_rights(settings, access))


@pytest.mark.parametrize("access", ACCESSES, ids=lambda access: access.service)
def test_an_identity_administers_nothing_but_admin_who_creates_our_topics_and_no_others(
    secure: SecureKafka, matrix: str, access: Access
) -> None:
    settings = secure.settings(access.service, matrix)
    ours, other = settings.topic(CREDITS), f"{matrix}another"
    admin = KafkaAdminClient(**blocking_arguments(settings))
    mine = ACL(
        f"User:{settings.username}",
        "*",
        ACLOperation.READ,
        ACLPermissionType.ALLOW,
        ResourcePattern(ResourceType.TOPIC, settings.topic(JOURNAL)),
    )
    try:
        creating = refused(lambda: admin.create_topics([NewTopic(ours, 3, 1)]))
        assert creating == (access.service != "admin")
        assert refused(lambda: admin.create_topics([NewTopic(other, 1, 1)]))
        assert refused(lambda: admin.delete_topics([ours]))
        given = admin.create_acls([mine])
        assert given["failed"] == [(mine, ClusterAuthorizationFailedError)]
        changed = admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, ours, {"retention.ms": "1000"})]
        )
        assert changed.resources[0][0] == TopicAuthorizationFailedError.errno
    finally:
        admin.close()


def clients_work(settings: KafkaSettings) -> None:
    """Both client libraries: publish with one, read with the other."""

    async def publish() -> None:
        broker = service_broker(settings, "test")
        await broker.start()
        try:
            data, headers = b"{}", {"ce_id": "1"}
            await (await send(broker, settings.topic(TERMS_EVENTS), data, key=None, headers=headers))
        finally:
            await broker.stop()

    wait_for_broker(settings)
    before = len(list(read_topic(settings, TERMS_EVENTS)))
    asyncio.run(publish())
    assert len(list(read_topic(settings, TERMS_EVENTS))) == before + 1


def allow_terms(secure: SecureKafka, prefix: str, name: str) -> None:
    admin = KafkaAdminClient(bootstrap_servers=secure.plain)
    pattern = ResourcePattern(ResourceType.TOPIC, prefix + TERMS_EVENTS.name)
    for operation in (ACLOperation.READ, ACLOperation.WRITE):
        admin.create_acls([ACL(f"User:{name}", "*", operation, ACLPermissionType.ALLOW, pattern)])
    admin.close()


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-256", "SCRAM-SHA-512", "PLAIN", "certificate"])
def test_both_clients_speak_every_way_to_say_who_one_is(
    secure: SecureKafka, matrix: str, tmp_path: Path, mechanism: str
) -> None:
    name = f"somebody-{mechanism.lower()}"
    settings = {"prefix": matrix, "bootstrap": secure.sasl, "ca_file": secure.ca, "wait_s": 10.0}
    if mechanism == "certificate":
        settings |= {
            "security_protocol": "SSL",
            "bootstrap": secure.mutual,
            "cert_file": secure.certificate(name),
        }
    elif mechanism == "PLAIN":
        name = PLAIN_USER
        settings |= {"password": PLAIN_PASSWORD}
    else:
        secure.know(name, PASSWORD, mechanism)
        settings |= {"password": PASSWORD}
    if mechanism != "certificate":
        settings |= {"security_protocol": "SASL_SSL", "sasl_mechanism": mechanism, "username": name}
    allow_terms(secure, matrix, name)
    clients_work(KafkaSettings(**settings))


def test_a_wrong_password_authority_host_or_listener_is_told_in_one_line(
    secure: SecureKafka, matrix: str
) -> None:
    good = secure.settings("sla", matrix, wait_s=0.0).model_dump()

    def told(**wrong: Any) -> str:
        with pytest.raises((Refused, BrokerUnreachable)) as caught:
            wait_for_broker(KafkaSettings(**{**good, **wrong}))
        text = str(caught.value)
        assert PASSWORD not in text
        assert "\n" not in text
        return text

    port = secure.sasl.rpartition(":")[2]
    wrong = f"{PASSWORD}-wrong"
    text = told(password=wrong, password_file=None)
    assert f"does not know user {matrix}garant-sla with this password (SCRAM-SHA-512)" in text
    assert "GARANT_KAFKA_PASSWORD_FILE" in text
    assert "does not know user nobody" in told(username="nobody")
    assert "GARANT_KAFKA_CA_FILE" in told(ca_file=secure.strange_ca)
    assert "checked against the certificates of this system" in told(ca_file=None)
    assert "names another host" in told(bootstrap=f"localhost:{port}")
    assert "closes the connection" in told(bootstrap=secure.plain)
    plain = {"security_protocol": "PLAINTEXT", "username": "", "password_file": None, "ca_file": None}
    assert "No Kafka broker answered" in told(**plain)
    ssl = {**plain, "security_protocol": "SSL", "ca_file": secure.ca}
    assert "does it know our certificate" in told(**ssl, bootstrap=secure.mutual)


def test_the_host_name_may_be_left_unchecked_by_a_setting(secure: SecureKafka, matrix: str) -> None:
    port = secure.sasl.rpartition(":")[2]
    settings = secure.settings("sla", matrix, check_hostname=False, wait_s=0.0)
    wait_for_broker(settings.model_copy(update={"bootstrap": f"localhost:{port}"}))


def test_an_agent_that_is_refused_says_so_once_and_keeps_its_results(
    secure: SecureKafka, matrix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = secure.settings("billing", matrix)

    async def send_twice() -> None:
        publisher = Publisher(settings, "here")
        for _ in range(2):
            with pytest.raises(Refused, match=rf"write {matrix}probe\.results"):
                await publisher.send([encode(next(history()))])
        await publisher.stop()

    asyncio.run(send_twice())
    text = "".join(capsys.readouterr())
    assert text.count("kafka.refused") == 1
    assert PASSWORD not in text


def test_a_process_that_is_refused_ends_with_one_line_and_status_1(
    secure: SecureKafka, matrix: str, bare: str, garant: Garant, tmp_path: Path
) -> None:
    terms = tmp_path / "facts.jsonl"
    terms.write_bytes(
        b'{"type":"MaintenanceCancelled","target":"shop","maintenance":"M-1","at":"2026-10-01T00:00:00.000Z"}\n'
    )
    wrong = tmp_path / "wrong"
    wrong.write_text(f"{PASSWORD}-wrong")
    other_host = secure.sasl.replace(HOST, "localhost")
    env = secure.environment
    processes = {
        "wrong password": garant(env("billing", matrix, PASSWORD_FILE=str(wrong)), "billing", "serve"),
        "wrong authority": garant(env("sla", matrix, CA_FILE=str(secure.strange_ca)), "sla"),
        "wrong host": garant(env("operator", matrix, BOOTSTRAP=other_host), "publish", str(terms)),
        "another's identity": garant(env("billing", matrix), "support", "serve"),
        "no right to publish": garant(env("auditor", matrix), "publish", str(terms)),
        "no right to read": garant(env("operator", matrix), "replay", "--kafka"),
        "no topics": garant(env("operator", bare), "publish", str(terms)),
        "no right to give rights": garant(env("admin", matrix), "topics", "--apply-acls"),
    }
    told = {name: said(process, 1).splitlines()[-1] for name, process in processes.items()}
    for line in told.values():
        assert line.startswith("error: ")
        assert "secure-the-log.md" in line or "GARANT_KAFKA_" in line
    assert f"does not know user {matrix}garant-billing" in told["wrong password"]
    assert "is not trusted" in told["wrong authority"]
    assert "names another host" in told["wrong host"]
    lacking = told["another's identity"]
    for what in ("read group {}garant-support", "write {}ticket.events", "read {}sla.deadlines"):
        assert what.format(matrix) in lacking
    assert f"read {matrix}sla.quota" not in lacking
    assert "garant topics --apply-acls" in lacking
    assert (
        f"does not allow user {matrix}garant-auditor to write {matrix}uptime.changes"
        in (told["no right to publish"])
    )
    assert (
        f"does not allow user {matrix}garant-operator to read {matrix}sla.journal"
        in (told["no right to read"])
    )
    assert f"Topics are missing, and user {bare}garant-operator may not create them" in told["no topics"]
    assert "`garant topics`" in told["no topics"]
    assert "alter the cluster" in told["no right to give rights"]


def test_rights_are_given_once_and_what_is_too_much_is_shown_with_how_to_take_it_away(
    secure: SecureKafka, matrix: str
) -> None:
    settings = secure.super_user("twice-")
    first = apply(settings)
    assert set(first.new) == set(every_grant(settings))
    assert apply(settings).new == ()
    allow_terms(secure, "twice-", user(settings, "probe"))
    (read, write) = apply(settings).surplus
    assert "--remove --allow-principal User:twice-garant-probe --operation Read" in read
    assert "--topic twice-terms.events" in write


@pytest.fixture(scope="module")
def installation(
    secure: SecureKafka, bare: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    """Four services at work, on topics that the user `admin` has made."""
    made = subprocess.run(
        [GARANT, "topics"],
        env={**os.environ, **secure.environment("admin", bare)},
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert made.returncode == 0, made.stderr
    assert f"{len(TOPICS)} topics made" in made.stdout
    found = Installation(secure, bare, tmp_path_factory.mktemp("installation"))
    try:
        for service in found.ports:
            found.start(service)
        for service in found.ports:
            eventually(lambda service=service: found.ready(service))
        body = {
            "account": "A-1",
            "subscription": "S-1",
            "deployment": "cloud",
            "targets": ["shop"],
            "price": "1200.00",
            "term": "year",
            "starts_on": "2026-10-01",
            "language": "fr",
        }
        found.ask("billing", "POST", "/subscriptions", body)
        yield found
    finally:
        for process in found.processes.values():
            process.kill()
            process.wait()
    for service in found.ports:
        assert PASSWORD not in found.log(service).read_text()


def test_with_the_least_rights_every_service_does_its_work_from_facts_to_a_booked_credit(
    secure: SecureKafka,
    installation: Installation,
    garant: Garant,
    tmp_path: Path,
) -> None:
    here = installation

    async def probe() -> None:
        publisher = Publisher(secure.settings("probe", here.prefix), "here")
        await publisher.send([encode(fact) for fact in history()])
        await publisher.stop()

    file = tmp_path / "maintenance.jsonl"
    file.write_bytes(encode(MaintenanceAnnounced("other", "M-1", CUT, Instant(CUT + HOUR), CUT)) + b"\n")
    publishing = garant(secure.environment("operator", here.prefix), "publish", str(file))
    asyncio.run(probe())
    opened = here.ask(
        "support", "POST", "/tickets", {"account": "A-1", "subscription": "S-1", "severity": "serious"}
    )
    named = eventually(lambda: [name for name in here.credits() if "/outage/" in name])[0]
    assert "1 facts published" in said(publishing, 0)
    path = f"/tickets/{opened['ticket']}"
    eventually(lambda: here.ask("support", "GET", path)["revision"] > 0)
    explained = garant(secure.environment("auditor", here.prefix), "explain", named)
    assert "replay agrees" in said(explained, 0)
    worked = {
        "uptime": {"probe.results"},
        "promises": {"sla.journal"},
        "billing": {"sla.credits"},
        "support": {"subscription.events", "sla.deadlines"},
        "notify": {"subscription.events", "ticket.events", "sla.deadlines"},
    }
    for group, topics in worked.items():
        eventually(lambda group=group, topics=topics: topics <= here.positions(group))
    assert list(read_topic(secure.settings("auditor", here.prefix), DEAD_LETTERS)) == []
    assert all(here.ready(service) for service in here.ports)


def test_a_service_whose_rights_are_withdrawn_ends_and_goes_on_once_it_has_them_again(
    secure: SecureKafka, installation: Installation
) -> None:
    here, billing = installation, installation.processes["billing"]
    name = user(secure.super_user(here.prefix), "billing")
    auditor = secure.settings("auditor", here.prefix)
    body = {"account": "A-1", "subscription": "S-9", "deployment": "cloud", "targets": ["other"]}
    body |= {"price": "1200.00", "term": "year", "starts_on": "2026-10-01", "language": "fr"}
    everything = ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY)
    admin = KafkaAdminClient(bootstrap_servers=secure.plain)
    admin.delete_acls([ACLFilter(f"User:{name}", None, ACLOperation.ANY, ACLPermissionType.ANY, everything)])
    admin.close()
    with suppress(httpx.HTTPError):  # it may have ended already
        here.ask("billing", "POST", "/subscriptions", body)

    async def grant_by_hand() -> None:
        broker = service_broker(secure.settings("sla", here.prefix), "sla")
        await broker.start()
        try:
            data, key = encode(credit("5.00", period="2026-10", at=(0, 10**9, 0))), b"A-1"
            await (await send(broker, f"{here.prefix}{CREDITS.name}", data, key=key, headers={"ce_id": "1"}))
        finally:
            await broker.stop()

    asyncio.run(grant_by_hand())
    assert billing.wait(150) == 1
    line = here.log("billing").read_text().splitlines()[-1]
    assert line.startswith(f"error: The broker at {secure.sasl} does not allow user {name} to ")
    assert "garant topics --apply-acls" in line
    apply(secure.super_user(here.prefix))
    here.start("billing")
    eventually(lambda: here.ready("billing"))
    here.ask("billing", "POST", "/subscriptions", body)
    eventually(lambda: "S-1/uptime/2026-10" in here.credits())
    eventually(lambda: b"S-9" in b"".join(r.value or b"" for r in read_topic(auditor, SUBSCRIPTION_EVENTS)))
    assert sum(b"S-9" in (r.value or b"") for r in read_topic(auditor, SUBSCRIPTION_EVENTS)) == 1
    assert list(read_topic(auditor, DEAD_LETTERS)) == []


async def test_a_service_that_is_not_let_in_for_a_while_says_when_it_began_and_ended(
    secure: SecureKafka, matrix: str, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = secure.settings("support", matrix, check_every_s=0.05)
    watching = asyncio.create_task(watch(settings, ACCESS["support"]))
    said = ""

    async def hear(what: str) -> None:
        nonlocal said
        while what not in said:
            assert not watching.done()
            await asyncio.sleep(0.05)
            said += "".join(capsys.readouterr())

    await asyncio.sleep(0.2)
    await asyncio.to_thread(secure.let_in, "support", matrix, f"{PASSWORD}-other")
    await asyncio.wait_for(hear("kafka.refused"), 60)
    await asyncio.sleep(0.5)
    await asyncio.to_thread(secure.let_in, "support", matrix, f"{PASSWORD}-support")
    await asyncio.wait_for(hear("kafka.allowed"), 60)
    watching.cancel()
    assert said.count("kafka.refused") == said.count("kafka.allowed") == 1
    assert PASSWORD not in said


def test_a_password_is_changed_without_stopping_who_is_at_work(
    secure: SecureKafka, installation: Installation
) -> None:
    here = installation
    secure.let_in("notify", here.prefix, f"{PASSWORD}-new")
    assert here.ready("notify")
    here.processes["notify"].terminate()
    assert here.processes["notify"].wait(60) == 0
    here.start("notify")
    eventually(lambda: here.ready("notify"))
