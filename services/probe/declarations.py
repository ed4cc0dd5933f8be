"""TargetDeclared: what the configuration says of a target, published when it differs from last time."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import structlog

from services.probe.config import Configuration, Target
from shared.codec import encode
from shared.facts import Check, TargetDeclared
from shared.failpoints import reach
from shared.time import Instant

log = structlog.get_logger()


def declaration(configuration: Configuration, target: Target, at_ms: int) -> TargetDeclared:
    """The fact that declares `target` as configured, said at `at_ms`."""
    return TargetDeclared(
        target=target.target,
        name=target.name,
        interval_s=target.interval_s,
        checks=tuple(Check(check.check, check.required) for check in target.checks),
        locations=configuration.locations_of(target),
        confirm_down=target.confirm_down,
        confirm_up=target.confirm_up,
        at=Instant(at_ms),
    )


class Declarations:
    """What this agent declared last, remembered in the file `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._said: dict[str, str] = {}
        try:
            found = json.loads(path.read_text("utf-8"))
            self._said = {str(target): str(text) for target, text in dict(found).items()}
        except FileNotFoundError:
            pass
        except (OSError, ValueError, TypeError):
            log.warning("declarations.unreadable", file=path.name, all_targets="declared again")

    def due(self, configuration: Configuration, location: str, at_ms: int) -> list[TargetDeclared]:
        """The declarations that differ from the last ones, for the targets probed from `location`."""
        found = []
        for target in configuration.targets:
            if location not in configuration.locations_of(target):
                continue
            fact = declaration(configuration, target, at_ms)
            if self._said.get(target.target) != _said(fact):
                found.append(fact)
        return found

    def remember(self, facts: list[TargetDeclared]) -> None:
        """Notes that `facts` can no longer be lost. A disk that fails only means they are said again."""
        reach("probe.declared.settled")
        self._said.update({fact.target: _said(fact) for fact in facts})
        beside = self._path.with_suffix(".new")
        try:
            beside.write_text(json.dumps(self._said, sort_keys=True, indent=0), "utf-8")
            reach("probe.declared.written")
            beside.replace(self._path)
            reach("probe.declared.remembered")
        except OSError as error:
            log.error("declarations.not_kept", reason=error.strerror)

    def forget(self) -> None:
        """Makes every declaration due again."""
        self._said.clear()


def _said(fact: TargetDeclared) -> str:
    """All of it but when it was said."""
    return encode(msgspec.structs.replace(fact, at=Instant(0))).decode()
