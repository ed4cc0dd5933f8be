"""Who has a mailbox, and the passwords: one line `address password` each, for this machine's user only."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable
from pathlib import Path

from shared.errors import NeedsAPerson


class UsersUnreadable(NeedsAPerson):
    """The file of users cannot be understood; the message says where."""


def read_users(path: Path) -> dict[str, str]:
    """Password by address in lower case; empty where there is no file yet. Raises UsersUnreadable."""
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return {}
    users = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        address, _, password = line.strip().partition(" ")
        if "@" not in address or not password:
            raise UsersUnreadable(f"{path} line {number} is no `address password`; mend or remove the line")
        users[address.lower()] = password
    return users


def ensure_users(path: Path, addresses: Iterable[str]) -> dict[str, str]:
    """`read_users`, after a password was made up for each of `addresses` that had none.

    The file is replaced whole and has mode 0600. Raises UsersUnreadable.
    """
    users = read_users(path)
    missing = [one.lower() for one in addresses if one.lower() not in users]
    if not missing:
        return users
    users |= {address: secrets.token_urlsafe(18) for address in missing}
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.writelines(f"{address} {password}\n" for address, password in users.items())
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    return users


def mailbox_of(recipient: str, users: Iterable[str]) -> str | None:
    """The user whose mailbox `recipient` is: itself, or without its +tag (RFC 5233); None when nobody's."""
    local, _, domain = recipient.lower().rpartition("@")
    plain = f"{local.partition('+')[0]}@{domain}"
    known = set(users)
    return next((one for one in (f"{local}@{domain}", plain) if one in known), None)
