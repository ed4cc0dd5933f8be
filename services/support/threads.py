"""Which request a mail belongs to: our token in its subject, and the Message-IDs it refers to.

Neither proves anything: who may join a request is decided by whose it is (`services.support.intake`).
"""

from __future__ import annotations

import re
from hashlib import sha256

from shared.mail.composing import message_id

_TOKEN = re.compile(r"\[\s*(T-\d{6,12})\s*\]", re.IGNORECASE)
_REPLY = re.compile(r"^\s*(?:(?:re|aw|antw|tr|rif|r|fw|fwd|wg|i|sv|vs)(?:\[\d+\])?\s*:\s*)+", re.IGNORECASE)
_MOST = 200


def tickets_named(subject: str) -> list[str]:
    """The tickets whose tokens stand in a subject, the last one first: replies put theirs at the end."""
    return list(dict.fromkeys(found.upper() for found in reversed(_TOKEN.findall(subject))))


def digest(message_id: str) -> str:
    """What `thread_ids` keeps of a Message-ID: by it a reply finds its request, and it says nothing else."""
    return sha256(message_id.encode("utf-8", "surrogatepass")).hexdigest()


def plain_subject(subject: str) -> str:
    """A subject without "Re:", "AW:", "TR:", "RIF:" and the like and without our tokens."""
    text = " ".join(_TOKEN.sub(" ", subject).split())
    return _REPLY.sub("", text).strip()


def subject_with(ticket: str, subject: str) -> str:
    """The subject of a letter about a request: "Re: ... [T-000017]"."""
    text = plain_subject(subject)
    return f"Re: {text[:_MOST]} [{ticket}]" if text else f"[{ticket}]"


def letter_message_id(kind: str, ticket: str, key: str, domain: str) -> str:
    """The Message-ID of a letter about a request, the same each time: `<ack.T-000017@domain>`."""
    return message_id(kind, f"{ticket}.{key}" if key else ticket, domain)
