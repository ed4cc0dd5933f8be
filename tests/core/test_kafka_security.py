"""Settings of TLS and SASL: what contradicts itself is refused in one line, and no secret comes out."""

from __future__ import annotations

import os
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import trustme

from shared.errors import NeedsAPerson
from shared.kafka import service_broker
from shared.security import SecretUnusable, aiokafka_arguments, blocking_arguments, identity
from shared.settings import Contradiction, KafkaSettings

PASSWORD = "swordfish"  # noqa: S105
SASL: dict[str, Any] = {
    "security_protocol": "SASL_SSL",
    "username": "garant-billing",
    "password": PASSWORD,
}
GARANT = str(Path(sys.executable).with_name("garant"))


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"username": "garant-billing"}, "GARANT_KAFKA_USERNAME"),
        ({"password": PASSWORD}, "GARANT_KAFKA_PASSWORD"),
        ({"password_file": "/run/secret"}, "GARANT_KAFKA_PASSWORD_FILE"),
        ({"sasl_mechanism": "PLAIN"}, "GARANT_KAFKA_SASL_MECHANISM"),
        ({"ca_file": "/ca.pem"}, "GARANT_KAFKA_CA_FILE"),
        ({"check_hostname": False}, "GARANT_KAFKA_CHECK_HOSTNAME"),
        ({"security_protocol": "SSL", "username": "x"}, "GARANT_KAFKA_USERNAME"),
        (
            {"security_protocol": "SASL_PLAINTEXT", "username": "x", "cert_file": "/c"},
            "GARANT_KAFKA_CERT_FILE",
        ),
        ({"security_protocol": "SASL_SSL", "password": PASSWORD}, "GARANT_KAFKA_USERNAME"),
        ({"security_protocol": "SASL_SSL", "username": "x"}, "neither is set"),
        (SASL | {"password_file": "/run/secret"}, "both are set"),
        (SASL | {"key_file": "/key.pem"}, "GARANT_KAFKA_CERT_FILE"),
    ],
)
def test_settings_that_contradict_each_other_are_refused_by_name(given: dict[str, Any], names: str) -> None:
    with pytest.raises(Contradiction) as caught:
        KafkaSettings(**given)
    text = str(caught.value)
    assert names in text
    assert "\n" not in text
    assert PASSWORD not in text


def test_the_command_line_says_a_contradiction_in_one_line(clean_environment: pytest.MonkeyPatch) -> None:
    env = {**os.environ, "GARANT_KAFKA_USERNAME": "garant-sla", "GARANT_KAFKA_PASSWORD": PASSWORD}
    done = subprocess.run([GARANT, "topics"], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: GARANT_KAFKA_USERNAME is set, but GARANT_KAFKA_SECURITY_PROTOCOL is PLAIN")
    assert PASSWORD not in done.stdout + done.stderr


def test_a_value_no_setting_takes_is_told_without_the_password(clean_environment: pytest.MonkeyPatch) -> None:
    env = {**os.environ, "GARANT_KAFKA_SECURITY_PROTOCOL": "TLS", "GARANT_KAFKA_PASSWORD": PASSWORD}
    done = subprocess.run([GARANT, "topics"], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "GARANT_KAFKA_SECURITY_PROTOCOL" in done.stderr
    assert PASSWORD not in done.stdout + done.stderr


def test_plain_text_needs_nothing_and_both_libraries_are_told_so() -> None:
    settings = KafkaSettings(bootstrap="kafka.example:9092")
    assert not settings.secured
    assert aiokafka_arguments(settings) == {}
    assert blocking_arguments(settings) == {"bootstrap_servers": "kafka.example:9092"}
    assert identity(settings) == "a client without a name"


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_both_libraries_get_the_same_words(mechanism: str) -> None:
    settings = KafkaSettings(**SASL, sasl_mechanism=mechanism)
    found = aiokafka_arguments(settings)
    assert found.pop("ssl_context").check_hostname is True
    assert found == {
        "security_protocol": "SASL_SSL",
        "sasl_mechanism": mechanism,
        "sasl_plain_username": "garant-billing",
        "sasl_plain_password": PASSWORD,
    }
    blocking = blocking_arguments(settings)
    assert {name: value for name, value in blocking.items() if name != "ssl_context"} == found | {
        "bootstrap_servers": settings.bootstrap
    }


def test_a_certificate_is_verified_and_its_host_too_unless_a_setting_says_otherwise(tmp_path: Path) -> None:
    usual = aiokafka_arguments(KafkaSettings(security_protocol="SSL"))["ssl_context"]
    assert (usual.verify_mode, usual.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert usual.minimum_version == ssl.TLSVersion.TLSv1_2
    other = KafkaSettings(security_protocol="SSL", check_hostname=False)
    context = aiokafka_arguments(other)["ssl_context"]
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, False)


def test_only_the_authority_that_is_named_is_trusted(tmp_path: Path) -> None:
    trustme.CA(organization_name="Ours").cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    settings = KafkaSettings(security_protocol="SSL", ca_file=tmp_path / "ca.pem")
    (found,) = aiokafka_arguments(settings)["ssl_context"].get_ca_certs()
    assert "Ours" in str(found["issuer"])


def test_a_mounted_password_is_read_without_its_line_end_and_anew_each_time(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text(f"{PASSWORD} \n")
    settings = KafkaSettings(security_protocol="SASL_SSL", username="x", password_file=secret)
    assert aiokafka_arguments(settings)["sasl_plain_password"] == f"{PASSWORD} "
    secret.write_text("changed")
    assert "changed" in aiokafka_arguments(settings).values()


def test_files_that_cannot_be_used_are_named_with_their_setting(tmp_path: Path) -> None:
    junk, empty = tmp_path / "junk.pem", tmp_path / "empty"
    junk.write_text(f"-----BEGIN {PASSWORD}-----")
    empty.write_text("\n")
    pair = trustme.CA().issue_cert("client.example")
    pair.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    sasl = {"security_protocol": "SASL_SSL", "username": "x"}
    for given, setting in (
        ({**sasl, "password_file": tmp_path / "absent"}, "GARANT_KAFKA_PASSWORD_FILE"),
        ({**sasl, "password_file": empty}, "GARANT_KAFKA_PASSWORD_FILE"),
        ({"security_protocol": "SSL", "ca_file": tmp_path / "absent"}, "GARANT_KAFKA_CA_FILE"),
        ({"security_protocol": "SSL", "ca_file": junk}, "GARANT_KAFKA_CA_FILE"),
        ({"security_protocol": "SSL", "cert_file": tmp_path / "absent"}, "GARANT_KAFKA_CERT_FILE"),
        ({"security_protocol": "SSL", "cert_file": junk}, "GARANT_KAFKA_CERT_FILE"),
        (
            {"security_protocol": "SSL", "cert_file": junk, "key_file": tmp_path / "key.pem"},
            "GARANT_KAFKA_KEY_FILE",
        ),
    ):
        with pytest.raises(SecretUnusable) as caught:
            aiokafka_arguments(KafkaSettings(**given))
        assert setting in str(caught.value)
        assert PASSWORD not in str(caught.value)
        assert isinstance(caught.value, NeedsAPerson)


async def test_no_secret_is_in_what_settings_and_brokers_look_like() -> None:
    settings = KafkaSettings(**SASL)
    broker = service_broker(settings, "billing")
    for text in (repr(settings), str(settings), settings.model_dump_json(), repr(broker), identity(settings)):
        assert PASSWORD not in text
