"""The token that callers of a service show: given by its setting, else kept in a file that is made once."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from msgspec import Struct
from pydantic import SecretStr

from shared.errors import NeedsAPerson


class NoToken(NeedsAPerson):
    """The command line has nothing to show the service."""


class Token(Struct, frozen=True):
    """Whose token it is, and the setting that gives it."""

    service: str
    setting: str

    def file(self, home: Path) -> Path:
        """Where it is kept when the environment names none."""
        return home / f"{self.service}.token"


def service_token(token: Token, given: SecretStr, home: Path) -> str:
    """The token callers must show: the setting's, else the file's, which is made at the first start."""
    if value := given.get_secret_value():
        return value
    home.mkdir(parents=True, exist_ok=True)
    path = token.file(home)
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(file, "w") as out:
        out.write(secrets.token_urlsafe(32) + "\n")
    return path.read_text().strip()


def caller_token(token: Token, given: SecretStr, home: Path) -> str:
    """The token the command line shows. Raises NoToken where there is none."""
    if value := given.get_secret_value():
        return value
    try:
        return token.file(home).read_text().strip()
    except FileNotFoundError:
        raise NoToken(
            f"No token for the {token.service} service: set {token.setting} to the one it was started with, "
            "or set GARANT_HOME to its directory."
        ) from None
