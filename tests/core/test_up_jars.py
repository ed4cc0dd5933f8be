"""The pinned jars of the local broker, from a real HTTP server: fetched, proved, kept, carried on with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from io import StringIO
from pathlib import Path
from threading import Thread
from typing import ClassVar

import pytest
from rich.console import Console

from services.cli.local.config import DEPLOY
from services.cli.local.jars import Jar, JarsUnavailable, fetch_jars, read_lock
from services.cli.local.ports import HOST, free_port

CONTENT = {name: name.encode() * 50_000 for name in ("alpha", "beta", "gamma")}
JARS = tuple(
    Jar("org.example", name, "1.0", hashlib.sha256(content).hexdigest(), len(content))
    for name, content in CONTENT.items()
)


class Repository(SimpleHTTPRequestHandler):
    """Files with ranges, as Maven Central has them; `breaks` says how many downloads end half-way."""

    asked: ClassVar[list[tuple[str, str | None]]] = []
    breaks: ClassVar[dict[str, int]] = {}

    def do_GET(self) -> None:
        path, wanted = Path(self.translate_path(self.path)), self.headers.get("Range")
        self.asked.append((path.name, wanted))
        if not path.is_file():
            return self.send_error(404)
        data = path.read_bytes()
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        end = len(data)
        if self.breaks.get(path.name, 0) > 0:
            self.breaks[path.name] -= 1
            end = (start + end) // 2
        self.wfile.write(data[start:end])
        self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[str]:
    """The address of a repository that has the three jars."""
    for jar in JARS:
        file = tmp_path / "repository" / jar.path
        file.parent.mkdir(parents=True)
        file.write_bytes(CONTENT[jar.artifact])
    Repository.asked.clear()
    Repository.breaks.clear()
    server = ThreadingHTTPServer((HOST, 0), partial(Repository, directory=str(tmp_path / "repository")))
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://{HOST}:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def fetch(cache: Path, repository: str, jars: tuple[Jar, ...] = JARS) -> list[Path]:
    return fetch_jars(jars, cache, repository, Console(file=StringIO()))


def test_the_committed_lock_pins_the_broker() -> None:
    jars = read_lock(DEPLOY / "jars.lock")
    assert ("org.apache.kafka", "kafka_2.13", "4.3.1") in {
        (jar.group, jar.artifact, jar.version) for jar in jars
    }
    assert len({jar.name for jar in jars}) == len(jars)


@pytest.mark.parametrize("line", ["a:b:1 00 5", "a:b 00 5", f"a:b:1 {'0' * 64}", f"a:b:1 {'0' * 64} x"])
def test_a_line_of_the_lock_that_is_wrong_is_named(tmp_path: Path, line: str) -> None:
    lock = tmp_path / "jars.lock"
    lock.write_text(f"# a comment\n\n{line}\n")
    with pytest.raises(JarsUnavailable, match=r"line 3 is no `group:artifact:version sha256 bytes`"):
        read_lock(lock)


def test_what_is_there_and_proved_is_not_fetched_again(tmp_path: Path, repository: str) -> None:
    files = fetch(tmp_path / "cache", repository)
    assert [file.read_bytes() for file in files] == list(CONTENT.values())
    Repository.asked.clear()
    assert fetch(tmp_path / "cache", repository) == files
    assert Repository.asked == []


def test_a_damaged_file_is_fetched_anew(tmp_path: Path, repository: str) -> None:
    """Same size, one byte other: only the checksum sees it."""
    first, *_ = fetch(tmp_path / "cache", repository)
    data = bytearray(first.read_bytes())
    data[1_000] ^= 1
    first.write_bytes(data)
    Repository.asked.clear()
    assert fetch(tmp_path / "cache", repository)[0].read_bytes() == CONTENT["alpha"]
    assert [name for name, _ in Repository.asked] == ["alpha-1.0.jar"]


def test_a_download_that_breaks_off_is_carried_on(tmp_path: Path, repository: str) -> None:
    """The second request asks for the rest only."""
    Repository.breaks["beta-1.0.jar"] = 1
    fetch(tmp_path / "cache", repository)
    ranges = [wanted for name, wanted in Repository.asked if name == "beta-1.0.jar"]
    assert ranges[0] is None
    assert ranges[1:] == [f"bytes={len(CONTENT['beta']) // 2}-"]


def test_a_later_command_carries_on_too(tmp_path: Path, repository: str) -> None:
    """Given up after several tries; what arrived is kept for the next command."""
    Repository.breaks["beta-1.0.jar"] = 4
    with pytest.raises(JarsUnavailable, match="What arrived is kept"):
        fetch(tmp_path / "cache", repository)
    Repository.asked.clear()
    fetch(tmp_path / "cache", repository)
    assert any(wanted for name, wanted in Repository.asked if name == "beta-1.0.jar")


def test_a_file_that_is_not_the_pinned_one_is_never_used(tmp_path: Path, repository: str) -> None:
    (tmp_path / "repository" / JARS[2].path).write_bytes(b"x" * JARS[2].size)
    with pytest.raises(JarsUnavailable, match=r"not the file that deploy/kafka/jars\.lock pins"):
        fetch(tmp_path / "cache", repository)
    assert not list((tmp_path / "cache").glob("*gamma*"))


def test_a_repository_without_the_file_is_asked_once(tmp_path: Path, repository: str) -> None:
    missing = Jar("org.example", "delta", "1.0", "0" * 64, 5)
    with pytest.raises(JarsUnavailable, match=r"404.*GARANT_MAVEN_URL"):
        fetch(tmp_path / "cache", repository, (missing,))
    assert len(Repository.asked) == 1


def test_offline_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(JarsUnavailable, match=r"(?s)connect to the internet.*GARANT_KAFKA_BOOTSTRAP"):
        fetch(tmp_path / "cache", f"http://{HOST}:{free_port()}")
