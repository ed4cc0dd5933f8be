"""Places between reading and committing at which a test makes the process die at once.

`reach` stands where a crash would hurt most; it does nothing unless `GARANT_FAILPOINTS` names the place:
`GARANT_FAILPOINTS=sla.uptime.published` dies there the first time, `sla.uptime.published:3` the third. The
process is killed as by `kill -9`: nothing is flushed, closed or said. Not for where people rely on Garant.
"""

from __future__ import annotations

import os
import signal
from typing import Final, NoReturn

from shared.errors import NeedsAPerson

VARIABLE: Final = "GARANT_FAILPOINTS"

POINTS: Final = {
    "sla.uptime.read": "results are in hand, none is folded",
    "sla.uptime.folded": "states have moved, their changes are not sent",
    "sla.uptime.sent": "changes are sent, not acknowledged",
    "sla.uptime.published": "changes are acknowledged, states not saved",
    "sla.uptime.states-saved": "states are saved, the position they reach is not",
    "sla.uptime.saved": "states and position are saved, the group's offsets not committed",
    "sla.uptime.restored": "a partition was assigned and its state read, nothing is folded",
    "sla.journal.read": "facts are in hand, none is journalled",
    "sla.journal.buried": "what cannot be read is on dead.letters, the facts beside it are not journalled",
    "sla.journal.sent": "entries are sent, not acknowledged",
    "sla.journal.written": "entries are acknowledged, nobody was told",
    "sla.journal.ticked": "it is in the journal that time went on",
    "sla.promises.read": "entries are in hand, none is folded",
    "sla.promises.sent": "outcomes are sent, not acknowledged",
    "sla.promises.published": "outcomes are acknowledged, no snapshot is saved",
    "sla.promises.pieces-saved": "a snapshot's pieces are saved, its manifest is not",
    "sla.promises.saved": "a snapshot is saved, the group's offsets not committed",
    "sla.promises.restored": "a partition was assigned and its snapshot read, nothing is folded",
    "billing.inbox.read": "credits are in hand, none is booked",
    "billing.inbox.booking": "inbox mark and ledger entry are written, not committed",
    "billing.inbox.booked": "a credit is booked, the group's offset not committed",
    "billing.inbox.noted": "a warning is noted, the group's offset not committed",
    "outbox.read": "facts to publish are in hand, none is sent",
    "outbox.published": "a fact is acknowledged, not marked as sent",
    "outbox.marked": "facts are marked as sent",
}
"""Every failpoint, and what has happened and what has not when it is reached."""


class UnknownFailpoint(NeedsAPerson):
    """`GARANT_FAILPOINTS` names what there is not."""


def _named(text: str) -> dict[str, int]:
    """The passage at which each named point kills. Raises UnknownFailpoint."""
    found = {}
    for one in filter(None, (part.strip() for part in text.split(","))):
        name, _, passage = one.partition(":")
        if name not in POINTS or not (passage or "1").isdigit():
            raise UnknownFailpoint(f"{VARIABLE} names {one!r}; there are: {', '.join(POINTS)}")
        found[name] = int(passage or 1)
    return found


_armed = _named(os.environ.get(VARIABLE, ""))


def reach(point: str) -> None:
    """Does nothing; where `point` is armed and this is its passage, kills the process."""
    if _armed and point in _armed:
        _armed[point] -= 1
        if _armed[point] <= 0:
            _die()


def _die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise SystemExit  # the signal is on its way: nothing runs on until it is there
