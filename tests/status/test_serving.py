"""The folder of pages over HTTP, over a real socket: as files change, to browsers, caches and programs."""

from __future__ import annotations

import gzip
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import uvicorn

from services.cli.local.ports import accepts, free_port
from services.status.serving.kept_files import Folder
from services.status.serving.public import Receive, Scope, Send, serve_folder

GARANT = str(Path(sys.executable).with_name("garant"))
HOME = "<!doctype html><title>accueil</title>" + "<p>tout va bien</p>" * 200
CSP = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'"
)


def put(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.replace(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pages = tmp_path / "pages"
    put(pages, "index.html", HOME)
    for language in ("fr", "de", "en"):
        put(pages, f"{language}/index.html", HOME + language)
    put(pages, "fr/components/app/index.html", "app")
    put(pages, "404.html", "<!doctype html><title>rien ici</title>")
    put(pages, "style.0123456789ab.css", "body{color:black}")
    put(pages, "fr/feed.atom", "<feed/>")
    put(pages, "fr/feed.rss", "<rss/>")
    put(pages, "fr/feed.json", "{}")
    put(pages, "api/v2/status.json", "{}")
    put(pages, "badge/overall.svg", "<svg/>")
    (tmp_path / "secret.html").write_text("secret")
    return pages


async def forms(scope: Scope, _receive: Receive, send: Send) -> None:
    """An application beside the files."""
    known = {"/fr/confirm/known": 200, "/fr/subscribe/": 200, "/fr/confirm/old": 404}
    status = known.get(scope["path"], 404)
    body = b"form" if scope["path"] in known else b""
    headers = [
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"max-age=9"),
        (b"x-own", b"1"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@pytest.fixture
def http(folder: Path) -> Iterator[httpx.Client]:
    application = serve_folder(Folder(folder), forms, ("/fr/confirm/",))
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(application, log_config=None, lifespan="off", server_header=False)  # type: ignore[arg-type]
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with httpx.Client(base_url=url, trust_env=False, headers={"Accept-Encoding": "identity"}) as client:
        yield client
    server.should_exit = True
    thread.join()


def raw(http: httpx.Client, request: str) -> tuple[int, str, bytes]:
    """What is answered to exactly these lines: status, head and body."""
    with socket.create_connection((http.base_url.host, http.base_url.port or 80), timeout=10) as line:
        line.sendall(f"{request}\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        data = b""
        while more := line.recv(65_536):
            data += more
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head[9:12]), head.decode(), body


def test_a_page_is_served_whole_or_compressed_and_not_at_all_to_one_who_has_it(http: httpx.Client) -> None:
    plain = http.get("/fr/")
    assert (plain.status_code, plain.text) == (200, HOME + "fr")
    assert plain.headers["Content-Type"] == "text/html; charset=utf-8"
    assert plain.headers["Cache-Control"] == (
        "public, max-age=10, stale-while-revalidate=60, stale-if-error=86400"
    )
    assert plain.headers["Vary"] == "Accept-Encoding"
    status, lines, body = raw(http, "GET /fr/ HTTP/1.1\r\nAccept-Encoding: br, gzip;q=0.5")
    assert status == 200
    assert gzip.decompress(body).decode() == plain.text
    assert len(body) < len(plain.content) / 10
    compressed = re.search(r'(?i)etag: ("[^"]+")', lines)
    assert compressed
    assert compressed[1] != plain.headers["ETag"]
    for known in (plain.headers["ETag"], compressed[1], f'W/{compressed[1]}, "other"', "*"):
        again = http.get("/fr/", headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["ETag"] == plain.headers["ETag"]
        assert again.headers["Cache-Control"] == plain.headers["Cache-Control"]
    assert http.get("/fr/", headers={"If-None-Match": '"other"'}).status_code == 200
    assert http.get("/fr/", headers={"Accept-Encoding": "gzip;q=0"}).text == plain.text
    assert raw(http, "GET /fr/ HTTP/1.1\r\nAccept-Encoding: gzip;q=0")[2] == plain.content


def test_what_is_written_anew_is_served_from_the_next_request_on(http: httpx.Client, folder: Path) -> None:
    before = http.get("/fr/").headers["ETag"]
    for number in range(20):
        put(folder, "fr/index.html", f"state {number % 10}")
        after = http.get("/fr/", headers={"If-None-Match": before})
        assert (after.status_code, after.text) == (200, f"state {number % 10}")
        before = after.headers["ETag"]
    (folder / "fr/index.html").unlink()
    assert http.get("/fr/").status_code == 404
    put(folder, "fr/index.html", "back")
    assert http.get("/fr/").text == "back"


def test_head_says_the_same_without_the_page(http: httpx.Client) -> None:
    for path in ("/fr/", "/style.0123456789ab.css", "/nothing"):
        whole, head = http.get(path), http.head(path)
        assert head.content == b""
        assert head.status_code == whole.status_code
        dated = {"date"}
        assert {k: v for k, v in head.headers.items() if k not in dated} == {
            k: v for k, v in whole.headers.items() if k not in dated
        }


@pytest.mark.parametrize(
    ("path", "kind", "open_to_all"),
    [
        ("/fr/", "text/html; charset=utf-8", False),
        ("/style.0123456789ab.css", "text/css; charset=utf-8", False),
        ("/fr/feed.atom", "application/atom+xml; charset=utf-8", True),
        ("/fr/feed.rss", "application/rss+xml; charset=utf-8", True),
        ("/fr/feed.json", "application/feed+json", True),
        ("/api/v2/status.json", "application/json", True),
        ("/badge/overall.svg", "image/svg+xml", True),
    ],
)
def test_each_kind_of_file_has_its_type_and_the_security_headers(
    http: httpx.Client, path: str, kind: str, open_to_all: bool
) -> None:
    found = http.get(path)
    assert found.headers["Content-Type"] == kind
    assert found.headers["Content-Security-Policy"] == CSP
    assert found.headers["X-Content-Type-Options"] == "nosniff"
    assert found.headers["Referrer-Policy"] == "no-referrer"
    assert "Strict-Transport-Security" not in found.headers
    assert ("Access-Control-Allow-Origin" in found.headers) is open_to_all
    if open_to_all:
        unchanged = http.get(path, headers={"If-None-Match": found.headers["ETag"]})
        assert unchanged.headers["Access-Control-Allow-Origin"] == "*"


def test_a_file_with_its_hash_in_its_name_is_kept_for_ever(http: httpx.Client) -> None:
    assert http.get("/style.0123456789ab.css").headers["Cache-Control"] == (
        "public, max-age=31536000, immutable"
    )


def test_the_first_address_goes_to_the_reader_s_language_or_shows_the_default(http: httpx.Client) -> None:
    for accepted, path in (
        ("de-CH,de;q=0.9,en;q=0.8", "/de/"),
        ("es, fr;q=0.3, en;q=0.7", "/en/"),
        ("EN-gb", "/en/"),
    ):
        found = http.get("/", headers={"Accept-Language": accepted})
        assert (found.status_code, found.headers["Location"]) == (302, path)
        assert "Accept-Language" in found.headers["Vary"]
    for accepted in ("es", "*", "it", "", "de;q=0", "de;q=x"):  # there is no page in Italian here
        found = http.get("/", headers={"Accept-Language": accepted})
        assert (found.status_code, found.text) == (200, HOME)
        assert "Accept-Language" in found.headers["Vary"]


def test_a_folder_without_its_slash_leads_to_it(http: httpx.Client) -> None:
    found = http.get("/fr/components/app")
    assert (found.status_code, found.headers["Location"]) == (308, "/fr/components/app/")


@pytest.mark.parametrize(
    "path",
    [
        "/fr/components/other/",
        "/fr/components/other",
        "/fr/components/",
        "/fr/incidents/abc/",
        "/../secret.html",
        "/fr/../../secret.html",
        "/%2e%2e/secret.html",
        "/fr/..%2f..%2fsecret.html",
        "/fr/.index.html.new",
        "/fr/\\..\\secret.html",
        "//etc/passwd",
        "/etc/passwd",
        "/fr//index.html",
        "/fr/%00",
        "/fr/index.html/",
        "/fr/index.html%0d%0ax-evil:%201",
        "/" + "a" * 5_000,
        "/%ff%fe",
        "/fr/confirm/unknown",
    ],
)
def test_whatever_does_not_exist_is_answered_alike(http: httpx.Client, folder: Path, path: str) -> None:
    put(folder, "fr/.index.html.new", "half a page")
    without_date = re.compile(r"date: [^\r]*", re.I)
    usual = raw(http, "GET /nothing HTTP/1.1")
    found = raw(http, f"GET {path} HTTP/1.1")
    assert usual[0] == 404
    assert usual[2] == (folder / "404.html").read_bytes()
    assert (found[0], without_date.sub("", found[1]), found[2]) == (
        usual[0],
        without_date.sub("", usual[1]),
        usual[2],
    )
    assert "etag" not in found[1].lower()


def test_other_methods_do_nothing_and_programs_of_other_origins_may_ask_first(http: httpx.Client) -> None:
    for path in ("/fr/", "/nothing"):
        assert http.put(path).status_code == 405
        assert http.delete(path).headers["Allow"] == "GET, HEAD, OPTIONS"
        asked = http.options(path)
        assert asked.status_code == 204
        assert asked.headers["Access-Control-Allow-Headers"] == "If-None-Match"
        assert asked.headers["Access-Control-Allow-Methods"] == "GET, HEAD"


def test_forms_answer_under_the_same_headers_and_are_never_stored(http: httpx.Client) -> None:
    for found in (http.get("/fr/confirm/known"), http.post("/fr/subscribe/", data={"email": "x"})):
        assert (found.status_code, found.text) == (200, "form")
        assert found.headers["Cache-Control"] == "no-store"
        assert found.headers["Content-Security-Policy"] == CSP
        assert found.headers["X-Own"] == "1"
    old = http.get("/fr/confirm/old")
    assert (old.status_code, old.text) == (404, "form")
    unknown = http.post("/nothing", data={"email": "x"})
    assert (unknown.status_code, unknown.text) == (404, http.get("/nothing").text)


def test_memory_has_a_bound_and_what_does_not_fit_is_served_all_the_same(folder: Path) -> None:
    for number in range(50):
        put(folder, f"en/p{number}/index.html", f"{number} " + os.urandom(2_000).hex())
    small = Folder(folder, kept_bytes=60_000)
    for _ in range(2):
        for number in range(50):
            kept = small.find(f"/en/p{number}/")
            assert kept is not None
            assert kept.plain.body.decode().startswith(f"{number} ")
            assert small._size <= 60_000
    put(folder, "en/large/index.html", os.urandom(100_000).hex())
    large = small.find("/en/large/")
    assert large is not None
    assert len(large.plain.body) == 200_000
    assert small._size <= 60_000


def test_behind_https_browsers_are_told_to_stay_there(folder: Path) -> None:
    kept = Folder(folder, secure=True).find("/fr/")
    assert kept is not None
    assert (b"strict-transport-security", b"max-age=31536000") in kept.plain.found["headers"]


def test_several_processes_serve_the_folder_each_with_what_is_new_and_a_killed_one_is_replaced(
    folder: Path, tmp_path: Path
) -> None:
    port = free_port()
    env = {
        **os.environ,
        "GARANT_HOME": str(tmp_path),
        "GARANT_STATUS_FOLDER": str(folder),
        "GARANT_STATUS_PORT": str(port),
    }
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [GARANT, "status", "web", "--workers", "2"], env=env, stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + 40
        while not accepts(port):
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        for number in range(20):
            put(folder, "fr/index.html", f"state {number}")
            found = httpx.get(f"http://127.0.0.1:{port}/fr/", trust_env=False)  # a connection each
            assert found.text == f"state {number}"
            assert "Server" not in found.headers
        listed = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True
        )
        assert len(listed.stdout.split()) >= 2
        os.kill(int(listed.stdout.split()[-1]), signal.SIGKILL)
        for _ in range(20):
            assert httpx.get(f"http://127.0.0.1:{port}/fr/", trust_env=False).status_code == 200
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()


def test_without_pages_the_server_says_what_writes_them(tmp_path: Path) -> None:
    env = {**os.environ, "GARANT_STATUS_FOLDER": str(tmp_path / "none"), "GARANT_HOME": str(tmp_path)}
    said = subprocess.run([GARANT, "status", "web"], env=env, capture_output=True, text=True, timeout=60)
    assert said.returncode == 1
    assert "`garant status serve` writes them" in said.stderr
