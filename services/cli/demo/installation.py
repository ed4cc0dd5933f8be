"""The installation that the demonstration plays in: the `garant up` of this machine, or the one that the
environment names, as in a cluster's trial."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.cli.local.ports import HOST
from services.cli.mail.settings import MailboxSettings
from services.cli.mail.users import read_users
from services.cli.up.run_state import Run, read_run
from shared.errors import NeedsAPerson
from shared.settings import KafkaSettings

APPLICATION = "demo"


class NotRunning(NeedsAPerson):
    """No `garant up` runs on the directory, and none is named."""


class DemoSettings(BaseSettings):
    """`GARANT_DEMO_...`: an installation that `garant up` does not run; `sla_url` empty is that of this
    machine. Billing, support and Kafka are named by their own settings."""

    model_config = SettingsConfigDict(env_prefix="GARANT_DEMO_", extra="ignore", env_ignore_empty=True)

    sla_url: str = ""
    """Where the SLA service answers."""
    page: str = ""
    """Where its status page is."""
    mail_host: str = ""
    """Where its mail server is; its ports and password are `GARANT_MAILBOX_...`."""
    http_port: int = Field(default=28080, ge=1, le=65_535)
    """The demo application over HTTP, beside which the command runs."""
    tcp_port: int = Field(default=28081, ge=1, le=65_535)
    """The same over TCP."""


class Mail(Struct, frozen=True):
    """A mail server for trying things out; `users` are the passwords by address."""

    host: str
    smtp: int
    imap: int
    users: dict[str, str]


class Installation(Struct, frozen=True):
    """`application` are the ports of the demo application on this machine; `services` the ports of services
    here, for those that are not named by a setting. `mail` None: it has mailboxes of its own."""

    home: Path
    kafka: KafkaSettings
    application: tuple[int, ...]
    sla_url: str | None
    page: str | None
    mail: Mail | None
    services: dict[str, int] = {}
    see: str = "`garant status`"
    """What tells more when something does not happen."""


def installation(home: Path) -> Installation:
    """The installation to play in. Raises NotRunning."""
    named = DemoSettings()
    if named.sla_url:
        return _named(home, named)
    run = read_run(home)
    if run is None:
        raise NotRunning(f"Garant does not run on {home}. Start it with `make up`, then run this again.")
    return on_this_machine(home, run)


def on_this_machine(home: Path, run: Run) -> Installation:
    """The installation of a `garant up`."""
    ports = {one.name: one.ports for one in run.components if one.ports}
    ready = {one.name: one.ready_url for one in run.components}
    page = next(
        (one.ports[0] for one in run.components if one.name == "status" and one.state == "ready"), None
    )
    mailbox = ports.get("mailbox")
    named = KafkaSettings()
    kafka = named if "bootstrap" in named.model_fields_set else KafkaSettings(bootstrap=run.bootstrap)
    return Installation(
        home,
        kafka,
        ports.get(APPLICATION, ()),
        (ready.get("sla") or "").removesuffix("/ready") or None,
        f"http://{HOST}:{page}" if page else None,
        Mail(HOST, mailbox[0], mailbox[1], read_users(home / "mail" / "users")) if mailbox else None,
        {name: found[0] for name, found in ports.items()},
    )


def _named(home: Path, named: DemoSettings) -> Installation:
    mailbox = MailboxSettings()
    mail = None
    if named.mail_host:
        users = dict.fromkeys(mailbox.addresses, mailbox.password.get_secret_value())
        mail = Mail(named.mail_host, mailbox.smtp_port, mailbox.imap_port, users)
    return Installation(
        home,
        KafkaSettings(),
        (named.http_port, named.tcp_port),
        named.sla_url.rstrip("/"),
        named.page.rstrip("/") or None,
        mail,
        see="`kubectl logs` of the services",
    )
