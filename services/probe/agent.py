"""The agent's loop: at each slot it starts the checks that are due and passes on what they find, in order.

For one check at one location results leave in the order of their slots, because a check never runs twice
at once: a run that has not ended when its next slot comes costs that slot, which is counted.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import structlog

from services.probe.config import Configuration, Http
from services.probe.metrics import Metrics
from services.probe.probing import Probe, Probing, probes_of, reference_probes
from services.probe.references import Judge, judge_round
from services.probe.schedule import Schedule, SlotClock, late_ms
from services.probe.tcp import Connect
from services.probe.verdict import TIMEOUT, Verdict
from shared.codec import encode
from shared.facts import ProbeResult
from shared.time import DAY, Instant

log = structlog.get_logger()

_LEAD_S = 0.03
"""Sockets of a slot are made this long before it, so that at the slot only the connects are left."""
_LONGEST_LEAD_S = 0.15
_SMALL_S = 0.012
_EARLIEST_S = 0.018
_BEFORE = 0.8
_TELLING = 50
"""Connects in a burst that say how long one takes."""
_LOOK_S = 1.0
"""The loop comes round at least this often, to follow the wall clock and to say it is alive."""
_STALL_S = 0.05
_LAST_S = 6.0
"""Checks in flight have this long to end when the agent stops."""
_BURST = 1_000
"""Connects started before the loop looks at anything else: 15 to 20 ms."""


class Run(NamedTuple):
    """One run of a check, for one slot."""

    probe: Probe
    slot_ms: int


class Agent:
    """Probes the targets of one location; `put` takes each result's bytes, in order."""

    def __init__(
        self,
        configuration: Configuration,
        location: str,
        put: Callable[[bytes], None],
        metrics: Metrics,
        clock: SlotClock | None = None,
    ) -> None:
        self.ticked_at = time.monotonic()
        """When the loop last came round, by the monotonic clock in seconds."""
        self.location = location
        self._put = put
        self._metrics = metrics
        self._clock = clock or SlotClock()
        self._outcomes = {name: metrics.results.labels(name) for name in ("up", "down", "unknown")}
        self._busy = metrics.missed.labels("busy")
        self._late = metrics.missed.labels("late")
        self._probing = Probing(configuration.allow)
        self._judge: Judge[Run] = Judge(self._release, active=False)
        self._probes: dict[int, list[Probe]] = {}
        self._schedule = Schedule(set(), self._clock.now_ms())
        self._running = 0
        self._taken: set[tuple[str, str]] = set()
        self._waiting: deque[Run] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._stalls: deque[tuple[float, float]] = deque(maxlen=32)
        self._connect_s = 20e-6
        self._warned: dict[tuple[str, str], int] = {}
        self._network_gone = False
        self._stopping = asyncio.Event()
        self._idle = asyncio.Event()
        self.take(configuration)

    def take(self, configuration: Configuration) -> None:
        """Probes by `configuration` from the next slots on; runs in flight end as they began."""
        self.configuration = configuration
        self._judge.active = bool(configuration.references.endpoints)
        self._probing.resolver.allow = frozenset(configuration.allow)
        self._probes = {}
        for probe in probes_of(configuration, self.location):
            self._probes.setdefault(probe.interval_ms, []).append(probe)
        self._schedule.restart(set(self._probes), self._clock.now_ms())

    @property
    def running(self) -> int:
        """Checks in flight now."""
        return self._running

    async def run(self) -> None:
        """Probes until `stop`; then lets the checks in flight end and passes on what they find."""
        # What is here now stays: the collector need not walk through it again in the middle of a burst.
        gc.collect()
        gc.freeze()
        helpers = [asyncio.create_task(one) for one in (self._watch_stalls(), self._watch_references())]
        try:
            while not self._stopping.is_set():
                await self._next()
        finally:
            self._waiting.clear()
            if self._running:
                await asyncio.wait({asyncio.ensure_future(self._idle.wait())}, timeout=_LAST_S)
            for task in (*helpers, *self._tasks):
                task.cancel()
            self._judge.flush()
            self._probing.close()

    def stop(self) -> None:
        """Makes `run` return."""
        self._stopping.set()

    async def _next(self) -> None:
        """Sleeps to the next slot, or for a second, and starts what is due."""
        self.ticked_at = time.monotonic()
        self._metrics.wall_drift.set(self._clock.reanchor() / 1_000)
        slot = self._schedule.next_slot_ms
        wait_s = _LOOK_S if slot is None else self._clock.until(slot)
        if slot is None or wait_s > _LOOK_S:
            await self._sleep(_LOOK_S)
            return
        upcoming = self._schedule.upcoming()
        await self._sleep(wait_s - self._lead_s(upcoming))
        prepared = self._prepare(upcoming, slot)
        await self._sleep(self._clock.until(slot) - self._early_s(len(prepared)))
        if self._stopping.is_set():
            for connect in prepared.values():
                connect.close()
            return
        now_ms = max(self._clock.now_ms(), float(slot))
        runs: list[Run] = []
        for due in self._schedule.due(now_ms):
            probes = self._probes.get(due.interval_ms, [])
            self._late.inc(len(probes) * (due.missed + (not due.in_time)))
            if due.in_time:
                runs += [Run(probe, due.slot_ms) for probe in probes]
        await self._start(runs, prepared)

    def _lead_s(self, intervals: list[int]) -> float:
        checks = sum(len(self._probes.get(interval, ())) for interval in intervals)
        return min(_LONGEST_LEAD_S, _LEAD_S + checks * self._connect_s)

    def _early_s(self, connects: int) -> float:
        """How long before its slot a burst begins, in s: a large one mostly precedes it, since a busy machine
        only makes it longer, and 20 ms must do either way. Small ones, the usual ones, begin at the slot."""
        takes_s = connects * self._connect_s
        return min(_EARLIEST_S, takes_s * _BEFORE) if takes_s > _SMALL_S else 0.0

    async def _sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass

    def _prepare(self, intervals: list[int], slot_ms: int) -> dict[tuple[str, str], Connect]:
        room = self.configuration.concurrency - self._running
        prepared: dict[tuple[str, str], Connect] = {}
        for interval in intervals:
            for probe in self._probes.get(interval, ()):
                if probe.address is not None and probe.key not in self._taken and len(prepared) < room:
                    run = Run(probe, slot_ms)
                    prepared[probe.key] = Connect(probe.address, partial(self._ended, run))
        return prepared

    async def _start(self, runs: list[Run], prepared: dict[tuple[str, str], Connect]) -> None:
        """The prepared connects first, since they take microseconds each; then everything else."""
        others: list[Run] = []
        burst: list[tuple[Run, Connect]] = []
        taken, take_prepared = self._taken, prepared.pop
        for run in runs:
            key = run.probe.key
            if key in taken:
                self._busy.inc()
                continue
            taken.add(key)
            connect = take_prepared(key, None)
            if connect is None:
                others.append(run)
            else:
                burst.append((run, connect))
        for first in range(0, len(burst), _BURST):
            part = burst[first : first + _BURST]
            for _, connect in part:
                connect.start()
            self._watch(part)
            await asyncio.sleep(0)
        for connect in prepared.values():
            connect.close()
        for number, run in enumerate(others):
            if number % 100 == 99:
                await asyncio.sleep(0)
            if self._running < self.configuration.concurrency:
                self._begin(run)
            else:
                self._waiting.append(run)

    def _watch(self, burst: list[tuple[Run, Connect]]) -> None:
        """Waits for connects just started; only now is there time to say when they were."""
        self._running += len(burst)
        now_ms, now_ns = self._clock.now_ms(), time.monotonic_ns()
        if len(burst) >= _TELLING:
            took_s = (burst[-1][1].started_ns - burst[0][1].started_ns) / 1e9
            self._connect_s += (took_s / len(burst) - self._connect_s) / 4
        by_timeout: dict[float, list[Connect]] = {}
        for run, connect in burst:
            self._observe(now_ms - (now_ns - connect.started_ns) / 1e6 - run.slot_ms)
            by_timeout.setdefault(run.probe.timeout_s, []).append(connect)
        for timeout_s, connects in by_timeout.items():
            self._probing.tcp.watch(connects, timeout_s)

    def _begin(self, run: Run) -> None:
        self._running += 1
        self._observe(self._clock.now_ms() - run.slot_ms)
        task = asyncio.create_task(self._check(run))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _check(self, run: Run) -> None:
        began = time.monotonic()
        try:
            verdict = await self._probing.check(run.probe)
        except Exception:
            log.exception("check.broke", target=run.probe.target, check=run.probe.check)
            verdict = Verdict("unknown", error="agent: check broke")
        self._ended(run, verdict, began)

    def _observe(self, late_ms: float) -> None:
        self._metrics.start_delay.observe(abs(late_ms) / 1_000)

    def _ended(self, run: Run, verdict: Verdict, began: float) -> None:
        ended = time.monotonic()
        probe = run.probe
        self._taken.discard(probe.key)
        self._running -= 1
        if not self._running and self._stopping.is_set():
            self._idle.set()
        if verdict.error == TIMEOUT.error and self._stalled(began, ended, probe.timeout_s):
            verdict = verdict._replace(outcome="unknown", error="agent: stalled")
        if verdict.certificate_ends is not None:
            self._note_certificate(probe, verdict.certificate_ends)
        self._judge.add(run, verdict, began, ended)
        while self._waiting and self._running < self.configuration.concurrency:
            waiting = self._waiting.popleft()
            if self._clock.now_ms() - waiting.slot_ms <= late_ms(waiting.probe.interval_ms):
                self._begin(waiting)
            else:
                self._taken.discard(waiting.probe.key)
                self._late.inc()

    def _release(self, run: Run, verdict: Verdict) -> None:
        """A result nobody doubts any more goes out."""
        self._outcomes[verdict.outcome].inc()
        self._put(
            encode(
                ProbeResult(
                    run.probe.target,
                    run.probe.check,
                    self.location,
                    Instant(run.slot_ms),
                    verdict.outcome,
                    verdict.rtt_us,
                    verdict.error,
                )
            )
        )

    def _note_certificate(self, probe: Probe, ends_ms: int) -> None:
        self._metrics.certificate_ends.labels(probe.target, probe.check).set(ends_ms / 1_000)
        days = probe.config.certificate_days if isinstance(probe.config, Http) else 0
        now_ms = int(self._clock.now_ms())
        if ends_ms - now_ms < days * DAY and now_ms - self._warned.get(probe.key, 0) >= DAY:
            self._warned[probe.key] = now_ms
            log.warning(
                "check.certificate_ends_soon",
                target=probe.target,
                check=probe.check,
                days=(ends_ms - now_ms) // DAY,
            )

    def _stalled(self, began: float, ended: float, timeout_s: float) -> bool:
        """Whether this process itself slept through much of the time the check had."""
        lost = sum(min(end, ended) - max(start, began) for start, end in self._stalls if end > began)
        return lost > timeout_s / 2

    async def _watch_stalls(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            before = loop.time()
            await asyncio.sleep(_STALL_S)
            late = loop.time() - before - _STALL_S
            self._metrics.stall.observe(max(0.0, late))
            if late > _STALL_S:
                now = time.monotonic()
                self._stalls.append((now - late, now))

    async def _watch_references(self) -> None:
        while True:
            began = time.monotonic()
            references = reference_probes(self.configuration)
            verdicts = await asyncio.gather(*(self._probing.check(probe) for _, probe in references))
            named = [is_name for is_name, _ in references]
            found = judge_round(began, time.monotonic(), list(zip(named, verdicts, strict=True)))
            if found.network_gone != self._network_gone:
                self._network_gone = found.network_gone
                log.warning("references.changed", network_gone=found.network_gone)
            self._metrics.network_gone.set(found.network_gone)
            self._judge.round_ended(found)
            spent_s = time.monotonic() - began
            await asyncio.sleep(max(0.05, self.configuration.references.interval_s - spent_s))
