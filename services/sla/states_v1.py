"""Targets' states as version 0.1 saved them: a record for each target, every field by name."""

from __future__ import annotations

import sys
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from services.sla.electorate import electorate
from services.sla.runs import NEVER, Pause, Run, Standing
from services.sla.slots import Votes
from services.sla.states import Numbers, TargetState
from shared.facts import Because, State

STATE_VERSION: Final = 1


class _Votes(Struct):
    first_arrival: int
    up: int = 0
    down: int = 0
    unknown: int = 0
    errors: dict[int, str] | None = None


class _Pause(Struct):
    since: int
    until: int
    because: tuple[Because, ...]


class _Run(Struct):
    state: Literal["up", "down"]
    since: int
    length: int
    because: tuple[Because, ...]
    pauses: list[_Pause]


class _Standing(Struct):
    target: str
    interval: int
    decided: int = NEVER
    confirmed: Literal["up", "down"] | None = None
    run: _Run | None = None
    missing_since: int | None = None
    unmeasured_since: int | None = None
    unmeasured_because: tuple[Because, ...] = ()
    next_hour: int = NEVER
    stated: State = "unmeasured"
    stated_since: int = NEVER


class _State(Struct):
    position: int
    interval: int
    confirm_down: int
    confirm_up: int
    checks: tuple[str, ...]
    locations: tuple[str, ...]
    everyone: int
    standing: _Standing
    held: int
    reached: list[int]
    heard: list[int]
    live: int
    awaited: int
    undecided: dict[int, _Votes]
    order: list[int]
    grace_until: int
    wake: int


class _Saved(Struct):
    version: int
    state: _State


class _Position(Struct):
    version: int
    offset: int


_saved = msgspec.msgpack.Decoder(_Saved)
_position = msgspec.msgpack.Decoder(_Position)


def position_of(data: bytes) -> int:
    """The offset up to which the saved states go. Raises msgspec.DecodeError, and ValueError for another
    version."""
    found = _position.decode(data)
    if found.version != STATE_VERSION:
        raise ValueError(f"position of version {found.version}, this reads {STATE_VERSION}")
    return found.offset


def state_of(data: bytes) -> TargetState:
    """The state in a record of version 1. Raises like `position_of`."""
    saved = _saved.decode(data)
    if saved.version != STATE_VERSION:
        raise ValueError(f"state of version {saved.version}, this reads {STATE_VERSION}")
    old = saved.state
    return TargetState(
        position=old.position,
        electorate=electorate(old.interval, old.confirm_down, old.confirm_up, old.checks, old.locations),
        standing=_standing(old.standing),
        held=old.held,
        given_up=old.everyone & ~old.live,
        awaited=old.awaited,
        times=Numbers("q", [*old.reached, *old.heard, old.grace_until, old.wake]),
        undecided=[Votes(slot, *_fields(old.undecided[slot])) for slot in old.order] or None,
    )


def _standing(old: _Standing) -> Standing:
    fields = dict(zip(old.__struct_fields__, _fields(old), strict=True))
    if (run := old.run) is not None:
        pauses = [Pause(*_fields(pause)) for pause in run.pauses]
        fields["run"] = Run(run.state, run.since, run.length, run.because, pauses)
    return Standing(**{**fields, "target": sys.intern(old.target)})


def _fields(struct: Struct) -> tuple[Any, ...]:
    return msgspec.structs.astuple(struct)
