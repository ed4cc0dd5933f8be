"""What the verifier was told before, and what it says in the end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.faults.stories.dirt import Dirt
from tests.faults.verifier.dump import Record

Triple = tuple[str, str | None, bytes | None]
KINDS = ("lost", "doubled", "wrong")


@dataclass(frozen=True)
class Told:
    """What the one who told the stories knows.

    `acknowledged`: (topic, key, bytes) the broker has acknowledged, each as often as it was told on purpose.
    `perhaps`: sent, and nobody knows whether they arrived. `declared`: the facts that billing's API accepted,
    each once (ask again with the same Idempotency-Key until it answers). `dirt`: what was told of `poison`,
    acknowledged or not. `complete`: nobody else writes facts into this installation.
    """

    acknowledged: Sequence[Triple] = ()
    perhaps: Sequence[Triple] = ()
    declared: Sequence[dict[str, Any]] = ()
    dirt: Sequence[Dirt] = ()
    complete: bool = True


class Problem(NamedTuple):
    """`kind` is lost, doubled or wrong; `id` names a record (TOPIC/PARTITION/OFFSET), a credit with its
    revision (S-1/uptime/2026-11#2), or whatever else it is about."""

    check: str  # V1 .. V5
    kind: str
    id: str
    text: str

    def __str__(self) -> str:
        return f"{self.check} {self.kind}: {self.id}: {self.text}"


@dataclass
class Report:
    """`counts` of what was looked at, `errors` in the order found, `notes` on what could not be looked at."""

    counts: Counter[str] = field(default_factory=Counter)
    errors: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.errors

    def add(self, check: str, kind: str, about: str, text: str) -> None:
        self.errors.append(Problem(check, kind, about, text))

    def of(self, kind: str) -> list[Problem]:
        """The errors of one kind: lost, doubled or wrong."""
        return [error for error in self.errors if error.kind == kind]

    def __str__(self) -> str:
        found = ", ".join(f"{kind} {len(self.of(kind))}" for kind in KINDS)
        counted = ", ".join(f"{name} {count}" for name, count in sorted(self.counts.items()))
        return "\n".join([found, counted, *self.notes, *(str(error) for error in self.errors[:50])])


def triple(record: Record) -> Triple:
    key = None if record.key is None else record.key.decode("utf-8", "replace")
    return record.topic, key, record.value


def short(value: bytes | None) -> str:
    return "nothing" if value is None else value[:300].decode("utf-8", "backslashreplace")
