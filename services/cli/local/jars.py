"""The jars of the local broker: named and pinned by a lock file, fetched once, proved by checksum."""

from __future__ import annotations

import fcntl
import hashlib
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

import httpx
from msgspec import Struct
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TransferSpeedColumn

from shared.errors import NeedsAPerson

AT_ONCE = 6
TRIES = 4


class JarsUnavailable(NeedsAPerson):
    """The broker's jars could not be had; the message says what to do."""


class Jar(Struct, frozen=True):
    """One line of the lock: Maven's coordinates, the SHA-256 of the file in hex, its size in bytes."""

    group: str
    artifact: str
    version: str
    sha256: str
    size: int

    @property
    def name(self) -> str:
        """The file's name in the cache; the group keeps equal artifacts of two groups apart."""
        return f"{self.group}.{self.artifact}-{self.version}.jar"

    @property
    def path(self) -> str:
        """Where Maven's layout has it, below the repository's address."""
        folder = self.group.replace(".", "/")
        return f"{folder}/{self.artifact}/{self.version}/{self.artifact}-{self.version}.jar"


def read_lock(lock: Path) -> tuple[Jar, ...]:
    """The jars of a lock file of `group:artifact:version sha256 bytes` lines. Raises JarsUnavailable."""
    try:
        text = lock.read_text()
    except OSError as error:
        raise JarsUnavailable(
            f"{lock} cannot be read ({error.strerror}): run Garant from a clone of its repository, "
            "or set GARANT_KAFKA_BOOTSTRAP to a Kafka broker you have."
        ) from error
    jars = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            coordinates, sha256, size = line.split()
            group, artifact, version = coordinates.split(":")
            if len(bytes.fromhex(sha256)) != 32:
                raise ValueError(sha256)
            jars.append(Jar(group, artifact, version, sha256, int(size)))
        except ValueError:
            raise JarsUnavailable(
                f"{lock} line {number} is no `group:artifact:version sha256 bytes`: {line}"
            ) from None
    return tuple(jars)


def fetch_jars(jars: tuple[Jar, ...], cache: Path, repository: str, console: Console) -> list[Path]:
    """The files of `jars` in `cache`, each of them proved; what is missing or damaged is downloaded.

    A download that broke off is carried on with. Raises JarsUnavailable.
    """
    cache.mkdir(parents=True, exist_ok=True)
    with _alone(cache):
        missing = [jar for jar in jars if not _proved(cache / jar.name, jar)]
        if missing:
            _download_all(missing, cache, repository, console)
    return [cache / jar.name for jar in jars]


@contextmanager
def _alone(cache: Path) -> Iterator[None]:
    with (cache / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _proved(file: Path, jar: Jar) -> bool:
    if not file.is_file() or file.stat().st_size != jar.size:
        return False
    with file.open("rb") as data:
        return hashlib.file_digest(data, "sha256").hexdigest() == jar.sha256


def _download_all(missing: list[Jar], cache: Path, repository: str, console: Console) -> None:
    total = sum(jar.size for jar in missing)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    if not console.is_terminal:
        console.print(
            f"fetching {len(missing)} jars of Apache Kafka, {total / 1e6:.0f} MB, from {repository}"
        )
    # The machine's own certificate authorities count too: many offices look into TLS.
    trust = httpx.create_ssl_context()
    trust.load_default_certs()
    with (
        Progress(*columns, console=console, disable=not console.is_terminal) as progress,
        httpx.Client(verify=trust, follow_redirects=True, timeout=30) as client,
        ThreadPoolExecutor(AT_ONCE) as pool,
    ):
        task = progress.add_task(f"Apache Kafka ({len(missing)} jars)", total=total)
        work = [pool.submit(_download, client, jar, cache, repository, progress, task) for jar in missing]
        try:
            for done in as_completed(work):
                done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _download(
    client: httpx.Client, jar: Jar, cache: Path, repository: str, progress: Progress, task: TaskID
) -> None:
    url = f"{repository.rstrip('/')}/{jar.path}"
    part = cache / (jar.name + ".part")
    for attempt in range(1, TRIES + 1):
        try:
            _carry_on(client, url, part, jar.size)
            break
        except httpx.HTTPError as error:
            refused = isinstance(error, httpx.HTTPStatusError) and error.response.status_code < 500
            if refused or attempt == TRIES:
                raise JarsUnavailable(
                    f"Could not download {url}: {error or type(error).__name__}. What arrived is kept: "
                    "connect to the internet and run this again, or set GARANT_MAVEN_URL to a mirror of "
                    "Maven Central, or set GARANT_KAFKA_BOOTSTRAP to a Kafka broker you have."
                ) from error
    if not _proved(part, jar):
        part.unlink()
        raise JarsUnavailable(
            f"{url} is not the file that deploy/kafka/jars.lock pins (its SHA-256 differs); it was removed. "
            "Run this again; if it stays so, the mirror or a proxy on the way changes files."
        )
    part.replace(cache / jar.name)
    progress.advance(task, jar.size)


def _carry_on(client: httpx.Client, url: str, part: Path, size: int) -> None:
    have = part.stat().st_size if part.exists() else 0
    if have > size:
        part.unlink()
        have = 0
    if have == size:
        return
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with client.stream("GET", url, headers=headers) as answer:
        answer.raise_for_status()
        carries_on = answer.status_code == httpx.codes.PARTIAL_CONTENT
        with part.open("ab" if carries_on else "wb") as file:
            for chunk in answer.iter_raw():
                file.write(chunk)


def main(lock: str, folder: str) -> None:
    """Fetches the jars of a lock file into a folder, as an image is built."""
    fetch_jars(read_lock(Path(lock)), Path(folder), "https://repo1.maven.org/maven2", Console())


if __name__ == "__main__":
    main(*sys.argv[1:])
