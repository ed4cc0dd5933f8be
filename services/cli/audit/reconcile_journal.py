"""The journal against the topics its entries come from, and uptime.changes against the probe results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

from services.cli.audit.reconcile_kinds import Compared, Difference, difference
from services.cli.audit.reconcile_log import SOURCES, Log
from services.cli.audit.reconcile_sheet import Sheet, digest
from services.sla.app.intake import OF_THE_ACCOUNT
from shared.cloudevents import parse_origin
from shared.codec import encode
from shared.facts import ClockAdvanced
from shared.topics import JOURNAL, PROBE_RESULTS, UPTIME_CHANGES

_ACCOUNTS = "({})".format(", ".join(f"'{topic.name}'" for topic in OF_THE_ACCOUNT))
_PLACE = "t.topic || '/' || t.tpart || '/' || t.toff"
_LACKING = f"""
FROM told t JOIN ends e ON (t.topic NOT IN {_ACCOUNTS} OR e.part = t.tpart)
WHERE NOT t.late
    AND NOT EXISTS (SELECT 1 FROM journalled j
        WHERE j.part = e.part AND j.topic = t.topic AND j.tpart = t.tpart AND j.toff = t.toff)
    AND NOT EXISTS (SELECT 1 FROM journalled j
        WHERE j.part = e.part AND j.origin = t.origin AND j.digest = t.digest)
    AND NOT EXISTS (SELECT 1 FROM dead d WHERE d.place = {_PLACE} || '/0')
"""  # noqa: S608
_ENTRIES = f"""
SELECT j.part, j.off, j.topic, j.tpart, j.toff, t.about, t.digest = j.digest FROM journalled j
JOIN ends e ON e.part = j.part AND j.off < e.early
LEFT JOIN told t ON t.topic = j.topic AND t.tpart = j.tpart AND t.toff = j.toff
WHERE (j.topic IS NULL AND j.digest <> ?) OR (j.topic IS NOT NULL AND (
    t.topic IS NULL OR t.digest <> j.digest OR (j.topic IN {_ACCOUNTS} AND j.tpart <> j.part)))
ORDER BY j.part, j.off
"""  # noqa: S608
_AGAIN = """
SELECT part, topic, tpart, toff, min(off), max(off) FROM journalled WHERE topic IS NOT NULL
GROUP BY part, topic, tpart, toff HAVING count(DISTINCT digest) > 1
"""
_UNDER_ONE_ORIGIN = """
SELECT part, origin, min(off), max(off) FROM journalled WHERE origin IS NOT NULL
GROUP BY part, origin HAVING count(DISTINCT topic || '/' || tpart || '/' || toff) > 1
"""
_UNCHANGED = f"""
FROM seen s WHERE NOT EXISTS (SELECT 1 FROM told t
    WHERE t.origin = s.origin AND t.topic = '{UPTIME_CHANGES.name}')
"""  # noqa: S608
_TAKEN = "EXISTS (SELECT 1 FROM ends e, journalled j WHERE j.part = e.part AND j.origin = s.origin)"
"""The journal has it: uptime.changes does not any more, which is told once."""
_CHANGES = f"""
SELECT t.topic, t.tpart, t.toff, t.origin, t.about, s.about
FROM told t LEFT JOIN seen s ON s.origin = t.origin
WHERE t.origin >= '{PROBE_RESULTS.name}/' AND t.origin < '{PROBE_RESULTS.name}0'
    AND t.topic = '{UPTIME_CHANGES.name}' AND (s.digest IS NULL OR s.digest <> t.digest)
