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
    "append.sent": "a batch of records is sent, not acknowledged",
    "append.acknowledged": "a batch is acknowledged, the ones behind it are not sent",
    "sla.uptime.read": "results are in hand, none is folded",
    "sla.uptime.folded": "states have moved, their changes are not sent",
    "sla.uptime.published": "changes are acknowledged, states not saved",
    "sla.uptime.states-saved": "states are saved, the position they reach is not",
    "sla.uptime.saved": "states and position are saved, the group's offsets not committed",
    "sla.uptime.restored": "a partition was assigned and its state read, nothing is folded",
    "sla.journal.read": "facts are in hand, none is journalled",
    "sla.journal.buried": "what cannot be read is on dead.letters, the facts beside it are not journalled",
    "sla.journal.written": "entries are acknowledged, nobody was told",
    "sla.journal.ticked": "it is in the journal that time went on",
    "sla.promises.read": "entries are in hand, none is folded",
    "sla.promises.published": "outcomes are acknowledged, no snapshot is saved",
    "sla.promises.pieces-saved": "a snapshot's pieces are saved, its manifest is not",
    "sla.promises.saved": "a snapshot is saved, the group's offsets not committed",
    "sla.promises.restored": "a partition was assigned and its snapshot read, nothing is folded",
    "billing.inbox.read": "credits are in hand, none is booked",
    "billing.inbox.booking": "inbox mark and ledger entry are written, not committed",
    "billing.inbox.booked": "a credit is booked, the place of its topic is not moved",
    "billing.inbox.noted": "a warning is noted, the place of its topic is not moved",
    "billing.inbox.moved": "places are moved, the group's offset not committed",
    "outbox.read": "facts to publish are in hand, none is sent",
    "outbox.published": "a fact is acknowledged, not marked as sent",
    "outbox.marked": "facts are marked as sent",
    "probe.result.found": "a result is in memory, nothing of it is anywhere else",
    "probe.outbox.taken": "results leave memory for the broker, none is sent",
    "probe.outbox.sent": "results are sent, not acknowledged",
    "probe.outbox.acknowledged": "results are acknowledged, in the spool they still wait",
    "probe.spool.file-made": "a spool file is made, nothing is in it",
    "probe.spool.appended": "results are in the spool, the agent does not count on it yet",
    "probe.spool.taken": "acknowledged results have left the spool, where it begins is not noted",
    "probe.spool.noted": "where the spool begins is noted",
    "probe.spool.position-removed": "a spool file is used up, its position is removed, it is not",
    "probe.spool.file-removed": "a spool file and its position are removed",
    "probe.declared.settled": "declarations cannot be lost any more, that they were said is not remembered",
    "probe.declared.written": "what was declared is written beside the file, not in its place",
    "probe.declared.remembered": "what was declared is remembered",
    "mail.mailbox.fetched": "mails are fetched, none is taken",
    "mail.mailbox.taken": "mails are taken, with the position above them; the mailbox was not told",
    "mail.letters.claiming": "letters are marked as being sent, not committed",
    "mail.letters.claimed": "letters are marked as being sent, the relay has seen none",
    "mail.relay.named": "the relay takes sender and recipients, nothing of the letter is said",
    "mail.relay.said": "the letter is said, the final dot is not",
    "mail.relay.answered": "the relay has the letter and said so, nothing is noted",
    "mail.letters.noting": "what the relay said is noted, not committed",
    "mail.letters.noted": "what the relay said is noted",
    "mail.letters.doubted": "at a start: letters that were cut off are noted as doubtful",
    "mail.letters.resolving": "a doubtful letter is put back to waiting, not committed",
    "mail.letters.copy-seen": "our own copy of a letter is noted, not committed",
    "support.mail.opening": "requests and their facts are written, the mails are not, nothing is committed",
    "support.mail.storing": "mails are kept, the mailbox's position is not moved, nothing is committed",
    "support.mail.taking": "all that follows from mails is written, not committed",
    "support.mail.taken": "mails are taken, with all that follows; whoever gave them was not told",
    "support.handed-over.received": "a mail came whole by SMTP or LMTP, nothing of it is kept",
    "support.handed-over.taken": "a mail that came by SMTP or LMTP is taken, 250 is not said",
    "support.log.read": "records are in hand, none is noted",
    "support.log.buried": "a record that cannot be read is on dead.letters, those beside it are not noted",
    "support.log.noting": "records are noted, the positions are not moved, nothing is committed",
    "support.log.taking": "records are noted and the positions moved, not committed",
    "support.log.taken": "records are taken, the group's offsets not committed",
    "support.log.committed": "the group's offsets are committed too",
    "notify.log.read": "records are in hand, none is noted",
    "notify.log.buried": "a record that cannot be read is on dead.letters, those beside it are not noted",
    "notify.log.taking": "records are noted and the positions moved, not committed",
    "notify.log.taken": "records are taken, the group's offsets not committed",
    "notify.log.committed": "the group's offsets are committed too",
    "notify.letter.asked": "support said who is written to, nothing is written",
    "notify.letter.putting": "letters are put down, their occasion still waits, nothing is committed",
    "notify.letter.writing": "letters are put down and their occasion is done, not committed",
    "notify.letter.written": "letters are written, nobody who sends was told",
    "status.news.telling": "what is new is noted and put down for each reader, not committed",
    "status.mails.handed-over": "notify has mails, nothing is noted",
    "status.mails.noting": "that notify has mails is noted, not committed",
    "status.calls.posted": "a webhook was posted, nothing is noted",
    "bulletins.putting": "letters of bulletins are put down, not committed",
    "bulletins.taken": "bulletins are taken, whoever handed them over was not told",
    "notify.mail.noting": "what our own mailbox tells is noted, its position not moved, nothing committed",
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
