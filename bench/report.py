"""What the measurements said: for the eye, and as the page docs/reference/benchmarks.md."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec

from services.cli.local.config import DEPLOY
from services.cli.local.jars import read_lock

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "benchmarks.md"
LIBRARIES = ("aiokafka", "faststream", "msgspec")

TEXT = """# Benchmarks

Written by `python -m bench --write`; `make bench` measures again without writing. Everything below comes
from one run on one machine that was Kafka broker, load and service at once. Ratios carry over to other
machines, absolute figures do not. `load` below is what others made of its cores just before: above
one half they were shared, and every figure is the worse for it.

{summary}

## How it is measured

- **Throughput** (`bench/throughput.py`): the records are on `probe.results` before anyone reads them, with
  the headers and batch sizes of an agent's producer. *bare* is aiokafka's `getmany` with the decoding and
  the fold of the product and nothing else; *worker* is the service's own worker under FastStream, which
  also publishes what it concludes and saves its states every two seconds and at the end. They take turns,
  each in a fresh process, both with batches of {max_records} records.
- **Latency** (`bench/latency.py`): `garant sla` as a process; each of the cuts lasted more than a day and is
  ended by one result. From the broker's time of that append to the moment a consumer has the
  `TargetStateChanged`, and the credit.
- **Restart** (`bench/restart.py`): the topics hold the states that the service's own folds come to and its
  own code saves. `garant sla`, with a name (`GARANT_SLA_INSTANCE`), is started and killed again and again;
  from the start of the process to `/ready`. `said_s` is when its log said what; what comes before the first
  is starting Python, imports and joining the groups, which `ready_with_nothing_s` is nearly all of.
  `loop_of_10_million_s` is a plain Python loop on the machine as it was then.
- **Memory** (`bench/memory.py`): resident memory of a process that reads the same states, before and after.
  A target has nine voters, is up since a while and has no slot open; a subscription has five targets and no
  month closed yet. While a slot waits for votes a target weighs some 200 B more.
- **Replay** (`bench/replay.py`): processor time of `garant replay` on a mixed history, and on histories
  four and sixteen times as long.
- **Support** (`bench/support.py`): journal entries as bytes in, outcomes as bytes out, digests and all: first
  responses, classifications, work and closings of requests that are all open. *two*: a process for each core,
  each with a journal partition of as many requests. `reading_per_second` is decoding and digesting the same
  bytes alone.
- **Intake** (`bench/intake.py`): mails that lie in a mailbox (Dovecot's where it is installed) until the last
  is committed with its request and fact, in one process.
- **Status page** (`bench/status*.py`): the fold alone and its memory over twenty years; rendering alone;
  `garant status web` with two workers under readers that keep their connections, nine of ten asking whether
  their page is still right, while pages change; and the whole way through `garant sla` and
  `garant status serve`, to a reader who asks all the time.
- **Agent** (`bench/probe.py`): one agent, a TCP check a second for each target, all due at the same
  instant, against a listener in another process; results go to Kafka. `listener` is what the listener saw.

## What decides the throughput

- Batches stay small. The interpreter starts its garbage collector after a number of allocations, and a record
  as aiokafka hands it over is a dozen objects (each header is a pair): above some 250 records each
  batch is walked by the collector before it is folded. See the lines `worker by batch size`.
- A batch must not be held by FastStream's message, which its own parser cache makes a reference cycle: every
  record would wait for the collector. `subscribe_batches` in `shared/kafka.py` takes the batch out.
- What is to be saved is found by position when it is saved, not noted for each record.

## The machine

{machine}

## Raw lines

```json
{lines}
```
"""


def machine(named: bool) -> dict[str, Any]:
    """What a reader needs to know of this machine to judge the figures; `load` is what others made of it just
    before, `named` whether the broker is somebody else's."""
    return {
        "part": "machine",
        "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%MZ"),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        **{name: version(name) for name in LIBRARIES},
        "kafka": "named in the environment" if named else _kafka(),
        "load": [round(each, 2) for each in os.getloadavg()],
    }


def _kafka() -> str:
    return next(jar.version for jar in read_lock(DEPLOY / "jars.lock") if jar.artifact.startswith("kafka_"))


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "unknown")


