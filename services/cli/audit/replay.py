"""Replays a history without a broker: the same code and the same bytes as the running service."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from msgspec import Raw

from services.sla import promises, states
from services.sla.history import History
from services.sla.promises import Promises
from shared.codec import Undecodable, decode_line, decode_probe_fact, encode
from shared.facts import ProbeFact


class BadLine(ValueError):
    """A line of a replay file that cannot be used; the message starts with its number."""


def replay_lines(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Every outcome of the history in `lines` (JSON Lines of recorded_at, fact and perhaps source), as one
    JSON object each, in order. Raises BadLine at the first line that is no JSON or whose time goes back."""
    fold, targets = Promises(History()), dict[str, states.TargetState]()
    offset, last = 0, None
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            line = decode_line(text)
        except Undecodable as error:
            raise BadLine(f"line {number}: {error}; a line is {_SHAPE}") from None
        if last is not None and line.recorded_at < last:
            raise BadLine(f"line {number}: recorded_at goes back; sort the file by when facts were recorded")
        last = line.recorded_at
        probe = _probe_fact(line.fact)
        if probe is None:
            said = [bytes(line.fact)]
        else:
            said = [encode(fact) for fact in states.observe(targets, probe, line.recorded_at, number)]
        for fact in said:
            entry = promises.entry(line.recorded_at, fact, line.source if probe is None else None)
            for spoken in fold.apply(offset, entry):
                yield spoken.data
            offset += 1


_SHAPE = '{"recorded_at": "2026-11-01T00:00:00.000Z", "fact": {"type": ...}}'


def _probe_fact(fact: Raw) -> ProbeFact | None:
    try:
        return decode_probe_fact(fact)
    except Undecodable:
        return None
