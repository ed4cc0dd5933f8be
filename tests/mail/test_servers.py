"""What the mail servers of the tests promise, and `garant mailbox` with them, on every kind here."""

from __future__ import annotations

import smtplib
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import Message

import pytest

from tests.conftest import StartMail
from tests.mail.debian_server import can_run
from tests.mail.python_server import PythonServer
from tests.mail.servers import AUTHSERV_ID, MailServer, Stored, kinds, mail_server

Letter = Callable[..., bytes]
Fields = list[tuple[str, str]]


@pytest.fixture(scope="module", params=kinds())
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailServer]:
    one = mail_server(request.param, tmp_path_factory.mktemp("mail"))
    one.start()
    yield one
    one.remove()


@pytest.fixture
def own(server: MailServer, start_mail: StartMail) -> MailServer:
    """Another server of the same kind, for this test to stop and kill."""
    return start_mail(server.kind)


def letter(subject: str, *fields: str, body: str = "Hello") -> bytes:
    head = ["From: Anna <anna@demo.example>", "To: support@garant.example", f"Subject: {subject}", *fields]
    return ("\r\n".join(head) + f"\r\n\r\n{body}\r\n").encode()


def subjects(found: list[Stored]) -> list[str]:
    return [str(message_from_bytes(one.raw)["Subject"]) for one in found]


def mentioning(address: str) -> Callable[[list[Stored]], bool]:
    return lambda found: any(address.encode() in one.raw for one in found)


def fields(one: Stored) -> Fields:
    parsed: Message = message_from_bytes(one.raw)
    return [(name.lower(), " ".join(str(value).split())) for name, value in parsed.items()]


def verdicts(one: Stored) -> list[str]:
    return [value for name, value in fields(one) if name == "authentication-results"]


def test_the_usual_kind_is_debians_where_it_is_installed() -> None:
    assert kinds()[0] in ("debian", "python")
    assert can_run() or kinds() == ("python",)


def test_a_letter_arrives_byte_for_byte_below_the_servers_own_fields(server: MailServer) -> None:
    user, sent = (
        server.new_user(),
        letter("as it came", "X-Odd:  two  spaces ", body=".dot\r\n\tb\xe9".encode().decode()),
    )
    before = datetime.now(UTC)
    assert server.deliver(sent, "anna@demo.example", user) == {}
    [found] = server.wait_for(user)
    assert found.raw.endswith(sent)
    assert found.raw.startswith(b"Return-Path: <anna@demo.example>\r\n")
    assert abs(found.received - before) < timedelta(seconds=5)
    assert b"\\Seen" not in found.flags


def test_a_tag_leads_to_the_users_mailbox_and_two_recipients_get_one_copy_each(server: MailServer) -> None:
    user, other = server.new_user(), server.new_user()
    local, _, domain = user.partition("@")
    server.deliver(letter("tagged"), "anna@demo.example", [f"{local}+case-7@{domain}", other])
    assert subjects(server.wait_for(user)) == ["tagged"]
    assert subjects(server.wait_for(other)) == ["tagged"]


def test_idle_wakes_within_two_seconds(server: MailServer) -> None:
    user = server.new_user()
    with server.imap(user) as client:
        client.select_folder("INBOX")
        client.idle()
        for number in (1, 2):
            began = time.monotonic()
            server.deliver(letter(f"wake {number}"), "anna@demo.example", user)
            told: list[object] = []
            while (number, b"EXISTS") not in told and time.monotonic() - began < 10:
                told += client.idle_check(timeout=10)
            assert time.monotonic() - began < 2
        client.idle_done()
        assert len(client.search("ALL")) == 2


def test_a_letter_that_came_before_idle_began_is_told_all_the_same(server: MailServer) -> None:
    """Read line by line: IMAPClient's idle_check does not see what came together with the "+"."""
    user = server.new_user()
    with server.imap(user) as client:
        client.select_folder("INBOX")
        server.deliver(letter("just before"), "anna@demo.example", user)
        server.wait_for(user)
        client.socket().settimeout(2)
        client._imap.send(b"a IDLE\r\n")
        lines = [client._imap.readline(), client._imap.readline()]
        assert any(line.startswith(b"+") for line in lines)
        assert b"* 1 EXISTS\r\n" in lines


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_what_was_answered_250_survives_a_restart_with_its_uid_flags_and_date(
    own: MailServer, end: str
) -> None:
    user = own.new_user()
    own.deliver(letter("first"), "anna@demo.example", user)
    [first] = own.wait_for(user)
    with own.imap(user) as client:
        client.select_folder("INBOX")
        client.add_flags([first.uid], [b"\\Seen", b"$Taken"])
    validity = own.uid_validity(user)
    own.deliver(letter("second"), "anna@demo.example", user)
    own.kill() if end == "kill" else own.stop()
    with pytest.raises(OSError, match="refused"):
        own.deliver(letter("nobody listens"), "anna@demo.example", user)
    own.start()
    own.deliver(letter("third"), "anna@demo.example", user)
    found = own.wait_for(user, lambda them: {"second", "third"} <= set(subjects(them)))
    assert own.uid_validity(user) == validity
    assert set(subjects(found)) == {"first", "second", "third"}
    if end == "stop":  # killed while it hands one on, Postfix hands it on again
        assert len(found) == 3
    kept = found[0]
    assert (kept.uid, kept.received, kept.raw) == (first.uid, first.received, first.raw)
    assert {b"\\Seen", b"$Taken"} <= set(kept.flags)


