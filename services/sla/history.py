"""All the promises fold remembers of one journal partition."""

from __future__ import annotations

import msgspec
from msgspec import Struct

from services.sla import terms
from services.sla.deadlines import Request
from services.sla.spoken import NOTHING_SAID
from services.sla.subscriptions import Subscription
from services.sla.timelines import Timelines

STATE_VERSION = 3
"""Of `History` as it is saved. The one before is read, too (`history_v2`); of any other, the journal is."""


class History(Struct):
    """`position` is the offset of the last entry folded; `sources` holds the highest offset taken from each
    "topic/partition"; `requests` are by ticket."""

    version: int = STATE_VERSION
    partition: int = 0
    position: int = -1
    recorded_at: int = 0
    digest: bytes = NOTHING_SAID
    sources: dict[str, int] = {}
    book: terms.Book = msgspec.field(default_factory=terms.Book)
    noticed: dict[str, set[str]] = {}
    targets: Timelines = msgspec.field(default_factory=Timelines)
    subscriptions: dict[str, Subscription] = {}
    requests: dict[str, Request] = {}
