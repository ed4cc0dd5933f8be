"""What becomes of a mail: on SQLite and PostgreSQL, from the delivery to the facts in the outbox."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest
from sqlalchemy import Engine, select

from services.support import treating
from services.support.contacts import Contact, put
from services.support.intake import Term, term_on
from services.support.saying import Opening, open_request, say
from services.support.tables import letters, messages, raw_messages, thread_ids, tickets
from services.support.taking import take
from shared.database import writing
from shared.facts import (
    FirstResponseSent,
    RequestClosed,
    RequestOpened,
    RequestReopened,
    RequestWithdrawn,
)
from shared.mail.mailbox import Delivery
from shared.time import DAY, HOUR, Instant
from tests.core.billing_books import KINDS, SetClock
from tests.core.support_mail import ANNA, MONDAY, US, Desk, clear, delivery, empty_desk, furnish, mail

STAFF = "bea@garant.example"
FORGED = "dkim=pass header.d=evil.example"


@pytest.fixture
def clock() -> SetClock:
    return SetClock(MONDAY)


@pytest.fixture(scope="module", params=KINDS)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with empty_desk(request.param, tmp_path_factory.mktemp("desk")) as found:
        yield found


@pytest.fixture
def desk(engine: Engine, clock: SetClock) -> Desk:
    clear(engine)
    furnish(engine, clock)
    return Desk(engine, clock)


def close(desk: Desk, ticket: str = "T-000001") -> None:
    with writing(desk.engine) as connection:
        say(connection, RequestClosed("A-1", ticket, desk.clock()), desk.clock)


def test_given_a_contacts_mail_then_a_request_is_opened_under_the_accounts_subscription(desk: Desk) -> None:
    taken = desk.one(mail("[grave] È lento"))
    assert (taken.state, taken.ticket) == ("opened", "T-000001")
    assert desk.said() == [RequestOpened("A-1", "S-1", "T-000001", "serious", "unclassified", desk.clock())]
    (ticket,) = desk.rows(tickets)
    assert (ticket.contact, ticket.language, ticket.origin) == ("C-1", "it", "mail/1")
    assert not ticket.acknowledged
    (raw,) = desk.rows(raw_messages)
    assert raw.message == 1


def test_given_the_clock_of_the_sender_then_it_is_our_servers_that_counts(desk: Desk) -> None:
    future = mail().replace(b"Date: Mon, 23 Nov 2026 09:59:00", b"Date: Tue, 1 Jan 2090 00:00:00")
    received = desk.clock() - HOUR
    ahead = delivery(mail(message_id="<2@x>"), 2, desk.clock() + DAY)
    take(desk.engine, desk.settings, "test", [delivery(future, 1, received), ahead], desk.clock)
    opened = [fact.received_at for fact in desk.said() if isinstance(fact, RequestOpened)]
    assert opened == [received, desk.clock()]


def test_given_an_unknown_person_then_the_request_is_accepted_without_a_subscription(desk: Desk) -> None:
    assert desk.one(mail(sender="zoe@elsewhere.example")).state == "opened"
    assert desk.said() == [
        RequestOpened("unknown", None, "T-000001", "moderate", "unclassified", desk.clock())
    ]
    assert desk.rows(tickets)[0].language == "fr"


@pytest.mark.parametrize("verdict", [FORGED, "none", "dkim=fail header.d=demo.example"])
def test_given_a_forged_sender_then_the_mail_waits_for_a_person_and_the_next_one_does_not(
    desk: Desk, verdict: str
) -> None:
    first, second = desk.take(mail(verdict=verdict), mail(message_id="<2@demo.example>"))
    assert (first.state, first.ticket) == ("quarantined", None)
    assert second.state == "opened"
    assert len(desk.said()) == 1
    assert desk.rows(raw_messages)[0].data


def test_given_no_name_of_our_mail_server_then_everything_waits_and_says_why(desk: Desk) -> None:
    desk.settings = desk.settings.model_copy(update={"authserv_id": ""})
    taken = desk.one(mail())
    assert taken.state == "quarantined"
    assert "GARANT_SUPPORT_AUTHSERV_ID" in taken.reason


def test_given_a_released_mail_then_it_opens_as_of_when_it_was_received(desk: Desk) -> None:
    received = desk.clock()
    desk.one(mail(verdict="none"))
    desk.clock.now = Instant(received + HOUR)
    with writing(desk.engine) as connection:
        treated = treating.release(connection, desk.settings, 1, desk.clock)
    assert treated.ticket == "T-000001"
    (fact,) = desk.said()
    assert isinstance(fact, RequestOpened)
    assert (fact.account, fact.received_at) == ("A-1", received)
    assert desk.rows(messages)[0].state == "released"
    assert desk.one(mail(message_id="<2@x>", more=["References: <1@demo.example>"])).ticket == "T-000001"


def test_given_a_mail_released_for_a_contact_then_it_is_that_contacts(desk: Desk) -> None:
    desk.one(mail(sender="anna.private@gmail.example", verdict="none"))
    with writing(desk.engine) as connection:
        treating.release(connection, desk.settings, 1, desk.clock, "C-1")
    assert desk.rows(tickets)[0].account == "A-1"


def test_given_two_copies_of_one_mail_then_one_request_is_opened(desk: Desk) -> None:
    copy = mail().replace(b"ESMTP id 1", b"ESMTP id 2")
    assert [one.state for one in desk.take(mail(), copy)] == ["opened", "repeat"]
    assert desk.one(mail()).state == "repeat"
    assert len(desk.said()) == 1


def test_given_another_uidvalidity_then_the_same_mails_open_nothing(desk: Desk) -> None:
    desk.take(mail(), mail("Another", message_id="<2@demo.example>"))
    desk.uid = 0
    again = desk.take(
        mail(), mail("Another", message_id="<2@demo.example>"), mail("New", message_id="<3@x>"), validity=2
    )
    assert [one.state for one in again] == ["repeat", "repeat", "opened"]
    assert len(desk.said()) == 3


def test_given_the_same_place_again_then_nothing_is_taken(desk: Desk) -> None:
    desk.one(mail())
    desk.uid = 0
    assert desk.take(mail()) == []
    assert len(desk.rows(messages)) == 1


def test_given_a_forged_copy_that_came_first_then_the_true_mail_still_opens(desk: Desk) -> None:
    assert [one.state for one in desk.take(mail(verdict=FORGED), mail(), mail(verdict=FORGED))] == [
        "quarantined",
        "opened",
        "repeat",
    ]


def test_given_mails_without_message_id_then_the_servers_stamps_tell_them_apart(desk: Desk) -> None:
    one = mail(message_id=None)
    other = one.replace(b"ESMTP id 1", b"ESMTP id 2")
    assert [taken.state for taken in desk.take(one, other, one)] == ["opened", "opened", "repeat"]


@pytest.mark.parametrize(
    "reply",
    [
        {"subject": "Re: It is slow [T-000001]"},
        {"subject": "AW: anders [EXT] [t-000001]"},
        {"subject": "Other words", "more": ["References: <x@y> <1@demo.example>"]},
        {"subject": "Other words", "more": ["In-Reply-To: <1@demo.example>"]},
    ],
)
def test_given_a_reply_then_it_joins_the_request_and_moves_nothing(
    desk: Desk, reply: dict[str, object]
) -> None:
    desk.one(mail())
    taken = desk.one(mail(message_id="<2@demo.example>", **reply))  # type: ignore[arg-type]
    assert (taken.state, taken.ticket) == ("threaded", "T-000001")
    assert len(desk.said()) == 1


def test_given_a_reply_in_the_same_batch_then_it_joins_too(desk: Desk) -> None:
    reply = mail("Re: It is slow", message_id="<2@x>", more=["References: <1@demo.example>"])
    assert [one.ticket for one in desk.take(mail(), reply)] == ["T-000001", "T-000001"]


def test_given_a_colleague_of_the_account_then_the_reply_joins(desk: Desk) -> None:
    with writing(desk.engine) as connection:
        put(connection, Contact("C-3", "A-1", ("ugo@demo.example",), "Ugo", "it"), desk.clock)
    desk.one(mail())
    assert (
        desk.one(mail("Re: x [T-000001]", sender="ugo@demo.example", message_id="<2@x>")).state == "threaded"
    )


@pytest.mark.parametrize("sender", ["carla@other.example", "zoe@elsewhere.example", "zoe@demo.example"])
def test_given_another_accounts_token_or_reference_then_a_request_of_its_own_is_opened(
    desk: Desk, sender: str
) -> None:
    desk.one(mail())
    thief = mail("Re: [T-000001]", sender=sender, message_id="<2@x>", more=["References: <1@demo.example>"])
    taken = desk.one(thief)
    assert (taken.state, taken.ticket) == ("opened", "T-000002")


def test_given_unknown_people_then_each_joins_only_their_own_request(desk: Desk) -> None:
    desk.one(mail(sender="zoe@elsewhere.example"))
    reply = {"more": ["References: <1@demo.example>"]}
    own = desk.one(mail("x", sender="Zoe@elsewhere.example", message_id="<2@x>", **reply))  # type: ignore[arg-type]
    other = desk.one(mail("x", sender="max@elsewhere.example", message_id="<3@x>", **reply))  # type: ignore[arg-type]
    assert (own.state, other.state) == ("threaded", "opened")


def test_given_a_closed_request_then_a_reply_reopens_it_and_later_opens_a_new_one(desk: Desk) -> None:
    desk.one(mail())
    close(desk)
    desk.clock.now = Instant(desk.clock.now + 30 * DAY)
    reply = mail("Re: [T-000001]", message_id="<2@x>")
    assert desk.one(reply).state == "threaded"
    assert desk.said()[-1] == RequestReopened("A-1", "T-000001", desk.clock())
    close(desk)
    desk.clock.now = Instant(desk.clock.now + 30 * DAY + 1)
    late = desk.one(mail("Re: [T-000001]", message_id="<3@x>"))
    assert (late.state, late.ticket) == ("opened", "T-000002")


def test_given_two_replies_to_a_closed_request_in_one_batch_then_it_is_reopened_once(desk: Desk) -> None:
    desk.one(mail())
    close(desk)
    desk.take(mail("Re: [T-000001]", message_id="<2@x>"), mail("Re: [T-000001]", message_id="<3@x>"))
    assert [type(fact) for fact in desk.said()] == [RequestOpened, RequestClosed, RequestReopened]


def test_given_a_withdrawn_request_then_a_reply_opens_a_new_one(desk: Desk) -> None:
    desk.one(mail())
    with writing(desk.engine) as connection:
        say(connection, RequestWithdrawn("A-1", "T-000001", desk.clock()), desk.clock)
    assert desk.one(mail("Re: [T-000001]", message_id="<2@x>")).ticket == "T-000002"


def test_given_two_requests_in_one_thread_then_the_token_tells_which(desk: Desk) -> None:
    desk.one(mail())
    close(desk)
    desk.clock.now = Instant(desk.clock.now + 40 * DAY)
    desk.one(mail("Re: [T-000001]", message_id="<2@x>", more=["References: <1@demo.example>"]))
    refers = ["References: <1@demo.example> <2@x>"]
    assert desk.one(mail("Re: x [T-000002]", message_id="<3@x>", more=refers)).ticket == "T-000002"
    assert desk.one(mail("Re: x", message_id="<4@x>", more=refers)).ticket == "T-000002"


@pytest.mark.parametrize(
    "header",
    [
        "Auto-Submitted: auto-replied",
        "Auto-Submitted: auto-generated (vacation)",
        "List-Id: <news.demo.example>",
        "Precedence: bulk",
        "X-Autoreply: yes",
    ],
)
def test_given_a_machines_mail_then_it_opens_nothing_and_is_kept(desk: Desk, header: str) -> None:
    desk.one(mail())
    alone = desk.one(mail("Out of office", message_id="<2@x>", more=[header]))
    joined = desk.one(mail("Re: x [T-000001]", message_id="<3@x>", more=[header]))
    assert [(one.state, one.ticket) for one in (alone, joined)] == [
        ("automatic", None),
        ("automatic", "T-000001"),
    ]
    assert len(desk.said()) == 1
    assert len(desk.rows(raw_messages)) == 3


def test_given_mail_that_asks_for_no_automatic_answer_then_it_opens_and_gets_none(desk: Desk) -> None:
    desk.one(mail(more=["X-Auto-Response-Suppress: All"]))
    assert desk.rows(tickets)[0].acknowledged


def bounce(message_id: str) -> bytes:
    return (
        b"Return-Path: <>\r\nFrom: MAILER-DAEMON@mail.garant.example\r\nTo: " + US.encode() + b"\r\n"
        b'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        b"--b\r\n\r\nfailed\r\n--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n"
        b"\r\nFinal-Recipient: rfc822; anna@demo.example\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n"
        b"--b\r\nContent-Type: message/rfc822\r\n\r\nMessage-ID: "
        + message_id.encode()
        + b"\r\n\r\nx\r\n--b--\r\n"
    )


def test_given_a_bounce_of_nothing_we_sent_then_it_opens_nothing(desk: Desk) -> None:
    taken = desk.one(bounce("<reply.x@elsewhere>"))
    assert (taken.state, taken.reason) == ("bounce", "of none of our letters")
    assert desk.said() == []


def test_given_a_bounce_of_our_letter_then_it_is_noted_at_the_letter_and_the_request(desk: Desk) -> None:
    desk.one(mail())
    desk.one(staff())
    (letter,) = desk.rows(letters)
    with writing(desk.engine) as connection:
        connection.execute(letters.update().values(state="accepted", attempts=1))
    taken = desk.one(bounce(letter.message_id))
    assert (taken.state, taken.ticket) == ("bounce", "T-000001")
    assert desk.rows(letters)[0].state == "bounced"
    assert desk.rows(messages)[-1].contact == "C-1"


def test_given_a_message_id_in_our_form_that_we_never_gave_then_a_person_sees_it(desk: Desk) -> None:
    forged = desk.one(mail(message_id="<reply.T-000001@garant.example>"))
    assert forged.state == "opened"  # from a customer it is a mail like any other
    ours = mail(sender=US, message_id="<reply.T-000009@garant.example>")
    assert desk.one(ours).state == "quarantined"


def staff(text: str = "Try again now.", **more: object) -> bytes:
    return mail("Re: It is slow [T-000001]", text, sender=STAFF, message_id="<s@garant>", **more)  # type: ignore[arg-type]


def test_given_a_staff_answer_with_the_customer_in_copy_then_it_is_the_first_response(desk: Desk) -> None:
    desk.one(mail())
    assert desk.one(staff(to=f"Anna <{ANNA}>", more=[f"Cc: {US}"])).state == "staff"
    assert desk.said()[-1] == FirstResponseSent("A-1", "T-000001", desk.clock())
    assert desk.rows(letters) == []


def test_given_a_staff_answer_to_the_desk_then_its_text_is_sent_on_once(desk: Desk) -> None:
    desk.one(mail())
    assert desk.one(staff()).state == "staff"
    assert isinstance(desk.said()[-1], FirstResponseSent)
    (letter,) = desk.rows(letters)
    assert (letter.recipient, letter.contact, letter.purpose) == (ANNA, "C-1", "reply")
    assert b"Try again now." in letter.data
    assert b"In-Reply-To: <1@demo.example>" in letter.data
    assert b"Subject: Re: It is slow [T-000001]" in letter.data
    assert b"Auto-Submitted" not in letter.data
    desk.one(staff())
    assert len(desk.rows(letters)) == 1


def test_given_a_staff_answer_in_the_batch_of_the_request_then_it_is_said_after_it(desk: Desk) -> None:
    other, third = mail("Other", message_id="<2@x>"), mail("Third", message_id="<3@x>")
    answer = mail("Re: It is slow", "Try.", sender=STAFF, message_id="<s@x>", more=["References: <2@x>"])
    assert [one.ticket for one in desk.take(mail(), other, answer, third)] == [
        "T-000001",
        "T-000002",
        "T-000002",
        "T-000003",
    ]
    assert [(type(fact), fact.ticket) for fact in desk.said()] == [  # type: ignore[union-attr]
        (RequestOpened, "T-000001"),
        (RequestOpened, "T-000002"),
        (FirstResponseSent, "T-000002"),
        (RequestOpened, "T-000003"),
    ]


def test_given_a_ticket_somebody_named_so_then_the_next_number_is_taken(desk: Desk) -> None:
    with writing(desk.engine) as connection:
        named = Opening("A-1", "S-1", "down", "bug", desk.clock(), "fr", "api", ticket="T-000002")
        open_request(connection, named, desk.clock, acknowledge=False)
    assert [one.ticket for one in desk.take(mail(), mail(message_id="<2@x>"))] == ["T-000001", "T-000003"]


def test_given_a_reply_to_what_was_sent_on_then_it_joins_the_request(desk: Desk) -> None:
    desk.one(mail())
    desk.one(staff())
    (letter,) = desk.rows(letters)
    reply = mail("Other", message_id="<9@x>", more=[f"In-Reply-To: {letter.message_id}"])
    assert desk.one(reply).ticket == "T-000001"


def test_given_a_note_of_staff_with_us_in_copy_only_then_nobody_gets_it(desk: Desk) -> None:
    desk.one(mail())
    taken = desk.one(staff(to="max@garant.example", more=[f"Cc: {US}"]))
    assert (taken.state, taken.ticket) == ("staff", "T-000001")
    assert len(desk.said()) == 1
    assert desk.rows(letters) == []


@pytest.mark.parametrize("verdict", [FORGED, "none"])
def test_given_a_forged_staff_address_then_nothing_is_answered(desk: Desk, verdict: str) -> None:
    desk.one(mail())
    assert desk.one(staff(verdict=verdict)).state == "quarantined"
    assert len(desk.said()) == 1


def test_given_a_staff_mail_in_no_thread_or_with_attachments_then_it_waits_for_a_person(desk: Desk) -> None:
    assert desk.one(mail("Hello", sender=STAFF, message_id="<s1@garant>")).state == "quarantined"
    desk.one(mail())
    attached = staff().replace(
        b"Message-ID: <s@garant>",
        b'Message-ID: <s@garant>\r\nContent-Type: multipart/mixed; boundary="b"',
    )
    body = b"--b\r\n\r\nsee\r\n--b\r\nContent-Type: application/pdf\r\n\r\n%PDF\r\n--b--\r\n"
    taken = desk.one(attached.replace(b"Try again now.\r\n", body))
    assert (taken.state, "attachments" in taken.reason) == ("quarantined", True)


def test_given_our_own_copy_then_it_opens_nothing_and_its_text_is_not_kept_twice(desk: Desk) -> None:
    desk.one(mail())
    desk.one(staff())
    (letter,) = desk.rows(letters)
    with writing(desk.engine) as connection:
        connection.execute(letters.update().values(state="doubtful", attempts=1))
    taken = desk.one(bytes(letter.data))
    assert (taken.state, taken.ticket) == ("own", "T-000001")
    assert desk.rows(letters)[0].state == "accepted"
    with desk.engine.connect() as connection:
        kept = connection.execute(
            select(messages.c.sender, messages.c.text).where(messages.c.state == "own")
        ).one()
    assert kept == (None, None)
    assert len(desk.rows(raw_messages)) == 2


def test_given_a_mail_that_cannot_be_taken_then_it_alone_waits_and_those_behind_it_do_not(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = treating.decide

    def fails(one: treating.Known, *rest: object) -> object:
        if one.incoming.subject == "poison":  # type: ignore[attr-defined]
            raise ZeroDivisionError
        return real(one, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(treating, "decide", fails)
    taken = desk.take(mail(), mail("poison", message_id="<2@x>"), mail("behind", message_id="<3@x>"))
    assert [one.state for one in taken] == ["opened", "quarantined", "opened"]
    assert "ZeroDivisionError" in taken[1].reason
    assert [one.ticket for one in taken] == ["T-000001", None, "T-000002"]
    assert len(desk.rows(raw_messages)) == 3
    assert desk.rows(messages)[1].text is None


def test_given_mails_that_could_not_be_fetched_then_each_waits_for_a_person(desk: Desk) -> None:
    lost = [Delivery(1, uid, desk.clock(), 9, b"", problem="the server gave nothing") for uid in (1, 2)]
    taken = take(desk.engine, desk.settings, "test", [*lost, delivery(mail(), 3, desk.clock())], desk.clock)
    assert [one.state for one in taken] == ["quarantined", "quarantined", "opened"]
    assert "the server gave nothing" in taken[0].reason


def test_given_thread_ids_then_only_digests_are_kept(desk: Desk) -> None:
    desk.one(mail())
    assert all(len(row.digest) == 64 for row in desk.rows(thread_ids))


D = date(2026, 11, 23)


@pytest.mark.parametrize(
    ("wanted", "terms", "found"),
    [
        (None, [], None),
        (None, [Term("S-1", date(2025, 1, 1), None)], "S-1"),
        (None, [Term("S-2", date(2025, 1, 1), None), Term("S-1", date(2026, 1, 1), None)], "S-2"),
        ("S-1", [Term("S-2", date(2025, 1, 1), None), Term("S-1", date(2026, 1, 1), None)], "S-1"),
        ("S-1", [Term("S-2", date(2025, 1, 1), None), Term("S-1", date(2024, 1, 1), D)], "S-2"),
        ("S-9", [Term("S-2", date(2025, 1, 1), None)], "S-2"),
        (None, [Term("S-1", date(2024, 1, 1), D), Term("S-2", date(2024, 1, 1), date(2025, 1, 1))], "S-1"),
        (None, [Term("S-1", D, None)], "S-1"),
        (None, [Term("S-1", date(2026, 11, 24), None)], "S-1"),
        (None, [Term("S-1", date(2024, 1, 1), date(2025, 1, 1)), Term("S-2", date(2027, 1, 1), None)], "S-1"),
    ],
)
def test_given_subscriptions_then_a_request_is_asked_under_the_active_one_else_the_last(
    wanted: str | None, terms: list[Term], found: str | None
) -> None:
    assert term_on(wanted, terms, D) == found
