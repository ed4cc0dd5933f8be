"""Brings the topics of a broker to the registry: everything is checked before the first change, by the broker
itself too, so that a mistake changes nothing at all."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Any

from kafka import KafkaAdminClient
from kafka.errors import (
    ClusterAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from services.cli.topics.altering import Unalterable, alter
from services.cli.topics.planning import Difference, Plan, plan
from shared.errors import NeedsAPerson
from shared.rights import HOW, not_allowed
from shared.security import blocking_arguments, identity
from shared.settings import KafkaSettings
from shared.topic_admin import look, may_not_create, new_topic, settings_of_topics
from shared.topics import Topic


class CannotApply(NeedsAPerson):
    """The topics cannot be brought to the registry; nothing was changed. A line for each reason."""


class ChangedMeanwhile(NeedsAPerson):
    """What was checked is not so any more: somebody else works on the topics."""


def prepare(settings: KafkaSettings) -> Plan:
    """What is to be done, checked with the broker; changes nothing. Raises CannotApply, TopicsMissing,
    Refused, and one of `rights.UNREACHABLE`."""
    layout = asyncio.run(look(settings))
    found = plan(settings, layout, _settings_now(settings, list(layout.topics)))
    if found.refusals:
        raise CannotApply("\n".join([*found.refusals, "Nothing was changed."]))
    _make(settings, found.make, only_check=True)
    if wrong := _change(settings, found.change, only_check=True):
        raise CannotApply(_told(settings, found, wrong))
    return found


def carry_out(settings: KafkaSettings, found: Plan) -> None:
    """Does what `prepare` found. Raises ChangedMeanwhile, and what `prepare` does; run again it goes on where
    it was."""
    _make(settings, found.make, only_check=False)
    if wrong := _change(settings, found.change, only_check=False):
        raise ChangedMeanwhile(
            f"The broker at {settings.bootstrap} no longer takes the settings of "
            f"{', '.join(one.topic for one in wrong)}: {wrong[0].error}. Look what else changes topics, and "
            "run this again."
        )


def _settings_now(settings: KafkaSettings, names: list[str]) -> dict[str, dict[str, str]]:
    try:
        return settings_of_topics(settings, names)
    except TopicAuthorizationFailedError as error:
        raise not_allowed(settings, "describe the settings of topics") from error


def _make(settings: KafkaSettings, topics: Sequence[Topic], *, only_check: bool) -> None:
    if not topics:
        return
    admin: Any = KafkaAdminClient(**blocking_arguments(settings))
    try:
        admin.create_topics([new_topic(settings, topic) for topic in topics], validate_only=only_check)
    except (TopicAuthorizationFailedError, ClusterAuthorizationFailedError) as error:
        raise may_not_create(settings, topics) from error
    except KafkaError as error:
        why = f"The broker at {settings.bootstrap} does not make the topics: {_reason(error)}."
        if only_check:
            raise CannotApply(f"{why} Nothing was changed.") from error
        raise ChangedMeanwhile(f"{why} Mend that and run this again: it goes on where it was.") from error
    finally:
        admin.close()


def _change(
    settings: KafkaSettings, differences: Sequence[Difference], *, only_check: bool
) -> list[Unalterable]:
    wanted: dict[str, dict[str, str]] = {}
    for one in differences:
        wanted.setdefault(one.topic, {})[one.setting] = one.wanted
    return asyncio.run(alter(settings, wanted, only_check=only_check)) if wanted else []


def _told(settings: KafkaSettings, found: Plan, wrong: list[Unalterable]) -> str:
    if all(isinstance(one.error, TopicAuthorizationFailedError) for one in wrong):
        changes = ", ".join(f"{one.topic} {one.setting} {one.now} -> {one.wanted}" for one in found.change)
        return (
            f"The broker at {settings.bootstrap} does not allow {identity(settings)} to change settings of "
            f"topics: {changes}. Run `garant topics apply` as a super user; {HOW}. Nothing was changed."
        )
    lines = [f"Topic {one.topic}: the broker refuses its settings: {one.error}." for one in wrong]
    return "\n".join([*lines, "Nothing was changed."])


def _reason(error: KafkaError) -> str:
    """What the broker said; the client library puts it into a copy of question and answer."""
    said = re.search(r"error_message=(['\"])(.+?)\1", str(error))
    return f"{type(error).__name__}, {said[2].rstrip('.')}" if said else type(error).__name__
