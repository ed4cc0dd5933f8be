"""Failpoints: each stands somewhere, nothing unknown can be armed, and an armed one kills at its passage."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from shared.failpoints import POINTS, UnknownFailpoint, _named

ROOT = Path(__file__).resolve().parents[2]


def reached() -> set[str]:
    """The points that the code calls."""
    found = [path.read_text() for folder in ("services", "shared") for path in (ROOT / folder).rglob("*.py")]
    return {name for text in found for name in re.findall(r'\breach\("([^"]+)"\)', text)}


def test_each_point_stands_in_the_code_and_each_call_is_known() -> None:
    assert reached() == set(POINTS)


@pytest.mark.parametrize("text", ["sla.uptime.red", "sla.uptime.read:x", "sla.uptime.read:-1"])
def test_what_there_is_not_cannot_be_armed(text: str) -> None:
    with pytest.raises(UnknownFailpoint, match="there are"):
        _named(text)


def test_an_armed_point_kills_at_its_passage_and_others_do_nothing() -> None:
    program = (
        "from shared.failpoints import reach\n"
        "for turn in range(3):\n"
        "    reach('outbox.read'); reach('outbox.marked'); print(turn, flush=True)\n"
    )
    env = {"GARANT_FAILPOINTS": "outbox.marked:2", "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (-9, "0\n")
    done = subprocess.run([sys.executable, "-c", program], env={"PYTHONPATH": str(ROOT)}, capture_output=True)
    assert done.returncode == 0
