"""The verifier says what is wrong with a log and its books, by class and id, and nothing of what is right.

The dumps are forged by the model (tests/faults/verifier/forged.py), then damaged: before the journal, so that
all that follows fits the damage as it would with a service that makes that mistake, or after.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import pytest

from tests.faults.stories.dirt import OUTCOMES, SOURCES, Dirt, poison
from tests.faults.stories.telling import Said, encoded, promised, story, terms_fact
from tests.faults.verifier import Dump, Record, Report, Told, verify
from tests.faults.verifier.concluded import Journal, Log, forged
from tests.faults.verifier.dump import DEAD, JOURNAL, Row
from tests.faults.verifier.forged import journalled, rewritten, say_results, told_log
from tests.faults.verifier.forms import fate
from tests.faults.verifier.outcomes import name_of
from tests.faults.verifier.slots import line_of
from tests.oracle.clock import HOUR, parse, show
from tests.oracle.histories import probe_history
from tests.oracle.slots import uptime

STORIES = (12, 16)
DIRT = [dirt for dirt in poison(Random(1)) if dirt.value is None or len(dirt.value) < 1_000]


def probed(target: str) -> list[Said]:
    """Two days of hourly slots from one location, with a cut and a silence."""
    about = {"target": target, "name": "app", "interval_s": 3600, "locations": ["zug"]}
    checks = [{"check": "icmp", "required": True}]
    first = parse("2026-03-02T00:00:00.000Z")
    confirm = {"confirm_down": 2, "confirm_up": 2, "at": show(first)}
    facts: list[dict[str, Any]] = [{"type": "TargetDeclared", **about, "checks": checks, **confirm}]
    for number in (*range(20), *range(24, 48)):
        outcome = "down" if 5 <= number < 33 else "up"
        result = {"target": target, "check": "icmp", "location": "zug", "slot": show(first + number * HOUR)}
        facts.append({"type": "ProbeResult", **result, "outcome": outcome, "rtt_us": None, "error": None})
    return [Said("probe.results", target, encoded(fact)) for fact in facts]


@dataclass(frozen=True)
class World:
    """A log of facts as it was told, its journal, and everything that follows, all of it right."""

    log: Log
    journal: Journal
    declared: list[Row]
    told: Told
    dump: Dump

    def again(self, log: Log | None = None, journal: Journal | None = None, **mistakes: bool) -> Dump:
        """All that follows from another log or journal."""
        return forged(log or self.log, journal or self.journal, self.declared, **mistakes)


def made(dirt: list[Dirt]) -> World:
    stories = [story(seed, f"v{seed}") for seed in STORIES]
    log, told, declared = told_log(stories, [*probed("v-probed"), terms_fact()])
    say_results(log)
    for one in dirt:
        if one.topic in SOURCES[1:]:
            log.append(one.topic, 0, one.key, one.value)
    journal = journalled(log, Random("journal"), twins=0.02)
    return World(log, journal, declared, replace(told, dirt=dirt), forged(log, journal, declared))


@pytest.fixture(scope="module")
def world() -> World:
    return made([])


def said(report: Report) -> set[tuple[str, str]]:
    """(class, id) of all that was found."""
    return {(error.kind, error.id) for error in report.errors}


def credits_of(dump: Dump) -> list[Record]:
    return dump.of("sla.credits")


def name(record: Record) -> str:
    return name_of(json.loads(record.value or b"{}"))


def altered(record: Record, **fields: Any) -> Record:
    """The record with other values in some of its fields; `index` is that of its place."""
    outcome = json.loads(record.value or b"{}")
    index = fields.pop("index", outcome["journal"]["index"])
    outcome = outcome | fields
    outcome["journal"]["index"] = index
    return record._replace(value=encoded(outcome))


def without(records: list[Record], gone: Record) -> list[Record]:
    return [record for record in records if record is not gone]


def appended(records: list[Record], record: Record, **headers: str) -> list[Record]:
    """The record once more at the end of its partition."""
    last = max(one.offset for one in records if one.partition == record.partition)
    again = record._replace(offset=last + 1, headers=headers or record.headers)
    return sorted([*records, again], key=lambda one: (one.partition, one.offset))


def in_log(log: Log, topic: str, records: list[Record]) -> Log:
    found = log.copy()
    found.records[topic] = records
    for record in records:
        place = topic, record.partition
        found.ends[place] = max(found.ends.get(place, 0), record.offset + 1)
    return found


def test_a_world_in_which_all_is_right_has_no_error(world: World) -> None:
    report = verify(world.dump, world.told)
    assert said(report) == set(), str(report)
    assert report.ok
    assert report.counts["credits"] == report.counts["ledger credits"] > 40
    assert report.counts["warnings"] > 5
    assert report.counts["FactRejected"] > 0
    assert any(b'"terms":"faults-1"' in (one.value or b"") for one in world.dump.of("sla.months"))
    assert report.counts["probed targets"] == 1


def test_the_same_bytes_twice_are_fine_and_counted(world: World) -> None:
    """Outcomes, journal entries of a stale twin, facts with their origin, dead letters."""
    changes = [one for one in world.log.records["uptime.changes"] if "origin" in one.headers]
    twice = in_log(world.log, "uptime.changes", appended(world.log.records["uptime.changes"], changes[3]))
    dump = world.again(twice, journalled(twice, Random(2), twins=0.1))
    for topic in ("sla.credits", "sla.quota", "sla.months", "sla.rejected"):
        dump = rewritten(dump, topic, lambda records: appended(appended(records, records[0]), records[1]))
    report = verify(dump, world.told)
    assert said(report) == set(), str(report)
    assert report.counts["repeats sla.credits"] == 2
    assert report.counts["repeats uptime.changes"] == 1
    assert report.counts["repeats sla.journal"] > 3


# Outcomes and books


def test_a_credit_that_is_on_no_topic_is_lost(world: World) -> None:
    gone = credits_of(world.dump)[7]
    dump = rewritten(world.dump, "sla.credits", lambda records: without(records, gone))
    assert said(verify(dump, world.told)) == {("lost", name(gone))}
    ledger = [row for row in dump.ledger if row["record"].encode() != gone.value]
    assert said(verify(replace(dump, ledger=ledger), world.told)) == {("lost", name(gone))}


def test_a_credit_with_other_bytes_at_its_place_is_doubled(world: World) -> None:
    one = credits_of(world.dump)[7]
    dump = rewritten(world.dump, "sla.credits", lambda records: appended(records, altered(one, total="9.99")))
    assert said(verify(dump, world.told)) == {("doubled", name(one))}


def test_a_credit_at_another_place_as_well_is_doubled(world: World) -> None:
    one = credits_of(world.dump)[7]
    again = altered(one, index=900)
    dump = rewritten(world.dump, "sla.credits", lambda records: appended(records, again))
    found = verify(dump, world.told)
    assert ("doubled", name(one)) in said(found)
    assert {error.id for error in found.errors} == {name(one)}


def test_a_credit_of_another_amount_is_wrong_on_the_topic_and_in_the_ledger(world: World) -> None:
    one = credits_of(world.dump)[7]
    other = altered(one, amount="123.45")
    dump = rewritten(
        world.dump, "sla.credits", lambda records: [other if each is one else each for each in records]
    )
    assert said(verify(dump, world.told)) == {("wrong", name(one))}
    booked = [
        {**row, "amount": 12345, "record": (other.value or b"").decode()}
        if row["record"].encode() == one.value
        else row
        for row in dump.ledger
    ]
    assert ("wrong", name(one)) in said(verify(replace(dump, ledger=booked), world.told))


def test_a_warning_on_no_topic_is_lost_and_one_nobody_earned_is_wrong(world: World) -> None:
    warned = [one for one in world.dump.of("sla.quota") if b"QuotaWarned" in (one.value or b"")]
    dump = rewritten(world.dump, "sla.quota", lambda records: without(records, warned[0]))
    assert said(verify(dump, world.told)) == {("lost", name(warned[0]))}
    other = altered(warned[0], percent=5, index=900)
    dump = rewritten(world.dump, "sla.quota", lambda records: appended(records, other))
    assert ("wrong", name(other)) in said(verify(dump, world.told))


def test_an_outcome_behind_a_later_one_is_lost_to_readers(world: World) -> None:
    first, second = [one for one in world.dump.of("sla.months") if one.partition == 0][:2]
    swapped = [first._replace(value=second.value), second._replace(value=first.value)]
    dump = rewritten(
        world.dump,
        "sla.months",
        lambda records: [*swapped, *(one for one in records if one not in (first, second))],
    )
    assert said(verify(dump, world.told)) == {("lost", name(first))}


def test_a_hole_in_the_indexes_is_a_lost_outcome(world: World) -> None:
    rejected = world.dump.of("sla.rejected")[0]
    place = json.loads(rejected.value or b"")["journal"]
    moved = altered(rejected, index=place["index"] + 1)
    dump = rewritten(
        world.dump, "sla.rejected", lambda records: [moved if one is rejected else one for one in records]
    )
    about = f"{JOURNAL}/{place['partition']}/{place['offset']}/{place['index']}"
    assert said(verify(dump, world.told)) == {("lost", about)}


def test_an_outcome_whose_digest_does_not_fit_is_wrong(world: World) -> None:
    one = world.dump.of("sla.deadlines")[0]
    outcome = json.loads(one.value or b"")
    outcome["journal"]["digest"] = "0" * 64
    other = one._replace(value=encoded(outcome))
    dump = rewritten(
        world.dump, "sla.deadlines", lambda records: [other if each is one else each for each in records]
    )
    assert said(verify(dump, world.told)) == {("wrong", name(one))}


@pytest.mark.parametrize("column", ["amount", "total", "currency", "account", "record", "journal_index"])
def test_a_ledger_entry_that_differs_is_wrong(world: World, column: str) -> None:
    rows = [dict(row) for row in world.dump.ledger]
    rows[3][column] = 7 if isinstance(rows[3][column], int) else "other"
    about = f"{rows[3]['credit']}#{rows[3]['revision']}"
    assert said(verify(replace(world.dump, ledger=rows), world.told)) == {("wrong", about)}


def test_a_ledger_entry_missing_is_lost_and_one_twice_is_doubled(world: World) -> None:
    rows = world.dump.ledger
    about = f"{rows[3]['credit']}#{rows[3]['revision']}"
    missing = replace(world.dump, ledger=[*rows[:3], *rows[4:]])
    assert said(verify(missing, world.told)) == {("lost", about)}
    assert said(verify(replace(world.dump, ledger=[*rows, rows[3]]), world.told)) == {("doubled", about)}
    invented = {**rows[3], "revision": 99}
    found = said(verify(replace(world.dump, ledger=[*rows, invented]), world.told))
    assert found == {("doubled", f"{rows[3]['credit']}#99")}


def test_a_booked_warning_missing_doubled_or_altered_is_said(world: World) -> None:
    rows = world.dump.warnings
    about = name_of({**rows[0], "type": "QuotaWarned"})
    for changed, kind in (
        (rows[1:], "lost"),
        ([*rows, rows[0]], "doubled"),
        ([{**rows[0], "used_minutes": 1}, *rows[1:]], "wrong"),
    ):
        assert said(verify(replace(world.dump, warnings=changed), world.told)) == {(kind, about)}


def test_what_is_in_quarantine_is_wrong_unless_it_is_known_dirt(world: World) -> None:
    row = {"id": 1, "credit": "S/uptime/2026-01", "revision": 1, "reason": "other content", "record": "{}"}
    dump = replace(world.dump, quarantine=[row])
    assert said(verify(dump, world.told)) == {("wrong", "S/uptime/2026-01#1")}
    dirt = Dirt("sla.credits", None, b"{}", "nothing", "contradicts the books")
    assert verify(dump, replace(world.told, dirt=[dirt])).ok


# The journal


def own_entry(journal: Journal, topic: str) -> tuple[int, int]:
    """(partition, number) of a later entry that was taken from a topic, and that no twin repeats."""
    least = 2 if topic == "subscription.events" else 20
    for partition, entries in journal.items():
        sources = [source for _, source, _ in entries]
        for number, source in enumerate(sources):
            if source and source[0] == topic and number > least and sources.count(source) == 1:
                return partition, number
    raise AssertionError(topic)


@pytest.mark.parametrize("topic", ["ticket.events", "uptime.changes", "subscription.events"])
def test_a_fact_that_is_not_journalled_is_lost(world: World, topic: str) -> None:
    partition, number = own_entry(world.journal, topic)
    entries = list(world.journal[partition])
    source = entries.pop(number)[1]
    dump = world.again(journal={**world.journal, partition: entries})
    assert source is not None
    assert said(verify(dump, world.told)) == {("lost", "/".join(map(str, source)))}


def test_a_fact_journalled_after_a_later_one_of_its_topic_is_lost(world: World) -> None:
    partition, number = own_entry(world.journal, "ticket.events")
    entries = list(world.journal[partition])
    source = entries[number][1]
    assert source is not None
    behind = next(
        n for n, one in enumerate(entries) if one[1] and one[1][:2] == source[:2] and one[1][2] > source[2]
    )
    at, moved = entries[behind][0], entries.pop(number)
    entries.insert(behind, (at, *moved[1:]))
    dump = world.again(journal={**world.journal, partition: entries})
    assert said(verify(dump, world.told)) == {("lost", "/".join(map(str, source)))}


def test_a_fold_that_takes_repeats_of_a_source_doubles(world: World) -> None:
    partition, number = own_entry(world.journal, "subscription.events")
    entries = list(world.journal[partition])
    entries.append((entries[-1][0], *entries[number][1:]))
    journal = {**world.journal, partition: entries}
    assert verify(world.again(journal=journal), world.told).ok
    found = verify(world.again(journal=journal, takes_repeats=True), world.told)
    assert found.of("doubled")
    assert not found.of("lost")


def test_what_is_said_again_with_its_origin_and_taken_twice_is_doubled(world: World) -> None:
    said_before = [one for one in world.log.records["subscription.events"] if one.partition == 0]
    again = appended(world.log.records["subscription.events"], said_before[0])
    log = in_log(world.log, "subscription.events", again)
    assert verify(world.again(log, journalled(log, Random(2))), world.told).ok
    journal = journalled(log, Random(2), repeats_by_origin=True)
    last = max(one.offset for one in again if one.partition == 0)
    assert said(verify(world.again(log, journal), world.told)) == {
        ("doubled", f"subscription.events/0/{last}")
    }


def test_one_origin_with_two_contents_is_doubled(world: World) -> None:
    changes = world.log.records["uptime.changes"]
    one = next(one for one in changes if "origin" in one.headers)
    other = one._replace(value=(one.value or b"").replace(b"2026-03-0", b"2026-02-0"))
    log = in_log(world.log, "uptime.changes", appended(changes, other))
    last = max(each.offset for each in log.records["uptime.changes"] if each.partition == one.partition)
    found = said(verify(world.again(log, journalled(log, Random(2))), world.told))
    assert found == {("doubled", f"uptime.changes/{one.partition}/{last}")}


def test_an_entry_of_nothing_and_one_that_says_something_else_are_wrong(world: World) -> None:
    partition, number = own_entry(world.journal, "ticket.events")
    entries = list(world.journal[partition])
    at, source, fact = entries[number]
    assert source is not None
    entries[number] = (at, source, {**fact, "x": 1})
    found = said(verify(world.again(journal={**world.journal, partition: entries}), world.told))
    assert found == {("wrong", "/".join(map(str, source)))}
    invented = ("ticket.events", partition, 900_000)
    entries[number] = (at, source, fact)
    entries.append((entries[-1][0], invented, {"type": "Invented"}))
    found = said(verify(world.again(journal={**world.journal, partition: entries}), world.told))
    assert found == {("wrong", f"ticket.events/{partition}/900000")}


def test_an_entry_with_an_earlier_time_counts_at_the_latest_before_it(world: World) -> None:
    """As of an instance whose last batch arrives after another took over: the same outcomes are due."""
    partition, number = own_entry(world.journal, "ticket.events")
    entries = list(world.journal[partition])
    entries[number] = ("2026-11-19T00:00:00.000Z", *entries[number][1:])
    dump = world.again(journal={**world.journal, partition: entries})
    report = verify(dump, world.told)
    assert report.counts["journal time went back"] == 1
    assert not report.of("lost")


# What was told


def test_an_acknowledged_fact_that_is_nowhere_is_lost(world: World) -> None:
    more = Said("ticket.events", "v12-A1", b'{"type":"RequestClosed"}')
    told = replace(world.told, acknowledged=[*world.told.acknowledged, more])
    assert said(verify(world.dump, told)) == {("lost", "ticket.events v12-A1")}


def test_a_fact_that_nobody_told_is_wrong_unless_it_may_have_arrived(world: World) -> None:
    first, *others = world.told.acknowledged
    told = replace(world.told, acknowledged=others)
    found = said(verify(world.dump, told))
    assert {kind for kind, _ in found} == {"wrong"}
    assert len(found) == 1
    assert verify(world.dump, replace(told, perhaps=[first])).ok


def test_a_declaration_that_never_left_the_outbox_is_lost(world: World) -> None:
    records = world.log.records["subscription.events"]
    gone = next(one for one in records if b"Cancelled" in (one.value or b""))
    log = in_log(world.log, "subscription.events", without(records, gone))
    dump = world.again(log, journalled(log, Random(2)))
    assert said(verify(dump, world.told)) == {("lost", gone.headers["origin"].removesuffix("/0"))}


def test_a_declaration_that_is_not_in_the_books_is_lost_and_one_twice_is_doubled(world: World) -> None:
    row = next(row for row in world.dump.declared if "Cancelled" in row["fact"])
    about = f"SubscriptionCancelled {row['subscription']}"
    rows = [one for one in world.dump.declared if one is not row]
    assert ("lost", about) in said(verify(replace(world.dump, declared=rows), world.told))
    rows = [*world.dump.declared, {**row, "sequence": 900}]
    assert ("doubled", about) in said(verify(replace(world.dump, declared=rows), world.told))


# Results of probes


def changes_without(world: World, what: bytes) -> tuple[Dump, dict[str, Any]]:
    """The world in which one of the changes that hold `what` was never said."""
    records = world.log.records["uptime.changes"]
    gone = next(one for one in records if "origin" in one.headers and what in (one.value or b""))
    log = in_log(world.log, "uptime.changes", without(records, gone))
    return world.again(log, journalled(log, Random(2))), json.loads(gone.value or b"")


def test_a_state_the_results_give_and_nobody_said_is_lost(world: World) -> None:
    dump, gone = changes_without(world, b'"state":"down"')
    assert said(verify(dump, world.told)) == {("lost", f"v-probed@{gone['at']}")}


def test_an_hour_that_was_watched_and_not_said_is_lost(world: World) -> None:
    dump, gone = changes_without(world, b"TargetObserved")
    assert said(verify(dump, world.told)) == {("lost", f"v-probed/observed/{gone['through']}")}


def test_a_state_the_results_do_not_give_is_wrong(world: World) -> None:
    changes = world.log.records["uptime.changes"]
    last = [one for one in changes if "origin" in one.headers][-1]
    stream, offset, step = last.headers["origin"].rsplit("/", 2)
    fact = {"type": "TargetStateChanged", "target": "v-probed", "at": "2026-03-03T23:00:00.000Z"}
    invented = last._replace(
        value=encoded({**fact, "state": "down", "confirmed_at": fact["at"], "because": []})
    )
    origin = f"{stream}/{offset}/{int(step) + 1}"
    log = in_log(world.log, "uptime.changes", appended(changes, invented, origin=origin))
    dump = world.again(log, journalled(log, Random(2)))
    assert said(verify(dump, world.told)) == {("wrong", "v-probed@2026-03-03T23:00:00.000Z")}


@pytest.mark.parametrize("seed", range(4))
def test_the_quick_line_of_results_is_that_of_the_slow_model(seed: int) -> None:
    history = probe_history(seed)
    slow = {
        parse(fact["at"]): fact["state"]
        for _, fact in uptime(history)
        if fact["type"] == "TargetStateChanged"
    }
    facts = (one["fact"] for one in history)
    quick = line_of(fact for fact in facts if fact["type"] in ("TargetDeclared", "ProbeResult"))
    edges, state = [], "unmeasured"
    for at in sorted(slow):
        if slow[at] != state:
            state = slow[at]
            edges.append((at, state))
    assert sorted(quick.states.items()) == edges


# Dirt


def test_dirt_that_became_what_it_must_is_no_error_and_a_missing_dead_letter_is_lost() -> None:
    world = made(DIRT)
    report = verify(world.dump, world.told)
    assert said(report) == set(), str(report)
    letter = world.dump.of(DEAD)[5]
    dump = rewritten(world.dump, DEAD, lambda records: without(records, letter))
    assert said(verify(dump, world.told)) == {("lost", letter.headers["origin"].removesuffix("/0"))}
    fact = world.log.records["ticket.events"][0]
    usable = letter._replace(offset=900, value=fact.value, headers={"origin": f"{fact.place}/0"})
    dump = rewritten(world.dump, DEAD, lambda records: [*records, usable])
    assert said(verify(dump, world.told)) == {("wrong", fact.place)}


def test_dirt_among_credits_must_become_a_dead_letter(world: World) -> None:
    dirt = Dirt("sla.credits", "A", b"no credit", "dead", "broken")
    record = credits_of(world.dump)[0]._replace(key=b"A", value=dirt.value)
    dump = rewritten(world.dump, "sla.credits", lambda records: appended(records, record))
    told = replace(world.told, dirt=[dirt])
    place = dump.of("sla.credits")[[one.value for one in dump.of("sla.credits")].index(dirt.value)].place
    assert said(verify(dump, told)) == {("lost", place)}
    assert said(verify(dump, world.told)) == {("wrong", place)}
    letter = Record(DEAD, 0, 0, None, dirt.value, {"origin": f"{place}/0"})
    assert verify(rewritten(dump, DEAD, lambda records: [*records, letter]), told).ok


def test_poison_is_labelled_with_what_its_bytes_deserve_for_every_topic() -> None:
    dirt = poison(Random(2))
    assert {one.topic for one in dirt} == {*SOURCES, *OUTCOMES}
    assert [one for one in dirt if one.topic in SOURCES and fate(one.topic, one.value) != one.fate] == []
    assert {one.fate for one in dirt} == {"dead", "rejected", "taken", "nothing"}
    assert not {one.value for one in dirt if one.value} & {
        one.value for one in poison(Random(3)) if one.value
    }


# Stories


def test_only_the_asked_accounts_are_compared_with_the_model(world: World) -> None:
    one = next(one for one in credits_of(world.dump) if b'"v12-A' in (one.value or b""))
    other = altered(one, terms="none")
    dump = rewritten(
        world.dump, "sla.credits", lambda records: [other if each is one else each for each in records]
    )
    ledger = [
        {**row, "record": (other.value or b"").decode()} if row["record"].encode() == one.value else row
        for row in dump.ledger
    ]
    dump = replace(dump, ledger=ledger)
    assert ("wrong", name(one)) in said(verify(dump, world.told, accounts="v12"))
    assert verify(dump, world.told, accounts="v12").errors[0].text.startswith(JOURNAL)
    elsewhere = verify(dump, world.told, accounts="v16")
    assert [error for error in elsewhere.errors if "digest" not in error.text] == []


def test_a_story_is_its_seed() -> None:
    assert story(5, "a") == story(5, "a")
    assert [fact["type"] for *_, fact in story(5, "a").facts] == [
        fact["type"] for *_, fact in story(5, "b").facts
    ]
    assert story(5, "a").records() != story(6, "a").records()


@pytest.mark.parametrize("seed", [1, 4, 9, 10, 12, 16])
def test_a_story_is_rich_in_money_and_lies_in_the_past(seed: int) -> None:
    told = story(seed, "f")
    credits, warnings = promised(told)
    assert credits + warnings >= 15
    assert 45 <= len(told.declarations) + len(told.facts) <= 110
    assert all(one.startswith("f-") for one in (*told.accounts, *told.targets))
    for _, key, fact in told.facts:
        assert key in (fact.get("account"), fact.get("target"))
        assert all(value < "2026-11-02" for name, value in fact.items() if name in ("at", "received_at"))


def test_every_fourth_story_is_seen_by_probes() -> None:
    told = story(7, "f")
    results = [fact for topic, _, fact in told.facts if topic == "probe.results"]
    stated = [fact for topic, _, fact in told.facts if topic == "uptime.changes"]
    assert len(results) > 200
    assert {fact["type"] for fact in results} == {"TargetDeclared", "ProbeResult"}
    assert "TargetStateChanged" not in {fact["type"] for fact in stated}
    assert "down" in line_of(results).states.values()
