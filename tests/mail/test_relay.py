"""What the scriptable SMTP server promises."""

from __future__ import annotations

import smtplib
import time

import pytest

from tests.mail.relay import Relay

RAW = b"From: letters@garant.example\r\nMessage-ID: <m1@garant.example>\r\nSubject: x\r\n\r\nHello\r\n"
SENDER, ANNA, BOB = "letters@garant.example", "anna@demo.example", "bob@demo.example"


def send(
    relay: Relay, *recipients: str, login: tuple[str, str] | None = None
) -> dict[str, tuple[int, bytes]]:
    with smtplib.SMTP(relay.host, relay.port, local_hostname="client.example", timeout=10) as client:
        if login:
            client.login(*login)
        return client.sendmail(SENDER, list(recipients), RAW)


def test_it_keeps_what_it_accepts(relay: Relay) -> None:
    assert send(relay, ANNA, BOB) == {}
    [kept] = relay.accepted
    assert (kept.message_id, kept.mail_from, kept.recipients) == ("<m1@garant.example>", SENDER, (ANNA, BOB))
    assert (kept.raw, kept.answer, kept.user) == (RAW, "250 2.0.0 OK", None)


def test_a_recipient_is_answered_as_told(relay: Relay) -> None:
    relay.answer(BOB, "450 4.2.1 later")
    assert send(relay, ANNA, BOB) == {BOB: (450, b"4.2.1 later")}
    assert relay.accepted[0].recipients == (ANNA,)
    relay.answer(BOB, None)
    assert send(relay, BOB) == {}


def test_after_the_dot_it_answers_as_told_once(relay: Relay) -> None:
    relay.then(answer="451 4.3.0 later")
    with pytest.raises(smtplib.SMTPDataError) as refused:
        send(relay, ANNA)
    assert refused.value.smtp_code == 451
    assert relay.accepted == []
    assert send(relay, ANNA) == {}


def test_it_hangs_up_after_it_accepted(relay: Relay) -> None:
    relay.then(hang_up="after-accepting")
    with pytest.raises((smtplib.SMTPServerDisconnected, OSError)):
        send(relay, ANNA)
    assert [one.answer for one in relay.accepted] == [None]
    assert send(relay, ANNA) == {}
    assert relay.copies("<m1@garant.example>") == 2


def test_it_hangs_up_before_the_dot_and_has_nothing_then(relay: Relay) -> None:
    relay.then(hang_up="before-dot")
    with pytest.raises((smtplib.SMTPServerDisconnected, OSError)):
        send(relay, ANNA)
    assert relay.accepted == []


def test_it_waits_and_refuses_senders_as_told(relay: Relay) -> None:
    relay.then(delay_s=0.5)
    began = time.monotonic()
    send(relay, ANNA)
    assert time.monotonic() - began >= 0.5
    relay.mail = "421 4.7.0 busy"
    with pytest.raises(smtplib.SMTPSenderRefused):
        send(relay, ANNA)


def test_it_is_away_and_comes_back_on_the_same_port(relay: Relay) -> None:
    relay.stop()
    with pytest.raises(OSError, match="refused"):
        send(relay, ANNA)
    relay.start()
    assert send(relay, ANNA) == {}


def test_it_can_insist_on_a_login() -> None:
    relay = Relay({SENDER: "right"}, must_log_in=True)
    relay.start()
    try:
        with pytest.raises(smtplib.SMTPSenderRefused):
            send(relay, ANNA)
        with pytest.raises(smtplib.SMTPAuthenticationError):
            send(relay, ANNA, login=(SENDER, "wrong"))
        assert send(relay, ANNA, login=(SENDER, "right")) == {}
        assert relay.accepted[0].user == SENDER
    finally:
        relay.stop()
