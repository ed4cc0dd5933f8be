"""Is it the target or my own network? Reference endpoints decide, and only over failures.

Failures wait until a round of references that began after them has ended; when any round since the
failing check began says the network is gone, the failure is `unknown`. What is up stays up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from services.probe.verdict import Verdict

T = TypeVar("T")


class Round(NamedTuple):
    """One try of every reference, times on the monotonic clock in seconds.

    `network_gone`: more than half did not answer. `names_gone`: no reference that is a name could be
    looked up, and there is one.
    """

    began: float
    ended: float
    network_gone: bool
    names_gone: bool


def judge_round(began: float, ended: float, answers: list[tuple[bool, Verdict]]) -> Round:
    """The round whose references answered so; each with whether it is a name."""
    missing = sum(verdict.outcome != "up" for _, verdict in answers)
    names = [verdict for named, verdict in answers if named]
    lost = [verdict for verdict in names if (verdict.error or "").startswith("dns:")]
    return Round(began, ended, missing * 2 > len(answers), bool(names) and len(lost) == len(names))


class _Held(NamedTuple, Generic[T]):
    item: T
    verdict: Verdict
    began: float
    ended: float


class Judge(Generic[T]):
    """Passes results on in the order they came, failures once it is known whose fault they are."""

    def __init__(self, release: Callable[[T, Verdict], None], active: bool) -> None:
        self._release = release
        self.active = active
        self._held: deque[_Held[T]] = deque()
        self._rounds: deque[Round] = deque(maxlen=64)

    def add(self, item: T, verdict: Verdict, began: float, ended: float) -> None:
        """A check that ran from `began` to `ended` (monotonic seconds) found `verdict`."""
        if not self._held and not self._doubtful(verdict):
            self._release(item, verdict)
        else:
            self._held.append(_Held(item, verdict, began, ended))

    def round_ended(self, found: Round) -> None:
        """A round of references is over: lets go what it can decide."""
        self._rounds.append(found)
        while self._held:
            held = self._held[0]
            if self._doubtful(held.verdict) and held.ended > found.began:
                return
            self._held.popleft()
            self._release(held.item, self._judged(held))

    def flush(self) -> None:
        """Lets everything go at the end of the process; failures nobody could judge are `unknown`."""
        while self._held:
            held = self._held.popleft()
            verdict = held.verdict
            if self._doubtful(verdict):
                verdict = verdict._replace(outcome="unknown", error="agent: stopped")
            self._release(held.item, verdict)

    @property
    def waiting(self) -> int:
        """How many results wait for the next round."""
        return len(self._held)

    def _doubtful(self, verdict: Verdict) -> bool:
        return self.active and verdict.outcome == "down" and not verdict.local

    def _judged(self, held: _Held[T]) -> Verdict:
        verdict = held.verdict
        if not self._doubtful(verdict):
            return verdict
        seen = [one for one in self._rounds if one.ended >= held.began]
        if any(one.network_gone for one in seen):
            return verdict._replace(outcome="unknown", error="agent: network gone")
        if (verdict.error or "").startswith("dns:") and any(one.names_gone for one in seen):
            return verdict._replace(outcome="unknown", error="agent: lookups gone")
        return verdict
