"""How many page requests a second `garant status web` answers, asked by processes of its own.

    .venv/bin/python -m bench.status_web

Readers keep their connections. Most of them ask whether the page they have is still right (If-None-Match),
some take it whole, compressed: `--fresh` says how many of a hundred. Pages change while they are asked for,
as they do in a service that runs. Where `wrk` is installed `--wrk` lets it ask instead: it takes less of the
machine that is measured.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from services.cli.local.ports import HOST, accepts, free_port

GARANT = str(Path(sys.executable).with_name("garant"))
LANGUAGES = ("fr", "de", "it", "en")
PAGES, PAGE_BYTES = 500, 24_000
READY_S = 20.0


def write_pages(folder: Path) -> list[str]:
    """A folder as large as that of 500 components; the paths of its pages."""
    chance, paths = random.Random(1), []
    for language in LANGUAGES:
        for number in range(PAGES // len(LANGUAGES)):
            path = f"/{language}/components/c-{number:03d}/"
            _write(folder, path, chance)
            paths.append(path)
        _write(folder, f"/{language}/", chance)
        paths.append(f"/{language}/")
    return paths


def _write(folder: Path, path: str, chance: random.Random) -> None:
    lines = []
    while sum(map(len, lines)) < PAGE_BYTES:
        x, height = chance.randrange(900), chance.randrange(40)
        lines.append(f'<rect class="up" x="{x}" width="7" height="{height}"><title>99.{x} %</title></rect>\n')
    page = folder / path.strip("/") / "index.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    new = page.with_name(".index.html.new")
    new.write_text("".join(lines))
    new.replace(page)


@contextlib.contextmanager
def served(folder: Path, workers: int) -> Iterator[int]:
    """`garant status web` on the folder; its port."""
    port = free_port()
    env = {**os.environ, "GARANT_STATUS_FOLDER": str(folder), "GARANT_STATUS_PORT": str(port)}
    process = subprocess.Popen([GARANT, "status", "web", "--workers", str(workers)], env=env)
    try:
        deadline = time.monotonic() + READY_S
        while not accepts(port):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("garant status web did not start; run it by hand to see why")
            time.sleep(0.1)
        time.sleep(1.0)
        yield port
    finally:
        process.terminate()
        process.wait()


class Reader(asyncio.Protocol):
    """One connection: asks, reads the answer, asks again. Notes how long each took (s) and what it was."""

    def __init__(
        self,
        paths: list[str],
        etags: dict[str, str],
        fresh: int,
        seed: int,
        until: float,
        ended: asyncio.Event,
    ) -> None:
        self._paths, self._etags, self._fresh, self._until, self._ended = paths, etags, fresh, until, ended
        self._chance = random.Random(seed)
        self._data = b""
        self.took: list[float] = []
        self.statuses: dict[int, int] = {}

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._ask()

    def connection_lost(self, _: Exception | None) -> None:
        self._ended.set()

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, found, body = self._data.partition(b"\r\n\r\n")
        if not found:
            return
        status = int(head[9:12])
        if status != 304 and len(body) < int(_field(head, b"content-length")):
            return
        self._data = b""
        self.took.append(time.perf_counter() - self._asked)
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if status == 200:
            self._etags[self._path] = _field(head, b"etag").decode()
        if time.monotonic() < self._until:
            self._ask()
        else:
            self._transport.close()

    def _ask(self) -> None:
        self._path = path = self._chance.choice(self._paths)
        etag = self._etags.get(path)
        if etag is not None and self._chance.randrange(100) < self._fresh:
            etag = None
        condition = f"If-None-Match: {etag}\r\n" if etag else ""
        request = f"GET {path} HTTP/1.1\r\nHost: status\r\nAccept-Encoding: gzip, br\r\n{condition}\r\n"
        self._asked = time.perf_counter()
        self._transport.write(request.encode())


def _field(head: bytes, name: bytes) -> bytes:
    found = re.search(rb"(?i)\r\n" + name + rb": ([^\r]*)", head)
    if found is None:
        raise RuntimeError(f"no {name.decode()} in {head!r}")
    return found[1]


async def _read(port: int, paths: list[str], connections: int, seconds: float, fresh: int, seed: int) -> Any:
    until = time.monotonic() + seconds
    readers, ends = [], []
    etags: dict[str, str] = {}  # a process is a cache that many readers share
    for number in range(connections):
        ended = asyncio.Event()
        reader = Reader(paths, etags, fresh, seed * 1_000 + number, until, ended)
        await asyncio.get_running_loop().create_connection(lambda reader=reader: reader, HOST, port)  # type: ignore[misc]
        readers.append(reader)
        ends.append(ended)
    for ended in ends:
        await asyncio.wait_for(ended.wait(), seconds + 30)
    return [took for one in readers for took in one.took], [one.statuses for one in readers]


def _process(*arguments: Any) -> Any:
    return asyncio.run(_read(*arguments))


def measure(
    workers: int = 2, clients: int = 1, connections: int = 32, seconds: float = 10, fresh: int = 10
) -> dict[str, Any]:
    """Requests a second and how long one takes (ms), all connections busy without a pause."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        paths = write_pages(folder)
        with served(folder, workers) as port, multiprocessing.get_context("spawn").Pool(clients) as pool:
            each = connections // clients
            asked = [(port, paths, each, 1.0, fresh, seed) for seed in range(clients)]
            pool.starmap(_process, asked)  # fills the memory of every worker
            asked = [(port, paths, each, seconds, fresh, seed) for seed in range(clients)]
            running = pool.starmap_async(_process, asked)
            chance = random.Random(2)
            while not running.ready():
                _write(folder, chance.choice(paths), chance)
                running.wait(0.1)
            found = running.get()
    took = sorted(one for times, _ in found for one in times)
    statuses: dict[str, int] = {}
    for _, counted in found:
        for one in counted:
            for status, number in one.items():
                statuses[str(status)] = statuses.get(str(status), 0) + number
    return {
        "part": "status web",
        "workers": workers,
        "connections": connections,
        "requests_per_second": round(len(took) / seconds),
        "p50_ms": round(took[len(took) // 2] * 1_000, 2),
        "p99_ms": round(took[len(took) * 99 // 100] * 1_000, 2),
        "statuses": dict(sorted(statuses.items())),
    }


def measure_with_wrk(workers: int, connections: int, seconds: float) -> dict[str, Any]:
    """The same by `wrk`: one page, each request conditional."""
    wrk = shutil.which("wrk")
    if wrk is None:
        raise SystemExit("wrk is not installed; leave --wrk out")
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        path = write_pages(folder)[0]
        with served(folder, workers) as port:
            url = f"http://{HOST}:{port}{path}"
            head = subprocess.run(["curl", "-sI", url], capture_output=True, check=True).stdout
            condition = f"If-None-Match: {_field(head, b'etag').decode()}"
            argv = [wrk, "-t1", f"-c{connections}", f"-d{seconds:g}s", "--latency", "-H", condition, url]
            said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    p99 = re.search(r"99%\s+(\S+)", said)
    return {"part": "status web, wrk", "rate": rate and rate[1], "p99": p99 and p99[1]}


def main() -> None:
    """Prints a line of figures."""
    arguments = argparse.ArgumentParser(prog="python -m bench.status_web", description=__doc__)
    arguments.add_argument("--workers", type=int, default=2)
    arguments.add_argument("--clients", type=int, default=1, help="processes that ask")
    arguments.add_argument("--connections", type=int, default=32)
    arguments.add_argument("--seconds", type=float, default=10)
    arguments.add_argument("--fresh", type=int, default=10, help="of a hundred that take the page whole")
    arguments.add_argument("--wrk", action="store_true", help="let wrk ask")
    chosen = arguments.parse_args()
    if chosen.wrk:
        line = measure_with_wrk(chosen.workers, chosen.connections, chosen.seconds)
    else:
        line = measure(chosen.workers, chosen.clients, chosen.connections, chosen.seconds, chosen.fresh)
    print(json.dumps(line))


if __name__ == "__main__":
    main()
