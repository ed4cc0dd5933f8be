"""Text for a person, on a terminal as in a pipe: at most 100 columns, no blanks at the ends of lines."""

from __future__ import annotations

import sys
from collections.abc import Callable

from rich.console import Console

WIDTH = 100


def on_page(write: Callable[[Console], None]) -> None:
    """Prints what `write` prints."""
    console = Console(highlight=False)
    if console.is_terminal:
        write(Console(highlight=False, width=min(console.width, WIDTH)))
        return
    console = Console(highlight=False, width=WIDTH)
    with console.capture() as captured:
        write(console)
    sys.stdout.writelines(line.rstrip() + "\n" for line in captured.get().splitlines())
