"""What the public status page says, as values: everything a page, a feed or a badge is made from.

Nothing here is private: ids, names and texts are the public ones. Instants are ms since the epoch, stretches
half-open, dates local to `Site.zone`. Values are frozen: what has not changed stays the same object, so that
what was rendered of it is still right.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Literal, get_args

from msgspec import Struct

Language = Literal["fr", "de", "it", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)

Texts = Mapping[str, str]
"""A text by language; every language of the site is there (what staff wrote in one stands in for others)."""


class Condition(StrEnum):
    """What a component is at an instant, as the promise is judged: the worst of its targets."""

    UP = "up"
    DOWN = "down"
    UNMEASURED = "unmeasured"
    """Looked at, and nobody could say."""
    SILENT = "silent"
    """Now: no news for too long, or none yet."""


class Cause(StrEnum):
    """Why a check said down, in words that give no inner name away."""

    REFUSED = "refused"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    NAME = "name"
    """The host's name could not be resolved."""
    SECURITY = "security"
    """TLS or its certificate."""
    ANSWER = "answer"
    """It answered, and wrongly."""
    OTHER = "other"


class Figure(Struct, frozen=True):
    """A stretch of time judged as MonthClosed is (contract 3): ms."""

    window_ms: int
    excluded_ms: int = 0
    unmeasured_ms: int = 0
    down_ms: int = 0

    @property
    def measured_ms(self) -> int:
        return self.window_ms - self.excluded_ms - self.unmeasured_ms

    @property
    def uptime_percent(self) -> str | None:
        """Floored to three decimals: "99.499"; None where nothing was measured."""
        return _floored(self.measured_ms - self.down_ms, self.measured_ms)

    @property
    def coverage_percent(self) -> str | None:
        """How much of the time that counts was measured, floored to three decimals."""
        return _floored(self.measured_ms, self.window_ms - self.excluded_ms)


def _floored(part: int, whole: int) -> str | None:
    if whole <= 0:
        return None
    thousandths = part * 100_000 // whole
    return f"{thousandths // 1_000}.{thousandths % 1_000:03d}"


class Day(Struct, frozen=True):
    """A local date. `over` False: today, so far; `corrected`: a correction touches it."""

    day: date
    figure: Figure
    over: bool = True
    corrected: bool = False


class Month(Struct, frozen=True):
    """A calendar month against the promise in force on its first day. `met` None: nothing measured."""

    month: date
    figure: Figure
    target_percent: str
    met: bool | None
    over: bool = True
    corrected: bool = False


class Change(Struct, frozen=True):
    """A component's condition from `at` on: an entry of history and of the feeds.

    `id` is stable and gives nothing away. `confirmed_at`: when it was certain. `corrected`: a person stated
    it."""

    id: str
    component: str
    at: int
    condition: Condition
    before: Condition
    confirmed_at: int
    causes: tuple[Cause, ...] = ()
    corrected: bool = False


class Cut(Struct, frozen=True):
    """Down time from `starts_at` until `ends_at` (None: it lasts). `down_ms`: its length so far, without
    excluded time. `corrected`: a correction touches it."""

    id: str
    component: str
    starts_at: int
    ends_at: int | None
    down_ms: int
    causes: tuple[Cause, ...] = ()
    corrected: bool = False


class Component(Struct, frozen=True):
    """One line of the page. `condition` since `since` (ms; None where nothing was ever said), known up to
    `as_of` (None likewise). `days`: the last 90, oldest first, today last; `months`: this one and up to 12
    before it, newest first, none before it was first watched; `cuts`: newest first, of those months."""

    id: str
    name: Texts
    description: Texts
    group: str
    condition: Condition
    since: int | None
    as_of: int | None
    days: tuple[Day, ...]
    months: tuple[Month, ...]
    cuts: tuple[Cut, ...]
    maintenance_now: bool = False


class Group(Struct, frozen=True):
    """Components under a heading, in order. A group without a name (all texts empty) stands without one."""

    id: str
    name: Texts
    components: tuple[str, ...]


class Phase(StrEnum):
    ANNOUNCED = "announced"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"


class Maintenance(Struct, frozen=True):
    """Planned maintenance of components. `ends_at` is the earlier end where it was cut short."""

    id: str
    components: tuple[str, ...]
    starts_at: int
    ends_at: int
    announced_at: int
    phase: Phase
    excluded: bool
    """Whether its time does not count (terms, and told early enough)."""


Status = Literal["investigating", "identified", "monitoring", "resolved"]
Impact = Literal["none", "minor", "major", "critical"]


class Update(Struct, frozen=True):
    """What staff wrote, newest first in an incident. Plain text, paragraphs parted by blank lines."""

    id: str
    at: int
    status: Status
    text: Texts


class Incident(Struct, frozen=True):
    """Something staff write about. `updates`: newest first, at least one."""

    id: str
    title: Texts
    impact: Impact
    components: tuple[str, ...]
    opened_at: int
    resolved_at: int | None
    updates: tuple[Update, ...]


class Site(Struct, frozen=True):
    """The whole page. `written_at` (ms): true as of then; `news_at`: when anything was last heard of any
    component; `silent`: no news for longer than `silent_after_ms`, so nothing is said of the present.

    `incidents` and `maintenance`: newest first, the last 13 months. `changes`: by month, newest first."""

    vendor: str
    product: Texts
    url: str
    """Where the page is served, without a slash at the end; "" where that is unknown: links are relative."""
    contact: str
    """Where to write or read on; "" for none."""
    zone: str
    written_at: int
    news_at: int | None
    silent: bool
    silent_after_ms: int
    groups: tuple[Group, ...]
    components: Mapping[str, Component]
    incidents: tuple[Incident, ...]
    maintenance: tuple[Maintenance, ...]
    changes: Mapping[date, tuple[Change, ...]]
