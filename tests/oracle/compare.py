"""Run random histories through the product's replay and the model; print where they first differ.

python -m tests.oracle.compare --seeds 0:500 [--size 60] [--probe | --support]
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.oracle.histories import history, probe_history
from tests.oracle.model import outcomes
from tests.oracle.support_histories import support_history

Outcome = dict[str, Any]


def replay_file(lines: list[dict[str, Any]]) -> list[bytes]:
    """The history as the lines of a replay file."""
    return [json.dumps(line, ensure_ascii=False, separators=(",", ":")).encode() + b"\n" for line in lines]


def comparable(outcome: Outcome) -> Outcome:
    """An outcome without what only the product knows."""
    left_out = {"calculation", "reason", "journal"}
    place = {name: value for name, value in outcome["journal"].items() if name != "digest"}
    return {**{name: value for name, value in outcome.items() if name not in left_out}, "journal": place}


def without_place(told: list[Outcome]) -> list[Outcome]:
    """Without the place in the journal: the uptime fold may say one thing in more or fewer facts."""
    return [{name: value for name, value in one.items() if name != "journal"} for one in told]


def of_product(lines: list[dict[str, Any]]) -> list[Outcome]:
    """What the product's replay prints, comparable."""
    from services.cli.audit.replay import replay_lines

    return [comparable(json.loads(line)) for line in replay_lines(replay_file(lines))]


def told(seed: int) -> str | None:
    """How replay and model differ on `history(seed)`, or None."""
    return difference(history(seed))


def probed(seed: int) -> str | None:
    """How they differ on `probe_history(seed)`, or None."""
    return difference(probe_history(seed), probed=True)


def supported(seed: int) -> str | None:
    """How they differ on `support_history(seed)`, or None."""
    return difference(support_history(seed))


def difference(lines: list[dict[str, Any]], *, probed: bool = False) -> str | None:
    """The first difference between model and product, readable; None when they agree.

    `probed`: a history of probe results, compared by what is concluded and not at which entry.
    """
    model, product = outcomes(lines), of_product(lines)
    if probed:
        model, product = without_place(model), without_place(product)
    for number in range(max(len(model), len(product))):
        expected = model[number] if number < len(model) else None
        found = product[number] if number < len(product) else None
        if expected == found:
            continue
        text = [f"outcome {number} differs"]
        names = dict.fromkeys([*(expected or {}), *(found or {})])
        if expected and found and expected["type"] == found["type"]:
            text += [
                f"  {name}: model {expected.get(name)!r}, product {found.get(name)!r}"
                for name in names
                if expected.get(name) != found.get(name)
            ]
        text += [f"  model:   {json.dumps(expected)}", f"  product: {json.dumps(found)}"]
        return "\n".join(text)
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0:100", help="FIRST:LAST, the last excluded")
    parser.add_argument("--size", type=int, default=60, help="lines of a history, about")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--probe", action="store_true", help="histories of probe results")
    which.add_argument("--support", action="store_true", help="histories of requests and quota")
    asked = parser.parse_args()
    first, last = (int(part) for part in asked.seeds.split(":"))
    failed = 0
    for seed in range(first, last):
        lines = (
            probe_history(seed)
            if asked.probe
            else support_history(seed)
            if asked.support
            else history(seed, asked.size)
        )
        found = difference(lines, probed=asked.probe)
        if found:
            failed += 1
            with tempfile.NamedTemporaryFile(
                prefix=f"history-{seed}-", suffix=".jsonl", delete=False
            ) as saved:
                saved.writelines(replay_file(lines))
            sys.stdout.write(f"seed {seed}: {found}\n  history: {Path(saved.name)}\n")
    sys.stdout.write(f"{last - first - failed} of {last - first} histories agree\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
