"""Files are written when they say something else, whole or not at all, the most urgent first."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import msgspec
import pytest

from services.status.pages import Pages
from services.status.pages.folder import NoPlace, write
from services.status.site import LANGUAGES, Component, Condition, Site
from tests.status import sites
from tests.status.sites import NOW

SECOND = 1_000


def with_component(site: Site, component: Component, written_at: int = NOW) -> Site:
    return msgspec.structs.replace(
        site, written_at=written_at, components={**site.components, component.id: component}
    )


def gone_down(site: Site, name: str) -> Component:
    return msgspec.structs.replace(site.components[name], condition=Condition.DOWN, since=NOW - SECOND)


def test_nothing_is_written_where_nothing_has_changed(tmp_path: Path) -> None:
    pages = Pages(tmp_path)
    pages.write(sites.one_down())

    again = pages.write(sites.one_down())

    assert again.paths == ()
    assert again.complete


def test_a_change_of_one_component_writes_its_pages_and_those_that_show_it_only(tmp_path: Path) -> None:
    site = sites.many()
    pages = Pages(tmp_path)
    pages.write(site)

    paths = pages.write(with_component(site, gone_down(site, "c25"))).paths

    html = {path for path in paths if path.endswith(".html")}
    assert html == {"index.html"} | {
        f"{language}/{rest}index.html"
        for language in LANGUAGES
        for rest in ("", "components/c25/", "groups/g5/")
    }
    assert "badge/c25.svg" in paths
    assert "badge/c26.svg" not in paths
    assert "api/v2/summary.json" in paths


def test_what_turned_is_written_before_all_else_and_the_rest_waits_when_there_is_hurry(
    tmp_path: Path,
) -> None:
    site = sites.many()
    pages = Pages(tmp_path)
    pages.write(site)
    every = {
        name: msgspec.structs.replace(component, as_of=NOW + SECOND)
        for name, component in site.components.items()
    }
    every["c25"] = gone_down(site, "c25")

    first = pages.write(msgspec.structs.replace(site, components=every), hurry=lambda: True)
    rest = pages.write(msgspec.structs.replace(site, components=every))

    assert not first.complete
    assert first.paths.index("fr/components/c25/index.html") < 25
    assert len([path for path in first.paths if "/components/" in path]) < 40
    assert rest.complete
    both = [path for path in (*first.paths, *rest.paths) if "/components/" in path]
    assert len(both) == len(set(both)) == 4 * 500


def test_pages_that_have_aged_are_written_again_true_as_of_now_and_otherwise_the_same(tmp_path: Path) -> None:
    pages = Pages(tmp_path / "a")
    pages.write(sites.one_down())
    later = msgspec.structs.replace(sites.one_down(), written_at=NOW + 30 * SECOND)

    paths = pages.write(later).paths

    fresh = Pages(tmp_path / "b")
    fresh.write(later)
    assert {path for path in paths if path.endswith(".html")} == {
        str(path.relative_to(tmp_path / "b")) for path in (tmp_path / "b").rglob("*.html")
    }
    for path in (tmp_path / "b").rglob("*.*"):
        assert (tmp_path / "a" / path.relative_to(tmp_path / "b")).read_bytes() == path.read_bytes()


def test_no_page_ages_beyond_a_minute_whatever_the_hurry(tmp_path: Path) -> None:
    site = sites.many(60, 3)
    pages = Pages(tmp_path)
    pages.write(site)
    for turn in range(1, 181):
        site = msgspec.structs.replace(site, written_at=NOW + turn * SECOND)
        pages.write(site, hurry=lambda: True)

    ages = [
        int(
            b"T17:33:1" in page.read_bytes()
            or b"T17:33:0" in page.read_bytes()
            or b"T17:32:" in page.read_bytes()
        )
        for page in tmp_path.rglob("*.html")
    ]
    assert all(ages)


def test_a_page_that_somebody_took_away_comes_back(tmp_path: Path) -> None:
    pages = Pages(tmp_path)
    pages.write(sites.one_down())
    (tmp_path / "en/components/api/index.html").unlink()

    pages.write(msgspec.structs.replace(sites.one_down(), written_at=NOW + 30 * SECOND))

    assert (tmp_path / "en/components/api/index.html").exists()


def test_pages_of_what_is_gone_are_removed_also_those_of_an_earlier_process(tmp_path: Path) -> None:
    Pages(tmp_path).write(sites.one_down())
    kept = tmp_path / "notes.txt"
    kept.write_text("of somebody else")
    pages = Pages(tmp_path)
    site = sites.one_down()
    fewer = msgspec.structs.replace(
        site,
        components={name: one for name, one in site.components.items() if name != "mail"},
        incidents=(sites.OUTAGE,),
    )

    pages.write(fewer)
    assert not (tmp_path / "en/components/mail").exists()
    assert not (tmp_path / "badge/mail.svg").exists()
    assert not (tmp_path / "de/incidents/i-1").exists()
    assert kept.exists()

    paths = pages.write(msgspec.structs.replace(fewer, incidents=())).paths
    assert "de/incidents/i-2/index.html" in paths
    assert not (tmp_path / "de/incidents/i-2").exists()


def test_old_stylesheets_stay_for_pages_that_are_still_in_caches(tmp_path: Path) -> None:
    old = tmp_path / "style.0123456789.css"
    old.write_text("body {}")

    Pages(tmp_path).write(sites.all_up())

    assert old.exists()
    assert len(list(tmp_path.glob("style.*.css"))) == 2


def test_whoever_reads_meanwhile_sees_whole_pages_only(tmp_path: Path) -> None:
    pages = Pages(tmp_path)
    site = sites.all_up()
    pages.write(site)
    stop = threading.Event()
    torn: list[int] = []
    reads = [0]

    def read() -> None:
        while not stop.is_set():
            data = (tmp_path / "en/index.html").read_bytes()
            reads[0] += 1
            if not (data.startswith(b"<!doctype html>") and data.endswith(b"</html>")):
                torn.append(len(data))

    thread = threading.Thread(target=read)
    thread.start()
    for turn in range(60):
        state = sites.one_down() if turn % 2 else site
        pages.write(msgspec.structs.replace(state, written_at=NOW + turn))
    stop.set()
    thread.join()

    assert torn == []
    assert reads[0] > 0
    assert [path for path in tmp_path.rglob("*") if path.name.startswith(".")] == []


def test_a_page_that_cannot_be_written_stays_as_it_was(tmp_path: Path) -> None:
    pages = Pages(tmp_path)
    pages.write(sites.all_up())
    before = (tmp_path / "de/index.html").read_bytes()
    (tmp_path / "de/.index.html.new").mkdir()

    with pytest.raises(IsADirectoryError):
        pages.write(sites.one_down())

    assert (tmp_path / "de/index.html").read_bytes() == before
    (tmp_path / "de/.index.html.new").rmdir()
    pages.write(sites.one_down())
    assert (tmp_path / "de/index.html").read_bytes() != before


@pytest.mark.parametrize(
    "path",
    ["../x.html", "en/components/../index.html", "en/components/.x/index.html", "/etc/passwd", "en/x.html"],
)
def test_no_file_but_the_pages_own_is_ever_written(tmp_path: Path, path: str) -> None:
    with pytest.raises(NoPlace):
        write(tmp_path, path, b"x")

    assert list(tmp_path.iterdir()) == []
    assert not os.path.lexists(tmp_path.parent / "x.html")
