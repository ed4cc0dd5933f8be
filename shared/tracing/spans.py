"""Spans told to a collector over OTLP, where `OTEL_EXPORTER_OTLP_ENDPOINT` names one.

Without one nothing is told and the SDK is not imported. A span is told once what it is about has happened,
from when until when: folds stay pure, and nobody has to hold one open. What is said again after a crash is
told again, under the same ids.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import structlog

from shared.errors import NeedsAPerson
from shared.tracing.context import Cause, Trace

if TYPE_CHECKING:
    from shared.tracing.telling import Telling

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"

Kind: TypeAlias = Literal["internal", "producer", "consumer"]
Attributes: TypeAlias = Mapping[str, str | int | bool | None]

_telling: Telling | None = None


class NotTraceable(NeedsAPerson):
    """A setting of tracing cannot be used."""


def start(service: str, instance: str, version: str) -> None:
    """Tells spans from now on, where an endpoint is named; once a process. Raises NotTraceable."""
    global _telling
    if _telling is not None or not os.environ.get(ENDPOINT):
        return
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return
    if (protocol := os.environ.get(_PROTOCOL, "http/protobuf")) != "http/protobuf":
        raise NotTraceable(
            f"{_PROTOCOL} is {protocol!r}: traces go out over HTTP only. Leave it out or set it to "
            "http/protobuf, and name the collector's HTTP port (4318) in OTEL_EXPORTER_OTLP_ENDPOINT."
        )
    from shared.tracing.telling import Telling  # the SDK, which takes memory and time to import

    _telling = Telling(service, instance, version)


def on() -> bool:
    """Whether spans are told."""
    return _telling is not None


def tell(
    name: str,
    own: Trace,
    cause: Trace | None,
    start_ms: int,
    end_ms: int | None = None,
    *,
    kind: Kind = "internal",
    attributes: Attributes = MappingProxyType({}),
) -> None:
    """Tells of the span `own`, which follows from `cause`; `end_ms` None is now. Attributes become
    garant.NAME; those that are None are left out. Costs nothing where tracing is off, and never fails nor
    waits."""
    if _telling is not None:
        ends = time.time_ns() // 1_000_000 if end_ms is None else end_ms
        named = {f"garant.{key}": value for key, value in attributes.items() if value is not None}
        _telling.tell(name, own, cause, start_ms, max(ends, start_ms), kind, named)


def tell_taken(
    service: str, cause: Cause, appended_at: int, taken: Any, **more: str | int | bool | None
) -> None:
    """Tells that `service` has taken the record `taken`, from its append (ms) on."""
    if _telling is not None:
        own = cause.trace.then(service, "take")
        named = about(taken) | more
        name = f"take {type(taken).__name__}"
        tell(name, own, cause.parent, appended_at, kind="consumer", attributes=named)


def about(record: Any) -> dict[str, str | int | bool | None]:
    """The ids in a fact or outcome, as attributes of its span; no fact holds personal data."""
    return {name: value for name in _ABOUT if (value := getattr(record, name, None)) is not None}


_ABOUT = ("target", "account", "subscription", "credit", "ticket", "state", "month", "revision", "percent")


def batch_middlewares() -> list[Any]:
    """FastStream's own telemetry, of the batches a broker hands over; none where tracing is off."""
    return [] if _telling is None else [_telling.batches]


@contextmanager
def within(trace: Trace) -> Iterator[None]:
    """What is logged in here names its trace and span, also while none are told: they are derived anyway."""
    with structlog.contextvars.bound_contextvars(trace_id=trace.trace_id, span_id=trace.span_id):
        yield
