"""Databases as text: a SQLite file as the SQL that makes it again, row for row, and what a service's HTTP API
answers about one."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI

TOKEN = "token-of-the-test"  # noqa: S105


def write_books(database: Path, to: Path) -> None:
    """Writes the SQLite file `database`, which nobody has open, as SQL."""
    with closing(sqlite3.connect(database)) as connection:
        to.write_text("".join(f"{line}\n" for line in connection.iterdump()), "utf-8")


def make_books(kept: Path, database: Path) -> None:
    """Makes the SQLite file again that `write_books` wrote."""
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(kept.read_text("utf-8"))


def rows(database: Path) -> dict[str, list[dict[str, Any]]]:
    """Every row of every table by column names, in an order that depends on their content only."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
        tables = [name for (name,) in names.fetchall() if not name.startswith("sqlite_")]
        return {
            table: sorted((dict(row) for row in connection.execute(f'SELECT * FROM "{table}"')), key=repr)  # noqa: S608
            for table in tables
        }


def answers(api: FastAPI, paths: Iterable[str]) -> dict[str, Any]:
    """What `api` answers to GET of each path. Raises ValueError where it refuses."""
    return asyncio.run(_answers(api, paths))


async def _answers(api: FastAPI, paths: Iterable[str]) -> dict[str, Any]:
    transport = httpx.ASGITransport(api)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    found: dict[str, Any] = {}
    async with httpx.AsyncClient(transport=transport, base_url="http://here", headers=headers) as client:
        for path in paths:
            answer = await client.get(path)
            if answer.status_code != 200:
                raise ValueError(f"{path}: {answer.status_code} {answer.text}")
            found[path] = answer.json()
    return found
