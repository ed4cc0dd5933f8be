"""Between records and bytes: one way to write, clear words about what cannot be read, state as it was."""

from __future__ import annotations

from datetime import date

import msgspec
import pytest

from services.sla.app.snapshots import Snapshot
from services.sla.history import History
from shared.codec import (
    Undecodable,
    compact,
    decode_credit,
    decode_fact,
    decode_line,
    decode_probe_fact,
    encode,
    encode_state,
    is_object,
    state_decoder,
    type_of,
)
from shared.facts import TargetObserved
from shared.money import Amount
from shared.time import Instant
from tests.core.telling import (
    announced,
    called_off,
    closed,
    corrected,
    november,
    published,
    started,
    terms_with,
)

DEEP = b'{"type":"ClockAdvanced","deep":' + b"[" * 100_000 + b"]" * 100_000 + b"}"


def test_what_has_no_form_on_the_log_is_not_written() -> None:
    with pytest.raises(NotImplementedError, match="object has no form on the log"):
        encode({"value": object()})


def test_what_has_no_form_on_the_log_is_not_read() -> None:
    """A field of a new kind needs its form in the codec first."""
    from shared import codec

    decoder = msgspec.json.Decoder(complex, dec_hook=codec._read)
    with pytest.raises(NotImplementedError, match="complex has no form on the log"):
        decoder.decode(b'"1"')


@pytest.mark.parametrize("value", [b"1", b"null", b"true", b"1.5", b"[]", b"{}"])
def test_an_instant_is_text(value: bytes) -> None:
    with pytest.raises(Undecodable, match=r"Expected `str`, got `\w+` - at `\$.through`"):
        decode_fact(b'{"type":"TargetObserved","target":"app","through":%s}' % value)


def test_bytes_that_are_no_text_are_refused() -> None:
    with pytest.raises(Undecodable):
        decode_fact(b'{"type":"TargetObserved","target":"\xff","through":"2026-11-01T00:00:00.000Z"}')
    with pytest.raises(Undecodable):
        decode_line(b'{"recorded_at":"\xff","fact":{}}')


def test_a_record_nested_without_end_is_refused() -> None:
    for decode in (decode_fact, decode_credit, decode_line, decode_probe_fact):
        with pytest.raises(Undecodable):
            decode(DEEP)


@pytest.mark.parametrize(
    ("data", "is_one", "kind"),
    [
        (b'{"type":"ClockAdvanced"}', True, "ClockAdvanced"),
        (b' {"a":1,"type":"Later"} ', True, "Later"),
        (b"{}", True, ""),
        (b'{"type":7}', True, ""),
        (b"[]", False, ""),
        (b"7", False, ""),
        (b"", False, ""),
        (b"{", False, ""),
        (b"\xff\xfe", False, ""),
        (b'{"type":"\xff"}', False, ""),
        (DEEP, False, ""),
    ],
    ids=range(11),
)
def test_what_claims_to_be_a_record(data: bytes, is_one: bool, kind: str) -> None:
    assert (is_object(data), type_of(data)) == (is_one, kind)


def test_compact_takes_only_the_blanks_around() -> None:
    assert compact(b' { "b" : "x  y" ,\n "a" : [ 1 , 2.50 ] } ') == b'{"b":"x  y","a":[1,2.50]}'


def test_the_same_record_is_the_same_bytes() -> None:
    fact = TargetObserved("app", Instant(0))
    assert encode(fact) == encode(decode_fact(encode(fact)))
    assert (
        encode({"at": Instant(1), "amount": Amount(-5)})
        == b'{"at":"1970-01-01T00:00:00.001Z","amount":"-0.05"}'
    )


def test_a_state_is_read_as_it_was_saved() -> None:
    """Everything a history can hold: months, credits, corrections, maintenance, terms, notices, sources."""
    story = november(("2026-11-10 00:00", "2026-11-12 00:00"), terms=terms_with(excluded=True))
    story.tell(announced("2026-11-20 00:00", "2026-11-21 00:00"), called_off("2026-11-20 12:00"))
    story.tell(corrected("2026-11-15 00:00", "2026-11-15 09:00", "down"))
    closed(story)
    story.tell(published(terms_with(), "2027", "2027-01-01", major=True), started("S-2", "A-2"))
    history = story.fold.history
    read = state_decoder(History).decode(encode_state(history))
    assert read == history
    assert type(read.subscriptions["S-1"].prices.values[0]) is Amount
    assert list(read.subscriptions["S-1"].months) == [date(2026, 11, 1)]
    snapshot = Snapshot(history, {"uptime.changes/0": (7, 1)})
    assert state_decoder(Snapshot).decode(encode_state(snapshot)) == snapshot


@pytest.mark.parametrize("data", [b"", b"\x00", b"torn", encode_state(History())[:-1]])
def test_a_torn_state_is_not_read(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        state_decoder(History).decode(data)
