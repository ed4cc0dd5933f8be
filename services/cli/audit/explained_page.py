"""An explanation as text for a person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import groupby

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from services.cli.audit.evidence import Evidence
from services.cli.audit.explanation import Explanation, Stretch
from services.cli.audit.words import about, length, local_time
from services.sla.subscriptions import Figures
from shared.money import format_amount
from shared.time import format_instant

_MOST_STRETCHES = 40


def show(console: Console, found: Explanation, evidence: Sequence[Evidence]) -> None:
    """Prints `found`, with the probe results behind it."""
    money = f"{found.currency} {format_amount(found.total)}"
    console.print(Text(f"Credit {found.credit}: {money}", style="bold"))
    _lines(console, [f"account {found.account}, subscription {found.subscription}, terms {found.terms}"])
    _promise(console, found)
    _what_happened(console, found)
    _states(console, found)
    _evidence(console, found, evidence)
    _overruled(console, found)
    _heading(console, f"Terms used (version {found.terms})")
    _grid(console, found.terms_used.items())
    _sum(console, found, money)
    _revisions(console, found)
    _proof(console, found)


def _promise(console: Console, found: Explanation) -> None:
    _heading(console, "The promise")
    _lines(console, [f"« {found.promise.page} »", found.promise.plain])


def _what_happened(console: Console, found: Explanation) -> None:
    _heading(console, "The cut" if found.figures is None else f"The month {found.period}")
    rows = [
        (name, f"{local_time(at, found.zone)}   (UTC {format_instant(at)})")
        for name, at in (("from", found.starts_at), ("to", found.ends_at))
    ]
    if found.figures is None:
        rows.append(("down", length(found.down_ms)))
        if not found.counted_ms:
            rows.append(
                ("", "This is the cut as a credit was last given for it; see the states and corrections.")
            )
        if found.lasts:
            rows.append(("", "It had not ended: counted as if it had ended at the end of the closed month."))
    else:
        rows += _month(found, found.figures)
    _grid(console, rows)


def _month(found: Explanation, figures: Figures) -> Iterator[tuple[str, str]]:
    measured_ms = figures.window_ms - figures.excluded_ms - figures.unmeasured_ms
    kept = {True: "kept", False: "missed", None: "not judged, for nothing was measured"}[figures.met]
    yield "in service", length(figures.window_ms)
    yield "unmeasured", f"{length(figures.unmeasured_ms)} (neither up nor down)"
    yield "excluded", f"{length(figures.excluded_ms)} (maintenance)"
    yield "measured", length(measured_ms)
    yield "down", length(figures.down_ms)
    if found.counted_ms:
        yield "", f"{length(figures.down_ms - found.counted_ms)} of it in cuts credited on their own"
        yield "", f"{length(found.counted_ms)} of it counted here"
    yield "uptime", f"{figures.uptime_percent or '-'} %: the promise was {kept}"


def _states(console: Console, found: Explanation) -> None:
    _heading(console, "What each target was" if found.figures is None else "When a target was not up")
    table = _table("target", "state", f"from ({found.zone})", "to", ">length")
    for one in found.stretches[:_MOST_STRETCHES]:
        style = {"down": "red", "up": "green"}.get(one.state, "yellow")
        times = (local_time(at, found.zone) for at in (one.starts_at, one.ends_at))
        table.add_row(one.target, Text(one.state, style), *times, length(one.ends_at - one.starts_at))
    _show(console, table)
    if left := len(found.stretches) - _MOST_STRETCHES:
        _lines(console, [f"and {left} more (all of them: --json)"] if left > 0 else [])
    _lines(console, (line for one in found.stretches[:_MOST_STRETCHES] if (line := _why(one, found.zone))))


def _why(one: Stretch, zone: str) -> str:
    """The votes behind a stretch; empty where none are known."""
    if not one.because:
        return ""
    places: dict[str, list[str]] = {}
    for vote in one.because:
        places.setdefault(f"{vote.check} {vote.error or 'failed'}", []).append(vote.location)
    said = "; ".join(f"{what} from {', '.join(dict.fromkeys(where))}" for what, where in places.items())
    return f"{one.target} {one.state} from {local_time(one.starts_at, zone)}, because: {said}"


def _evidence(console: Console, found: Explanation, evidence: Sequence[Evidence]) -> None:
    _heading(console, "The probe results that confirmed it")
    if not evidence:
        _lines(console, ["None: no change of a target's state lies in it; see the corrections."])
    for one in evidence:
        slots = f"slots {format_instant(one.first_slot)} to {format_instant(one.last_slot)}"
        _lines(
            console, [f"{one.target} {one.state} again" if one.state == "up" else f"{one.target} {one.state}"]
        )
        _lines(console, [f"  {slots}", *([f"  {one.note}"] if one.note else [])])
        if one.votes:
            _show(console, _votes(one), 4)
        if one.failures and one.state == "down":
            _show(console, _failures(one), 4)
    if (left := len(found.claims) - len(evidence)) > 0:
        _lines(console, [f"and {left} more changes of state"])


def _votes(one: Evidence) -> Table:
    locations = list(dict.fromkeys(vote.location for vote in one.votes))
    table = _table("check", *sorted(locations))
    for check, votes in groupby(one.votes, key=lambda vote: vote.check):
        by_location: dict[str, list[str]] = {}
        for vote in votes:
            by_location.setdefault(vote.location, []).append(f"{vote.results} {vote.outcome}")
        table.add_row(check, *(", ".join(by_location.get(name, ["-"])) for name in sorted(locations)))
    return table


def _failures(one: Evidence) -> Table:
    table = _table("slot (UTC)", "check", "location", "outcome", "error")
    for result in one.failures:
        slot = format_instant(result.slot)
        table.add_row(slot, result.check, result.location, result.outcome, result.error or "-")
    return table


def _overruled(console: Console, found: Explanation) -> None:
    if found.corrections:
        _heading(console, "Corrections by a person (of two that overlap, the one stated later counts)")
        for one in found.corrections:
            span = f"{local_time(one.starts_at, found.zone)} to {local_time(one.ends_at, found.zone)}"
            _lines(console, [f"{one.target} {one.state}: {span}", f"  {one.reason} (stated by {one.author})"])
    if found.maintenance:
        _heading(console, "Announced maintenance")
        for planned in found.maintenance:
            span = f"{local_time(planned.starts_at, found.zone)} to {local_time(planned.ends_at, found.zone)}"
            _lines(
                console, [f"{planned.target} {planned.maintenance}: {span}", f"  excluded: {planned.counts}"]
            )


def _sum(console: Console, found: Explanation, money: str) -> None:
    _heading(console, "The sum")
    table = _table("what", "how", f">{found.currency}", ">exactly")
    for step in found.steps:
        table.add_row(step.what, step.how, about(Fraction(step.exact)), step.exact)
    exact = Fraction(found.exact)
    table.add_row("together", "", about(exact), found.exact, end_section=True)
    table.add_row("rounded once, half up", "", Text(format_amount(found.total), "bold"), "")
    _show(console, table)
    _lines(console, [f"So the credit is {money}."])


def _revisions(console: Console, found: Explanation) -> None:
    _heading(console, "How it became what it is")
    table = _table(">rev.", "recorded (UTC)", "together with", ">amount", ">total")
    for one in found.revisions:
        recorded = format_instant(one.recorded_at) if one.recorded_at is not None else "-"
        amounts = (format_amount(one.amount), format_amount(one.total))
        table.add_row(str(one.revision), recorded, one.recorded_with, *amounts)
    _show(console, table)


def _proof(console: Console, found: Explanation) -> None:
    proof = found.proof
    _heading(console, "Proof")
    told = f"{proof.entries} journal entries (partition {proof.partition}, up to offset {proof.offset})"
    if proof.agrees:
        text = f"replay agrees: {told} give these revisions again, byte for byte"
    else:
        text = f"REPLAY DISAGREES: {told} give other bytes than stand on the log. Do not rely on this credit."
    _lines(console, [text, f"digest {proof.digest}"])


def _heading(console: Console, text: str) -> None:
    console.print()
    console.print(Text(text, style="bold cyan"))


def _lines(console: Console, lines: Iterable[str]) -> None:
    for line in lines:
        body = line.lstrip()
        console.print(Padding(Text(body), (0, 0, 0, 2 + len(line) - len(body))))


def _grid(console: Console, rows: Iterable[tuple[str, str]]) -> None:
    table = Table.grid(padding=(0, 3))
    for name, text in rows:
        table.add_row(Text(name, style="dim"), Text(text))
    _show(console, table)


def _table(*columns: str) -> Table:
    """A table without lines; a column whose name begins with ">" holds figures."""
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(name.lstrip(">"), justify="right" if name.startswith(">") else "left")
    return table


def _show(console: Console, table: Table, indent: int = 2) -> None:
    console.print(Padding(table, (0, 0, 0, indent), expand=False))
