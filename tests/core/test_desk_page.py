"""The work list and a request as pages: what they show, what they never run, that all can read them."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from hashlib import sha256
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine

from services.support.settings import SupportSettings
from services.support.spans import minutes_in_words, since_or_until
from shared.time import DAY, HOUR, MINUTE
from tests.core.desk_books import NOW, TOKEN, SetClock, client, empty_desk, judged, mail, quota, served

HOSTILE = "</style></title><script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{ 7*7 }}&amp;"


class Tags(HTMLParser):
    """The tags and attributes of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.text += " "
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.text += "" if self.tags[-1:] == ["style"] else data


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    with empty_desk("sqlite", tmp_path) as found:
        yield found


@pytest.fixture
def url(engine: Engine) -> Iterator[str]:
    with served(engine, SetClock(NOW), SupportSettings()) as found:
        yield found


@pytest.fixture
def http(url: str) -> Iterator[httpx.Client]:
    with client(url) as found:
        yield found


def asked(http: httpx.Client, subject: str, **changed: str) -> str:
    body = {"account": "A-1", "severity": "down", "subject": subject, **changed}
    return str(http.post("/tickets", json=body).json()["ticket"])


def test_a_browser_asks_for_the_token_as_a_password(url: str) -> None:
    for path in ("/", "/tickets/T-1/page"):
        assert "Basic" in httpx.get(url + path, trust_env=False).headers["www-authenticate"]
        assert httpx.get(url + path, auth=("me", "wrong"), trust_env=False).status_code == 401
    assert httpx.get(url + "/", auth=("me", TOKEN), trust_env=False).status_code == 200
    assert httpx.get(url + "/tickets/T-1/page", auth=("me", TOKEN), trust_env=False).status_code == 404


def test_an_empty_desk_says_so(http: httpx.Client) -> None:
    page = Tags(http.get("/").text)
    assert "Nobody waits for a first response." in page.text
    assert "No subscription has a quota yet." in page.text
    assert "quarantine" not in page.text


def test_the_page_says_in_words_what_is_late_at_risk_left_and_waiting(
    engine: Engine, http: httpx.Client
) -> None:
    late, risky, calm = (asked(http, name) for name in ("Late", "Risky", "Calm"))
    judged(engine, late, "2026-11-27T08:00:00.000Z", "2026-11-27T07:00:00.000Z", response="missed")
    judged(engine, risky, "2026-11-27T09:20:00.000Z", "2026-11-27T08:59:00.000Z")
    judged(engine, calm, "2026-11-30T09:00:00.000Z", "2026-11-30T08:00:00.000Z")
    quota(engine, "S-1", 46, 60, 75)
    http.post(f"/tickets/{calm}/work", json={"minutes": 65})
    mail(engine)
    text = " ".join(Tags(http.get("/").text).text.split())
    for words in (
        "‼ overdue 1 h ago Fri 27.11.2026 09:00 T-000001 Late",
        "! at risk, in 20 min Fri 27.11.2026 10:20 T-000002 Risky",
        "due in 3 days Mon 30.11.2026 10:00 T-000003 Calm",
        "14 min 46 min of 1 h at 75 % 31.12.2026",
        "1 mail waits in quarantine, the oldest since Fri 27.11.2026 09:15",
        "1 h 05 min of work on 1 request nobody has classified",
    ):
        assert words in text, text
    assert text.index("Late") < text.index("Risky") < text.index("Calm")


def test_hostile_words_are_only_words(engine: Engine, http: httpx.Client) -> None:
    ticket = asked(http, HOSTILE[:300])
    number = mail(engine, subject=HOSTILE, text=HOSTILE, sender_name=HOSTILE, state="threaded", ticket=ticket)
    http.post(f"/tickets/{ticket}/work", json={"minutes": 5})
    for path in ("/", f"/tickets/{ticket}/page"):
        answer = http.get(path)
        page = Tags(answer.text)
        assert not {"script", "img", "form", "iframe", "link"} & set(page.tags)
        assert not [name for name, _ in page.attributes if name.startswith("on") or name == "style"]
        assert "alert(1)" in page.text
        assert "49" not in page.text
    assert f"message {number}" in page.text


def test_the_page_may_load_and_run_nothing_but_its_own_style(http: httpx.Client) -> None:
    answer = http.get("/")
    policy = answer.headers["content-security-policy"]
    style = re.search(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    assert style is not None
    digest = base64.b64encode(sha256(style[1].encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert "form-action 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["cache-control"] == "no-store"
    assert '<meta http-equiv="refresh" content="30">' in answer.text
    assert not re.findall(r'(?:src|href)="(?!/|#)', answer.text)


def test_a_request_shows_its_thread_letters_work_and_facts(engine: Engine, http: httpx.Client) -> None:
    http.put("/contacts/C-1", json={"account": "A-1", "addresses": ["e@example.ch"], "language": "fr"})
    ticket = asked(http, "Panne", contact="C-1")
    mail(engine, text="Toujours rien ?", state="threaded", ticket=ticket)
    http.post(f"/tickets/{ticket}/response", json={"text": "C'est réparé."})
    http.post(f"/tickets/{ticket}/work", json={"minutes": 35})
    text = " ".join(Tags(http.get(f"/tickets/{ticket}/page").text).text.split())
    for words in (
        "✓ answered",
        "Toujours rien ?",
        "C'est réparé.",
        "reply e@example.ch waiting",
        "35 min, not counted: the request is unclassified",
        "FirstResponseSent",
    ):
        assert words in text, text
    http.delete("/contacts/C-1")
    text = Tags(http.get(f"/tickets/{ticket}/page").text).text
    assert "réparé" not in text
    assert "erased" in text


def colours(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-fA-F]{3,6})", block))


def luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * one for one in colour[1:])
    parts = [int(digits[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    linear = [one / 12.92 if one <= 0.03928 else ((one + 0.055) / 1.055) ** 2.4 for one in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_every_text_has_the_contrast_of_wcag_aa_by_day_by_night_and_printed() -> None:
    style = files("services.support").joinpath("templates/desk.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    assert len(blocks) == 3
    for block in blocks:
        known = colours(block)
        pairs = [
            (ink, paper)
            for ink in ("ink", "soft", "link", "late", "risk", "good")
            for paper in ("paper", "card")
        ]
        pairs += [(ink, "late-paper") for ink in ("ink", "soft", "link", "late")]
        pairs += [(ink, "risk-paper") for ink in ("ink", "soft", "link", "risk")]
        for ink, paper in pairs:
            dark, light = sorted((luminance(known[ink]), luminance(known[paper])))
            assert (light + 0.05) / (dark + 0.05) >= 4.5, (ink, paper, known)


@pytest.mark.parametrize(
    ("minutes", "words"),
    [(0, "0 min"), (59, "59 min"), (60, "1 h"), (65, "1 h 05 min"), (-90, "−1 h 30 min")],
)
def test_minutes_in_words(minutes: int, words: str) -> None:
    assert minutes_in_words(minutes) == words


@pytest.mark.parametrize(
    ("ms", "words"),
    [
        (0, "in less than a minute"),
        (-1, "less than a minute ago"),
        (90 * MINUTE, "in 1 h 30 min"),
        (-(13 * HOUR + 59 * MINUTE), "13 h ago"),
        (47 * HOUR, "in 47 h"),
        (-2 * DAY, "2 days ago"),
    ],
)
def test_a_span_is_said_as_exactly_as_one_needs_it(ms: int, words: str) -> None:
    assert since_or_until(ms, 0) == words
