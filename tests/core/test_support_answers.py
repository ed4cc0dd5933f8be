"""What the desk takes from the log, and the letter by which it answers: once, and to nobody in a loop."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from email import message_from_bytes
from email.policy import default
from typing import Any

import pytest
from sqlalchemy import Engine, select, update

from services.support.consumer import Found, take_records
from services.support.saying import say
from services.support.severity import NAMES, SEVERITIES
from services.support.tables import addresses, contacts, letters, messages, quotas, subscriptions, tickets
from services.support.wording import acknowledgement_wording, uncovered_wording, written_out
from shared.database import writing
from shared.facts import FirstResponseSent, RequestWithdrawn, SubscriptionCancelled
from shared.outcomes import (
    QuotaOpened,
    QuotaRestored,
    QuotaUsed,
    QuotaWarned,
    RequestUncovered,
    ResponseAtRisk,
    ResponseDue,
    ResponseLate,
    ResponseMissed,
    Stamp,
)
from shared.time import HOUR, Instant, parse_instant
from shared.topics import DEADLINES, QUOTA, SUBSCRIPTION_EVENTS, Topic
from tests.core.billing_books import KINDS, SetClock, started
from tests.core.support_mail import ANNA, MONDAY, US, Desk, clear, empty_desk, furnish, mail, settings

DUE = parse_instant("2026-11-24T15:30:00.000Z")
MONDAY_MS = parse_instant(MONDAY)


class Log:
    """The log as the desk reads it; each record is one further on its partition."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.offset = -1

    def say(self, *values: Any, topic: Topic = DEADLINES, offset: int | None = None) -> None:
        found = []
        for value in values:
            self.offset = self.offset + 1 if offset is None else offset
            found.append(Found(topic, 0, self.offset, value))
        take_records(self.desk.engine, self.desk.settings, found, self.desk.clock)


@pytest.fixture(scope="module", params=KINDS)
def engine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    with empty_desk(request.param, tmp_path_factory.mktemp("desk")) as found:
        yield found


@pytest.fixture
def desk(engine: Engine) -> Desk:
    clear(engine)
    clock = SetClock(MONDAY)
    furnish(engine, clock)
    return Desk(engine, clock)


@pytest.fixture
def log(desk: Desk) -> Log:
    return Log(desk)


def due(ticket: str = "T-000001", revision: int = 1, entry: int = 7, account: str = "A-1") -> ResponseDue:
    return ResponseDue(
        account, "S-1", ticket, revision, "moderate", DUE, Instant(DUE - HOUR), "v", Stamp(0, entry, 0, "d")
    )


def uncovered(ticket: str = "T-000001", account: str = "unknown") -> RequestUncovered:
    return RequestUncovered(account, ticket, Stamp(0, 7, 0, "d"))


def test_given_a_request_and_its_deadline_then_who_asked_is_told_when_a_response_is_due(
    desk: Desk, log: Log
) -> None:
    desk.one(mail("È lento"))
    log.say(due())
    (letter,) = desk.rows(letters)
    assert (letter.id, letter.recipient, letter.contact) == (
        "ticket/T-000001/acknowledgement",
        ANNA,
        "C-1",
    )
    told: Any = message_from_bytes(letter.data, policy=default)
    assert told["Auto-Submitted"] == "auto-replied"
    assert told["Precedence"] is None
    assert told["In-Reply-To"] == "<1@demo.example>"
    assert told["References"] == "<1@demo.example>"
    assert told["Subject"] == "Re: È lento [T-000001]"
    assert told["To"] == f"Anna Rossi <{ANNA}>"
    text = told.get_body(("plain",)).get_content()
    assert "martedì 24 novembre 2026 alle 16:30" in text
    assert NAMES["it"]["moderate"] in text
    assert "automatica" in text
    assert "16:30" in told.get_body(("html",)).get_content()
    (ticket,) = desk.rows(tickets)
    assert (ticket.covered, ticket.due_at, ticket.revision, ticket.acknowledged) == (True, DUE, 1, True)


def test_given_the_deadline_again_or_a_later_revision_then_no_further_letter_is_written(
    desk: Desk, log: Log
) -> None:
    desk.one(mail())
    log.say(due(), due(), due(revision=2, entry=8))
    log.say(due(), offset=0)
    assert len(desk.rows(letters)) == 1
    assert desk.rows(tickets)[0].revision == 2


def test_given_a_response_or_a_withdrawal_before_then_no_letter_is_written(desk: Desk, log: Log) -> None:
    desk.take(mail(), mail(message_id="<2@x>"))
    with writing(desk.engine) as connection:
        say(connection, FirstResponseSent("A-1", "T-000001", desk.clock()), desk.clock)
        say(connection, RequestWithdrawn("A-1", "T-000002", desk.clock()), desk.clock)
    log.say(due(), due("T-000002", entry=8))
    assert desk.rows(letters) == []


