"""`garant sla` as it would be with other rules: `python -m tests.kafka.other_rules VERSION sla ...`."""

from __future__ import annotations

import sys

from services.cli.main import run
from services.sla import rules

if __name__ == "__main__":
    rules.RULES_VERSION = int(sys.argv.pop(1))  # type: ignore[misc]
    run()
