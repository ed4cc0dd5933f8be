"""Every fact: something that happened, said by someone outside the promises fold.

The names, fields and their order are the wire format. A change of meaning needs a new name or an
upcaster; golden bytes in the tests say so. No fact holds personal data.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from shared.money import Amount
from shared.terms import Terms
from shared.time import FIRST_YEAR, LAST_YEAR, Instant

Id = Annotated[str, Meta(min_length=1, max_length=200)]
Outcome = Literal["up", "down", "unknown"]
State = Literal["up", "down", "unmeasured"]
Deployment = Literal["cloud", "on-premises"]
Term = Literal["year", "month"]
Severity = Literal["down", "serious", "moderate", "limited"]
Kind = Literal["account", "bug", "global", "unclassified"]


class Check(Struct, frozen=True):
    """One probe of a target, e.g. "icmp" or "tcp:443"; only required checks decide its state."""

    check: Id
    required: bool


class Because(Struct, frozen=True):
    """One vote behind a state: which check, from which location, with which error."""

    check: str
    location: str
    error: str | None


class TargetDeclared(Struct, frozen=True, tag=True, tag_field="type"):
    target: Id
    name: str
    interval_s: Annotated[int, Meta(ge=1, le=86_400)]
    checks: tuple[Check, ...]
    locations: tuple[Id, ...]
    confirm_down: Annotated[int, Meta(ge=1, le=100)]
    confirm_up: Annotated[int, Meta(ge=1, le=100)]
    at: Instant


class ProbeResult(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    target: str
    check: str
    location: str
    slot: Instant
    outcome: Outcome
    rtt_us: int | None
    error: str | None


class MaintenanceAnnounced(Struct, frozen=True, tag=True, tag_field="type"):
    target: Id
    maintenance: Id
    starts_at: Instant
    ends_at: Instant
    announced_at: Instant


class MaintenanceCancelled(Struct, frozen=True, tag=True, tag_field="type"):
    target: Id
    maintenance: Id
    at: Instant


class TargetStateChanged(Struct, frozen=True, tag=True, tag_field="type"):
    """The target's state holds from `at` to the next `at` (contract 2)."""

    target: Id
    at: Instant
    state: State
    confirmed_at: Instant
    because: tuple[Because, ...]


class TargetObserved(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """The target has been watched up to `through`; after it nothing is known."""

    target: Id
    through: Instant


class DowntimeCorrected(Struct, frozen=True, tag=True, tag_field="type"):
    target: Id
    starts_at: Instant
    ends_at: Instant
    state: State
    reason: str
    author: str
    at: Instant


def _plausible(day: date, least: int = FIRST_YEAR) -> None:
    if not least <= day.year <= LAST_YEAR:
        raise ValueError(f"{day} lies outside the years {least} to {LAST_YEAR}; correct the year")


class SubscriptionStarted(Struct, frozen=True, tag=True, tag_field="type"):
    account: Id
    subscription: Id
    deployment: Deployment
    targets: tuple[Id, ...]
    price: Amount
    currency: Annotated[str, Meta(min_length=3, max_length=3)]
    term: Term
    starts_on: date
    language: str

    def __post_init__(self) -> None:
        _plausible(self.starts_on)


class SubscriptionChanged(Struct, frozen=True, tag=True, tag_field="type"):
    account: Id
    subscription: Id
    effective_on: date
    price: Amount | UnsetType | None = UNSET
    deployment: Deployment | UnsetType | None = UNSET
    targets: tuple[Id, ...] | UnsetType | None = UNSET

    def __post_init__(self) -> None:
        _plausible(self.effective_on)


class SubscriptionCancelled(Struct, frozen=True, tag=True, tag_field="type"):
    """The service window ends at `ends_on` 00:00 local, exclusive."""

    account: Id
    subscription: Id
    ends_on: date

    def __post_init__(self) -> None:
        _plausible(self.ends_on)


class RequestOpened(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    account: Id
    subscription: str | None
    ticket: Id
    severity: Severity
    kind: Kind
    received_at: Instant


class SeverityChanged(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    account: Id
    ticket: Id
    severity: Severity
    at: Instant


class RequestClassified(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    account: Id
    ticket: Id
    kind: Kind
    at: Instant


class FirstResponseSent(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    account: Id
    ticket: Id
    at: Instant


class WorkLogged(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    account: Id
    ticket: Id
    entry: Id
    minutes: int
    at: Instant


class WorkCorrected(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    account: Id
    ticket: Id
    entry: Id
    minutes: int
    at: Instant


class RequestClosed(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    account: Id
    ticket: Id
    at: Instant


class RequestReopened(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    account: Id
    ticket: Id
    at: Instant


class RequestWithdrawn(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    account: Id
    ticket: Id
    at: Instant


class TermsPublished(Struct, frozen=True, tag=True, tag_field="type"):
    version: Id
    effective_on: date
    major: bool
    terms: Terms

    def __post_init__(self) -> None:
        _plausible(self.effective_on, least=1)  # "from the beginning" is any date of the past


class ClockAdvanced(Struct, frozen=True, gc=False, tag=True, tag_field="type"):
    """Nothing happened but time: written to the journal when the next thing is due."""


ProbeFact = TargetDeclared | ProbeResult
TargetFact = (
    TargetStateChanged | TargetObserved | DowntimeCorrected | MaintenanceAnnounced | MaintenanceCancelled
)
SubscriptionFact = SubscriptionStarted | SubscriptionChanged | SubscriptionCancelled
TicketFact = (
    RequestOpened
    | SeverityChanged
    | RequestClassified
    | FirstResponseSent
    | WorkLogged
    | WorkCorrected
    | RequestClosed
    | RequestReopened
    | RequestWithdrawn
)
Fact = ProbeFact | TargetFact | SubscriptionFact | TicketFact | TermsPublished | ClockAdvanced
