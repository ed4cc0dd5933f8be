"""How clients prove who they are to the broker and know that it is the right one: the same settings in the
words of each client library."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from faststream.kafka.security import parse_security
from faststream.security import BaseSecurity, SASLPlaintext, SASLScram256, SASLScram512

from shared.errors import NeedsAPerson
from shared.settings import KafkaSettings

_SASL = {"PLAIN": SASLPlaintext, "SCRAM-SHA-256": SASLScram256, "SCRAM-SHA-512": SASLScram512}


class SecretUnusable(NeedsAPerson):
    """A file with a password, certificate or key cannot be used."""


def identity(settings: KafkaSettings) -> str:
    """Who the broker takes us for, as an error tells it: "user garant-billing"."""
    if settings.username:
        return f"user {settings.username}"
    if settings.cert_file is not None:
        return f"the owner of certificate {settings.cert_file}"
    return "a client without a name"


def faststream_security(settings: KafkaSettings) -> BaseSecurity | None:
    """What FastStream's KafkaBroker takes as `security`. Raises SecretUnusable."""
    if not settings.secured:
        return None
    context = _tls(settings) if settings.security_protocol.endswith("SSL") else None
    if not settings.security_protocol.startswith("SASL_"):
        return BaseSecurity(ssl_context=context, use_ssl=True)
    return _SASL[settings.sasl_mechanism](settings.username, _password(settings), ssl_context=context)


def aiokafka_arguments(settings: KafkaSettings) -> dict[str, Any]:
    """Keyword arguments for aiokafka's clients, without the address. Raises SecretUnusable."""
    return parse_security(faststream_security(settings))


def blocking_arguments(settings: KafkaSettings) -> dict[str, Any]:
    """Keyword arguments for kafka-python-ng's clients, with the address. Raises SecretUnusable."""
    return {"bootstrap_servers": settings.bootstrap, **aiokafka_arguments(settings)}


def _password(settings: KafkaSettings) -> str:
    path = settings.password_file
    if path is None:
        return settings.password.get_secret_value()
    found = _read(path, "GARANT_KAFKA_PASSWORD_FILE").removesuffix("\n").removesuffix("\r")
    if not found:
        raise SecretUnusable(f"GARANT_KAFKA_PASSWORD_FILE: {path} is empty; put the password there.")
    return found


def _tls(settings: KafkaSettings) -> ssl.SSLContext:
    ca = None if settings.ca_file is None else _read(settings.ca_file, "GARANT_KAFKA_CA_FILE")
    try:
        context = ssl.create_default_context(cadata=ca)
    except (ssl.SSLError, ValueError):
        raise SecretUnusable(
            f"GARANT_KAFKA_CA_FILE: {settings.ca_file} holds no certificates (PEM)."
        ) from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = settings.check_hostname
    if settings.cert_file is not None:
        _read(settings.cert_file, "GARANT_KAFKA_CERT_FILE")
        if settings.key_file is not None:
            _read(settings.key_file, "GARANT_KAFKA_KEY_FILE")
        try:
            # Without a password given, the library would ask for one on the terminal.
            context.load_cert_chain(settings.cert_file, settings.key_file, password="")
        except (ssl.SSLError, ValueError):
            raise SecretUnusable(
                f"GARANT_KAFKA_CERT_FILE, GARANT_KAFKA_KEY_FILE: {settings.cert_file} and "
                f"{settings.key_file or 'the same file'} are no certificate with its key (PEM, no password)."
            ) from None
    return context


def _read(path: Path, setting: str) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise SecretUnusable(f"{setting}: {path} cannot be read ({why}).") from None
