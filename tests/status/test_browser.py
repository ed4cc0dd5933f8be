"""The pages in a real browser: for everyone (axe, WCAG 2.2 AA), narrow, by keyboard, under a strict CSP."""

from __future__ import annotations

from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from services.status.site import LANGUAGES

KINDS = {
    "front": "one-down/{}/",
    "component": "one-down/{}/components/api/",
    "history": "one-down/{}/history/2026-11/",
    "incident": "one-down/{}/incidents/i-2/",
    "subscribe": "one-down/{}/subscribe/",
    "answer": "one-down/{}/answer.html",
}
OTHERS = (
    *("all-up/en/", "unmeasured/en/", "unmeasured/en/components/mail/", "silent/en/", "maintenance/en/"),
    *("maintenance/en/components/base/", "corrected/en/components/web/", "corrected/en/history/2026-11/"),
    *("nothing/en/", "hostile/en/", "hostile/en/components/h4/", "hostile/en/incidents/x6/"),
    *("many/en/", "many/en/groups/g3/", "all-up/index.html", "all-up/404.html"),
)
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def violations(page: Page) -> list[tuple[str, Any]]:
    found = Axe().run(page, options={"runOnly": {"type": "tag", "values": TAGS}}).response
    assert found["passes"]
    return [(one["id"], [node["html"][:300] for node in one["nodes"][:3]]) for one in found["violations"]]


def every_detail_open(page: Page) -> None:
    for summary in page.locator("summary").all():
        summary.click()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_kind_of_page_is_for_everyone_in_each_language(
    browser: Browser, served: str, language: str, scheme: Any
) -> None:
    page = browser.new_page(color_scheme=scheme)
    for path in KINDS.values():
        page.goto(f"{served}/{path.format(language)}")
        every_detail_open(page)
        assert violations(page) == [], path
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_state_of_the_page_is_for_everyone(browser: Browser, served: str, scheme: Any) -> None:
    page = browser.new_page(color_scheme=scheme)
    for path in OTHERS:
        page.goto(f"{served}/{path}")
        every_detail_open(page)
        assert violations(page) == [], path
    page.close()


def test_what_is_for_nobody_is_found(browser: Browser) -> None:
    page = browser.new_page()
    page.set_content(
        '<!doctype html><html lang=en><title>x</title><main><h1 style="color:#eee">Some words</h1><img src=x>'
    )

    assert {name for name, _ in violations(page)} >= {"color-contrast", "image-alt"}
    page.close()


@pytest.mark.parametrize("width", [320, 390])
def test_no_page_is_wider_than_a_small_phone(browser: Browser, served: str, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 700})
    paths = [kind.format(language) for kind in KINDS.values() for language in LANGUAGES]
    for path in (*paths, *OTHERS):
        page.goto(f"{served}/{path}")
        every_detail_open(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    page.close()


def test_the_policy_blocks_nothing_and_no_request_leaves_the_site(browser: Browser, served: str) -> None:
    page = browser.new_page()
    requests: list[str] = []
    complaints: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: complaints.append(message.text))
    for path in (*(kind.format("fr") for kind in KINDS.values()), *OTHERS):
        page.goto(f"{served}/{path}")
    page.close()

    assert [url for url in requests if not url.startswith(served)] == []
    assert [text for text in complaints if "favicon.ico" not in text] == []
    assert any(url.endswith(".css") for url in requests)


def test_hostile_names_run_nothing_and_are_shown_as_text(browser: Browser, served: str) -> None:
    page = browser.new_page()
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.goto(f"{served}/hostile/en/")

    assert dialogs == []
    assert page.locator("script, main img").count() == 0
    assert page.get_by_role("heading", name="<script>alert(1)</script>").count() > 0
    # A name of ten thousand letters takes its place among others, and no more.
    assert max(line.bounding_box()["height"] for line in page.locator(".line").all()) < 330  # type: ignore[index]
    page.close()


def test_marks_in_a_name_do_not_turn_what_stands_after_it(browser: Browser, served: str) -> None:
    page = browser.new_page()
    page.goto(f"{served}/hostile/en/")
    line = page.locator(".line").nth(2)
    name, state = line.locator("h3").bounding_box(), line.locator(".state").bounding_box()

    assert name
    assert state
    assert name["x"] < state["x"]
    assert "\u202e" not in page.content()
    page.close()


def test_the_reader_chooses_between_local_time_and_utc_without_a_script(
    browser: Browser, served: str
) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"{served}/one-down/en/history/2026-11/")
    entry = page.locator(".entry").first

    assert "28 Nov 2026, 18:05:10" in entry.inner_text().replace("\xa0", " ")
    assert "UTC" not in entry.inner_text()

    page.get_by_label("UTC").check()

    assert "28 Nov 2026, 17:05:10 UTC" in entry.inner_text().replace("\xa0", " ")
    assert "18:05:10" not in entry.inner_text()
    context.close()


def test_the_keyboard_reaches_every_link_in_order_and_the_focus_is_seen(
    browser: Browser, served: str
) -> None:
    page = browser.new_page()
    page.goto(f"{served}/one-down/en/")
    reached = []
    for _ in range(60):
        page.keyboard.press("Tab")
        seen = page.evaluate(
            "(() => { const e = document.activeElement, s = getComputedStyle(e);"
            " return [e.tagName, e.textContent.trim(), s.outlineStyle, parseFloat(s.outlineWidth)] })()"
        )
        if seen[0] == "BODY":
            break
        reached.append(seen)

    assert reached[0][1] == "Skip to the content"
    assert [one for one in reached if one[2] == "none" or one[3] < 2] == []
    texts = [text for _, text, _, _ in reached]
    for expected in (
        "History",
        "Subscribe",
        "API",
        "Web application",
        "All updates (The API refuses connections)",
    ):
        assert expected in texts
    page.close()


def test_the_exact_figure_of_a_day_stands_on_its_bar(browser: Browser, served: str) -> None:
    page = browser.new_page()
    page.goto(f"{served}/one-down/en/components/api/")
    bars = page.locator("svg.bars")
    titles = [title.replace("\xa0", " ") for title in bars.locator("title").all_text_contents()]

    assert len(titles) == 90
    assert titles[-1] == "28 Nov 2026: 97.837% up, down 24 min, so far"
    assert titles[28] == "28 Sep 2026: 79.166% up, down 5 h"
    assert bars.get_attribute("aria-label") == "Last 90\xa0days: 2 with down time, 0 with unmeasured time."
    page.close()


def test_printed_pages_show_both_times_and_no_controls(browser: Browser, served: str) -> None:
    page = browser.new_page()
    page.emulate_media(media="print")
    page.goto(f"{served}/one-down/en/history/2026-11/")

    entry = page.locator(".entry").first.inner_text().replace("\xa0", " ")
    assert "18:05:10" in entry
    assert "17:05:10 UTC" in entry
    assert not page.locator(".zones").is_visible()
    assert not page.locator("nav.pages").is_visible()
    page.close()
