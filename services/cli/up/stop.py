"""SIGINT and SIGTERM as a wish to stop in order."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Stopped(BaseException):
    """Asked to stop while something slow was under way."""


class Stop:
    """Whether one of the signals came; more of them change nothing: an orderly stop is under way."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self._break_in = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Takes both signals over for the time of the block. Main thread only."""
        before = {number: signal.signal(number, self._heard) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Within the block a signal raises Stopped wherever the program is: for what takes long."""
        self._break_in = True
        try:
            if self.asked.is_set():
                raise Stopped
            yield
        finally:
            self._break_in = False

    def _heard(self, *_: object) -> None:
        if not self.asked.is_set():
            self.asked.set()
            if self._break_in:
                self._break_in = False
                raise Stopped
