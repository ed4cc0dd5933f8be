"""A file that a Site is made into, before it is made."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from services.status.site import Language


class Planned(Struct, frozen=True):
    """A file. `depends`: equal to last time's, the file says the same. `language`: of a page that has an
    "as of" (None: a file without one). `urgent`: what people and machines look at first."""

    path: str
    depends: tuple[object, ...]
    make: Callable[[], bytes]
    language: Language | None = None
    urgent: bool = True
