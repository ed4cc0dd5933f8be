"""Telling spans with OpenTelemetry's SDK, under ids that we say. Imported only where tracing is on."""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

from faststream.kafka.opentelemetry import KafkaTelemetryMiddleware
from faststream.opentelemetry.middleware import BaseTelemetryMiddleware
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Sampler, TraceIdRatioBased

from shared.tracing.context import Trace
from shared.tracing.spans import Kind, NotTraceable

_KINDS = {
    "internal": trace.SpanKind.INTERNAL,
    "producer": trace.SpanKind.PRODUCER,
    "consumer": trace.SpanKind.CONSUMER,
}
_SAMPLED = trace.TraceFlags(trace.TraceFlags.SAMPLED)
_FLUSH_S = 2.0
"""How long the end of a process waits for a collector: a fold that restarts must not pause for one."""
_NS = 1_000_000

_next: ContextVar[Trace | None] = ContextVar("the span that is being told of", default=None)


class _Said(RandomIdGenerator):
    """The ids of the span that is being told of; of any other, the framework's, random ones."""

    def generate_trace_id(self) -> int:
        own = _next.get()
        return super().generate_trace_id() if own is None else int(own.trace_id, 16)

    def generate_span_id(self) -> int:
        own = _next.get()
        return super().generate_span_id() if own is None else int(own.span_id, 16)


class _Telemetry(BaseTelemetryMiddleware[Any]):
    async def publish_scope(self, call_next: Any, msg: Any) -> Any:
        """Leaves what is published as it is: its headers are history, and the same bytes each time."""
        return await call_next(msg)


class _Batches(KafkaTelemetryMiddleware):
    """FastStream's telemetry of what is consumed."""

    def __call__(self, msg: Any, /, *, context: Any) -> BaseTelemetryMiddleware[Any]:
        return _Telemetry(
            msg,
            tracer=self._tracer,
            metrics_container=self._metrics,
            settings_provider_factory=self._settings_provider_factory,
            context=context,
        )


class Telling:
    """Tells spans of one process to the collector; in the background, and drops what it does not take."""

    def __init__(self, service: str, instance: str, version: str) -> None:
        # Each failed try is a warning; that spans are given up is an error.
        logging.getLogger("opentelemetry.exporter").setLevel(logging.ERROR)
        named = {"service.instance.id": instance, "service.version": version}
        if not os.environ.get("OTEL_SERVICE_NAME"):
            named["service.name"] = service
        provider = TracerProvider(
            sampler=sampler(os.environ),
            resource=Resource.create(named),
            id_generator=_Said(),
            shutdown_on_exit=False,
        )
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = provider.get_tracer("garant", version)
        self.batches = _Batches(tracer_provider=provider)
        atexit.register(_flush, provider)

    def tell(
        self,
        name: str,
        own: Trace,
        cause: Trace | None,
        start_ms: int,
        end_ms: int,
        kind: Kind,
        attributes: Mapping[str, str | int | bool],
    ) -> None:
        """As `shared.tracing.spans.tell`."""
        parent = Context()
        if cause is not None:
            parent = trace.set_span_in_context(trace.NonRecordingSpan(_context(cause)), parent)
        linked = []
        batch = trace.get_current_span().get_span_context()
        if batch.is_valid and batch.trace_flags.sampled:
            linked.append(trace.Link(batch))
        token = _next.set(own)
        try:
            span = self._tracer.start_span(
                name, parent, _KINDS[kind], attributes, linked, start_time=start_ms * _NS
            )
        finally:
            _next.reset(token)
        span.end(end_ms * _NS)


def _context(of: Trace) -> trace.SpanContext:
    return trace.SpanContext(int(of.trace_id, 16), int(of.span_id, 16), is_remote=True, trace_flags=_SAMPLED)


def sampler(environment: Any) -> Sampler:
    """What `OTEL_TRACES_SAMPLER` and `OTEL_TRACES_SAMPLER_ARG` ask for, decided by the id of a trace alone:
    every service keeps the same ones, whole. The flag in a header says nothing. Raises NotTraceable."""
    name = environment.get("OTEL_TRACES_SAMPLER") or "parentbased_always_on"
    match name.strip().lower().removeprefix("parentbased_"):
        case "always_on":
            return ALWAYS_ON
        case "always_off":
            return ALWAYS_OFF
        case "traceidratio":
            try:
                return TraceIdRatioBased(float(environment.get("OTEL_TRACES_SAMPLER_ARG") or "1"))
            except ValueError:
                raise NotTraceable(
                    f"OTEL_TRACES_SAMPLER_ARG is {environment['OTEL_TRACES_SAMPLER_ARG']!r}: set the share "
                    "of traces to keep, a number from 0 to 1."
                ) from None
    raise NotTraceable(
        f"OTEL_TRACES_SAMPLER is {name!r}: set it to always_on, always_off or traceidratio (then "
        "OTEL_TRACES_SAMPLER_ARG is the share of traces to keep), each also with parentbased_ before it."
    )


def _flush(provider: TracerProvider) -> None:
    ending = threading.Thread(target=provider.shutdown, daemon=True)
    ending.start()
    ending.join(_FLUSH_S)
