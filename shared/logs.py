"""Structured logs: one JSON object a line, readable columns on a terminal; never personal data or secrets."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

import structlog

from shared.errors import NeedsAPerson

LEVEL = "GARANT_LOG_LEVEL"
DEFAULT = "info"
_LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
}

_who: dict[str, str] = {}


class LevelUnknown(NeedsAPerson):
    """The environment names a level there is not."""


def configure(level: int | None = None) -> None:
    """Sets up this process's logs, on standard error; `level` None is what `GARANT_LOG_LEVEL` says. Libraries
    are heard from WARNING on, in the same form; what a closing consumer says of its cancelled fetches is no
    news to anyone. Raises LevelUnknown, the logs set up."""
    wanted = _LEVELS.get(os.environ.get(LEVEL, "").strip().lower() or DEFAULT)
    level = level or wanted or logging.INFO
    terminal = sys.stderr.isatty()
    of_all: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        *([] if terminal else [_add_who]),
        structlog.processors.ExceptionRenderer(
            structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        ),
    ]
    last: Any = structlog.dev.ConsoleRenderer() if terminal else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*of_all, last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    libraries = logging.StreamHandler(sys.stderr)
    libraries.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *of_all],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last],
        )
    )
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[libraries])
    for noisy in ("kafka", "aiokafka.consumer.group_coordinator"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
    if wanted is None:
        raise LevelUnknown(f"{LEVEL} is {os.environ[LEVEL]!r}: set it to {', '.join(_LEVELS)}.")


def identify(service: str, instance: str, version: str) -> None:
    """Says on every line from now on who logs; on a terminal one sees it."""
    _who.update(service=service, instance=instance, version=version)


def _add_who(logger: Any, method: str, event: Any) -> Any:
    del logger, method
    return {**event, **_who} if _who else event
