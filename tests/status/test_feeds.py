"""Feeds that readers take: an entry for each change, incident update and maintenance, under ids that stay."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import feedparser
import msgspec
import pytest

from services.status.pages import Pages
from services.status.site import LANGUAGES, Change, Condition, Site
from tests.status import sites
from tests.status.sites import HOUR, MINUTE, NOW

FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def feeds(site: Site, folder: Path, language: str = "en") -> tuple[Any, Any, Any]:
    Pages(folder).write(site)
    own = folder / language
    atom, rss = (feedparser.parse((own / name).read_bytes()) for name in ("feed.atom", "feed.rss"))
    return atom, rss, msgspec.json.decode((own / "feed.json").read_bytes())


@pytest.mark.parametrize("name", sites.ALL)
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_feed_of_every_site_is_well_formed_and_complete(
    written: Path, name: str, language: str
) -> None:
    own = written / name / language
    atom, rss = (feedparser.parse((own / file).read_bytes()) for file in ("feed.atom", "feed.rss"))
    json = msgspec.json.decode((own / "feed.json").read_bytes())

    assert not atom.bozo, atom.get("bozo_exception")
    assert not rss.bozo, rss.get("bozo_exception")
    assert (atom.version, rss.version) == ("atom10", "rss20")
    assert json["version"] == "https://jsonfeed.org/version/1.1"
    for field in ("id", "title", "updated", "author"):
        assert atom.feed[field]
    for field in ("title", "link", "description"):
        assert field in rss.feed
    assert all(entry.id and entry.updated and entry.published and entry.link for entry in atom.entries)
    assert all(entry.id and entry.published and entry.link for entry in rss.entries)
    assert all(item["id"] and item["url"] and item["date_published"] for item in json["items"])
    ids = [entry.id for entry in atom.entries]
    assert ids == [entry.id for entry in rss.entries] == [item["id"] for item in json["items"]]
    assert len(set(ids)) == len(ids)
    assert not FORBIDDEN.search((own / "feed.atom").read_text() + (own / "feed.rss").read_text())


def test_there_is_an_entry_for_each_change_update_and_maintenance(tmp_path: Path) -> None:
    both = msgspec.structs.replace(sites.one_down(), maintenance=sites.maintenance().maintenance)

    _, _, json = feeds(both, tmp_path)

    kinds = [item["tags"][0] for item in json["items"]]
    assert {kind: kinds.count(kind) for kind in kinds} == {"change": 5, "update": 4, "maintenance": 4}
    newest = json["items"][0]
    assert newest["title"] == "The API refuses connections: Identified"
    assert newest["content_text"] == "We have found the cause: a wrong firewall rule. We are correcting it."


def test_an_entry_says_what_when_and_why(tmp_path: Path) -> None:
    atom, _, _ = feeds(sites.one_down(), tmp_path)

    entry = next(entry for entry in atom.entries if entry.title == "API: down")
    assert entry.content[0].value.replace("\xa0", " ").splitlines() == [
        "API: down, 28 Nov 2026, 18:05:10 (Europe/Zurich; 28 Nov 2026, 17:05:10 UTC)",
        "before: up",
        "Cause: the connection was refused and no answer in time",
        "confirmed 28 Nov 2026, 18:06:10 (Europe/Zurich; 28 Nov 2026, 17:06:10 UTC)",
    ]
    assert entry.link == "https://status.fjord.example/en/history/2026-11/#c-b1"
    assert entry.published == "2026-11-28T17:05:10.000Z"


def test_ids_stay_when_the_address_the_words_and_the_rest_change(tmp_path: Path) -> None:
    before, _, _ = feeds(sites.one_down(), tmp_path / "a", "de")
    moved = msgspec.structs.replace(sites.one_down(), url="https://elsewhere.example/s", vendor="Other")
    after, _, _ = feeds(moved, tmp_path / "b", "fr")

    assert [entry.id for entry in before.entries] == [entry.id for entry in after.entries]


def test_only_the_newest_hundred_are_told(tmp_path: Path) -> None:
    changes = tuple(
        Change(f"e{n}", "web", NOW - n * HOUR, Condition.UP, Condition.DOWN, NOW - n * HOUR + MINUTE)
        for n in range(250)
    )

    _, _, json = feeds(sites.site(sites.usual(), changes=changes), tmp_path)

    times = [item["date_published"] for item in json["items"]]
    assert len(times) == 100
    assert times == sorted(times, reverse=True)
    assert times[0] == "2026-11-28T17:30:10.000Z"


def test_a_feed_says_the_same_bytes_until_there_is_news(tmp_path: Path) -> None:
    pages = Pages(tmp_path)
    pages.write(sites.one_down())
    later = msgspec.structs.replace(sites.one_down(), written_at=NOW + 5 * MINUTE)

    paths = pages.write(later).paths

    assert "en/index.html" in paths
    assert [path for path in paths if "feed." in path] == []


def test_a_corrected_change_says_that_a_person_stated_it(tmp_path: Path) -> None:
    atom, _, _ = feeds(sites.corrected(), tmp_path)

    assert atom.entries[0].title == "Web application: up (corrected)"
    assert "stated by a person" in atom.entries[0].content[0].value
