"""Processes that belong to one another: a child that ends with its starter, and whose a process id is."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def ends_with_starter() -> Callable[[], None]:
    """What to give as `preexec_fn`: on Linux the kernel then sends the child SIGTERM once its starter is
    gone, so that even `kill -9` of the starter leaves nothing running. Elsewhere a plain child, unpromised.

    The kernel means the thread that forked: start such children from the main thread.
    """
    starter = os.getpid()

    def after_fork() -> None:
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
            if os.getppid() != starter:
                os._exit(1)  # the starter died between fork and prctl

    return after_fork


def command_line(pid: int) -> str:
    """The command line of process `pid`; empty when there is none, or when it only waits to be buried."""
    proc = Path(f"/proc/{pid}/cmdline")
    if proc.parent.parent.joinpath("self").exists():
        try:
            return proc.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace").strip()
        except OSError:
            return ""
    listed = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True)
    return listed.stdout.strip()


def stop_process(process: subprocess.Popen[bytes], grace_s: float) -> int:
    """Asks with SIGTERM, insists with SIGKILL after `grace_s`; returns the exit status."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(grace_s)
        except subprocess.TimeoutExpired:
            process.kill()
    return process.wait()
