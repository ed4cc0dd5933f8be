"""A mail relay as the settings name it, and what it can answer to a letter."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Tls = Literal["implicit", "starttls", "none"]


class Relay(Struct, frozen=True):
    """The relay and how to speak to it; each service takes it from its settings. Certificates are verified,
    by `ca_file` if given. `ehlo` is how we introduce ourselves (empty: this host's name). `timeout_s` is for
    one answer, `answer_s` for the one after the data, which may take a relay that scans mail minutes."""

    host: str
    port: int
    user: str = ""
    password: str = ""
    tls: Tls = "none"
    ehlo: str = ""
    timeout_s: float = 30.0
    answer_s: float = 600.0
    ca_file: str | None = None

    def __repr__(self) -> str:  # no password in any trace
        return f"Relay({self.host}:{self.port}, tls={self.tls})"


class Accepted(Struct, frozen=True):
    """The relay has it. `copied`: it also took our own copy; else `text` says why not."""

    text: str
    copied: bool


class Refused(Struct, frozen=True):
    """The relay refused this letter for good; it does not have it."""

    code: int
    text: str


class Later(Struct, frozen=True):
    """The relay does not have it; try again. `code` None: the connection failed, `reached` tells whether
    only after the relay had let us in, so that it may be this letter's fault."""

    code: int | None
    text: str
    reached: bool = True


class InDoubt(Struct, frozen=True):
    """The whole letter was sent and no answer came: the relay may have it or not."""

    text: str


Result = Accepted | Refused | Later | InDoubt
"""Every `text` is one short line for people, without addresses."""
