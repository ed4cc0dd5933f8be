"""The work list as tables of a terminal."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from services.support.spans import minutes_in_words, since_or_until
from services.support.standing import said
from shared.calling import plain
from shared.time import parse_instant

_STYLES = {"overdue": "bold red", "at-risk": "bold yellow"}
_SUBJECT = 60


def shown(found: dict[str, Any]) -> RenderableType:
    """The work list as the API answers it, to print."""
    now = parse_instant(found["now"])
    parts: list[RenderableType] = [Text(f"Support desk, {found['now']}", style="bold")]
    parts += [Text(one, style="yellow") for one in _attention(found, now)]
    parts += [Text(""), Text(f"First response due: {found['waiting_count']}", style="bold")]
    if found["waiting"]:
        parts.append(_requests(found["waiting"], now))
    if found["answered"]:
        parts += [Text(""), Text(f"Answered, still open: {found['answered_count']}", style="bold")]
        parts.append(_requests(found["answered"], now))
    if found["quotas"]:
        parts += [Text(""), Text("Quota left", style="bold"), _quotas(found["quotas"])]
    return Group(*parts)


def _attention(found: dict[str, Any], now: int) -> list[str]:
    lines = []
    if found["quarantined"]:
        since = since_or_until(parse_instant(found["quarantined_since"]), now)
        lines.append(f"! in quarantine: {found['quarantined']}, the oldest received {since}")
    for one in found["unclassified"]:
        worked = minutes_in_words(one["minutes"])
        lines.append(f"! {worked} on {one['ticket']} counts for nothing until it is classified")
    for one in found["letters"]:
        lines.append(f"! letter {one['id']} is {one['state']}: {plain(one['reason'])}")
    if found["unheard"]:
        since = since_or_until(parse_instant(found["unheard_since"]), now)
        lines.append(f"! without a deadline yet: {found['unheard']}, the oldest received {since}")
    return lines


def _requests(lines: list[dict[str, Any]], now: int) -> Table:
    made = Table(box=None, header_style="bold", pad_edge=False)
    rows = []
    for one in lines:
        due_at = None if one["due_at"] is None else parse_instant(one["due_at"])
        standing = Text(said(one["standing"], due_at, now), style=_STYLES.get(one["standing"], ""))
        names = ("ticket", "severity", "kind", "account", "subscription")
        rows.append([standing, *(Text(plain(one[name])) for name in names)])
    for number, name in enumerate(("", "request", "severity", "kind", "account", "subscription")):
        # In a narrow terminal the subject gives way: an id that is cut short is no id.
        width = max(len(name), *(cells[number].cell_len for cells in rows))
        made.add_column(name, no_wrap=True, min_width=width)
    made.add_column("subject", overflow="ellipsis", no_wrap=True, max_width=_SUBJECT)
    for cells, one in zip(rows, lines, strict=True):
        made.add_row(*cells, Text(plain(one["subject"])))
    return made


def _quotas(quotas: list[dict[str, Any]]) -> Table:
    made = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("subscription", "account", "left", "used", "of", "warned", "until"):
        made.add_column(name, no_wrap=True, justify="right" if name in ("left", "used", "of") else "left")
    for one in quotas:
        made.add_row(
            Text(one["subscription"]),
            Text(one["account"]),
            *(minutes_in_words(one[f"{name}_minutes"]) for name in ("left", "used", "quota")),
            f"at {one['warned_percent']} %" if one["warned_percent"] else "no",
            (date.fromisoformat(one["year_ends_on"]) - timedelta(days=1)).isoformat(),
        )
    return made
