"""A folder on a small file system of its own (a tmpfs), to be filled to the last byte.

Mounted where this process may mount (as root); else in a user namespace of its own, which the processes that
use the disk must enter (`enter`). Where neither works the test fails and says what is missing.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

MISSING = (
    "no small file system can be mounted here. As root: {mount}. In a user namespace: {unshare}. "
    "Run the tests as root, or allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1 "
    "and kernel.apparmor_restrict_unprivileged_userns=0) and install util-linux (unshare, nsenter)."
)


class SmallDisk:
    """`folder` is the disk as its users name it, `seen` as this process sees it; `enter` stands before the
    command of whoever uses it."""

    def __init__(self, folder: Path, seen: Path, enter: Sequence[str]) -> None:
        self.folder = folder
        self.seen = seen
        self.enter = enter

    def free(self) -> int:
        """Bytes left."""
        found = os.statvfs(self.seen)
        return found.f_bavail * found.f_frsize

    def fill(self, left: int = 0) -> None:
        """Takes all room but `left` bytes."""
        with (self.seen / "ballast").open("ab") as ballast:
            if (most := self.free() - left) > 0:
                try:
                    os.posix_fallocate(ballast.fileno(), ballast.tell(), most)
                except OSError:
                    ballast.write(b"\0" * most)

    def make_room(self) -> None:
        """Gives back what `fill` took."""
        (self.seen / "ballast").unlink()


@contextmanager
def small_disk(folder: Path, megabytes: float) -> Iterator[SmallDisk]:
    """A disk of so many MB at `folder`, which is made."""
    folder.mkdir()
    size = f"size={int(megabytes * 1024)}k"
    mount = _run("mount", "-t", "tmpfs", "-o", size, "tmpfs", str(folder))
    if mount is None:
        try:
            yield SmallDisk(folder, folder, ())
        finally:
            _run("umount", "-l", str(folder))
        return
    held = subprocess.Popen(
        [
            *("unshare", "--user", "--map-root-user", "--mount", "sh", "-c"),
            'mount -t tmpfs -o "$1" tmpfs "$2" && echo mounted && exec sleep infinity',
            *("sh", size, str(folder)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        assert held.stdout is not None
        if (said := held.stdout.readline().strip()) != "mounted":
            pytest.fail(MISSING.format(mount=mount, unshare=said or "it says nothing"), pytrace=False)
        enter = ("nsenter", "--preserve-credentials", "--user", "--mount", "-t", str(held.pid))
        yield SmallDisk(folder, Path(f"/proc/{held.pid}/root{folder}"), enter)
    finally:
        held.kill()
        held.wait()


def _run(*command: str) -> str | None:
    """Runs it; None if it worked, else what it said."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    return None if done.returncode == 0 else done.stderr.strip() or f"exit status {done.returncode}"
