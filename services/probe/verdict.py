"""What one run of a check found, and the short stable reasons it gives (contract 2: outcome, error)."""

from __future__ import annotations

import errno
import socket
from typing import Literal, NamedTuple

Outcome = Literal["up", "down", "unknown"]


class Verdict(NamedTuple):
    """`rtt_us` is microseconds, given only when up. `error` is short, stable and holds no personal data.

    `local` says that no network lies between the agent and what it checked, so that losing the network
    cannot be the reason of a failure. `certificate_ends` is a TLS certificate's end, in ms since the epoch.
    """

    outcome: Outcome
    rtt_us: int | None = None
    error: str | None = None
    local: bool = False
    certificate_ends: int | None = None


_TARGET_FAULTS = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.ECONNABORTED: "reset",
    errno.EPIPE: "reset",
    errno.EHOSTUNREACH: "host unreachable",
    errno.ENETUNREACH: "network unreachable",
    errno.ENETDOWN: "network down",
    errno.EHOSTDOWN: "host down",
    errno.ETIMEDOUT: "timeout",
}

_AGENT_FAULTS = {
    errno.EMFILE: "agent: too many open files",
    errno.ENFILE: "agent: too many open files",
    errno.ENOBUFS: "agent: out of buffers",
    errno.ENOMEM: "agent: out of memory",
    errno.EADDRNOTAVAIL: "agent: out of local ports",
    errno.EACCES: "agent: not permitted",
    errno.EPERM: "agent: not permitted",
    errno.EAFNOSUPPORT: "agent: no such address family",
}

TIMEOUT = Verdict("down", error="timeout")


def failure(number: int | None, local: bool = False) -> Verdict:
    """The verdict for the errno `number`. What is the agent's own fault is `unknown`, never down."""
    if number is None:
        return Verdict("down", error="failed", local=local)
    if number in _AGENT_FAULTS:
        return Verdict("unknown", error=_AGENT_FAULTS[number], local=local)
    reason = _TARGET_FAULTS.get(number) or f"error {errno.errorcode.get(number, number)}"
    return Verdict("down", error=reason, local=local)


class LookupFailed(Exception):
    """A name could not be resolved; the message is the stable reason."""


def lookup_reason(error: socket.gaierror) -> str:
    """The stable reason for a failed lookup; "dns: no such name" is the one the name's owner decides."""
    if error.errno in (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)):
        return "dns: no such name"
    return "dns: no answer"
