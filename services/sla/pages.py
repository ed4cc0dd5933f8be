"""The saved form of targets' states: many in a page, what they share written once.

A page is plain msgpack: the electorates of its targets, then each target's `TargetState` field by field, its
electorate by number. The bytes of one version mean one thing for ever: a change of a saved struct, of the
order of its fields too, needs another `STATE_VERSION` and a reader of the old one (`states_v1` is one).
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from services.sla.electorate import Electorate, electorate
from services.sla.runs import NEVER
from services.sla.states import Numbers, TargetState

STATE_VERSION: Final = 2
"""Of a page. Version 1 had a record for each target."""


class _Page(Struct, array_like=True):
    electorates: list[tuple[int, int, int, tuple[str, ...], tuple[str, ...]]]
    states: Raw


def page(states: Iterable[TargetState]) -> bytes:
    """The page of `states`."""
    numbers: dict[Electorate, int] = {}

    def write(value: Any) -> Any:
        if isinstance(value, Electorate):
            return numbers.setdefault(value, len(numbers))
        if isinstance(value, array):
            return _bytes(value)
        raise NotImplementedError(f"{type(value).__name__} is not part of a target's state")

    data = msgspec.msgpack.encode(list(states), enc_hook=write)
    return msgspec.msgpack.encode(_Page([one.said() for one in numbers], Raw(data)))


def states_of(data: bytes) -> list[TargetState]:
    """The states in a page. Raises msgspec.DecodeError for bytes that are none."""
    found = _pages.decode(data)
    electorates = [electorate(*said) for said in found.electorates]

    def read(kind: type, value: Any) -> Any:
        if kind is Electorate:
            return electorates[value]
        return _numbers(value)

    states = msgspec.msgpack.decode(found.states, type=list[TargetState], dec_hook=read)
    hours: dict[int, int] = {}
    for state in states:
        _share(state, hours)
    return states


_pages = msgspec.msgpack.Decoder(_Page)


def _bytes(numbers: Numbers) -> bytes:
    if sys.byteorder == "big":
        numbers = numbers[:]
        numbers.byteswap()
    return numbers.tobytes()


def _numbers(data: bytes) -> Numbers:
    numbers = Numbers("q", data)[:]  # without the room to grow that reading leaves
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _share(state: TargetState, hours: dict[int, int]) -> None:
    """Lets what was read apart be one object again where it is one value."""
    standing = state.standing
    standing.target = sys.intern(standing.target)
    standing.next_hour = hours.setdefault(standing.next_hour, standing.next_hour)
    if standing.interval == state.electorate.interval:
        standing.interval = state.electorate.interval
    if standing.decided == NEVER:
        standing.decided = standing.stated_since = NEVER