def rows(lines: Iterable[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """What was asked, what must be reached, what was reached; for the parts that were measured."""
    found = []
    for line in lines:
        if line["part"] == "throughput":
            speeds = f"{line['worker']['median']:,}/s beside {line['bare']['median']:,}/s"
            found.append(
                (
                    "Results into saved states, of a bare consumer",
                    ">= 67 %",
                    f"{line['ratio']:.0%} ({speeds})",
                )
            )
        elif line["part"] == "latency":
            for what in ("state", "credit"):
                ms = line[f"{what}_ms"]
                reached = f"{ms['p99']} ms (half within {ms['p50']} ms, all within {ms['max']} ms)"
                found.append((f"99 % from a result's append to its {what}", "< 250 ms", reached))
        elif line["part"] == "restart":
            owned = f"{line['targets']:,} targets and {line['subscriptions']:,} subscriptions"
            reached = f"{line['ready_s']} s, {line['cpu_s']} s of processor time"
            found.append((f"Ready after `kill -9` with {owned}", "< 10 s", reached))
            allowed = f"<= {line['mb_allowed']} MB"
            found.append(
                ("Memory of that service above one with nothing", allowed, f"{line['mb_above_nothing']} MB")
            )
        elif line["part"] == "memory":
            found.append(("Memory of a target", "<= 1,024 B", f"{line['bytes_a_target']:,} B"))
            found.append(("Memory of a subscription", "<= 4,096 B", f"{line['bytes_a_subscription']:,} B"))
        elif line["part"] == "replay":
            times = line["histories"][-1]["times"]
            each = ", ".join(f"{one['us_per_fact']} us" for one in line["histories"])
            what = f"A fact in a history {times} times as long, of one in the shortest"
            found.append((what, "about 1", f"{line['growth']} ({each})"))
        elif line["part"] == "support":
            one, two = line["facts_per_second"], line["two_processes_per_second"]
            both = f"{one:,}/s in one process, {two:,}/s in two"
            found.append((f"Facts folded with {line['open_requests']:,} open requests", ">= 100,000/s", both))
            found.append(("The deadline of one request", "< 50 us", f"{line['deadline_us']} us"))
        elif line["part"] == "intake":
            what = f"Mails taken in from a real mailbox ({line['database']})"
            found.append((what, ">= 200/s", f"{line['per_second']:,}/s"))
        elif line["part"].startswith(("status", "render")):
            found += _of_the_page(line)
        elif line["part"] == "agent" and line["asked_per_second"] <= 1_000:
            seen = line["listener"]["within_20_ms_percent"]
            within = f"{line['started_within_20_ms_percent']} % (seen by the listener: {seen} %)"
            found.append(("Checks started within 20 ms of their slot at 1,000/s", ">= 99 %", within))
        elif line["part"] == "agent":
            found.append(("TCP checks of one agent", ">= 5,000/s", f"{line['per_second']:,}/s"))
    return found


def _of_the_page(line: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Of the status page."""
    if line["part"] == "status":
        cpu, wall = line["one_change_cpu_ms"], line["one_change_ms"]
        reached = (
            f"{cpu['p99']} ms of processor time (half within {cpu['median']} ms), {wall['p99']} ms in all"
        )
        return [(f"99 % from a record to the page as values, {line['components']} components", "-", reached)]
    if line["part"] == "status memory":
        low, high = min(line["resident_mb"]), max(line["resident_mb"])
        return [(f"Memory of the page over {line['changes']:,} changes", "flat", f"{low} to {high} MB")]
    if line["part"] == "render shown" and line["language"] == "fr":
        reached = f"{line['wall_ms']} ms (processor {line['cpu_ms']} ms, at worst {line['cpu_worst_ms']} ms)"
        return [("Rendering 500 components with 90 days, in one language", "< 200 ms", reached)]
    if line["part"] == "render first page":
        each = ", ".join(
            f"{name.partition('_')[0]} components: {sizes['gzip_bytes'] / 1_000:.1f} KB"
            for name, sizes in line.items()
            if name != "part"
        )
        return [("First page and style, compressed", "< 30 KB", each)]
    if line["part"] == "render one change":
        reached = f"{line['wall_ms']} ms (99 % within {line['wall_p99_ms']} ms)"
        return [(f"Writing what one change touches, {line['files']} files", "-", reached)]
    if line["part"] == "status web":
        reached = f"{line['requests_per_second']:,}/s (p99 {line['p99_ms']} ms)"
        return [("Page requests, the reader on the same cores", ">= 5,000/s", reached)]
    if line["part"] == "status latency":
        ms = line["page_ms"]
        reached = f"{line['under_500_ms_percent']} % (half within {ms['p50']} ms, 99 % within {ms['p99']} ms)"
        what = f"From a result's append to the new page within 500 ms, {line['components']} components"
        return [(what, "99 %", reached)]
    return []


def page(lines: Sequence[dict[str, Any]], max_records: int) -> str:
    """The whole page."""
    summary = ["| what | must reach | reached |", "| --- | --- | --- |"]
    summary += [f"| {what} | {wanted} | {reached} |" for what, wanted, reached in rows(lines)]
    about = next(line for line in lines if line["part"] == "machine")
    described = "\n".join(f"- {name}: {value}" for name, value in about.items() if name != "part")
    raw = "\n".join(msgspec.json.encode(line).decode() for line in lines)
    return TEXT.format(summary="\n".join(summary), machine=described, lines=raw, max_records=max_records)