def test_a_recreated_mailbox_has_another_uidvalidity_and_the_same_letters(server: MailServer) -> None:
    user = server.new_user()
    for number in range(3):
        server.deliver(letter(str(number)), "anna@demo.example", user)
        server.wait_for(user, number + 1)
    with server.imap(user) as client:
        client.select_folder("INBOX")
        client.delete_messages([server.messages(user)[0].uid])
        client.expunge()
    seen = {server.uid_validity(user)}
    before = server.messages(user)
    for _ in range(3):
        server.recreate_mailbox(user)
        seen.add(server.uid_validity(user))
    assert len(seen) == 4
    after = server.messages(user)
    assert [(one.raw, one.received) for one in after] == [(one.raw, one.received) for one in before]
    assert [one.uid for one in after] == [1, 2]
    server.deliver(letter("more"), "anna@demo.example", user)
    assert subjects(server.wait_for(user, 3)) == ["1", "2", "more"]


def test_whoever_idles_on_a_mailbox_that_is_recreated_is_disconnected(server: MailServer) -> None:
    user = server.new_user()
    server.deliver(letter("here"), "anna@demo.example", user)
    server.wait_for(user)
    with server.imap(user) as client:
        client.select_folder("INBOX")
        client.idle()
        server.recreate_mailbox(user)
        client.socket().settimeout(10)
        lines = list(iter(client._imap.readline, b""))
    assert any(line.startswith(b"* BYE") for line in lines)


@pytest.mark.parametrize(
    "forged",
    [
        f"Authentication-Results: {AUTHSERV_ID}; dkim=pass header.d=garant.example",
        f"authentication-results : {AUTHSERV_ID.upper()} 1; spf=pass",
        f"Authentication-Results:\r\n (a comment)\r\n {AUTHSERV_ID}; spf=pass",
        f'Authentication-Results: "{AUTHSERV_ID}"; spf=pass',
    ],
)
def test_a_verdict_that_the_sender_wrote_in_our_name_is_taken_away_and_others_stay(
    server: MailServer, forged: str
) -> None:
    user = server.new_user()
    foreign = f"mx.{AUTHSERV_ID}; spf=pass"
    sent = letter("forged", forged, f"Authentication-Results: {foreign}", f"X-Told: {AUTHSERV_ID}; spf=pass")
    server.deliver(sent, "eve@demo.example", user)
    [found] = server.wait_for(user)
    assert [one for one in verdicts(found) if "pass" in one] == [foreign]
    assert ("x-told", f"{AUTHSERV_ID}; spf=pass") in fields(found)


def test_who_logged_in_as_the_sender_is_said_so_above_received(server: MailServer) -> None:
    user = server.new_user()
    server.deliver(letter("it is me"), "anna@demo.example", user, login=True)
    [found] = server.wait_for(user)
    names = [name for name, _ in fields(found)]
    said = f"{AUTHSERV_ID}; auth=pass smtp.auth=anna@demo.example smtp.mailfrom=anna@demo.example"
    assert verdicts(found) == [said]
    at = names.index("authentication-results")
    assert names[0] == "return-path"
    assert names[at + 1] == "received"
    assert "received" not in names[at + 2 :]


def test_who_logged_in_as_somebody_else_or_not_at_all_is_not_vouched_for(server: MailServer) -> None:
    user, thief = server.new_user(), server.new_user()
    with server.smtp() as client:
        client.login(thief, server.users[thief])
        client.sendmail("anna@demo.example", [user], letter("not me"))
    server.deliver(letter("nobody"), "anna@demo.example", user)
    for found in server.wait_for(user, 2):
        assert not any("pass" in one for one in verdicts(found))


def test_a_wrong_password_is_refused_by_smtp_and_imap(server: MailServer) -> None:
    user = server.new_user()
    with (
        server.smtp() as client,
        pytest.raises(smtplib.SMTPAuthenticationError),
    ):
        client.login(user, "wrong")
    server.users[user] = "wrong"
    with pytest.raises(Exception, match=r"(?i)auth"):
        server.messages(user)


