"""V3: what `uptime.changes` says of a probed target is what its results give (contract 2).

The whole time line of a target is worked out once, from all of its results, for histories in which every
location reports every slot in order; how the fold gets there, and in how many facts, is not compared.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from tests.faults.verifier.dump import Dump, Record, origin_of
from tests.faults.verifier.forms import fate, parsed
from tests.faults.verifier.report import Report, Told
from tests.oracle.clock import HOUR, parse, show

STARTS_ANEW = 6 * HOUR  # a run of slots after a longer silence
Fact = dict[str, Any]


@dataclass
class Line:
    """A target's time line: the state from each instant on, and the full hours up to which it was watched."""

    states: dict[int, str] = field(default_factory=dict)
    hours: set[int] = field(default_factory=set)
    first_hour: int | None = None  # of the first slot, which may be said or not
    holes: list[str] = field(default_factory=list)  # origins that were left out before later steps

    def at(self, instant: int) -> str:
        edges = sorted(self.states)
        number = bisect_right(edges, instant)
        return self.states[edges[number - 1]] if number else "unmeasured"


def check_uptime(dump: Dump, told: Told, report: Report) -> None:
    """Compare each target that has results; where others report as well, those that were told of."""
    ours = {key for topic, key, _ in told.acknowledged if topic == "probe.results"}
    said = _said(dump, report)
    results: dict[tuple[int, str], list[Fact]] = defaultdict(list)
    for record in dump.of("probe.results"):
        if fate(record.topic, record.value) == "taken":
            fact = parsed(record.value) or {}
            results[record.partition, fact["target"]].append(fact)
    for (partition, target), facts in results.items():
        report.counts["probed targets"] += 1
        if not told.complete and target not in ours:
            said.pop((partition, target), None)
            report.counts["targets of others"] += 1
            continue
        if dump.begins.get(("probe.results", partition), 0) > 0:
            report.notes.append(f"V3: {target} not compared: the results begin after offset 0")
            continue
        _compare(target, line_of(facts), said.pop((partition, target), Line()), report)
    for (partition, target), line in said.items():
        if dump.begins.get(("probe.results", partition), 0) == 0 and line.states:
            report.add("V3", "wrong", target, f"{len(line.states)} states said, and there are no results")


def _said(dump: Dump, report: Report) -> dict[tuple[int, str], Line]:
    """What the uptime fold said of each target, repeats by origin left out."""
    lines: dict[tuple[int, str], Line] = defaultdict(Line)
    highest: dict[str, tuple[int, int]] = {}
    steps: dict[tuple[str, int], set[int]] = defaultdict(set)
    about: dict[tuple[str, int], Record] = {}
    for record in dump.of("uptime.changes"):
        origin, fact = origin_of(record), parsed(record.value) or {}
        if origin is None or not origin[0].startswith("probe.results/"):
            continue
        stream, place = origin
        steps[stream, place[0]].add(place[1])
        about.setdefault((stream, place[0]), record)
        if place <= highest.get(stream, (-1, -1)):
            continue
        highest[stream] = place
        line = lines[_whose(record)]
        if fact["type"] == "TargetStateChanged":
            line.states[parse(fact["at"])] = fact["state"]
        else:
            line.hours.add(parse(fact["through"]))
    for place, found in steps.items():
        line = lines[_whose(about[place])]
        line.holes += [f"{place[0]}/{place[1]}/{step}" for step in range(max(found)) if step not in found]
    return lines


def _whose(record: Record) -> tuple[int, str]:
    """(partition of the results, target) of something the uptime fold said."""
    stream, _ = origin_of(record) or ("/-1", (0, 0))
    return int(stream.rpartition("/")[2]), str((parsed(record.value) or {}).get("target"))


