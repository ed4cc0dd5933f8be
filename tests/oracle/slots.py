"""The slot fold of contract 2, for histories in which every location reports every slot in order.

A slot may be absent altogether. For each slot seen, the states of the whole past are worked out anew from
all slots, and what differs from what was said so far is said now.
"""

from typing import Any

from tests.oracle.clock import HOUR, parse, show

Line = dict[str, Any]
SIX_HOURS = 6 * HOUR


def uptime(lines: list[Line]) -> list[tuple[int, dict[str, Any]]]:
    """(index of the causing line, TargetStateChanged or TargetObserved), in the order said."""
    declared: dict[str, dict[str, Any]] = {}
    votes: dict[str, dict[int, dict[tuple[str, str], str]]] = {}
    slots: dict[str, dict[int, str]] = {}
    said: dict[str, dict[int, str]] = {}
    result: list[tuple[int, dict[str, Any]]] = []
    for index, line in enumerate(lines):
        fact = line["fact"]
        if fact["type"] == "TargetDeclared":
            declared[fact["target"]] = fact
        if fact["type"] != "ProbeResult" or fact["target"] not in declared:
            continue
        target, slot = fact["target"], parse(fact["slot"])
        about = declared[target]
        here = votes.setdefault(target, {}).setdefault(slot, {})
        here.setdefault((fact["check"], fact["location"]), fact["outcome"])
        expected = {(check["check"], where) for check in about["checks"] for where in about["locations"]}
        if set(here) < expected or slot in slots.get(target, {}):
            continue
        decided = slots.setdefault(target, {})
        decided[slot] = verdict(about, votes[target], slot)
        before = said.setdefault(target, {})
        for at, state in states(about, decided):
            if before.get(at) != state:
                before[at] = state
                changed = {"target": target, "at": show(at), "state": state}
                result.append((index, {"type": "TargetStateChanged", **changed}))
        hour = slot // HOUR * HOUR
        if any(previous < hour for previous in decided):
            earlier = max(previous for previous in decided if previous < slot)
            if earlier < hour:
                result.append((index, {"type": "TargetObserved", "target": target, "through": show(hour)}))
    return result


def verdict(about: dict[str, Any], votes: dict[int, dict[tuple[str, str], str]], slot: int) -> str:
    """down, unmeasured or up: the target in one slot."""
    found = []
    for check in about["checks"]:
        if check["required"]:
            last, now = "up", "unmeasured"
            for at in sorted(votes):
                if at <= slot:
                    outcomes = [votes[at].get((check["check"], where)) for where in about["locations"]]
                    down, up = outcomes.count("down"), outcomes.count("up")
                    now = "unmeasured" if not down + up else last
                    if down != up:
                        now = last = "down" if down > up else "up"
            found.append(now)
    return "down" if "down" in found else "unmeasured" if "unmeasured" in found else "up"


def states(about: dict[str, Any], decided: dict[int, str]) -> list[tuple[int, str]]:
    """(from when, state): the target's whole time line as the slots up to now tell it."""
    slots = sorted(decided)
    step = about["interval_s"] * 1000
    measured = [slot for slot in slots if decided[slot] != "unmeasured"]

    # Runs of equal verdicts; a silence of more than six hours before a slot starts its run anew.
    confirmed: list[tuple[int, str]] = []
    run: list[int] = []
    for slot in measured:
        earlier = [other for other in measured if other < slot]
        if earlier:
            # The first missing or unmeasured slot since the last measured one.
            quiet_from = earlier[-1] + step
            if decided[earlier[-1]] != decided[slot] or (quiet_from < slot and slot - quiet_from > SIX_HOURS):
                run = []
        run.append(slot)
        current = confirmed[-1][1] if confirmed else None
        if decided[slot] != current and len(run) >= about[f"confirm_{decided[slot]}"]:
            confirmed.append((run[0], decided[slot]))

    # Unmeasured from such a slot, or from the first absent one, to the next measured slot.
    quiet: list[tuple[int, int | None]] = []
    for i, slot in enumerate(slots):
        after = next((other for other in measured if other > slot), None)
        if decided[slot] == "unmeasured":
            quiet.append((slot, after))
        if i + 1 < len(slots) and slots[i + 1] - slot > 2 * step:
            quiet.append((slot + step, after))

    edges = {at for at, _ in confirmed} | {edge for gap in quiet for edge in gap if edge is not None}
    line: list[tuple[int, str]] = []
    for at in sorted(edges):
        if not confirmed or at < confirmed[0][0]:
            continue
        state = [told for since, told in confirmed if since <= at][-1]
        if any(start <= at and (end is None or at < end) for start, end in quiet):
            state = "unmeasured"
        if not line or line[-1][1] != state:
            line.append((at, state))
    return line
