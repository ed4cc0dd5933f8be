"""What the pages say of each state, and that a page never says more than is known."""

from __future__ import annotations

import gzip
import re
from html import unescape
from pathlib import Path

import msgspec
import pytest

from services.status.pages import Pages, answer_page, stylesheet
from services.status.pages.forms import AnswerForm
from services.status.pages.frame import stylesheet_text
from services.status.pages.texts import clean, line, shown
from services.status.site import LANGUAGES, Change, Condition, Figure, Site
from tests.status import sites
from tests.status.sites import DAY, HOUR, MINUTE, NOW


def text_of(folder: Path, path: str) -> str:
    """A page as a reader without its look has it."""
    html = (folder / path / "index.html").read_text()
    html = re.sub(r"<title>.*?</title>|<svg.*?</svg>|<style.*?</style>", " ", html, flags=re.DOTALL)
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)).replace("\xa0", " "))


def page(site: Site, folder: Path, path: str = "en") -> str:
    Pages(folder, "en").write(site)
    return text_of(folder, path)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("all-up", "All components are up"),
        ("one-down", "API is down"),
        ("unmeasured", "Outgoing mail cannot be measured at present"),
        ("silent", "No current information"),
        ("maintenance", "Maintenance is under way"),
        ("nothing", "No component is published here yet"),
        ("many", "3 of 500 components are down"),
    ],
)
def test_the_first_page_says_the_state_of_the_whole_at_once(written: Path, name: str, expected: str) -> None:
    html = (written / name / "en/index.html").read_text()

    banner = re.search(r"<h1>(.*?)</h1>", html, re.DOTALL)
    assert banner
    assert expected in banner[1]


def test_an_incident_that_staff_work_on_is_said_although_all_is_up(tmp_path: Path) -> None:
    site = msgspec.structs.replace(sites.all_up(), incidents=(sites.OUTAGE,))

    assert "All components are up; an incident is being worked on" in page(site, tmp_path)


def test_when_no_news_has_come_nothing_is_said_of_the_present(tmp_path: Path) -> None:
    text = page(sites.silent(), tmp_path)

    assert "No measurements have arrived since 28 Nov 2026, 13:30:10" in text
    assert "All components are up" not in text
    assert text.count("No information") == 5
    assert "we say nothing of the present" in text_of(tmp_path, "en/history/2026-11")


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_says_as_of_when_it_is_true_and_how_often_it_is_written(
    written: Path, language: str
) -> None:
    pages = list((written / f"one-down/{language}").rglob("index.html"))

    for one in pages:
        html = one.read_text()
        assert html.count('<time id="as-of" datetime="2026-11-28T17:30:10.000Z">') == 1, one
        assert "minut" in html.lower()
    assert len(pages) >= 20


