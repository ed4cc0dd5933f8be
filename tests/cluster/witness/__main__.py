"""`python -m tests.cluster.witness serve`, and `... ask JSON` beside it: the witness inside a cluster.

`serve` tells, remembers and verifies; it is told where the installation is by its environment (`inside.py`).
`ask` puts one question to it and prints the answer, a line of JSON; exit status 1 with the reason on stderr.

    python -m tests.cluster.witness ask '{"do": "prepare", "fault": "kill", "stories": 2, "seed": 1}'
    python -m tests.cluster.witness ask '{"do": "begin", "fault": "kill", "results": 1000, "facts": 20}'
    python -m tests.cluster.witness ask '{"do": "end"}'
    python -m tests.cluster.witness ask '{"do": "verify"}'
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from msgspec import DecodeError, ValidationError, json

from tests.cluster.witness.talking import SOCKET, Refused, ask, serve


def main(arguments: Sequence[str] | None = None) -> int:
    asked = parsed(arguments)
    if asked.command == "ask":
        try:
            sys.stdout.write(json.encode(ask(asked.question, asked.socket)).decode() + "\n")
        except (Refused, OSError) as error:
            sys.stderr.write(f"{error}\n")
            return 1
        return 0
    from tests.cluster.witness.inside import from_environment
    from tests.cluster.witness.telling import Witness

    witness = Witness(from_environment(), say)
    serve(witness.answer, asked.socket, lambda: say("ready"))
    return 0


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Exits with status 2 and a line for what cannot be understood."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.witness", description=__doc__)
    parser.add_argument("--socket", type=Path, default=SOCKET, help="where questions are answered")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="answer until stopped")
    asking = commands.add_parser("ask", help="put one question")
    asking.add_argument("question", type=_question, help='a JSON object, e.g. {"do": "state"}')
    return parser.parse_args(arguments)


def _question(text: str) -> dict[str, Any]:
    try:
        return json.decode(text, type=dict[str, Any])
    except (DecodeError, ValidationError) as error:
        raise argparse.ArgumentTypeError(f"not a JSON object: {error}") from None


def say(text: str) -> None:
    """A line of progress, as JSON, in the pod's log."""
    sys.stdout.write(json.encode({"at": round(time.time(), 1), "said": text}).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
