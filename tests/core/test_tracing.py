"""Traces: ids derived from what a record follows from, the same whoever says it again; spans told of them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, Decision

from shared.cloudevents import Origin, headers
from shared.tracing import spans
from shared.tracing.context import TRACEPARENT, Trace, begun, carry, cause_in, trace_in
from shared.tracing.spans import NotTraceable
from shared.tracing.telling import sampler

TRACE = Trace("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7")


def record(value: bytes = b"{}", offset: int = 7, **found: bytes) -> SimpleNamespace:
    """A record as a client gives it."""
    return SimpleNamespace(partition=3, offset=offset, value=value, headers=tuple(found.items()))


def said(step: int = 0) -> dict[str, str]:
    return headers(
        b"{}",
        type_name="TargetStateChanged",
        source="/garant/sla/uptime",
        time_ms=0,
        origin=Origin("probe.results", 3, 7, step),
    )


def test_the_header_is_read_back() -> None:
    assert TRACE.header == "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    assert trace_in([("ce_id", b"x"), (TRACEPARENT, TRACE.header.encode())]) == TRACE


def test_a_later_form_of_the_header_is_read_as_far_as_it_is_known() -> None:
    assert trace_in([(TRACEPARENT, TRACE.header.encode().replace(b"00-", b"01-", 1) + b"-more")]) == TRACE


@pytest.mark.parametrize(
    "value",
    [
        *(b"", None, b"\xff", b"hello", b"00-1-2-01", TRACE.header.upper().encode()),
        b"ff" + TRACE.header.encode()[2:],
        b"00-" + b"0" * 32 + b"-00f067aa0ba902b7-01",
        b"00-4bf92f3577b34da6a3ce929d0e0e4736-" + b"0" * 16 + b"-01",
    ],
)
def test_a_header_that_is_none_is_as_if_it_were_not_there(value: bytes) -> None:
    assert trace_in([(TRACEPARENT, value)]) is None
    plain, broken = record(), record()
    broken.headers = ((TRACEPARENT, value),)
    assert cause_in(broken, "probe.results") == cause_in(plain, "probe.results")


def test_what_follows_stands_in_the_trace_of_its_cause() -> None:
    cause = cause_in(record(traceparent=TRACE.header.encode()), "probe.results")
    assert (cause.trace, cause.parent) == (TRACE, TRACE)
    named = said()
    own = carry(named, cause.trace)
    assert named == said() | {TRACEPARENT: own.header}
    assert own.trace_id == TRACE.trace_id
    assert own.span_id != TRACE.span_id


def test_said_again_it_is_the_same_bytes() -> None:
    first, again = said(), said()
    carry(first, cause_in(record(), "probe.results").trace)
    carry(again, cause_in(record(), "probe.results").trace)
    assert first == again


def test_what_is_derived_never_changes() -> None:
    """History says it again for ever: another way to derive it would give other bytes."""
    cause = cause_in(record(b'{"type":"ProbeResult"}'), "probe.results")
    assert cause.trace == begun("probe.results/3/7/0", b'{"type":"ProbeResult"}')
    named = said()
    carry(named, cause.trace)
    assert named[TRACEPARENT] == "00-e44359415dcabe535c4cc5ff772b95aa-5864d4322a3a66a4-01"


def test_a_record_without_a_trace_begins_one_of_its_own() -> None:
    found = [cause_in(record(value, offset), "probe.results") for value in (b"a", b"b") for offset in (1, 2)]
    assert len({one.trace.trace_id for one in found}) == 4
    assert [one.parent for one in found] == [None] * 4


def test_of_one_cause_each_step_service_and_place_has_a_span_of_its_own() -> None:
    """A fact of all accounts stands in every journal partition, under one id."""
    own = [carry(said(step), TRACE, partition) for step in (0, 1) for partition in (0, 1, 2)]
    own += [TRACE.then("billing", "book"), TRACE.then("support", "take"), own[0].then("billing", "book")]
    assert len(set(own)) == len(own) == 9


OFF = """
import json, sys
import services.sla.app.service, services.billing.app, services.support.app
import services.notify.app, services.status.app
from shared.tracing import process, spans
from shared.tracing.context import Trace
process.begin("sla")
spans.tell("say", Trace("1" * 32, "2" * 16), None, 0)
assert not spans.on() and not spans.batch_middlewares()
sdk = ("opentelemetry.sdk", "opentelemetry.exporter")
print(json.dumps([name for name in sys.modules if name.startswith(sdk)]))
"""


def environment(**more: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")} | more


@pytest.mark.parametrize("more", [{}, {"OTEL_EXPORTER_OTLP_ENDPOINT": ""}], ids=["unset", "empty"])
def test_without_an_endpoint_nothing_is_told_and_the_sdk_not_even_imported(more: dict[str, str]) -> None:
    run = subprocess.run(
        [sys.executable, "-c", OFF], env=environment(**more), capture_output=True, text=True, timeout=60
    )
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == []


def keeps(environment: dict[str, str], trace_id: int) -> bool:
    decision = sampler(environment).should_sample(None, trace_id, "say").decision
    return decision is Decision.RECORD_AND_SAMPLE


def test_what_is_kept_is_decided_by_the_trace_alone() -> None:
    assert sampler({}) is ALWAYS_ON
    assert sampler({"OTEL_TRACES_SAMPLER": "parentbased_always_off"}) is ALWAYS_OFF
    half = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.5"}
    ids = [int(begun("place", str(number).encode()).trace_id, 16) for number in range(1_000)]
    kept = [one for one in ids if keeps(half, one)]
    assert 400 < len(kept) < 600  # of these ids, always the same
    assert kept == [one for one in ids if keeps(half, one)]


@pytest.mark.parametrize(
    ("name", "value"),
    [("OTEL_TRACES_SAMPLER", "some"), ("OTEL_TRACES_SAMPLER_ARG", "half"), ("OTEL_TRACES_SAMPLER_ARG", "2")],
)
def test_a_sampler_that_cannot_be_used_is_named_in_one_line(name: str, value: str) -> None:
    with pytest.raises(NotTraceable, match=f"{name} is '{value}'.*set") as found:
        sampler({"OTEL_TRACES_SAMPLER": "traceidratio", name: value})
    assert "\n" not in str(found.value)


def test_a_protocol_we_do_not_speak_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with pytest.raises(NotTraceable, match="set it to http/protobuf"):
        spans.start("garant-sla", "0", "1")


LOGGED = """
import logging
from shared import logs
from shared.tracing import process, spans
from shared.tracing.context import Trace
logs.configure()
import structlog
structlog.get_logger().info("before")
process.begin("sla", "sla-0")
with spans.within(Trace("1" * 32, "2" * 16)):
    structlog.get_logger().info("within", account="A-1")
