"""What is noted of letters, and how doubt about one is resolved, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection, Engine, select, update
from sqlalchemy.exc import IntegrityError

from shared.database import writing
from shared.mail.bounces import Bounce
from shared.mail.doubt import Markers, doubt_all, resolve
from shared.mail.letters import (
    MARKER,
    Listed,
    bounced,
    copy_seen,
    counts,
    forget,
    listing,
    mark_accepted,
    put,
    resend,
)
from shared.mail.reading import read
from shared.time import Instant
from tests.core.billing_books import KINDS, SetClock
from tests.mail.outboxes import COPY, FROM, empty_outbox, letter, letters

MARKERS = Markers(FROM, COPY, settle_ms=60_000, again_ms=600_000)
ONE = letter("one")


@pytest.fixture(params=KINDS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    with empty_outbox(request.param, tmp_path) as found:
        yield found


@pytest.fixture
def books(engine: Engine) -> Iterator[Connection]:
    with writing(engine) as connection:
        yield connection


class Clock(SetClock):
    def later(self, ms: int) -> Instant:
        self.now = Instant(self.now + ms)
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def sending(books: Connection, clock: Clock, copy_to: str | None = COPY, state: str = "sending") -> None:
    """Letter one as it is while it is being sent."""
    put(books, letters, ONE, clock)
    attempt = {"state": state, "attempts": 1, "copy_to": copy_to, "doubted_at": clock()}
    books.execute(update(letters).where(letters.c.id == ONE.id).values(**attempt))


def shown(books: Connection) -> Listed:
    (found,) = listing(books, letters)
    return found


def markers(books: Connection) -> list[str]:
    c = letters.c
    return list(books.scalars(select(c.message_id).where(c.purpose == MARKER).order_by(c.created_at)))


def see(books: Connection, clock: Clock, message_id: str) -> None:
    """A marker went out, and its copy came."""
    c = letters.c
    books.execute(update(letters).where(c.message_id == message_id).values(state="accepted", attempts=1))
    assert copy_seen(books, letters, message_id, clock)


def test_the_same_id_is_put_once_and_a_message_id_belongs_to_one_letter(engine: Engine, clock: Clock) -> None:
    with writing(engine) as books:
        assert put(books, letters, ONE, clock)
        assert not put(books, letters, letter("one", "eve@evil.example", text="other"), clock)
        assert shown(books).recipient == ONE.recipient
    with pytest.raises(IntegrityError), writing(engine) as books:
        put(books, letters, type(ONE)("letter/two", "letter", "a@b.ch", ONE.message_id, b""), clock)


def test_what_was_being_sent_at_the_start_is_doubtful(books: Connection, clock: Clock) -> None:
    sending(books, clock)
    put(books, letters, letter("two"), clock)
    assert doubt_all(books, letters, clock()) == 1
    assert {state: n for state, n in counts(books, letters).items() if n} == {"doubtful": 1, "waiting": 1}


@pytest.mark.parametrize("state", ["sending", "doubtful", "waiting", "refused"])
def test_a_copy_tells_that_the_relay_had_it(books: Connection, clock: Clock, state: str) -> None:
    sending(books, clock, state=state)
    assert copy_seen(books, letters, ONE.message_id, clock)
    assert (shown(books).state, shown(books).copy_seen_at) == ("accepted", clock())


def test_a_copy_of_what_was_never_sent_is_forged(books: Connection, clock: Clock) -> None:
    put(books, letters, ONE, clock)
    assert copy_seen(books, letters, ONE.message_id, clock)
    assert (shown(books).state, shown(books).copy_seen_at) == ("waiting", None)
    assert not copy_seen(books, letters, "<nobody@garant.example>", clock)


def test_a_copy_read_again_says_nothing_of_a_later_sending(books: Connection, clock: Clock) -> None:
    sending(books, clock)
    copy_seen(books, letters, ONE.message_id, clock)
    bounced(books, letters, Bounce(ONE.message_id, None, "5.1.1", True, "no such user"), clock)
    assert resend(books, letters, ONE.id, clock)
    books.execute(update(letters).values(state="doubtful"))
    copy_seen(books, letters, ONE.message_id, clock)
    assert shown(books).state == "doubtful"
    resolve(books, letters, MARKERS, clock())
    assert markers(books) == []  # no machine can tell: a person must


def test_doubt_ends_when_two_markers_came_and_no_copy(books: Connection, clock: Clock) -> None:
    sending(books, clock, state="doubtful")
    assert resolve(books, letters, MARKERS, clock()) == []
    (first,) = markers(books)
    assert resolve(books, letters, MARKERS, clock.later(1_000)) == []
    assert markers(books) == [first]
    see(books, clock, first)
    assert resolve(books, letters, MARKERS, clock.later(59_000)) == []
    assert markers(books) == [first]
    assert resolve(books, letters, MARKERS, clock.later(1_000)) == []
    _, second = markers(books)
    assert resolve(books, letters, MARKERS, clock.later(100_000)) == []
    see(books, clock, second)
    assert resolve(books, letters, MARKERS, clock()) == [ONE.id]
    assert (shown(books).state, shown(books).next_attempt_at) == ("waiting", clock())
    resolve(books, letters, MARKERS, clock())
    assert markers(books) == []


def test_a_copy_that_comes_in_the_time_to_settle_ends_the_doubt(books: Connection, clock: Clock) -> None:
    sending(books, clock, state="doubtful")
    resolve(books, letters, MARKERS, clock())
    see(books, clock, markers(books)[0])
    copy_seen(books, letters, ONE.message_id, clock)
    assert resolve(books, letters, MARKERS, clock.later(200_000)) == []
    assert shown(books).state == "accepted"


def test_a_way_that_was_down_for_an_hour_gets_an_hour_to_settle(books: Connection, clock: Clock) -> None:
    sending(books, clock, state="doubtful")
    resolve(books, letters, MARKERS, clock())
    (first,) = markers(books)
    clock.later(3_600_000)
    see(books, clock, first)
    resolve(books, letters, MARKERS, clock.later(3_599_000))
    assert markers(books) == [first]
    resolve(books, letters, MARKERS, clock.later(1_000))
    assert len(markers(books)) == 2


def test_a_marker_that_does_not_come_is_sent_again(books: Connection, clock: Clock) -> None:
    sending(books, clock, state="doubtful")
    resolve(books, letters, MARKERS, clock())
    books.execute(update(letters).where(letters.c.purpose == MARKER).values(state="accepted", attempts=1))
    resolve(books, letters, MARKERS, clock.later(599_000))
    assert len(markers(books)) == 1
    resolve(books, letters, MARKERS, clock.later(1_000))
    assert len(markers(books)) == 2
    assert shown(books).state == "doubtful"


def test_a_marker_made_before_the_doubt_tells_nothing(books: Connection, clock: Clock) -> None:
    sending(books, clock, state="doubtful")
    resolve(books, letters, MARKERS, clock())
    see(books, clock, markers(books)[0])
    books.execute(update(letters).where(letters.c.id == ONE.id).values(doubted_at=clock.later(1)))
    assert resolve(books, letters, MARKERS, clock.later(1)) == []
    assert len(markers(books)) == 2


@pytest.mark.parametrize("copy_to", [None, "elsewhere@garant.example"])
def test_without_a_copy_to_the_mailbox_watched_now_a_person_decides(
    books: Connection, clock: Clock, copy_to: str | None
) -> None:
    sending(books, clock, copy_to, state="doubtful")
    resolve(books, letters, MARKERS, clock.later(10_000_000))
    assert markers(books) == []
    assert shown(books).state == "doubtful"
    assert mark_accepted(books, letters, ONE.id, clock)
    assert not resend(books, letters, ONE.id, clock)


def test_a_marker_is_a_mail_of_ours_that_nobody_answers(books: Connection, clock: Clock) -> None:
    sending(books, clock, state="doubtful")
    resolve(books, letters, MARKERS, clock())
    data = books.scalars(select(letters.c.data).where(letters.c.purpose == MARKER)).one()
    mail = read(data, own_domain="garant.example")
    assert (mail.own, mail.automatic, mail.recipients) == (True, "auto-generated", (COPY,))
    assert sum(counts(books, letters).values()) == 1


def test_a_bounce_is_noted_a_delay_is_only_said(books: Connection, clock: Clock) -> None:
    late = Bounce(ONE.message_id, None, "4.4.1", False, "no answer")
    put(books, letters, ONE, clock)
    assert bounced(books, letters, late, clock) is None  # nothing was sent that could bounce
    sending(books, clock, state="accepted")
    assert bounced(books, letters, late, clock) == ONE.id
    assert (shown(books).state, shown(books).reason) == ("accepted", "delayed: 4.4.1 no answer")
    failed = Bounce(ONE.message_id, None, "5.1.1", True, "no such user")
    assert bounced(books, letters, failed, clock) == ONE.id
    assert (shown(books).state, shown(books).bounced_at) == ("bounced", clock())
    assert bounced(books, letters, Bounce("<x@y>", None, "5.0.0", True, ""), clock) is None


def test_who_is_forgotten_leaves_neither_address_nor_text(books: Connection, clock: Clock) -> None:
    sending(books, clock, state="doubtful")
    put(books, letters, letter("two"), clock)
    put(books, letters, letter("three", contact="bob"), clock)
    assert forget(books, letters, "anna") == 2
    assert forget(books, letters, "anna") == 0
    found = {one.id: (one.state, one.recipient) for one in listing(books, letters)}
    assert found == {
        "letter/one": ("doubtful", None),
        "letter/two": ("forgotten", None),
        "letter/three": ("waiting", "anna@demo.example"),
    }
    kept = books.scalars(select(letters.c.data).where(letters.c.contact == "anna")).all()
    assert kept == [None, None]
    resolve(books, letters, MARKERS, clock())
    for _ in range(2):
        see(books, clock, markers(books)[-1])
        resolve(books, letters, MARKERS, clock.later(60_000))
    assert [one.id for one in listing(books, letters, "forgotten")] == ["letter/two", "letter/one"]
    assert not resend(books, letters, "letter/one", clock)