@pytest.mark.parametrize("more", [["X-Auto-Response-Suppress: OOF, AutoReply"]])
def test_given_mail_that_wants_no_automatic_answer_then_none_is_written(
    desk: Desk, log: Log, more: list[str]
) -> None:
    desk.one(mail(more=more))
    log.say(due())
    assert desk.rows(letters) == []
    assert desk.rows(tickets)[0].due_at == DUE


def test_given_an_unknown_sender_then_the_answer_is_polite_and_promises_nothing(desk: Desk, log: Log) -> None:
    desk.one(mail(sender="zoe@elsewhere.example"))
    log.say(uncovered())
    (letter,) = desk.rows(letters)
    assert (letter.purpose, letter.recipient) == ("uncovered", "zoe@elsewhere.example")
    assert b"aucun abonnement en cours" in letter.data
    assert desk.rows(tickets)[0].covered is False


def test_given_an_ended_subscription_then_the_answer_says_so(desk: Desk, log: Log) -> None:
    log.say(SubscriptionCancelled("A-1", "S-1", date(2026, 1, 1)), topic=SUBSCRIPTION_EVENTS)
    desk.one(mail())
    assert desk.rows(tickets)[0].subscription == "S-1"
    log.say(uncovered(account="A-1"))
    told: Any = message_from_bytes(desk.rows(letters)[0].data, policy=default)
    assert "non era in corso" in told.get_body(("plain",)).get_content()


def test_given_more_requests_of_one_sender_than_answers_an_hour_then_all_are_opened_and_some_unanswered(
    desk: Desk, log: Log
) -> None:
    desk.settings = settings(answers_per_hour=3)
    desk.take(*(mail(message_id=f"<{number}@x>") for number in range(5)))
    log.say(*(due(f"T-{number:06d}", entry=number) for number in range(1, 6)))
    assert len(desk.rows(tickets)) == 5
    assert len(desk.rows(letters)) == 3
    desk.clock.now = Instant(desk.clock.now + HOUR + 1)
    desk.one(mail(message_id="<9@x>"))
    log.say(due("T-000006", entry=9))
    assert len(desk.rows(letters)) == 4


def test_given_a_request_nobody_here_opened_or_of_another_account_then_nothing_happens(
    desk: Desk, log: Log
) -> None:
    desk.one(mail())
    log.say(due("T-999999"), due(entry=8, account="B-1"))
    assert desk.rows(letters) == []
    assert desk.rows(tickets)[0].due_at is None


def test_given_news_of_the_deadline_then_the_request_shows_it(desk: Desk, log: Log) -> None:
    desk.one(mail())
    log.say(due(), ResponseAtRisk("A-1", "S-1", "T-000001", DUE, Stamp(0, 8, 0, "")))
    assert desk.rows(tickets)[0].response == "at-risk"
    log.say(ResponseMissed("A-1", "S-1", "T-000001", DUE, Stamp(0, 9, 0, "")))
    assert desk.rows(tickets)[0].response == "missed"
    log.say(ResponseLate("A-1", "S-1", "T-000001", DUE, DUE, 5, Stamp(0, 10, 0, "")))
    assert (desk.rows(tickets)[0].response, desk.rows(tickets)[0].late_by_ms) == ("late", 5)


def test_given_outcomes_said_again_after_a_crash_then_they_change_nothing(desk: Desk, log: Log) -> None:
    desk.one(mail())
    missed = ResponseMissed("A-1", "S-1", "T-000001", DUE, Stamp(0, 9, 1, ""))
    log.say(due(), ResponseAtRisk("A-1", "S-1", "T-000001", DUE, Stamp(0, 9, 0, "")), missed)
    log.say(due(), ResponseAtRisk("A-1", "S-1", "T-000001", DUE, Stamp(0, 9, 0, "")))
    assert desk.rows(tickets)[0].response == "missed"


