"""What tests tell the local mail server to do on purpose; without their file it does none of it."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct, json


class Rules(Struct, frozen=True):
    """Keys are addresses in lower case, or domains."""

    refuse: dict[str, str] = {}
    """The answer to RCPT TO, e.g. "450 4.2.1 try again later"."""
    bounce: dict[str, str] = {}
    """Accepted, then reported to the sender as undeliverable: status and text, e.g. "5.1.1 no such user"."""
    verdicts: dict[str, str] = {}
    """What is said to be verified of a sender, e.g. "spf=pass smtp.mailfrom=demo.example"."""


def read_rules(path: Path | None) -> Rules:
    """As the file says now; none without a file."""
    if path is None or not path.exists():
        return Rules()
    return json.decode(path.read_bytes(), type=Rules)


def rule_for(address: str, rules: dict[str, str]) -> str | None:
    """The one for the address, else the one for its domain."""
    address = address.lower()
    return rules.get(address) or rules.get(address.rpartition("@")[2])
