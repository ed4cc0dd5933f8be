"""How long the public pages take to render: 500 components with 90 days each.

Each line gives the wall time and the time on the processor; the second is less changed by what else runs.
"""

from __future__ import annotations

import gzip
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import quantiles
from typing import Any

import msgspec

from services.status.pages import Pages, plan
from services.status.pages.fragments import Fragments
from services.status.pages.frame import stylesheet_text
from services.status.site import LANGUAGES, Condition, Language, Site
from tests.status import sites

COMPONENTS = 500


def measure(turns: int = 20) -> Iterator[dict[str, Any]]:
    """Yields a line for each part."""
    site = sites.many(COMPONENTS)
    for language in LANGUAGES:
        shown = partial(_shown, site, language)
        shown()  # templates and the words of each date are made once in a process's life
        yield {"part": "render shown", "language": language, **_best(shown, turns)}
    yield _sizes(site)
    folder = Path(tempfile.mkdtemp())
    try:
        yield from _written(site, folder, turns)
    finally:
        shutil.rmtree(folder)


def _shown(site: Site, language: Language) -> int:
    """The pages that show all components with their 90 days, in one language, nothing kept from before: the
    front page and the groups' pages."""
    fragments = Fragments()
    made = 0
    for file in plan.plan(site, language, fragments):
        if file.path.startswith((f"{language}/groups/", f"{language}/index.html")):
            made += len(file.make())
    return made


def _sizes(site: Site) -> dict[str, Any]:
    def sizes(some: Site) -> dict[str, int]:
        folder = Path(tempfile.mkdtemp())
        Pages(folder).write(some)
        page, style = (folder / "fr/index.html").read_bytes(), stylesheet_text()
        shutil.rmtree(folder)
        return {
            "bytes": len(page) + len(style),
            "gzip_bytes": len(gzip.compress(page, 9)) + len(gzip.compress(style, 9)),
        }

    return {
        "part": "render first page",
        **{f"{len(some.components)}_components": sizes(some) for some in (sites.many(40, 4), site)},
    }


def _written(site: Site, folder: Path, turns: int) -> Iterator[dict[str, Any]]:
    pages = Pages(folder)
    yield {
        "part": "render everything",
        "files": len(pages.write(site).paths),
        **_timed(lambda: Pages(folder).write(site)),
    }
    walls, used, files = [], [], []
    for turn in range(max(turns, 5)):
        site = _turned(site, f"c{turn * 7 % COMPONENTS}", turn)
        one = _timed(lambda site=site: files.append(len(pages.write(site).paths)))  # type: ignore[misc]
        walls.append(one["wall_ms"])
        used.append(one["cpu_ms"])
    yield {
        "part": "render one change",
        "files": max(files),
        "wall_ms": sorted(walls)[len(walls) // 2],
        "wall_p99_ms": round(quantiles(walls, n=100)[-1], 1),
        "cpu_ms": sorted(used)[len(used) // 2],
    }
    aged = msgspec.structs.replace(site, written_at=site.written_at + 60_000)
    yield {
        "part": "render as of",
        "files": len(list(folder.rglob("*.html"))),
        **_timed(lambda: pages.write(aged)),
    }


def _turned(site: Site, name: str, turn: int) -> Site:
    """One component goes down (or up again), with its change in history."""
    before = site.components[name]
    condition = Condition.UP if before.condition is Condition.DOWN else Condition.DOWN
    at = site.written_at + 1
    day = msgspec.structs.replace(
        before.days[-1], figure=msgspec.structs.replace(before.days[-1].figure, down_ms=1 + turn)
    )
    after = msgspec.structs.replace(before, condition=condition, since=at, days=(*before.days[:-1], day))
    change = sites.Change(f"t{turn}", name, at, condition, before.condition, at)
    month = max(site.changes)
    return msgspec.structs.replace(
        site,
        written_at=at,
        components={**site.components, name: after},
        changes={**site.changes, month: (change, *site.changes[month])},
    )


def _best(work: Callable[[], object], turns: int) -> dict[str, Any]:
    """The median of some turns, and the worst of them on the processor."""
    lines = [_timed(work) for _ in range(turns)]
    return {
        "wall_ms": sorted(line["wall_ms"] for line in lines)[turns // 2],
        "cpu_ms": sorted(line["cpu_ms"] for line in lines)[turns // 2],
        "cpu_worst_ms": max(line["cpu_ms"] for line in lines),
    }


def _timed(work: Callable[[], object]) -> dict[str, float]:
    wall, used = time.perf_counter(), time.process_time()
    work()
    return {
        "wall_ms": round((time.perf_counter() - wall) * 1_000, 1),
        "cpu_ms": round((time.process_time() - used) * 1_000, 1),
    }


if __name__ == "__main__":
    for line in measure():
        print(msgspec.json.encode(line).decode(), flush=True)
