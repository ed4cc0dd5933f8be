"""V5: billing's books hold every credit and every warning of the topics once, with the same amounts."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from tests.faults.verifier.dump import Dump, Row
from tests.faults.verifier.outcomes import Found, name_of
from tests.faults.verifier.report import Report, Told

WARNINGS = {"QuotaWarned": "warned", "QuotaRestored": "restored"}


def hundredths(money: str) -> int:
    """Of a decimal string with two places: "-33.27" is -3327."""
    whole, _, cents = money.lstrip("-").partition(".")
    amount = int(whole) * 100 + int(cents)
    return -amount if money.startswith("-") else amount


def check_books(dump: Dump, found: dict[int, list[Found]], told: Told, report: Report) -> None:
    """Compare ledger, warnings and quarantine with the unique outcomes."""
    missing = {error.id for error in report.errors if error.kind == "lost"}
    everything = [one for outcomes in found.values() for one in outcomes]
    _check_ledger(dump, [one for one in everything if "credit" in one.outcome], missing, report)
    _check_warnings(dump, [one for one in everything if one.outcome["type"] in WARNINGS], missing, report)
    explained = {one.value for one in told.dirt}
    for row in dump.quarantine:
        if str(row["record"]).encode() not in explained:
            about = f"{row['credit']}#{row['revision']}"
            report.add("V5", "wrong", about, f"in quarantine: {row['reason']}: {row['record']}")
    report.counts["in quarantine"] += len(dump.quarantine)


def _check_ledger(dump: Dump, credits: list[Found], missing: set[str], report: Report) -> None:
    booked: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in dump.ledger:
        if row["kind"] == "credit":
            key = row["subscription"], row["cause"], row["period"], row["revision"]
            booked[key].append(row)
            report.counts["ledger credits"] += 1
    amounts: dict[str, int] = defaultdict(int)
    last: dict[str, tuple[int, int]] = {}
    unsound: set[str] = set()
    seen: set[tuple[Any, ...]] = set()
    for one in credits:
        said = one.outcome
        key = said["subscription"], said["cause"], said["period"], said["revision"]
        if key in seen:  # V4 has said so
            continue
        seen.add(key)
        rows = booked.pop(key, [])
        if not rows:
            report.add("V5", "lost", name_of(said), f"{one.record.place} is not in the ledger")
        elif len(rows) > 1:
            report.add("V5", "doubled", name_of(said), f"{len(rows)} times in the ledger")
        elif wrong := _row_differs(rows[0], one):
            report.add("V5", "wrong", name_of(said), f"the ledger has {wrong}")
        else:
            amounts[said["credit"]] += rows[0]["amount"]
            last[said["credit"]] = max(
                last.get(said["credit"], (0, 0)), (said["revision"], hundredths(said["total"]))
            )
            continue
        unsound.add(said["credit"])
    for key, rows in booked.items():
        name = f"{key[0]}/{key[1]}/{key[2]}#{key[3]}"
        if name not in missing:
            text = f"{len(rows)} times in the ledger, on no topic"
            report.add("V5", "doubled", name, text)
        unsound.add(name.rpartition("#")[0])
    unsound |= {name.rpartition("#")[0] for name in missing}
    for credit, (_, total) in last.items():
        if amounts[credit] != total and credit not in unsound:
            report.add(
                "V5", "wrong", credit, f"amounts add up to {amounts[credit]}, the last total is {total}"
            )


def _row_differs(row: Row, one: Found) -> str | None:
    """The first column that is not what the record says."""
    said = one.outcome
    wanted = {
        "account": said["account"],
        "credit": said["credit"],
        "amount": hundredths(said["amount"]),
        "total": hundredths(said["total"]),
        "currency": said["currency"],
        "journal_partition": said["journal"]["partition"],
        "journal_offset": said["journal"]["offset"],
        "journal_index": said["journal"]["index"],
        "record": (one.record.value or b"").decode(),
    }
    for name, value in wanted.items():
        if row[name] != value:
            return f"{name} {row[name]!r}, the record says {value!r}"
    return None


def _check_warnings(dump: Dump, warnings: list[Found], missing: set[str], report: Report) -> None:
    booked: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in dump.warnings:
        booked[row["journal_partition"], row["journal_offset"], row["journal_index"]].append(row)
        report.counts["warnings in the books"] += 1
    for one in warnings:
        said = one.outcome
        rows = booked.pop((said["journal"]["partition"], one.offset, one.index), [])
        wanted: dict[str, Any] = {"kind": WARNINGS[said["type"]], "year_starts_on": said["year_starts_on"]}
        names = ("account", "subscription", "percent", "used_minutes", "quota_minutes")
        wanted |= {name: said[name] for name in names}
        if len(rows) != 1:
            kind = "doubled" if rows else "lost"
            report.add("V5", kind, name_of(said), f"{len(rows)} times in the books")
            continue
        for name, value in wanted.items():
            if str(rows[0][name]) != str(value):
                report.add("V5", "wrong", name_of(said), f"the books have {name} {rows[0][name]!r}")
                break
    for place, rows in booked.items():
        row = rows[0]
        kind = next(kind for kind, name in WARNINGS.items() if name == row["kind"])
        name = name_of({**row, "type": kind, "year_starts_on": str(row["year_starts_on"])})
        if name not in missing:
            report.add("V5", "doubled", name, f"in the books from {place}, on no topic")
