"""A folder on a small file system of its own (a tmpfs), to be filled to the last byte.

It is mounted where this process may mount (as root). Where it may not, `mounted` runs the test once more in a
user namespace, in which it may. Where that does not work either the test fails and says what is missing.
"""

from __future__ import annotations

import errno
import functools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

import pytest

T = TypeVar("T", bound=Callable[..., None])

_INSIDE: Final = "GARANT_TEST_IN_NAMESPACE"
_NAMESPACE: Final = ("unshare", "--user", "--map-root-user", "--mount")
_MISSING: Final = (
    "no small file system can be mounted here. As the tests' user: {mount}. In a user namespace: {unshare}. "
    "Run the tests as root, or allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1 "
    "and kernel.apparmor_restrict_unprivileged_userns=0) and install util-linux, which has unshare."
)


class SmallDisk:
    """The disk at `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self) -> None:
        """Takes all room there is."""
        with (self.folder / "ballast").open("ab") as ballast:
            while left := _left(self.folder):
                try:
                    os.posix_fallocate(ballast.fileno(), os.fstat(ballast.fileno()).st_size, left)
                except OSError as error:
                    if error.errno != errno.ENOSPC:  # somebody else wrote meanwhile
                        raise

    def make_room(self) -> None:
        """Gives back what `fill` took."""
        (self.folder / "ballast").unlink()


def _left(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize


class NotMounted(SmallDisk):
    """No disk: this process may not mount, and that is `why`."""

    def __init__(self, folder: Path, why: str) -> None:
        super().__init__(folder)
        self.why = why


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """A disk of so many MB at `folder`, which is made."""
    folder.mkdir()
    why = _run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder))
    if why is not None:
        yield NotMounted(folder, why)
        return
    try:
        yield SmallDisk(folder)
    finally:
        _run("umount", "-l", str(folder))


def mounted(test: T) -> T:
    """A test with the fixtures `disk` (of `small_disk`) and `request`: it runs where there is a disk."""

    @functools.wraps(test)
    def run(*args: Any, disk: SmallDisk, request: pytest.FixtureRequest, **told: Any) -> None:
        if not isinstance(disk, NotMounted):
            test(*args, disk=disk, request=request, **told)
            return
        unshare = "it may not mount there either" if _INSIDE in os.environ else _run(*_NAMESPACE, "true")
        if unshare is not None:
            pytest.fail(_MISSING.format(mount=disk.why, unshare=unshare), pytrace=False)
        command = (*_NAMESPACE, sys.executable, "-m", "pytest", request.node.nodeid)
        env = {**os.environ, _INSIDE: "1", "GARANT_TEST_MAIL": "python"}  # it is no root for Postfix
        done = subprocess.run(command, cwd=request.config.rootpath, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-5_000:] + done.stderr[-2_000:]

    return run  # type: ignore[return-value]


def _run(*command: str) -> str | None:
    """Runs it; None if it worked, else what it said."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return str(error)
    return None if done.returncode == 0 else done.stderr.strip() or f"exit status {done.returncode}"
