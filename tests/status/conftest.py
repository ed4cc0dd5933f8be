"""What the tests of the public pages look with: a real browser, the HTML checker, and pages written once."""

from __future__ import annotations

import shutil
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright
from rich.console import Console

from services.cli.local.config import BrokerSettings
from services.cli.local.jars import fetch_jars, read_lock
from services.status.pages import Pages, answer_page, stylesheet
from services.status.pages.forms import AnswerForm
from services.status.site import LANGUAGES
from tests.status import sites

POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


class _Handler(SimpleHTTPRequestHandler):
    """The files of a folder under the policy that the service sends."""

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", POLICY)
        super().end_headers()

    def log_message(self, *arguments: object) -> None:
        """Says nothing."""


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a folder for each Site of `sites.ALL`, its pages in it; and the answer to a form."""
    folder = tmp_path_factory.mktemp("pages")
    for name, make in sites.ALL.items():
        Pages(folder / name).write(make())
    for language in LANGUAGES:
        answer = answer_page(
            sites.all_up(),
            language,
            "Please confirm",
            ["Press the button."],
            AnswerForm("./", "Confirm", {"token": "abc"}),
            root="/one-down/",
        )
        (folder / f"one-down/{language}/answer.html").write_bytes(answer)
    # 404.html is served for any address: its links begin at the root.
    shutil.copy(folder / "all-up" / stylesheet(), folder)
    shutil.copy(folder / "all-up/favicon.svg", folder)
    return folder


@pytest.fixture(scope="session")
def served(written: Path) -> Iterator[str]:
    """The address at which those pages are served."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(written)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real Chromium. Its driver keeps an event loop running: no longer than one module's tests."""
    found = next((path for name in _BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.fail("no Chromium here; on Debian: apt-get install chromium", pytrace=False)
    with sync_playwright() as play:
        started = play.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="session")
def nu() -> list[Path]:
    """The jars of the Nu Html Checker."""
    settings = BrokerSettings()
    return fetch_jars(
        read_lock(Path(__file__).with_name("nu.lock")),
        settings.cache.expanduser() / "nu",
        settings.maven_url,
        Console(file=sys.__stderr__),
    )
