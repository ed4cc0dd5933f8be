"""The outcome topics against what the replay gives."""

from __future__ import annotations

from collections.abc import Iterator

from services.cli.audit.reconcile_kinds import Compared, Difference, difference
from services.cli.audit.reconcile_log import OUTCOMES
from services.cli.audit.reconcile_sheet import Place, Sheet
from services.cli.audit.reconcile_values import differing, on_topic, replayed_at
from shared.settings import KafkaSettings

_MISSING = """
FROM concluded c WHERE NOT EXISTS (
    SELECT 1 FROM said s WHERE s.part = c.part AND s.off = c.off AND s.idx = c.idx AND s.topic = c.topic)
"""
LEFT = "(e.part IS NOT NULL AND {0}.off >= e.early AND {0}.off < e.late)"
"""Of an entry that came while this ran: left for the next time."""
_OTHERS = f"""
SELECT s.topic, s.tpart, min(s.toff), s.part, s.off, s.idx, s.about, c.topic = s.topic, EXISTS (
    SELECT 1 FROM said r WHERE r.part = c.part AND r.off = c.off AND r.idx = c.idx
        AND r.topic = c.topic AND r.digest = c.digest)
FROM said s LEFT JOIN concluded c ON c.part = s.part AND c.off = s.off AND c.idx = s.idx
LEFT JOIN ends e ON e.part = s.part
WHERE (c.part IS NULL OR c.digest <> s.digest OR c.topic <> s.topic) AND NOT {LEFT.format("s")}
GROUP BY s.topic, s.part, s.off, s.idx, s.digest ORDER BY s.part, s.off, s.idx
"""  # noqa: S608
_UNREAD = """
SELECT u.topic, u.tpart, u.toff, u.reason FROM unread u WHERE NOT EXISTS (
    SELECT 1 FROM dead d WHERE d.place = u.topic || '/' || u.tpart || '/' || u.toff || '/0')
"""
_MOST_READ_AGAIN = 1_000
"""Differences whose bytes are shown field by field; of more, those would be found in the log anyway."""


def lacking(sheet: Sheet) -> set[str]:
    """The topics that lack an outcome still."""
    return {topic for (topic,) in sheet.rows(f"SELECT DISTINCT c.topic {_MISSING}")}


def differences(settings: KafkaSettings, sheet: Sheet) -> Iterator[Difference]:
    """Everything in which the outcome topics are not what the journal leads to."""
    missing = f"SELECT c.part, c.off, c.idx, c.topic, c.about {_MISSING} ORDER BY c.part, c.off, c.idx"
    for part, off, idx, topic, about in sheet.rows(missing):
        yield difference("outcome-missing", f"{topic}:{Place(part, off, idx)}", about)
    others = sheet.rows(_OTHERS)
    again = [Place(*row[3:6]) for row in others if row[7]][:_MOST_READ_AGAIN]
    right = replayed_at(settings, again)
    for topic, tpart, toff, part, off, idx, about, same_topic, right_is_there in others:
        place = Place(part, off, idx)
        where, at = f"{topic}/{tpart}/{toff}", f"it claims the place {place} in the journal"
        if not same_topic:
            yield difference("outcome-extra", where, about, at)
            continue
        detail = at
        if place in right:
            told = on_topic(settings, topic, tpart, toff)
            detail += f"; {differing(right[place], told, 'on the topic')}"
        yield difference("outcome-twice" if right_is_there else "outcome-differs", where, about, detail)
    for topic, tpart, toff, reason in sheet.rows(_UNREAD):
        yield difference("outcome-unreadable", f"{topic}/{tpart}/{toff}", "no outcome", reason)


def compared(sheet: Sheet) -> Iterator[Compared]:
    """How much of each outcome topic was compared."""
    for topic in OUTCOMES:
        records = sheet.count("SELECT count(*) FROM said WHERE topic = ?", topic.name)
        once = "SELECT count(*) FROM (SELECT DISTINCT part, off, idx, digest FROM said WHERE topic = ?)"
        here = f"FROM said s LEFT JOIN ends e ON e.part = s.part WHERE s.topic = ? AND {LEFT.format('s')}"
        left = f"SELECT count(*) {here}"
        yield Compared(
            topic.name, records, records - sheet.count(once, topic.name), sheet.count(left, topic.name)
        )
