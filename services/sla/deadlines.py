"""First-response deadlines: when a request is due, at risk, missed, met or late (contract 5).

A request is judged by the terms and the deployment that were known when it was recorded.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from services.sla.support_hours import SupportHours
from shared.facts import Deployment, Kind, Severity
from shared.terms import SupportTerms, minutes_of_allowance
from shared.time import MINUTE

_RANK: dict[str, int] = {"limited": 0, "moderate": 1, "serious": 2, "down": 3}


class Judged(Struct, frozen=True):
    """What a request is judged by: a document of support terms, its open time, and the deployment."""

    terms: SupportTerms
    hours: SupportHours
    deployment: Deployment

    def allowance_ms(self, severity: Severity) -> int:
        """The open time (ms) in which a first response is promised."""
        rows = self.terms.first_response
        row = rows.cloud if self.deployment == "cloud" else rows.on_premises
        return minutes_of_allowance(getattr(row, severity), self.terms) * MINUTE

    def due(self, start: int, severity: Severity) -> tuple[int, int]:
        """The instants (ms) at which an allowance that starts at `start` has passed, and is at risk."""
        allowance = self.allowance_ms(severity)
        at_risk = allowance * self.terms.at_risk_percent // 100
        return self.hours.after(start, allowance), self.hours.after(start, at_risk)


class Entry(Struct, array_like=True, gc=False):
    """Work on a request as it stands: minutes, and when it was done (ms)."""

    minutes: int
    at: int


class Request(Struct, array_like=True, gc=False):
    """A request as facts have told it.

    `terms` is the number of the document it is judged by. Of a request that is not covered only the account,
    the kind and the work are of use. `told_at_risk` are the dues it was said to be at risk of;
    `response_at` the earliest response.
    """

    account: str
    subscription: str
    covered: bool
    kind: Kind
    severity: Severity
    received_at: int
    deployment: Deployment = "cloud"
    terms: int = 0
    due_at: int = 0
    at_risk_at: int = 0
    revision: int = 0
    told_at_risk: tuple[int, ...] = ()
    missed: bool = False
    withdrawn: bool = False
    response_at: int | None = None
    work: dict[str, Entry] = {}
    wakes_at: int | None = None
    """The next instant (ms) at which time alone concludes something."""

    @property
    def waiting(self) -> bool:
        """Whether no response, withdrawal or miss is in the journal."""
        return self.covered and self.response_at is None and not self.missed and not self.withdrawn


Concluded = Literal["due", "at risk", "met", "missed", "late"]


def opened(request: Request, judged: Judged) -> None:
    """Gives a covered request its first due."""
    request.due_at, request.at_risk_at = judged.due(request.received_at, request.severity)
    request.revision = 1
    _wake(request, judged)


def severity_changed(request: Request, judged: Judged, severity: Severity, at: int) -> bool:
    """Takes another severity; returns whether the due is to be said anew.

    Raised, it is due after the new allowance from the change, unless that is later; lowered, after the new
    allowance from the receipt, unless that is earlier. On a tie the old pair stays. A change after the due
    moves nothing, nor does one once the wait has ended.
    """
    if severity == request.severity:
        return False
    raised = _RANK[severity] > _RANK[request.severity]
    request.severity = severity
    if not request.covered:
        return False
    request.revision += 1
    if request.waiting and at <= request.due_at:
        due = judged.due(at if raised else request.received_at, severity)
        if due[0] < request.due_at if raised else due[0] > request.due_at:
            request.due_at, request.at_risk_at = due
        _wake(request, judged)
    return True


def responded(request: Request, at: int) -> Concluded | None:
    """Takes a response given at `at` (ms), which is no later than all others: of several the earliest counts.
    After a withdrawal none does."""
    if not request.covered or request.withdrawn:
        return None
    if request.response_at is not None and at >= request.response_at:
        return None
    request.response_at = at
    request.wakes_at = None
    return "met" if at <= request.due_at else "late"


def withdrawn(request: Request) -> None:
    """Ends the wait; a miss that was concluded stays."""
    request.withdrawn = True
    request.wakes_at = None


def on_time(request: Request, judged: Judged) -> Concluded:
    """What is concluded at the instant at which the request wakes."""
    at_risk = request.due_at not in request.told_at_risk
    if at_risk:
        request.told_at_risk += (request.due_at,)
    else:
        request.missed = True
    _wake(request, judged)
    return "at risk" if at_risk else "missed"


def _wake(request: Request, judged: Judged) -> None:
    if not request.waiting:
        request.wakes_at = None
    elif request.due_at not in request.told_at_risk:
        request.wakes_at = request.at_risk_at
    else:
        request.wakes_at = request.due_at + judged.terms.news_grace_minutes * MINUTE + 1