def test_the_domain_that_the_test_judged_gets_its_verdict(server: MailServer) -> None:
    user = server.new_user()
    server.judge(
        "vouched.example", "spf=pass smtp.mailfrom=vouched.example; dkim=pass header.d=vouched.example"
    )
    server.judge("evil.example", "spf=fail smtp.mailfrom=evil.example")
    for domain in ("vouched", "evil", "unknown"):
        server.deliver(letter(domain), f"a@{domain}.example", user)
    found = dict(zip(subjects(them := server.wait_for(user, 3)), map(verdicts, them), strict=True))
    assert "spf=pass smtp.mailfrom=vouched.example" in found["vouched"][0]
    assert found["evil"] == [f"{AUTHSERV_ID}; spf=fail smtp.mailfrom=evil.example"]
    assert not any("pass" in one for one in found["unknown"])


def test_an_unknown_recipient_gets_550_and_the_known_one_beside_it_the_letter(server: MailServer) -> None:
    user = server.new_user()
    refused = server.deliver(letter("to two"), "anna@demo.example", [user, "nobody@garant.example"])
    assert {one: code for one, (code, _) in refused.items()} == {"nobody@garant.example": 550}
    assert refused["nobody@garant.example"][1].startswith(b"5.1.1")
    assert subjects(server.wait_for(user)) == ["to two"]


def test_it_relays_nothing_even_for_its_users(server: MailServer) -> None:
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        server.deliver(letter("away"), "anna@demo.example", "far@away.example", login=True)
    assert refused.value.recipients["far@away.example"][0] // 100 == 5


@pytest.mark.parametrize("answer", ["450 4.2.1 try later", "550 5.7.1 not you"])
def test_a_recipient_is_refused_as_told_until_it_is_kind_again(server: MailServer, answer: str) -> None:
    user = server.new_user()
    server.refuse(user, answer)
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        server.deliver(letter("no"), "anna@demo.example", user)
    code, said = refused.value.recipients[user]
    assert f"{code} {said.decode().split()[0]}" == " ".join(answer.split()[:2])
    server.be_kind()
    server.deliver(letter("yes"), "anna@demo.example", user)
    assert subjects(server.wait_for(user)) == ["yes"]


def test_a_bounce_comes_back_to_the_tagged_sender(server: MailServer) -> None:
    user, gone = server.new_user(), server.new_user()
    local, _, domain = user.partition("@")
    sender = f"{local}+letter-9@{domain}"
    server.bounce(gone, "5.2.1 mailbox closed")
    for recipient, status in ((gone, "5.2.1"), ("x@gone.example", "5.1.1")):
        server.deliver(letter("lost", "Message-ID: <lost@garant.example>"), sender, recipient)
        found = server.wait_for(user, mentioning(recipient))
        bounce = message_from_bytes(found[-1].raw)
        assert bounce.get_content_type() == "multipart/report"
        assert bounce["Return-Path"] == "<>"
        parts = {part.get_content_type(): part for part in bounce.walk()}
        told = parts["message/delivery-status"].as_string()
        assert f"Final-Recipient: rfc822; {recipient}" in told
        assert f"Status: {status}" in told
        assert b"Message-ID: <lost@garant.example>" in found[-1].raw
        assert str(bounce["To"]) == sender
    assert server.messages(gone) == []
    server.be_kind()


def test_ten_thousand_recipients_in_one_header_arrive_whole(server: MailServer) -> None:
    user = server.new_user()
    everybody = ",\r\n ".join(f"customer{number}@far.example" for number in range(10_000))
    sent = letter("to all", f"Cc: {everybody}")
    server.deliver(sent, "anna@demo.example", user)
    [found] = server.wait_for(user)
    assert found.raw.endswith(sent)


def test_a_letter_of_fifty_megabytes_is_taken_and_one_of_a_hundred_and_thirty_is_not(
    server: MailServer,
) -> None:
    user = server.new_user()
    sent = letter("large", body=("x" * 998 + "\r\n") * 50_000)
    assert len(sent) > 50_000_000
    server.deliver(sent, "anna@demo.example", user)
    [found] = server.wait_for(user, timeout_s=60)
    assert found.raw.endswith(sent)
    with server.smtp() as client:
        client.ehlo()
        code, _ = client.mail("anna@demo.example", ["SIZE=130000000"])
    assert code == 552


def test_without_room_on_the_disk_mail_is_put_off_and_the_mailbox_is_not_ready(start_mail: StartMail) -> None:
    server = start_mail("python")
    assert isinstance(server, PythonServer)
    user = server.new_user()
    server.stop()
    server.settings["GARANT_MAILBOX_MIN_FREE_MB"] = str(2**40)
    server.start()
    with pytest.raises(smtplib.SMTPSenderRefused) as refused:
        server.deliver(letter("no room"), "anna@demo.example", user)
    assert refused.value.smtp_code == 452
    assert not server.ready()
    server.stop()
    del server.settings["GARANT_MAILBOX_MIN_FREE_MB"]
    server.start()
    server.deliver(letter("room"), "anna@demo.example", user)
    assert subjects(server.messages(user)) == ["room"]
