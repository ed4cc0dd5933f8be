"""What each service would be given: its settings, and its secrets from the environment or from mounted
files. What is missing or makes no sense becomes a mistake, a line each."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct, field
from pydantic import ValidationError
from pydantic_settings import BaseSettings

from services.billing import settings as billing
from services.billing.database import BOOKS
from services.cli.main import mistakes
from services.notify import settings as notify
from services.notify.database import LETTERS
from services.sla.app.service import SlaSettings
from services.status import settings as status
from services.status.configuration import load as load_page
from services.status.database import PAGE
from services.support import settings as support
from services.support.database import DESK
from shared.access import user
from shared.database import Keeping
from shared.errors import NeedsAPerson
from shared.settings import HomeSettings, KafkaSettings
from shared.tokens import Token


class SecretMissing(NeedsAPerson):
    """A secret is not where it must be."""


class Kind(Struct, frozen=True):
    """What a service needs: its settings, its database with `tables` that no other has, its `token`, and the
    one it `shows` to another."""

    settings: type[BaseSettings] | None = None
    keeping: Keeping | None = None
    tables: tuple[str, ...] = ()
    token: Token | None = None
    shows: Token | None = None


KINDS = {
    "sla": Kind(SlaSettings),
    "billing": Kind(billing.BillingSettings, BOOKS, ("ledger_entries", "invoices"), billing.TOKEN),
    "support": Kind(support.SupportSettings, DESK, ("tickets", "contacts"), support.TOKEN),
    "notify": Kind(notify.NotifySettings, LETTERS, ("began",), notify.TOKEN, notify.SUPPORT_TOKEN),
    "status": Kind(status.StatusSettings, PAGE, ("incidents",), status.TOKEN, status.NOTIFY_TOKEN),
    "probe": Kind(),
}
"""By the name of the service, in the order in which they are told of."""


class Given(Struct):
    """What a service would start with; None is what it has not, or what cannot be told for the mistakes."""

    service: str
    kafka: KafkaSettings | None = None
    database_url: str | None = None
    mistakes: list[str] = field(default_factory=list)


class Secrets(Struct, frozen=True):
    """Files as mounted Secrets have them, `folder`/SERVICE/KEY; None is the environment alone."""

    folder: Path | None

    def path(self, service: str, key: str) -> Path | None:
        """The file, if it is there."""
        path = self.folder / service / key if self.folder is not None else None
        return path if path is not None and path.is_file() else None

    def value(self, service: str, key: str) -> str:
        """What the file says, empty where it is not there."""
        path = self.path(service, key)
        return "" if path is None else path.read_text("utf-8").strip()

    def put(self, service: str, key: str, setting: str) -> str:
        """Where a secret that is missing goes."""
        if self.folder is None:
            return f"set {setting}"
        path = self.folder / service / key
        return f"put it under the key {key} into the Secret of {service} (looked for {path})"


def given(service: str, asked: Sequence[str], secrets: Secrets, several: bool) -> Given:
    """Everything of `service`. `asked` are all services that are looked at, so that what two lack is told
    once; with `several` instances nothing may be kept on one machine."""
    found, kind = Given(service), KINDS[service]
    alone = not several and secrets.folder is None
    found.kafka = _tried(found, lambda: _kafka(service, secrets))
    settings: Any = None if kind.settings is None else _tried(found, kind.settings)
    if settings is None:
        return found
    if kind.keeping is not None:
        _database(found, kind.keeping, settings, secrets, several, alone)
    if not alone:  # else tokens are made at the first start, in GARANT_HOME
        _tokens(found, kind, settings, asked, secrets)
    if isinstance(settings, support.SupportSettings | notify.NotifySettings):
        _mail(found, settings, secrets)
    if isinstance(settings, status.StatusSettings):
        _tried(found, lambda: load_page(settings.config))
    return found


def _tried(found: Given, make: Callable[[], Any]) -> Any:
    try:
        return make()
    except ValidationError as error:
        found.mistakes += mistakes(error).splitlines()
    except NeedsAPerson as error:
        found.mistakes += str(error).splitlines()
    return None


def _kafka(service: str, secrets: Secrets) -> KafkaSettings:
    protocol = os.environ.get("GARANT_KAFKA_SECURITY_PROTOCOL", "")
    own: dict[str, Any] = {}
    if secrets.folder is not None and protocol.startswith("SASL_"):
        if (password := secrets.path(service, "kafka-password")) is None:
            raise SecretMissing(f"no password for Kafka: {secrets.put(service, 'kafka-password', '')}.")
        prefix = KafkaSettings.model_construct(prefix=os.environ.get("GARANT_KAFKA_PREFIX", ""))
        name = secrets.value(service, "kafka-username") or user(prefix, service)
        own = {"username": name, "password": "", "password_file": password}
    if protocol.endswith("SSL") and (certificate := secrets.path(service, "tls.crt")) is not None:
        own |= {"cert_file": certificate, "key_file": secrets.path(service, "tls.key")}
    return KafkaSettings(**own)


def _database(
    found: Given, keeping: Keeping, settings: Any, secrets: Secrets, several: bool, alone: bool
) -> None:
    url = secrets.value(found.service, "database-url") or settings.database_url.get_secret_value()
    if url.startswith("sqlite") and several:
        found.mistakes.append(
            f"{keeping.setting} is a SQLite file, which several instances cannot share: name a PostgreSQL."
        )
    elif url or alone:
        found.database_url = url or settings.engine_url(HomeSettings().home)
    else:
        where = secrets.put(found.service, "database-url", keeping.setting)
        found.mistakes.append(f"no database is named for {keeping.keeps}: {where}.")


def _tokens(found: Given, kind: Kind, settings: Any, asked: Sequence[str], secrets: Secrets) -> None:
    if kind.token is not None and not _token(kind.token, secrets):
        where = secrets.put(found.service, "token", kind.token.setting)
        found.mistakes.append(f"no token for those who call it: {where}.")
    if (other := kind.shows) is None:
        return
    shown = getattr(settings, f"{other.service}_token").get_secret_value()
    taken = _token(KINDS[other.service].token, secrets)
    if shown and taken and shown != taken:
        found.mistakes.append(f"{other.setting} is not the token {other.service} takes: give both the same.")
    # A Secret is one for both; where the other service is looked at too, it tells that it has none.
    elif not shown and (secrets.folder is None or (not taken and other.service not in asked)):
        where = secrets.put(other.service, "token", other.setting)
        found.mistakes.append(f"no token to show {other.service}: {where}.")


def _token(token: Token | None, secrets: Secrets) -> str:
    """What a service takes, as far as we can know it."""
    if token is None:
        return ""
    return secrets.value(token.service, "token") or os.environ.get(token.setting, "")


def _mail(found: Given, settings: Any, secrets: Secrets) -> None:
    for name, server in (("imap", settings.imap_host), ("smtp", settings.smtp_user and settings.smtp_host)):
        held = getattr(settings, f"{name}_password").get_secret_value()
        if server and not held and not secrets.value(found.service, f"{name}-password"):
            setting = f"GARANT_{found.service.upper()}_{name.upper()}_PASSWORD"
            where = secrets.put(found.service, f"{name}-password", setting)
            found.mistakes.append(f"no password for the mail server {server}: {where}.")
