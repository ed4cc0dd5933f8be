"""What a service with a mailbox of its own is told of it, and of the relay that takes its letters."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode

from shared.mail.address import BadAddress, address, domain_of
from shared.mail.answers import Relay
from shared.mail.mailbox import Mailbox
from shared.mail.outbox import Sending

Tls = Literal["implicit", "starttls", "none"]


def _one(given: str) -> str:
    try:
        return address(given)
    except BadAddress as error:
        raise ValueError(f"{error}; use name@domain") from None


def _listed(given: object) -> object:
    if not isinstance(given, str):
        return given
    if given.lstrip().startswith("["):
        return tuple(json.loads(given))
    return tuple(one.strip() for one in given.split(",") if one.strip())


Address = Annotated[str, AfterValidator(_one)]
"""name@domain."""
AddressOrNone = Annotated[str, AfterValidator(lambda given: _one(given) if given else "")]
"""name@domain, or empty."""
Addresses = Annotated[tuple[Address, ...], NoDecode, BeforeValidator(_listed)]
"""Addresses, separated by commas (or a JSON list)."""


class MailSettings(BaseSettings):
    """The fields two services have alike; each has its own prefix, and its own `address` and `domain`."""

    address: Address
    """The mailbox: sender of every letter, and where bounces and our own copies come."""
    domain: str = ""
    """Of the Message-IDs of our letters; empty: the one of `address`."""

    imap_host: str = ""
    """The mailbox of `address`; empty: it is not watched, and a person decides on letters in doubt."""
    imap_port: int = Field(default=993, ge=1, le=65_535)
    imap_user: str = ""
    """Empty: `address`."""
    imap_password: SecretStr = SecretStr("")
    imap_folder: str = "INBOX"
    imap_tls: Tls = "implicit"
    imap_ca_file: Path | None = None
    imap_poll_s: float = Field(default=30.0, gt=0)

    smtp_host: str = ""
    """The relay that takes our letters; empty: they wait."""
    smtp_port: int = Field(default=25, ge=1, le=65_535)
    smtp_user: str = ""
    smtp_password: SecretStr = SecretStr("")
    smtp_tls: Tls = "none"
    smtp_ca_file: Path | None = None
    settle_s: float = Field(default=60.0, ge=0)
    """How long our own copy of a letter in doubt may take to arrive after the marker did."""

    def id_domain(self) -> str:
        """The domain of our Message-IDs."""
        return self.domain or domain_of(self.address)

    def relay(self) -> Relay | None:
        """The relay that takes our letters, None where none is named."""
        if not self.smtp_host:
            return None
        return Relay(
            self.smtp_host,
            self.smtp_port,
            self.smtp_user,
            self.smtp_password.get_secret_value(),
            self.smtp_tls,
            ca_file=None if self.smtp_ca_file is None else str(self.smtp_ca_file),
        )

    def mailbox(self, max_bytes: int = 120_000_000) -> Mailbox | None:
        """Our own mailbox, None where none is named; of a mail above `max_bytes` the beginning is read."""
        if not self.imap_host:
            return None
        return Mailbox(
            self.imap_host,
            self.imap_port,
            self.imap_user or self.address,
            self.imap_password.get_secret_value(),
            folder=self.imap_folder,
            tls=self.imap_tls,
            ca_file=None if self.imap_ca_file is None else str(self.imap_ca_file),
            poll_s=self.imap_poll_s,
            max_bytes=max_bytes,
        )

    def sending(self) -> Sending:
        """How letters go out: with a copy to ourselves where our mailbox is watched."""
        return Sending(
            self.address,
            copy_to=self.address if self.imap_host else None,
            settle_s=self.settle_s,
        )
