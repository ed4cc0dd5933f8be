"""Kafka's request to change single settings of topics and leave their others alone. Neither client library
has it: theirs sets back whatever it does not name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiokafka.errors import KafkaError
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int8, Int16, Int32, Schema, String
from kafka.errors import for_code
from msgspec import Struct

from shared.rights import connect
from shared.settings import KafkaSettings

_TOPIC, _SET = 2, 0


class Unalterable(Struct, frozen=True):
    """The broker does not take the settings of `topic`, because of `error`."""

    topic: str
    error: KafkaError


async def alter(
    settings: KafkaSettings, changes: Mapping[str, Mapping[str, str]], *, only_check: bool
) -> list[Unalterable]:
    """Gives topics, by their names on the broker, new settings: each topic all of its own or none. With
    `only_check` the broker changes nothing and says the same. Raises Refused, or one of
    `rights.UNREACHABLE`."""
    connection = await connect(settings)
    try:
        answer = await connection.send(_Alter(changes, only_check))
    finally:
        connection.close()
    told = ((name, code, message or "") for code, message, _, name in answer.resources)
    return [Unalterable(name, for_code(code)(message)) for name, code, message in told if code]


class _Altered(Response):  # type: ignore[misc]
    API_KEY = 44
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "resources",
            Array(
                ("error_code", Int16),
                ("error_message", String("utf-8")),
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
            ),
        ),
    )


class _Question(RequestStruct):  # type: ignore[misc]
    API_KEY = 44
    API_VERSION = 0
    RESPONSE_TYPE = _Altered
    SCHEMA = Schema(
        (
            "resources",
            Array(
                ("resource_type", Int8),
                ("resource_name", String("utf-8")),
                (
                    "configs",
                    Array(("name", String("utf-8")), ("operation", Int8), ("value", String("utf-8"))),
                ),
            ),
        ),
        ("validate_only", Boolean),
    )


class _Alter(Request[_Question]):  # type: ignore[misc]
    API_KEY = 44

    def __init__(self, changes: Mapping[str, Mapping[str, str]], only_check: bool) -> None:
        self._resources = [
            (_TOPIC, topic, [(name, _SET, value) for name, value in wanted.items()])
            for topic, wanted in changes.items()
        ]
        self._only_check = only_check

    def build(self, request_struct_class: type[_Question]) -> Any:
        """The request as it goes out."""
        return request_struct_class(self._resources, self._only_check)
