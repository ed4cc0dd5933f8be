"""`garant replay`: a history in, every outcome out, with no broker; and clear words about a bad line."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from services.cli.audit.replay import BadLine, replay_lines
from services.cli.main import app
from shared.codec import encode
from shared.outcomes import Source
from shared.time import format_instant
from tests.core.telling import Telling, closed, corrected, instant, november, observed, started, state

GOLDEN = Path(__file__).parent / "golden"
HISTORIES = sorted(path.name.partition(".")[0] for path in GOLDEN.glob("*.history.jsonl"))
START = b'{"recorded_at":"2026-11-01T00:00:00.000Z","fact":%s}' % encode(started())
CLOSE = b'{"recorded_at":"2026-12-01T05:00:00.000Z","fact":{"type":"ClockAdvanced"}}'
SAID = ["QuotaOpened", "MonthClosed"]
"""What START and CLOSE say: the first year's quota, and the month, of which nothing was measured."""


def types(said: Iterable[bytes]) -> list[str]:
    return [json.loads(outcome)["type"] for outcome in said]


def lines_of(story: Telling) -> list[bytes]:
    """The story's journal as a replay file."""
    return [entry.replace(b'"source":null,', b"") + b"\n" for entry in story.entries]


def garant(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """The command as a process of its own."""
    command = [sys.executable, "-c", "from services.cli.main import run; run()", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=60)


@pytest.mark.parametrize("name", HISTORIES)
def test_a_history_gives_these_bytes(name: str) -> None:
    """`states`: two subscriptions, a 30-hour cut, a missed month, a gap, a repeat, a price change, a fact
    that makes no sense, a correction after closing, new terms. `probes`: the same from hourly results of two
    locations, with a tie, a retried slot, absent slots and an agent without network."""
    with (GOLDEN / f"{name}.history.jsonl").open("rb") as history:
        said = [outcome + b"\n" for outcome in replay_lines(history)]
    assert b"".join(said) == (GOLDEN / f"{name}.outcomes.jsonl").read_bytes()


def test_replay_runs_the_fold_of_the_service() -> None:
    story = november(("2026-11-10 00:00", "2026-11-12 00:00"))
    closed(story)
    story.at("2026-12-10 00:00").tell(corrected("2026-11-11 00:00", "2026-11-13 00:00", "up"), started())
    assert list(replay_lines(lines_of(story))) == story.bytes_said


@pytest.mark.parametrize("ending", [b"", b"\n", b"\r\n", b"\n\n  \n"])
def test_a_file_is_replayed_and_printed_line_by_line(tmp_path: Path, ending: bytes) -> None:
    file = tmp_path / "history.jsonl"
    file.write_bytes(b"\n" + START + b"\n\n \t\n" + CLOSE + ending)
    found = CliRunner().invoke(app, ["replay", str(file)])
    assert found.exit_code == 0
    assert types(found.stdout_bytes.splitlines()) == SAID
    assert found.stdout_bytes.endswith(b"}\n")
    offsets = [json.loads(outcome)["journal"]["offset"] for outcome in found.stdout_bytes.splitlines()]
    assert offsets == [0, 1]


def test_a_dash_reads_standard_input() -> None:
    history = (GOLDEN / "states.history.jsonl").read_bytes()
    found = garant("replay", "-", stdin=history)
    assert (found.returncode, found.stderr) == (0, b"")
    assert found.stdout == (GOLDEN / "states.outcomes.jsonl").read_bytes()


def test_an_empty_history_says_nothing() -> None:
    assert list(replay_lines([])) == []
    assert garant("replay", "-").returncode == 0


BAD = [
    (b"{", "line 4: "),
    (b"not JSON", "line 4: "),
    (b"[]", "line 4: "),
    (b"7", "line 4: "),
    (b"\xff\xfe\x00", "line 4: "),
    (CLOSE + b"}", "line 4: "),
    (CLOSE + CLOSE, "line 4: "),
    (b'{"fact":{"type":"ClockAdvanced"}}', "line 4: Object missing required field `recorded_at`"),
    (b'{"recorded_at":"2026-12-01T05:00:00.000Z"}', "line 4: Object missing required field `fact`"),
    (b'{"recorded_at":"yesterday","fact":{"type":"ClockAdvanced"}}', "line 4: 'yesterday' is not an instant"),
    (CLOSE.replace(b"05:00:00.000Z", b"04:59:59.999Z"), "line 4: recorded_at goes back; sort the file by"),
    (
        b'{"recorded_at":"2026-12-01T05:00:00.000Z","fact":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "line 4: ",
    ),
]


@pytest.mark.parametrize(("line", "message"), BAD, ids=range(len(BAD)))
def test_a_bad_line_stops_with_its_number_and_status_2(tmp_path: Path, line: bytes, message: str) -> None:
    """What earlier lines said is printed, and nothing after it."""
    file = tmp_path / "history.jsonl"
    after = CLOSE.replace(b"2026-12", b"2027-03")
    file.write_bytes(b"\n".join([START, b"", CLOSE, line, after]))
    found = CliRunner().invoke(app, ["replay", str(file)])
    assert found.exit_code == 2
    assert types(found.stdout_bytes.splitlines()) == SAID
    assert found.stderr.startswith(f"error: {file}: {message}")


def test_the_process_stops_the_same_way() -> None:
    found = garant("replay", "-", stdin=START + b"\n" + CLOSE + b"\nnot JSON\n" + CLOSE)
    assert found.returncode == 2
    assert types(found.stdout.splitlines()) == SAID
    assert found.stderr.startswith(b"error: -: line 3: ")
    assert b'a line is {"recorded_at": ' in found.stderr


def test_what_a_bad_line_is_told_about_is_known_before_anything_of_it_is_said() -> None:
    said = replay_lines([START, CLOSE, b"{"])
    assert types([next(said), next(said)]) == SAID
    with pytest.raises(BadLine, match=r"^line 3: "):
        next(said)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    found = CliRunner().invoke(app, ["replay", str(tmp_path / "none.jsonl")])
    assert (found.exit_code, found.stdout) == (2, "")
    assert "No such file" in found.stderr


def test_either_a_file_or_the_live_journal_is_replayed(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["replay"]).exit_code == 2
    assert CliRunner().invoke(app, ["replay", "-", "--kafka"]).exit_code == 2


def test_a_file_needs_no_broker_client() -> None:
    code = (
        "import sys; from services.cli.main import app; from services.cli.audit.replay_command import replay;"
        "replay(sys.argv[1]); assert not {'kafka', 'aiokafka', 'faststream', 'pydantic'} & set(sys.modules)"
    )
    command = [sys.executable, "-c", code, str(GOLDEN / "probes.history.jsonl")]
    found = subprocess.run(command, capture_output=True, check=False, timeout=60)
    assert (found.returncode, found.stderr) == (0, b"")


@pytest.mark.parametrize(
    "fact",
    [
        b"7",
        b"null",
        b'"text"',
        b"[]",
        b"{}",
        b'{"type":"FactForgotten"}',
        b'{"type":"ProbeResult","target":"app"}',
        b'{"type":"ProbeResult","target":"app","check":"icmp","location":"zrh","slot":"2026-11-01T00:00:00.000Z",'
        b'"outcome":"perhaps","rtt_us":null,"error":null}',
        b'{"type":"TargetDeclared","target":"app","interval_s":0}',
    ],
)
def test_a_fact_that_is_none_is_rejected_at_its_place_and_the_rest_goes_on(fact: bytes) -> None:
    line = b'{"recorded_at":"2026-11-02T00:00:00.000Z","fact":%s}' % fact
    said = [json.loads(outcome) for outcome in replay_lines([START, line, CLOSE])][1:]
    assert [(one["type"], one["journal"]["offset"]) for one in said] == [
        ("FactRejected", 1),
        ("MonthClosed", 2),
    ]
    assert said[0]["reason"]
    assert said[0]["source"] is None


def test_a_source_is_said_again_with_the_rejection_and_repeats_of_it_are_dropped() -> None:
    source = b'{"topic":"t","partition":4,"offset":9}'
    line = b'{"recorded_at":"2026-11-02T00:00:00.000Z","source":' + source + b',"fact":%s}'
    said = [json.loads(outcome) for outcome in replay_lines([START, *[line % encode(started())] * 3])][1:]
    assert [(one["source"], one["journal"]["offset"]) for one in said] == [
        ({"topic": "t", "partition": 4, "offset": 9}, 1)
    ]
    assert Source("t", 4, 9) == Source(**said[0]["source"])


def test_results_go_through_the_uptime_fold_and_take_no_place_in_the_journal_themselves() -> None:
    """What they make known is journalled at the same instant: here the state, after two slots."""
    declared = (
        b'{"type":"TargetDeclared","target":"app","name":"App","interval_s":3600,'
        b'"checks":[{"check":"icmp","required":true}],"locations":["zrh"],"confirm_down":2,"confirm_up":2,'
        b'"at":"2026-11-01T00:00:00.000Z"}'
    )
    result = (
        b'{"type":"ProbeResult","target":"app","check":"icmp","location":"zrh","slot":"2026-11-01T0%d:00:00.000Z",'
        b'"outcome":"down","rtt_us":null,"error":"timeout"}'
    )
    told = [(0, encode(started())), (0, declared), (1, result % 1), (2, result % 2), (3, result % 3)]
    told.append((4, b'{"type":"Unknown"}'))
    lines = [b'{"recorded_at":"2026-11-01T0%d:00:01.000Z","fact":%s}' % line for line in told]
    _, rejected = [json.loads(outcome) for outcome in replay_lines(lines)]
    # The subscription, an hour observed, the state and an hour, another hour; then the unknown one.
    assert rejected["journal"]["offset"] == 5
    _, _, month, _ = [json.loads(outcome) for outcome in replay_lines([*lines, CLOSE])]
    assert (month["type"], month["down_ms"]) == ("MonthClosed", 2 * 3_600_000)


def test_spaces_and_the_order_of_the_keys_do_not_matter() -> None:
    story = november(("2026-11-10 00:00", "2026-11-12 00:00"))
    spaced = [
        json.dumps(json.loads(line), indent=None, separators=(" , ", " : ")) for line in lines_of(story)
    ]
    turned = [json.dumps(dict(reversed(json.loads(line).items()))) for line in lines_of(story)]
    for lines in (spaced, turned):
        assert list(replay_lines(line.encode() for line in lines)) == story.bytes_said


def test_entries_of_one_instant_keep_their_order() -> None:
    at = format_instant(instant("2026-11-12 00:00"))
    facts = [
        started(),
        state("2026-11-09 00:00", "down"),
        state("2026-11-11 00:00", "up"),
        observed("2026-11-12 00:00"),
    ]
    lines = [b'{"recorded_at":"%s","fact":%s}' % (at.encode(), encode(fact)) for fact in facts]
    _, credit = [json.loads(outcome) for outcome in replay_lines(io.BytesIO(b"\n".join(lines)))]
    assert (credit["type"], credit["journal"]["offset"]) == ("CreditGranted", 2)
