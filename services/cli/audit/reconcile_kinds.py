"""What a reconciliation can find: the kinds of differences, what each means and what to do next."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

KINDS: Final[dict[str, tuple[str, str]]] = {
    "outcome-missing": (
        "The journal leads to an outcome that is not on its topic.",
        "Start the SLA service and reconcile again; if it stays, have the fold say everything again: "
        "docs/how-to/reconcile.md#say-outcomes-again.",
    ),
    "outcome-extra": (
        "An outcome stands on a topic, and the journal does not lead to it.",
        "Do not pay it. Find out who may write to that topic; readers have taken it already.",
    ),
    "outcome-differs": (
        "An outcome on its topic has other bytes than the journal gives.",
        "Do not rely on it. Find out who may write to that topic, and keep the log as it is.",
    ),
    "outcome-twice": (
        "Beside the right outcome another one with other bytes claims the same place.",
        "Find out who may write to that topic; billing has put a second credit in quarantine.",
    ),
    "outcome-unreadable": (
        "A record on an outcome topic is no outcome of this version, and is not on dead.letters.",
        "Find out who may write to that topic; if a newer version did, reconcile with that one.",
    ),
    "credit-unbooked": (
        "A credit that was granted is not in billing's ledger.",
        "Start billing and reconcile again; if it stays, see billing's quarantine and its log.",
    ),
    "entry-differs": (
        "A ledger entry says something else than the credit it was booked from.",
        "Keep the database as it is, compare it with its backup, find out who may write to it.",
    ),
    "entry-extra": (
        "The ledger has an entry for a credit that the journal does not lead to.",
        "Do not pay it: settle or waive it by hand, and find out where it came from.",
    ),
    "mark-differs": (
        "Billing's inbox has other bytes at that place than the journal gives, or none for its entry.",
        "Keep the database as it is, compare it with its backup, find out who may write to it.",
    ),
    "mark-extra": (
        "Billing's inbox says that a credit was booked, and neither ledger nor journal has it.",
        "Keep the database as it is, compare it with its backup, find out who may write to it.",
    ),
    "sum-differs": (
        "What the ledger granted for a credit adds up to something else than its revisions say.",
        "See the entries named above; the difference is what the customer got too much or too little.",
    ),
    "warning-missing": (
        "Billing has not noted a quota warning that was given.",
        "Start billing and reconcile again; if it stays, see billing's log.",
    ),
    "warning-extra": (
        "Billing noted a quota warning that the journal does not lead to.",
        "Find out who may write to sla.quota and to billing's database.",
    ),
    "warning-differs": (
        "Billing noted a quota warning with other figures than were given.",
        "Find out who may write to sla.quota and to billing's database.",
    ),
    "quarantine-undecided": (
        "A record in billing's quarantine waits for a person.",
        'Decide, then: garant billing quarantine --resolve ID --resolution "...".',
    ),
    "fact-unpublished": (
        "Billing's outbox says that a fact was published, and it is not on its topic.",
        "Restore the topic from its backup; was the database's backup of another day?",
    ),
    "fact-undeclared": (
        "A fact on the topic names billing's outbox, and billing did not declare it or says otherwise.",
        "Was billing's database restored from a backup? Declare what is missing there again.",
    ),
    "fact-unjournalled": (
        "A fact is on its topic, and neither in the journal nor on dead.letters.",
        "Start the SLA service and reconcile again; if it stays, report it with that record.",
    ),
    "fact-dropped": (
        "A fact was taken for a repeat by its origin, and is none: it never counted.",
        "Have it said anew without that origin (garant publish), and mend who gave it that origin.",
    ),
    "journal-unfounded": (
        "The journal has an entry that does not come from a record of the topic it names.",
        "Find out who may write to sla.journal; what follows from it is not to be paid.",
    ),
    "journal-differs": (
        "An entry of the journal says something else than the record it names.",
        "Find out who may write to sla.journal; what follows from it is not to be paid.",
    ),
    "journal-twice": (
        "One fact is in the journal twice: under one origin, or with other bytes the second time.",
        "Report it with both entries; look at what follows from the second.",
    ),
    "change-missing": (
        "The probe results lead to a state of a target that is not on uptime.changes.",
        "Start the SLA service and reconcile again; if it stays, state a correction for that time.",
    ),
    "change-extra": (
        "A state on uptime.changes names probe results that do not lead to it.",
        "Find out who may write to uptime.changes; state a correction for that time.",
    ),
    "change-differs": (
        "A state on uptime.changes is another than its probe results give.",
        "Find out who may write to uptime.changes; state a correction for that time.",
    ),
    "records-gone": (
        "The broker no longer keeps the first records of a topic that is kept for ever.",
        "Mend its retention; restore the topic from its backup, with its offsets.",
    ),
}
"""By kind: what it means, what to do next."""


class Difference(Struct, frozen=True, tag=True, tag_field="type"):
    """`id` is the same every night as long as it is there: the kind and where it is. `about` names it as a
    person does; `detail` says what differs."""

    kind: str
    id: str
    about: str
    detail: str


def difference(kind: str, where: str, about: str, detail: str = "") -> Difference:
    """The difference of `kind` at `where`: a place in the journal, on a topic, or an id in the books."""
    assert kind in KINDS, kind  # noqa: S101 - a kind that nobody could look up
    return Difference(kind, f"{kind}:{where}", about, detail)


class Compared(Struct, frozen=True):
    """How many records `what` has, how many of them were `repeats` (the same again), and what is left for
    the next time because it came while this one ran."""

    what: str
    records: int
    repeats: int = 0
    left: int = 0
