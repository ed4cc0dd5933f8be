"""Between structs and bytes: one JSON object a record, the same bytes for the same record, always."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from shared.facts import Fact, ProbeFact
from shared.money import Amount, format_amount, parse_amount
from shared.outcomes import Credit, JournalEntry, KnownEntry, Outcome, ReplayLine
from shared.time import Instant, format_instant, parse_instant

T = TypeVar("T")

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What bytes of any kind can do to a decoder."""


class Undecodable(ValueError):
    """Bytes that are no record of ours; the message says what is wrong with them."""


def _write(value: object) -> str:
    if type(value) is Instant:
        return format_instant(value)
    if isinstance(value, Amount):
        return format_amount(value)
    raise NotImplementedError(f"{type(value).__name__} has no form on the log")


def _read(kind: type, value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError(f"Expected `str`, got `{type(value).__name__}`")
    if kind is Instant:
        return parse_instant(value)
    if kind is Amount:
        return parse_amount(value)
    raise NotImplementedError(f"{kind.__name__} has no form on the log")


_encoder = msgspec.json.Encoder(enc_hook=_write)
_fact = msgspec.json.Decoder(Fact, dec_hook=_read)
_probe_fact = msgspec.json.Decoder(ProbeFact, dec_hook=_read)
_outcome = msgspec.json.Decoder(Outcome, dec_hook=_read)
_credit = msgspec.json.Decoder(Credit, dec_hook=_read)
_known_entry = msgspec.json.Decoder(KnownEntry, dec_hook=_read)
_entry = msgspec.json.Decoder(JournalEntry, dec_hook=_read)
_line = msgspec.json.Decoder(ReplayLine, dec_hook=_read)
_any = msgspec.json.Decoder()


def encode(record: Any) -> bytes:
    """The bytes of a fact, an outcome or a journal entry: compact JSON, `type` first, fields in order."""
    return _encoder.encode(record)


def decode_fact(data: bytes | msgspec.Raw) -> Fact:
    """The fact in `data`. Raises Undecodable: no JSON, an unknown type, a missing or wrong field."""
    return _decode(_fact, data)  # type: ignore[no-any-return]


def decode_probe_fact(data: bytes | msgspec.Raw) -> ProbeFact:
    """`decode_fact` for the two facts of probe.results, the hot path. Raises Undecodable."""
    try:
        return _probe_fact.decode(data)  # type: ignore[no-any-return]
    except _UNREADABLE as error:
        raise Undecodable(str(error)) from None


def decode_outcome(data: bytes) -> Outcome:
    """The outcome in `data`. Raises Undecodable."""
    return _decode(_outcome, data)  # type: ignore[no-any-return]


def decode_credit(data: bytes) -> Credit:
    """The credit in `data` (topic sla.credits). Raises Undecodable."""
    return _decode(_credit, data)  # type: ignore[no-any-return]


def decode_entry(data: bytes) -> JournalEntry:
    """The journal entry in `data`; its fact stays the bytes it was. Raises Undecodable."""
    return _decode(_entry, data)  # type: ignore[no-any-return]


def decode_known_entry(data: bytes) -> KnownEntry | None:
    """The journal entry in `data` with its fact, where both are in order; else None, and `decode_entry` and
    `decode_fact` tell what is not."""
    try:
        return _known_entry.decode(data)
    except _UNREADABLE:
        return None


def decode_line(data: bytes) -> ReplayLine:
    """A line of a replay file. Raises Undecodable."""
    return _decode(_line, data)  # type: ignore[no-any-return]


def is_object(data: bytes) -> bool:
    """Whether `data` is one JSON object: enough for a place in the journal, even if it is rejected there."""
    try:
        return isinstance(_any.decode(data), dict)
    except _UNREADABLE:
        return False


def encode_state(state: Any) -> bytes:
    """A fold's state as a service keeps it: msgpack; instants and amounts are plain integers in it, and what
    has a form to be kept in gives that as `kept`."""
    return _state_encoder.encode(state)


def state_decoder(kind: type[T]) -> msgspec.msgpack.Decoder[T]:
    """Reads what `encode_state` wrote of a `kind`. Its `decode` raises msgspec.DecodeError."""
    return msgspec.msgpack.Decoder(kind, dec_hook=lambda wanted, value: wanted(value))


def _keep(value: Any) -> Any:
    return int(value) if isinstance(value, int) else value.kept


_state_encoder = msgspec.msgpack.Encoder(enc_hook=_keep)


class _Typed(msgspec.Struct):
    type: str = ""


_typed = msgspec.json.Decoder(_Typed)


def type_of(data: bytes | msgspec.Raw) -> str:
    """The `type` a record claims to be; empty where it claims none."""
    try:
        return _typed.decode(data).type
    except _UNREADABLE:
        return ""


def compact(data: bytes | msgspec.Raw) -> bytes:
    """The same JSON without the blanks around it, fields in the order they were said."""
    return msgspec.json.format(bytes(data), indent=-1)


def _decode(decoder: msgspec.json.Decoder[Any], data: bytes | msgspec.Raw) -> Any:
    try:
        return decoder.decode(data)
    except _UNREADABLE as error:
        raise Undecodable(str(error)) from None