def test_a_month_shows_its_floored_figure_beside_coverage_against_the_promise(tmp_path: Path) -> None:
    every = sites.usual()
    every[0] = sites.component(
        "web",
        sites.WEB,
        special_months={
            0: Figure(window_ms=27 * DAY, down_ms=3 * HOUR),
            1: Figure(window_ms=31 * DAY, unmeasured_ms=31 * DAY),
            2: Figure(window_ms=30 * DAY, unmeasured_ms=3 * DAY, down_ms=1),
            3: Figure(window_ms=30 * DAY, down_ms=30 * DAY * 5 // 1_000 + 1),
        },
    )

    text = page(sites.site(every), tmp_path, "en/components/web")

    assert "November 2026 so far kept 99.537% 100.000% 99.5% 3 h" in text
    assert "October 2026 – – 0.000% 99.5% –" in text
    assert "September 2026 kept 99.999% 90.000% 99.5% 1 s" in text
    assert "August 2026 missed 99.499% 100.000% 99.5% 3 h 36 min" in text
    assert "99.537% this month so far · 100.000% measured · 99.5% promised: kept so far" in text_of(
        tmp_path, "en"
    )


def test_a_cut_stands_with_start_end_length_and_cause_in_plain_words(tmp_path: Path) -> None:
    text = page(sites.one_down(), tmp_path, "en/components/web")

    start, end = (
        "9 Nov 2026, 18:30:10 9 Nov 2026, 17:30:10 UTC",
        "9 Nov 2026, 19:17:10 9 Nov 2026, 18:17:10 UTC",
    )
    assert f"{start} {end} 47 min no answer in time" in text
    lasting = text_of(tmp_path, "en/components/api")
    assert "still going on 24 min the connection was refused and no answer in time" in lasting


def test_every_change_stands_in_its_month_with_its_times(tmp_path: Path) -> None:
    text = page(sites.one_down(), tmp_path, "en/history/2026-11")

    assert "Saturday, 28 November 2026" in text
    assert "API : down 28 Nov 2026, 18:05:10" in text
    assert "before: up · confirmed 28 Nov 2026, 18:06:10" in text
    assert "Cause: the connection was refused and no answer in time" in text
    october = text_of(tmp_path, "en/history/2026-10")
    assert "Outgoing mail : no longer measured 26 Oct 2026, 18:30:10" in october
    assert "API : down" not in october


def test_unmeasured_time_is_drawn_as_that_and_never_as_up_or_down(tmp_path: Path) -> None:
    page(sites.unmeasured(), tmp_path)

    html = (tmp_path / "en/components/mail/index.html").read_text().replace("\xa0", " ")
    whole = re.search(r"<g><title>26 Oct 2026: not measured</title>(.*?)</g>", html)
    assert whole
    assert re.findall(r'class="(\w)"', whole[1]) == ["n"]
    part = re.search(r"<g><title>24 Oct 2026: 73.333% up, down 4 h, 62.500% measured</title>(.*?)</g>", html)
    assert part
    assert re.findall(r'class="(\w)"', part[1]) == ["d", "n", "u"]


def test_the_parts_of_a_bar_fill_it_and_each_is_tall_enough_to_see(tmp_path: Path) -> None:
    figures = [
        Figure(DAY, 0, 0, 1),
        Figure(DAY, 1, 1, 1),
        Figure(DAY, 0, 0, DAY),
        Figure(DAY, 0, DAY - 1, 1),
        Figure(DAY, 8 * HOUR, 8 * HOUR, 8 * HOUR),
        Figure(DAY, DAY),
        Figure(DAY, 1, DAY - 2, 1),
    ]
    every = [sites.component("web", sites.WEB, special=dict(enumerate(figures, 1)))]

    page(sites.site(every), tmp_path)

    html = (tmp_path / "en/components/web/index.html").read_text()
    bars = re.findall(r"<g>(.*?)</g>", html)[-len(figures) - 1 :]
    for bar in bars:
        heights = [int(height) for height in re.findall(r"v(\d+)h-", bar)]
        tops = [int(top) for top in re.findall(r"M[\d.]+ (\d+)", bar)]
        assert min(heights) >= 3, bar
        assert max(top + height for top, height in zip(tops, heights, strict=True)) in (31, 32), bar


def test_days_before_anyone_watched_have_no_figure(tmp_path: Path) -> None:
    page(sites.all_up(), tmp_path)

    html = (tmp_path / "en/components/files/index.html").read_text()
    assert html.count("not yet watched</title>") == 52
    assert html.count("<tr><th scope=row>") == 38 + 2


def test_a_corrected_past_is_shown_as_corrected_wherever_it_stands(tmp_path: Path) -> None:
    text = page(sites.corrected(), tmp_path, "en/components/web")

    assert "November 2026 so far corrected" in text
    assert "16 Nov 2026 corrected 87.500%" in text
    assert "9 Nov 2026 corrected 100.000%" in text
    assert "16 Nov 2026, 18:30:10 16 Nov 2026, 17:30:10 UTC corrected" in text
    assert "a person has corrected what was measured" in text
    history = text_of(tmp_path, "en/history/2026-11")
    assert "down corrected" in history
    assert "stated by a person" in history


def test_maintenance_is_shown_announced_running_done_and_cancelled(tmp_path: Path) -> None:
    front = page(sites.maintenance(), tmp_path)

    assert front.index("Under way: Database") < front.index("Announced: Web application , API")
    assert "Done" not in front
    assert "Cancelled" not in front
    november = text_of(tmp_path, "en/history/2026-11")
    assert "Cancelled: Outgoing mail" in november
    october = text_of(tmp_path, "en/history/2026-10")
    assert "Done: Database" in october
    assert "This time counts towards uptime." in october


def test_an_incident_stands_with_all_its_updates_newest_first(tmp_path: Path) -> None:
    text = page(sites.one_down(), tmp_path, "en/incidents/i-2")

    assert text.index("a wrong firewall rule") < text.index("Since 18:05 the API")
    assert "Affects: API" in text
    front = text_of(tmp_path, "en")
    assert "a wrong firewall rule" in front
    assert "Web application did not answer" not in front
    assert "Web application did not answer" in text_of(tmp_path, "en/history/2026-11")


def test_with_many_components_the_first_page_shows_groups_and_what_is_not_up(written: Path) -> None:
    front = text_of(written / "many", "en")

    assert front.count("25 components") == 20
    assert "1 down" in front
    assert "Service 003 Down" in front
    group = text_of(written / "many", "en/groups/g3")
    assert group.count("Service ") == 25


@pytest.mark.parametrize(("n", "groups"), [(5, 1), (40, 4), (500, 20)])
def test_the_first_page_with_its_style_is_under_30_kilobytes_as_it_is_sent(
    tmp_path: Path, n: int, groups: int
) -> None:
    Pages(tmp_path).write(sites.many(n, groups))

    for language in LANGUAGES:
        html = (tmp_path / language / "index.html").read_bytes()
        sent = len(gzip.compress(html, 6)) + len(gzip.compress(stylesheet_text(), 6))
        assert sent < 30_000
        if n > 40:
            assert len(html) + len(stylesheet_text()) < 30 * 1_024


def test_a_month_with_many_changes_has_a_page_for_each_day_and_loses_none(tmp_path: Path) -> None:
    changes = tuple(
        Change(f"e{n}", "web", NOW - n * 20 * MINUTE, Condition.UP, Condition.DOWN, NOW) for n in range(1_200)
    )

    month = page(sites.site(sites.usual(), changes=changes), tmp_path, "en/history/2026-11")

    days = sorted((tmp_path / "en/history/2026-11").glob("*/index.html"))
    found = [re.findall(r'id="c-(\w+)"', day.read_text()) for day in days]
    assert sorted(one for day in found for one in day) == sorted(one.id for one in changes)
    assert "Saturday, 28 November 2026 : 56 changes" in month


def test_hostile_names_and_texts_stay_text(written: Path) -> None:
    pages = list((written / "hostile").rglob("*.html"))
    for one in pages:
        html = one.read_text()
        assert not re.search(
            r"<(script|img)|onerror=\w+\(1\)>\s*<|\{\{|\}\}\s*<script", html.replace("{{ 7 * 7 }}", "")
        ), one
        assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\u202a-\u202e\u2066-\u2069\ufffe\uffff]", html), one
    front = (written / "hostile/en/index.html").read_text()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in front
    assert "A" * 701 not in front
    assert "A" * 10_000 in (written / "hostile/en/components/h4/index.html").read_text()
    assert "{{ 7 * 7 }}" in unescape(front)