structlog.get_logger().debug("quiet")
logging.getLogger("a.library").warning("told by %s", "a library")
"""


def logged(level: str) -> list[dict[str, str]]:
    run = subprocess.run(
        [sys.executable, "-c", LOGGED],
        env=environment(GARANT_LOG_LEVEL=level),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    return [json.loads(line) for line in run.stderr.splitlines()]


def test_each_line_is_an_object_that_says_who_logs_and_of_which_trace() -> None:
    before, within, library = logged("")
    assert {"service", "trace_id"}.isdisjoint(before)
    assert within["account"] == "A-1"
    assert (within["service"], within["instance"]) == ("garant-sla", "sla-0")
    assert (within["trace_id"], within["span_id"]) == ("1" * 32, "2" * 16)
    assert (library["event"], library["level"]) == ("told by a library", "warning")
    assert library["logger"] == "a.library"
    assert library["service"] == "garant-sla"
    assert "trace_id" not in library


def test_the_level_is_set_by_the_environment() -> None:
    assert [line["event"] for line in logged("debug")] == ["before", "within", "quiet", "told by a library"]
    assert [line["event"] for line in logged("WARNING")] == ["told by a library"]
    assert [line["event"] for line in logged("error")] == []


def test_a_level_there_is_not_ends_the_command_with_one_line() -> None:
    garant = [sys.executable, "-c", "from services.cli.main import run; run()", "topics", "--help"]
    run = subprocess.run(garant, env=environment(GARANT_LOG_LEVEL="loud"), capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stderr == "error: GARANT_LOG_LEVEL is 'loud': set it to debug, info, warning, error.\n"