"""  # noqa: S608


def lacking(sheet: Sheet) -> bool:
    """Whether a fact is neither journalled nor on dead.letters still."""
    return bool(sheet.count(f"SELECT EXISTS (SELECT 1 {_LACKING})"))


def unchanged(sheet: Sheet) -> bool:
    """Whether a state that the probe results lead to is not on uptime.changes still."""
    return bool(sheet.count(f"SELECT EXISTS (SELECT 1 {_UNCHANGED})"))


def differences(log: Log, sheet: Sheet) -> Iterator[Difference]:
    """Everything in which the journal is not what its sources are."""
    for gone in log.gone:
        detail = f"it begins at offset {gone.first}"
        yield difference("records-gone", f"{gone.topic}/{gone.partition}", gone.topic, detail)
    yield from _facts(sheet)
    yield from _entries(log, sheet)
    for part, topic, tpart, toff, first, last in sheet.rows(_AGAIN):
        detail = f"with other content at offset {last} than at {first}"
        yield difference("journal-twice", f"{JOURNAL.name}/{part}/{last}", f"{topic}/{tpart}/{toff}", detail)
    for part, origin, first, last in sheet.rows(_UNDER_ONE_ORIGIN):
        where = f"{JOURNAL.name}/{part}/{last}"
        yield difference("journal-twice", where, origin, f"offset {first} has the same origin")
    yield from _changes(log, sheet)


def _facts(sheet: Sheet) -> Iterator[Difference]:
    @cache
    def reached(part: int, place: str) -> tuple[int, int]:
        rows = sheet.rows(
            "SELECT origin FROM journalled WHERE part = ? AND origin >= ? AND origin < ?",
            *(part, f"{place}/", f"{place}0"),
        )
        return max((parse_origin(text).reached for (text,) in rows), default=(-1, -1))

    found = f"""SELECT {_PLACE}, e.part, t.about, t.origin, EXISTS (SELECT 1 FROM journalled j
        WHERE j.part = e.part AND j.origin = t.origin) {_LACKING} ORDER BY t.topic, t.tpart, t.toff, e.part"""  # noqa: S608
    for place, part, about, origin, repeated in sheet.rows(found):
        where = f"{place} in {JOURNAL.name}/{part}"
        if repeated:
            detail = f"{origin} is in the journal with other content"
            yield difference("fact-dropped", where, about, detail)
        elif origin is not None and _is_below(origin, part, reached):
            detail = f"{origin} is not in the journal, and a later one of its stream is"
            yield difference("fact-dropped", where, about, detail)
        else:
            yield difference("fact-unjournalled", where, about)


def _is_below(origin: str, part: int, reached: Callable[[int, str], tuple[int, int]]) -> bool:
    """Whether the journal has taken a later record of the same stream, so that this one was dropped."""
    try:
        found = parse_origin(origin)
    except ValueError:
        return False
    return found.reached <= reached(part, found.place)


def _entries(log: Log, sheet: Sheet) -> Iterator[Difference]:
    kept = {(gone.topic, gone.partition): gone.first for gone in log.gone}
    for part, off, topic, tpart, toff, about, same in sheet.rows(_ENTRIES, digest(encode(ClockAdvanced()))):
        where, source = f"{JOURNAL.name}/{part}/{off}", f"{topic}/{tpart}/{toff}"
        if topic is None:
            yield difference(
                "journal-unfounded", where, "a fact without source", "only time passing has none"
            )
        elif about is None:
            if toff >= kept.get((topic, tpart), 0):
                yield difference("journal-unfounded", where, source, "there is no such record")
        elif same:
            detail = "it belongs in the partition of its account"
            yield difference("journal-unfounded", where, about, f"{source}: {detail}")
        else:
            yield difference("journal-differs", where, about, f"{source} says something else")


def _changes(log: Log, sheet: Sheet) -> Iterator[Difference]:
    unsaid = f"SELECT s.origin, s.about {_UNCHANGED} AND NOT {_TAKEN} ORDER BY s.origin"
    for origin, about in sheet.rows(unsaid):
        yield difference("change-missing", origin, about)
    ends = {partition: end for partition, (_, end) in log.kept(PROBE_RESULTS)[PROBE_RESULTS].items()}
    for topic, part, off, origin, told, seen in sheet.rows(_CHANGES):
        where = f"{topic}/{part}/{off}"
        if seen is not None:
            yield difference("change-differs", where, told, f"{origin} gives another {seen}")
        elif _follows(origin, log.probed, ends):
            yield difference("change-extra", where, told, f"{origin} gives nothing")


def _follows(origin: str, probed: dict[int, int], ends: dict[int, int]) -> bool:
    """Whether the fold would have said what `origin` led to: its partition was folded, and it did not come
    while this ran."""
    try:
        found = parse_origin(origin)
    except ValueError:
        return True
    if found.partition in ends and found.partition not in probed:
        return False
    return not probed.get(found.partition, 0) <= found.offset < ends.get(found.partition, 0)


def compared(sheet: Sheet) -> Iterator[Compared]:
    """How much of the journal and of its sources was compared."""
    records = sheet.count("SELECT count(*) FROM journalled")
    from_sources = "FROM journalled WHERE topic IS NOT NULL"
    once = f"SELECT count(*) FROM (SELECT DISTINCT part, topic, tpart, toff {from_sources})"  # noqa: S608
    clocks = sheet.count("SELECT count(*) FROM journalled WHERE topic IS NULL")
    yield Compared(JOURNAL.name, records, records - sheet.count(once) - clocks)
    for topic in SOURCES:
        told = sheet.count("SELECT count(*) FROM told WHERE topic = ?", topic.name)
        origins = "SELECT count(origin) - count(DISTINCT origin) FROM told WHERE topic = ?"
        yield Compared(topic.name, told, sheet.count(origins, topic.name))
    yield Compared(f"states of {PROBE_RESULTS.name}", sheet.count("SELECT count(*) FROM seen"))