def test_what_xml_and_html_forbid_is_replaced_and_what_turns_text_is_dropped() -> None:
    assert clean("a\x00b\ud800c\ufffe\U0001ffff\x85") == "a\ufffdb\ufffdc\ufffd\ufffd\ufffd"
    assert shown("a\u202eb\u2066c\u2069") == "abc"
    assert line("a\n\n b" + "c" * 300, 10) == "a bcccccc…"


def test_the_same_site_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        Pages(tmp_path / name).write(sites.one_down())

    one, two = (
        {path.relative_to(tmp_path / name): path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in ("one", "two")
    )
    assert one == two
    assert len(one) > 100


def test_links_lead_to_files_that_are_there(written: Path) -> None:
    checked = 0
    for name in ("one-down", "maintenance", "many"):
        folder = written / name
        for one in [
            *folder.glob("index.html"),
            *folder.glob("*/index.html"),
            *folder.glob("*/[ghis]*/**/index.html"),
        ]:
            for link in re.findall(r'(?:href|src)="([^"#]+)', one.read_text()):
                if re.match(r"https?:|mailto:", link):
                    continue
                target = (one.parent / link).resolve()
                target = target / "index.html" if link.endswith("/") else target
                assert target.exists(), (one, link)
                checked += 1
    assert checked > 1_000


def test_an_answer_to_a_form_has_the_look_and_posts_only_when_a_person_agrees() -> None:
    html = answer_page(
        sites.all_up(),
        "fr",
        "Confirmer <vous>",
        ["Texte & suite"],
        AnswerForm("./x", "Oui", {"t": '"'}),
        "/s/",
    ).decode()

    assert f'href="/s/{stylesheet()}"' in html
    assert '<form class="card" method="post" action="./x">' in html
    assert '<input type="hidden" name="t" value="&#34;">' in html
    assert "Confirmer &lt;vous&gt;" in html
    assert "noindex" in html
