"""A process that sends from an outbox until it is killed, or kills itself at a given moment.

It also watches for our own copies: in a file to which the test adds each Message-ID that arrived, as a line.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from msgspec import json
from sqlalchemy import MetaData

from shared.database import wall_clock, writing
from shared.mail.outbox import Sending, copy_seen, deliver, letters_table
from shared.mail.relay import Accepted, Line, Relay
from tests.mail.outboxes import open_outbox

letters = letters_table(MetaData())


def dying(
    method: Callable[..., Awaitable[Any]], when: Callable[[Any], bool]
) -> Callable[..., Awaitable[Any]]:
    """`method`, after which this process is gone at once if `when` says so of its result."""

    async def run(*args: Any) -> Any:
        result = await method(*args)
        if when(result):
            os._exit(9)
        return result

    return run


async def watch(engine: Any, copies: Path) -> None:
    """Tells the outbox of every line of `copies`, from the first on: a watcher may see a mail again."""
    done = 0
    while True:
        lines = (await asyncio.to_thread(copies.read_text)).split("\n")[:-1]
        for line in lines[done:]:
            with writing(engine) as connection:
                copy_seen(connection, letters, line, wall_clock)
        done = len(lines)
        await asyncio.sleep(0.02)


async def main(url: str, port: int, copies: Path, sending: Sending, die: str) -> None:
    if die == "accepted":
        Line.submit = dying(Line.submit, lambda result: isinstance(result, Accepted))  # type: ignore[method-assign]
    if die == "before-dot":
        Line._write = dying(Line._write, lambda _: True)  # type: ignore[method-assign]
    engine = open_outbox(url)
    relay = Relay("127.0.0.1", port, ehlo="test.example")
    await asyncio.gather(deliver(engine, letters, relay, sending, wall_clock), watch(engine, copies))


if __name__ == "__main__":
    asyncio.run(
        main(
            sys.argv[1],
            int(sys.argv[2]),
            Path(sys.argv[3]),
            json.decode(sys.argv[4], type=Sending),
            sys.argv[5],
        )
    )