def _compare(target: str, expected: Line, found: Line, report: Report) -> None:
    apart, before = False, len(report.errors)
    for edge in sorted({*expected.states, *found.states}):
        wanted, here = expected.at(edge), found.at(edge)
        if wanted != here and not apart:
            missing = edge in expected.states and edge not in found.states
            text = f"the results give {wanted} from then on, uptime.changes says {here}"
            report.add("V3", "lost" if missing else "wrong", f"{target}@{show(edge)}", text)
        apart = wanted != here
    free = {expected.first_hour}
    for hour in sorted(expected.hours - found.hours):
        report.add("V3", "lost", f"{target}/observed/{show(hour)}", "TargetObserved is not there")
    for hour in sorted(found.hours - expected.hours - free):
        report.add("V3", "wrong", f"{target}/observed/{show(hour)}", "no slot reaches that hour")
    if len(report.errors) == before:
        for hole in found.holes:
            report.add("V3", "lost", hole, f"of {target}: a later step of that record is there")


def line_of(facts: Iterable[Fact]) -> Line:
    """The time line that declarations and results give, in their order on the log."""
    about: Fact | None = None
    votes: dict[int, dict[tuple[str, str], str]] = defaultdict(dict)
    decided: list[int] = []
    for fact in facts:
        if fact["type"] == "TargetDeclared":
            about = fact
        elif about is not None:
            slot = parse(fact["slot"])
            here = votes[slot]
            complete = len(here) == _voters(about)
            here.setdefault((fact["check"], fact["location"]), fact["outcome"])
            if not complete and len(here) == _voters(about):
                decided.append(slot)
    if about is None:
        return Line()
    slots = sorted(decided)
    verdicts = _verdicts(about, votes, slots)
    line = Line({}, set(), slots[0] // HOUR * HOUR if slots else None)
    _states(line, about, slots, verdicts)
    for before, slot in pairwise(slots):
        if before < slot // HOUR * HOUR:
            line.hours.add(slot // HOUR * HOUR)
    return line


def _voters(about: Fact) -> int:
    return len(about["checks"]) * len(about["locations"])


def _verdicts(about: Fact, votes: dict[int, dict[tuple[str, str], str]], slots: list[int]) -> dict[int, str]:
    """down, unmeasured or up for each slot; a tie keeps the last verdict of the check."""
    required = [check["check"] for check in about["checks"] if check["required"]]
    last = dict.fromkeys(required, "up")
    verdicts = {}
    for slot in slots:
        of_checks = []
        for check in required:
            said = [votes[slot].get((check, location)) for location in about["locations"]]
            down, up = said.count("down"), said.count("up")
            if down != up:
                last[check] = "down" if down > up else "up"
            of_checks.append(last[check] if down + up else "unmeasured")
        verdicts[slot] = next((worst for worst in ("down", "unmeasured") if worst in of_checks), "up")
    return verdicts


def _states(line: Line, about: Fact, slots: list[int], verdicts: dict[int, str]) -> None:
    step = about["interval_s"] * 1000
    confirmed: list[tuple[int, str]] = []  # since when which state
    quiet: list[tuple[int, int | None]] = []  # unmeasured from, up to the next measured slot
    run: list[int] = []
    measured: int | None = None  # the last measured slot
    for number, slot in enumerate(slots):
        before = slots[number - 1] if number else slot
        silent_from = before + step if slot - before > 2 * step else None
        if silent_from is None and verdicts[slot] == "unmeasured":
            silent_from = slot
        if silent_from is not None and (not quiet or quiet[-1][1] is not None):
            quiet.append((silent_from, None))
        if verdicts[slot] == "unmeasured":
            continue
        if quiet and quiet[-1][1] is None:
            quiet[-1] = (quiet[-1][0], slot)
        if measured is not None:
            missing_from = measured + step
            long = missing_from < slot and slot - missing_from > STARTS_ANEW
            if long or verdicts[measured] != verdicts[slot]:
                run = []
        run.append(slot)
        measured = slot
        state = confirmed[-1][1] if confirmed else None
        if verdicts[slot] != state and len(run) >= about[f"confirm_{verdicts[slot]}"]:
            confirmed.append((run[0], verdicts[slot]))
    edges = {at for at, _ in confirmed} | {edge for gap in quiet for edge in gap if edge is not None}
    for at in sorted(edges):
        state = next((told for since, told in reversed(confirmed) if since <= at), None)
        if state is not None:
            silent = any(start <= at and (end is None or at < end) for start, end in quiet)
            line.states[at] = "unmeasured" if silent else state
