"""V4: what stands on the outcome topics is what the slow model concludes from the journal, and nothing else.

A journal partition is taken apart into groups of accounts, subscriptions, requests and targets that have
anything to do with one another. The model is run on each group's own facts, the terms, and the passing of
time at those foreign entries that matter: where something of the group was concluded, and right before.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from tests.faults.verifier.dump import JOURNAL, Dump
from tests.faults.verifier.journal import Entry
from tests.faults.verifier.model import concluded, line_of_entry
from tests.faults.verifier.outcomes import Found, Outcome, check_chain, name_of
from tests.faults.verifier.report import Report
from tests.oracle.model import outcomes

Node = tuple[str, str]


@dataclass
class Group:
    """What has to do with one another in one journal partition; offsets of its own entries, in order."""

    nodes: set[Node] = field(default_factory=set)
    own: list[int] = field(default_factory=list)
    found: list[Found] = field(default_factory=list)


def check_promises(
    dump: Dump,
    journal: dict[int, list[Entry]],
    found: dict[int, list[Found]],
    accounts: str | None,
    report: Report,
) -> None:
    """Compare each group; with `accounts` only those with an id that begins with it."""
    for partition in sorted({*journal, *found}):
        entries = {entry.offset: entry for entry in journal.get(partition, []) if entry.taken}
        groups, strays, terms = _grouped(entries)
        repeats = {entry.offset for entry in journal.get(partition, []) if not entry.taken}
        _hand_out(groups, found.get(partition, []), entries, repeats, partition, report)
        before = len(report.errors)
        for group in groups:
            if not group.own and not group.found:
                continue
            if accounts is None or any(one.startswith(accounts) for _, one in group.nodes):
                _compare(group, entries, terms, partition, report)
        _check_strays([*strays, *terms], terms, entries, found.get(partition, []), partition, report)
        if len(report.errors) == before:
            check_chain(dump, found.get(partition, []), partition, report)


def _nodes(fact: dict[str, Any]) -> list[Node]:
    nodes = [(name, fact[name]) for name in ("account", "subscription", "ticket", "target") if fact.get(name)]
    return nodes + [("target", target) for target in fact.get("targets") or []]


def _grouped(entries: dict[int, Entry]) -> tuple[list[Group], list[int], list[int]]:
    """(groups, entries that can only be rejected, entries of terms)."""
    parent: dict[Node, Node] = {}

    def root(node: Node) -> Node:
        parent.setdefault(node, node)
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    strays, terms, own = [], [], []
    for offset, entry in entries.items():
        kind = entry.fact.get("type")
        if kind == "ClockAdvanced":
            continue
        if not entry.well_formed:
            strays.append(offset)
        elif kind == "TermsPublished":
            terms.append(offset)
        else:
            nodes = _nodes(entry.fact)
            for node in nodes[1:]:
                parent[root(node)] = root(nodes[0])
            own.append((offset, nodes[0]))
    groups: dict[Node, Group] = defaultdict(Group)
    for offset, node in own:
        groups[root(node)].own.append(offset)
    for node in list(parent):
        groups[root(node)].nodes.add(node)
    return list(groups.values()), strays, terms


def _hand_out(
    groups: list[Group],
    found: list[Found],
    entries: dict[int, Entry],
    repeats: set[int],
    partition: int,
    report: Report,
) -> None:
    """Give each outcome to the group of its account, or of the entry that was rejected."""
    by_account = {one: group for group in groups for kind, one in group.nodes if kind == "account"}
    by_entry = {offset: group for group in groups for offset in group.own}
    for one in found:
        rejected = one.outcome["type"] == "FactRejected"
        if one.offset not in entries:
            text = f"{one.record.place} follows from {JOURNAL}/{partition}/{one.offset}, which says nothing"
            kind = "doubled" if one.offset in repeats else "wrong"
            report.add("V4", kind, name_of(one.outcome), text)
            continue
        group = by_entry.get(one.offset) if rejected else by_account.get(one.outcome.get("account", ""))
        if group is not None:
            group.found.append(one)
        elif not rejected:
            text = f"{one.record.place} is of an account that the journal does not know"
            report.add("V4", "wrong", name_of(one.outcome), text)


def _compare(
    group: Group, entries: dict[int, Entry], terms: list[int], partition: int, report: Report
) -> None:
    order = list(entries)
    before = dict(zip(order[1:], order, strict=False))
    own = {*group.own, *terms}
    times = {one.offset for one in group.found} - own | {order[-1]}
    times |= {before[offset] for offset in times if offset in before}
    said, late = concluded(entries, own, times)
    if late:  # it must not have fallen due at a foreign entry right before
        said, _ = concluded(entries, own, times | {before[offset] for offset in late if offset in before})
    expected = [one for one in said if one[1]["type"] != "FactRejected" or one[0] not in terms]
    found = [(one.offset, _comparable(one.outcome)) for one in group.found]
    report.counts["outcomes compared"] += len(expected)
    if expected != found:
        _differences(expected, found, partition, report)


def _comparable(outcome: Outcome) -> Outcome:
    """Without what only the product knows."""
    return {
        name: value for name, value in outcome.items() if name not in ("journal", "calculation", "reason")
    }


def _differences(
    expected: list[tuple[int, Outcome]], found: list[tuple[int, Outcome]], partition: int, report: Report
) -> None:
    """Say what is missing, what stands there twice, and what differs."""
    wanted = {f"{offset} {name_of(outcome)}": outcome for offset, outcome in expected}
    here = {f"{offset} {name_of(outcome)}": outcome for offset, outcome in found}
    names = Counter(name_of(outcome) for _, outcome in expected)
    said = 0
    for key, outcome in wanted.items():
        place = f"{JOURNAL}/{partition}/{key.split(' ')[0]}"
        if key not in here:
            said += 1
            report.add("V4", "lost", name_of(outcome), f"follows from {place}: {json.dumps(outcome)}")
        elif here[key] != outcome:
            said += 1
            text = f"{place} gives {json.dumps(outcome)}, there is {json.dumps(here[key])}"
            report.add("V4", "wrong", name_of(outcome), text)
    for key, outcome in here.items():
        if key not in wanted:
            said += 1
            kind = "doubled" if names[name_of(outcome)] else "wrong"
            place = f"{JOURNAL}/{partition}/{key.split(' ')[0]}"
            report.add("V4", kind, name_of(outcome), f"does not follow from {place}: {json.dumps(outcome)}")
    if not said and len(expected) == len(found):
        first = next(a for a, b in zip(expected, found, strict=True) if a != b)
        report.add("V4", "wrong", name_of(first[1]), f"{JOURNAL}/{partition}/{first[0]}: in another order")
    elif not said:
        twice = Counter((offset, name_of(one)) for offset, one in found)
        twice.subtract((offset, name_of(one)) for offset, one in expected)
        for (offset, name), times in twice.items():
            if times:
                kind = "doubled" if times > 0 else "lost"
                report.add("V4", kind, name, f"{JOURNAL}/{partition}/{offset}: {abs(times)} times")


def _check_strays(
    offsets: list[int],
    terms: list[int],
    entries: dict[int, Entry],
    found: list[Found],
    partition: int,
    report: Report,
) -> None:
    """Entries that nothing can be made of are rejected once; of terms the model says which."""
    order = sorted(terms)
    told = outcomes([line_of_entry(entries[offset], own=True) for offset in order])
    accepted = set(terms) - {order[one["journal"]["offset"]] for one in told}
    rejected: dict[int, list[Found]] = defaultdict(list)
    for one in found:
        if one.outcome["type"] == "FactRejected":
            rejected[one.offset].append(one)
    for offset in offsets:
        line = line_of_entry(entries[offset], own=True)
        expected = [] if offset in accepted else [{"type": "FactRejected", "source": line["source"]}]
        here = [_comparable(one.outcome) for one in rejected.get(offset, [])]
        if here != expected:
            name = name_of({"type": "FactRejected", "source": line["source"]})
            kind = "lost" if len(here) < len(expected) else "doubled" if expected else "wrong"
            report.add("V4", kind, name, f"{JOURNAL}/{partition}/{offset}: {here} instead of {expected}")
