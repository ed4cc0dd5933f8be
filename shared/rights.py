"""Whether the broker takes us for who we say we are, and lets us do our work: asked at the start, before
anything is read or written, and now and then while a service runs."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from aiokafka.conn import create_conn
from aiokafka.errors import (
    AuthenticationFailedError,
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    SaslAuthenticationFailed,
    TopicAuthorizationFailedError,
    UnknownTopicOrPartitionError,
    UnsupportedSaslMechanismError,
)
from aiokafka.protocol.coordination import FindCoordinatorRequest

from shared.access import Access
from shared.errors import NeedsAPerson
from shared.metadata import DESCRIBE, READ, WRITE, TopicsAsked
from shared.security import aiokafka_arguments, identity
from shared.settings import KafkaSettings

log = structlog.get_logger()

UNREACHABLE = (OSError, TimeoutError, KafkaError)
"""What a broker that is away, or not up yet, makes the client raise."""
WITHDRAWN = (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    TopicAuthorizationFailedError,
)
"""What a client raises that was let in and has a right no more. Consumers do not get going again after it,
and a producer's next record is out of its sequence: the process must start afresh."""
HOW = "docs/how-to/secure-the-log.md says how"
_ANSWER_MS = 5_000
_OTHER_NAME = (62, 64)
"""OpenSSL: the certificate names another host, another address."""


class Refused(NeedsAPerson):
    """The broker does not take us for who we say we are, does not let us do our work, or is not the one it
    must be."""


class NotAllowed(Refused):
    """It knows us, and does not let us do our work."""


async def knock(settings: KafkaSettings) -> None:
    """Returns once a broker has let us in. Raises Refused, or one of `UNREACHABLE`."""
    (await connect(settings)).close()


async def check_rights(
    settings: KafkaSettings, access: Access, arguments: Mapping[str, Any] | None = None
) -> None:
    """Raises NotAllowed where we lack one of the rights that `access` needs; Refused, one of `UNREACHABLE`.
    A topic that does not exist yet lacks none, as far as we may know of it. `arguments` as for `connect`."""
    connection = await connect(settings, arguments)
    try:
        answer = await connection.send(TopicsAsked([settings.topic(topic) for topic in access.topics]))
        found = {name: (error, allowed) for error, name, _, _, allowed in answer.topics}
        denied = [group for group in access.groups if await _denied(connection, settings.group(group))]
    finally:
        connection.close()
    lacks = [f"read group {settings.group(group)}" for group in denied]
    for topic in access.topics:
        error, allowed = found[settings.topic(topic)]
        if error == UnknownTopicOrPartitionError.errno:
            continue
        unseen = error == TopicAuthorizationFailedError.errno
        for verb, right, wanted in (("read", READ, access.reads), ("write", WRITE, access.writes)):
            if topic in wanted and (unseen or not allowed & right):
                lacks.append(f"{verb} {settings.topic(topic)}")
        if topic in access.creates and (unseen or not allowed & DESCRIBE):
            lacks.append(f"describe {settings.topic(topic)}")
    if lacks:
        raise not_allowed(settings, ", ".join(lacks))


def not_allowed(settings: KafkaSettings, what: str) -> NotAllowed:
    """That we lack the right to `what` ("read sla.journal"), and how to get it."""
    return NotAllowed(
        f"The broker at {settings.bootstrap} does not allow {identity(settings)} to {what}. An administrator "
        f"of the broker gives the rights of every service with `garant topics --apply-acls`; {HOW}."
    )


def told(settings: KafkaSettings, error: Exception) -> Exception:
    """What a client library raised, as a person can use it where it is for want of a right."""
    return not_allowed(settings, f"go on ({error})") if isinstance(error, WITHDRAWN) else error


async def watch(settings: KafkaSettings, access: Access) -> None:
    """Says for ever in the log, once each time it begins and ends, that the broker does not let us in: the
    clients try again without a word. Raises NotAllowed where a right was withdrawn: from that they do not
    recover. Nothing to do without security."""
    said = ""
    arguments = aiokafka_arguments(settings)  # as the clients have them, who do not read files again
    while settings.secured:
        await asyncio.sleep(settings.check_every_s)
        try:
            await check_rights(settings, access, arguments)
            now = ""
        except NotAllowed:
            raise
        except NeedsAPerson as error:
            now = str(error)
        except UNREACHABLE:
            continue  # away is not refused, and is told by others
        if now != said:
            if now:
                log.error("kafka.refused", error=now, what="waiting; nothing is lost")
            else:
                log.warning("kafka.allowed", identity=identity(settings))
        said = now


async def _denied(connection: Any, group: str) -> bool:
    answer = await connection.send(FindCoordinatorRequest(group, 0))
    return bool(answer.error_code == GroupAuthorizationFailedError.errno)


async def connect(settings: KafkaSettings, arguments: Mapping[str, Any] | None = None) -> Any:
    """A connection to the first of the named brokers that lets us in; else what the last one said, or what
    the first said that refused. `arguments` of `aiokafka_arguments` are those of before, not read anew."""
    refused: Refused | None = None
    failed: BaseException = OSError("no broker is named")
    arguments = aiokafka_arguments(settings) if arguments is None else arguments
    for address in settings.bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        try:
            return await create_conn(
                host.strip("[]"), int(port), client_id="garant", request_timeout_ms=_ANSWER_MS, **arguments
            )
        except UNREACHABLE as error:
            failed = error
            if (why := _refusal(settings, address.strip(), error)) is not None:
                refused = refused or why
    raise refused or failed


def _refusal(settings: KafkaSettings, address: str, error: BaseException) -> Refused | None:
    if isinstance(error, ssl.SSLCertVerificationError):
        if error.verify_code in _OTHER_NAME:
            return Refused(
                f"The certificate of the broker at {address} names another host. Use in "
                "GARANT_KAFKA_BOOTSTRAP a name it has, or give the broker a certificate with this one."
            )
        trusted = settings.ca_file or "the certificates of this system"
        return Refused(
            f"The broker at {address} is not trusted ({error.verify_message}): set GARANT_KAFKA_CA_FILE to "
            f"the authority that signed its certificate; it was checked against {trusted}."
        )
    if isinstance(error, ssl.SSLError):
        return Refused(
            f"No TLS connection to the broker at {address} ({error.reason or error}). If it speaks plain "
            f"text, GARANT_KAFKA_SECURITY_PROTOCOL must not be {settings.security_protocol}; if it asks for "
            "a certificate of ours, set GARANT_KAFKA_CERT_FILE."
        )
    for kind, say in _UNKNOWN.items():
        if isinstance(error, kind):
            return Refused(say(settings, address))
    return None


def _wrong_password(settings: KafkaSettings, address: str) -> str:
    return (
        f"The broker at {address} does not know {identity(settings)} with this password "
        f"({settings.sasl_mechanism}). Correct GARANT_KAFKA_USERNAME and GARANT_KAFKA_PASSWORD_FILE and "
        f"start again, or make the user; {HOW}."
    )


def _wrong_mechanism(settings: KafkaSettings, address: str) -> str:
    return (
        f"The broker at {address} does not take {settings.sasl_mechanism}: set GARANT_KAFKA_SASL_MECHANISM "
        "to one of its sasl.enabled.mechanisms."
    )


_UNKNOWN: dict[type[BaseException], Callable[[KafkaSettings, str], str]] = {
    UnsupportedSaslMechanismError: _wrong_mechanism,
    SaslAuthenticationFailed: _wrong_password,
    AuthenticationFailedError: _wrong_password,
}