def test_given_the_quotas_news_then_what_is_left_is_known(desk: Desk, log: Log) -> None:
    year = date(2026, 1, 1)
    log.say(
        QuotaOpened("A-1", "S-1", year, 120, 0, "v", Stamp(0, 1, 0, "")),
        QuotaUsed("A-1", "S-1", year, "T-000001", 100, 120, Stamp(0, 2, 0, "")),
        QuotaWarned("A-1", "S-1", year, 75, 100, 120, Stamp(0, 2, 1, "")),
        QuotaWarned("A-1", "S-1", year, 90, 110, 120, Stamp(0, 2, 2, "")),
        topic=QUOTA,
    )
    (row,) = desk.rows(quotas)
    assert (row.quota_minutes, row.used_minutes, row.warned) == (120, 110, "75,90")
    log.say(QuotaRestored("A-1", "S-1", year, 90, 100, 120, Stamp(0, 3, 0, "")), topic=QUOTA)
    assert desk.rows(quotas)[0].warned == "75"
    log.say(QuotaRestored("A-1", "S-1", year, 75, 10, 120, Stamp(0, 4, 0, "")), topic=QUOTA)
    assert desk.rows(quotas)[0].warned == ""


def test_given_a_subscription_said_twice_and_cancelled_then_it_is_known_once_with_its_end(
    desk: Desk, log: Log
) -> None:
    new = started("S-9", account="A-9")
    log.say(new, new, SubscriptionCancelled("A-9", "S-9", date(2027, 1, 1)), topic=SUBSCRIPTION_EVENTS)
    with desk.engine.connect() as connection:
        (row,) = connection.execute(select(subscriptions).where(subscriptions.c.account == "A-9"))
    assert (row.starts_on, row.ends_on) == (date(2025, 1, 1), date(2027, 1, 1))


def test_given_a_forgotten_sender_then_no_letter_is_written(desk: Desk, log: Log) -> None:
    desk.one(mail())
    with writing(desk.engine) as connection:
        connection.execute(update(contacts).values(forgotten_at=1))
    log.say(due())
    assert desk.rows(letters) == []


@pytest.mark.parametrize("subject", ["=?utf-8?q?x=0ABcc:_thief=40evil.example?=", "x" * 900, "\u2028x", ""])
def test_given_any_subject_then_the_answer_has_only_its_own_headers(
    desk: Desk, log: Log, subject: str
) -> None:
    desk.one(mail(subject))
    log.say(due())
    (letter,) = desk.rows(letters)
    head = letter.data.partition(b"\r\n\r\n")[0].decode()
    names = re.findall(r"^([A-Za-z-]+):", head, re.MULTILINE)
    assert "Bcc" not in names
    assert names.count("Subject") == names.count("To") == 1
    told: Any = message_from_bytes(letter.data, policy=default)
    assert "\n" not in told["Subject"]


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("fr", "vendredi 27 novembre 2026 à 16:30"),
        ("de", "Freitag, 27. November 2026, 16:30 Uhr"),
        ("it", "venerdì 27 novembre 2026 alle 16:30"),
        ("en", "Friday 27 November 2026 at 16:30"),
    ],
)
def test_given_an_instant_then_it_is_written_out_in_local_time(language: str, words: str) -> None:
    assert written_out(parse_instant("2026-11-27T15:30:00.000Z"), "Europe/Zurich", language) == words
    assert written_out(parse_instant("2026-06-30T22:00:00.000Z"), "Europe/Zurich", "fr").startswith(
        "mercredi 1er juillet 2026 à 00:00"
    )


@pytest.mark.parametrize("language", sorted(NAMES))
@pytest.mark.parametrize("severity", SEVERITIES)
def test_given_any_language_and_severity_then_the_letter_names_all_it_must(
    language: str, severity: Any
) -> None:
    desk = settings()
    told = acknowledgement_wording(desk, "T-000001", language, severity, DUE, MONDAY_MS)
    assert "T-000001" in told.text
    assert written_out(DUE, "Europe/Zurich", language) in told.text
    assert all(f"[{name}]" in told.text for name in NAMES[language].values())
    late = acknowledgement_wording(desk, "T-000001", language, severity, DUE, DUE)
    assert late.text != told.text
    ended, unknown = (
        uncovered_wording(desk, "T-000001", language, known=known).text for known in (True, False)
    )
    assert "T-000001" in ended
    assert "T-000001" in unknown
    assert ended != unknown
    assert told.html is not None
    assert f'lang="{language}"' in told.html


def test_given_a_sender_name_with_markup_then_the_page_shows_it_as_text() -> None:
    told = acknowledgement_wording(settings(sender_name="<b>&"), "T-1", "en", "down", DUE, MONDAY_MS)
    assert told.html is not None
    assert "&lt;b&gt;&amp;" in told.html
    assert "<b>&" in told.text


def test_given_our_own_address_as_the_sender_then_it_gets_no_answer(desk: Desk, log: Log) -> None:
    desk.one(mail())
    with writing(desk.engine) as connection:
        connection.execute(update(messages).values(sender=US))
        connection.execute(update(addresses).where(addresses.c.contact == "C-1").values(address=US))
    log.say(due())
    assert desk.rows(letters) == []
