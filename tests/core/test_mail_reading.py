"""Whatever comes in is read, quickly, and says no more than it can be trusted for."""

from __future__ import annotations

import time
import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict, replace

from shared.mail.bounces import Bounce, bounce_of
from shared.mail.composing import compose
from shared.mail.plain import plain
from shared.mail.reading import Incoming, content_digest, read
from tests.core.test_mail_composing import LETTER

HEAD = (
    b"From: Anna Muster <anna@demo.example>\r\nTo: support@garant.example\r\nSubject: Hilfe\r\n"
    b"Date: Tue, 24 Nov 2026 10:00:00 +0100\r\nMessage-ID: <1@demo.example>\r\n"
)
MIXED = HEAD + b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'


def sound(mail: Incoming) -> Incoming:
    """The mail, all of whose texts a database takes."""
    for value in asdict(mail).values():
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str):
                assert "\0" not in text
                text.encode()
    assert "\n" not in mail.subject + mail.sender_name
    assert len(mail.subject) <= 300
    assert len(mail.references) <= 100
    assert len(mail.recipients) <= 50
    compose(replace(LETTER, subject=mail.subject, to_name=mail.sender_name, references=mail.references))
    return mail


def part(body: bytes, *headers: bytes) -> bytes:
    return b"--b\r\n" + b"\r\n".join(headers) + b"\r\n\r\n" + body + b"\r\n"


def test_an_ordinary_mail() -> None:
    mail = sound(
        read(
            b"Return-Path: <anna@demo.example>\r\n" + HEAD + b"In-Reply-To: <r2@garant.example>\r\n"
            b"References: <r1@garant.example>\r\n <r2@garant.example>\r\n"
            b"Cc: Bob <bob@demo.example>\r\n\r\nHallo\r\n",
        )
    )
    assert (mail.sender, mail.sender_name) == ("anna@demo.example", "Anna Muster")
    assert (mail.return_path, mail.message_id) == ("anna@demo.example", "<1@demo.example>")
    assert mail.references == ("<r1@garant.example>", "<r2@garant.example>")
    assert mail.recipients == ("support@garant.example", "bob@demo.example")
    assert mail.date_ms == 1_795_510_800_000
    assert (mail.text, mail.attachments, mail.problems) == ("Hallo", 0, ())
    assert (mail.automatic, mail.reply_unwanted, mail.own) == (None, False, False)


def test_plain_text_is_preferred_and_html_is_stripped_where_there_is_none() -> None:
    text = part(b"plain", b"Content-Type: text/plain")
    html = part(b"<b>h&auml;</b>", b"Content-Type: text/html")
    pdf = part(b"JVBERi0=", b"Content-Type: application/pdf", b"Content-Transfer-Encoding: base64")
    assert read(MIXED + html + text + pdf + b"--b--").text == "plain"
    assert read(MIXED + html + pdf + b"--b--").text == "hä"
    assert read(MIXED + part(b" \r\n", b"Content-Type: text/plain") + html + b"--b--").text == "hä"
    assert read(MIXED + text + pdf + pdf + b"--b--").attachments == 2
    named = part(b"log", b"Content-Type: text/plain", b"Content-Disposition: attachment; filename=a.log")
    mail = read(MIXED + text + named + b"--b--")
    assert (mail.text, mail.attachments) == ("plain", 1)


@pytest.mark.parametrize(
    ("headers", "body", "text"),
    [
        (b"Content-Type: text/plain; charset=iso-8859-1", "für €".encode("cp1252"), "für €"),
        (b"Content-Type: text/plain; charset=utf-8", b"f\xfcr", "f\ufffdr"),
        (b"Content-Type: text/plain; charset=us-ascii", "für".encode(), "für"),
        (b"Content-Type: text/plain; charset=nonsense", "für".encode(), "für"),
        (b"Content-Type: text/plain; charset=rot13", b"abc", "abc"),
        (b'Content-Type: text/plain; charset="gb2312"', "你好".encode("gb2312"), "你好"),
        (b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64", b"SGk=!SGk", "Hi"),
        (
            b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: base64",
            b"SGkg SGk",
            "Hi Hi",
        ),
        (b"Content-Transfer-Encoding: quoted-printable", b"f=C3=BCr=\r\n dich =XY", "für dich =XY"),
        (b"Content-Type: nonsense", b"hi", "hi"),
        (b"Content-Type: text/plain", b"a\0b\x1b[31mc", "ab[31mc"),
        (b'Content-Type: multipart/mixed; boundary="none"', b"hi", "hi"),
        (b"Content-Type: multipart/mixed", b"hi", "hi"),
    ],
)
def test_bodies_in_all_charsets_and_encodings(headers: bytes, body: bytes, text: str) -> None:
    assert sound(read(HEAD + headers + b"\r\n\r\n" + body)).text.startswith(text)


@pytest.mark.parametrize(
    ("said", "sender", "name"),
    [
        (b"anna@Demo.Example", "anna@demo.example", ""),
        (b"<anna@demo.example>", "anna@demo.example", ""),
        (b'"Muster, Anna" <anna@demo.example>', "anna@demo.example", "Muster, Anna"),
        (b"Muster, Anna <anna@demo.example>", "anna@demo.example", "Muster, Anna"),
        (b"=?utf-8?q?Zo=C3=AB?= <anna@demo.example>", "anna@demo.example", "Zoë"),
        (b"anna@demo.example (Anna)", "anna@demo.example", ""),
        (b"anna@demo.example <anna@demo.example>", "anna@demo.example", ""),
        (b'"boss@garant.example" <eve@evil.example>', "eve@evil.example", "boss@garant.example"),
        (b"=?utf-8?q?<boss=40garant.example>?= <eve@evil.example>", None, ""),
        (b"=?utf-8?q?=3Cboss=40garant.example=3E?= <eve@evil.example>", "eve@evil.example", None),
        (b"=?utf-8?q?x=0ABcc:_y?= <eve@evil.example>", "eve@evil.example", "x Bcc: y"),
        (b"boss@garant.example <eve@evil.example>", None, ""),
        (b"boss@garant.example, eve@evil.example", None, ""),
        (b"<boss@garant.example> <eve@evil.example>", None, ""),
        (b"boss@garant.example@evil.example", None, ""),
        (b"=?utf-8?q?eve=40evil.example?=", None, ""),
        (b"group: eve@evil.example;", None, ""),
        (b"nobody", None, ""),
        (b"", None, ""),
    ],
)
def test_the_sender_is_who_there_is_only_one_way_to_read(
    said: bytes, sender: str | None, name: str | None
) -> None:
    mail = sound(read(b"From: " + said + b"\r\n\r\nx"))
    assert mail.sender == sender
    assert name is None or mail.sender_name == name
    assert ("bad-from" in mail.problems) == (sender is None)


def test_several_from_headers_are_nobody() -> None:
    mail = read(b"From: a@b.ch\r\nSubject: x\r\nfrom: c@d.ch\r\n\r\nx")
    assert (mail.sender, "several-from" in mail.problems) == (None, True)


@pytest.mark.parametrize(
    ("headers", "automatic", "because"),
    [
        (b"Auto-Submitted: auto-replied", "auto-reply", "Auto-Submitted"),
        (b"Auto-Submitted: auto-generated (cron)", "auto-generated", "Auto-Submitted"),
        (b"Auto-Submitted: no", None, ""),
        (b"Precedence: bulk", "bulk", "Precedence"),
        (b"Precedence: junk", "bulk", "Precedence"),
        (b"Precedence: list", "list", "Precedence"),
        (b"Precedence: auto_reply", "auto-reply", "Precedence"),
        (b"Precedence: first-class", None, ""),
        (b"List-Id: <x.y>", "list", "List-Id"),
        (b"List-Unsubscribe: <mailto:x@y.ch>", "list", "List-Unsubscribe"),
        (b"X-Autoreply: yes", "auto-reply", "X-Autoreply"),
        (b"X-Autorespond:", "auto-reply", "X-Autorespond"),
        (b"X-Autoreply: no", None, ""),
        (b"X-Loop: helpdesk@y.ch", "auto-generated", "X-Loop"),
        (b"Return-Path: <>", "bounce", "Return-Path"),
        (b"Return-Path: <>\r\nAuto-Submitted: auto-replied", "auto-reply", "Auto-Submitted"),
        (
            b"Content-Type: multipart/report; report-type=delivery-status; boundary=b",
            "bounce",
            "Content-Type",
        ),
        (b"Content-Type: multipart/report; report-type=disposition-notification", "report", "Content-Type"),
        (b"X-Auto-Response-Suppress: DR, RN", None, ""),
    ],
)
def test_a_machine_is_known_by_its_headers(headers: bytes, automatic: str | None, because: str) -> None:
    mail = read(headers + b"\r\n" + HEAD + b"\r\nx")
    assert (mail.automatic, mail.automatic_because) == (automatic, because)
    assert mail.reply_unwanted is (automatic is not None)


def test_a_mail_system_writes_bounces() -> None:
    assert read(b"From: Mail <MAILER-DAEMON@x.ch>\r\n\r\nx").automatic == "bounce"


@pytest.mark.parametrize("wish", [b"All", b"DR, OOF, AutoReply", b"autoreply"])
def test_a_wish_for_no_automatic_answer_is_not_taken_for_a_machine(wish: bytes) -> None:
    mail = read(b"X-Auto-Response-Suppress: " + wish + b"\r\n" + HEAD + b"\r\nx")
    assert (mail.automatic, mail.reply_unwanted) == (None, True)


@pytest.mark.parametrize(
    ("said", "ms"),
    [
        (b"Tue, 24 Nov 2026 10:00:00", 1_795_514_400_000),
        (b"24 Nov 2099 00:00:00 +0000", 4_099_161_600_000),
        (b"Tue, 99 Nov 2026 10:00:00 +0000", None),
        (b"24 Nov 99999999 00:00:00 +0000", None),
        (b"24 Nov 2026 00:00:00 +99999999999999999999", None),
        (b"yesterday", None),
        (b"", None),
    ],
)
def test_dates_are_as_claimed_or_none(said: bytes, ms: int | None) -> None:
    mail = sound(read(b"Date: " + said + b"\r\n\r\nx"))
    assert (mail.date_ms, "bad-date" in mail.problems) == (ms, ms is None)


def test_copies_of_one_mail_have_one_digest_and_other_mails_another() -> None:
    body = b"Hallo\r\n\r\nWelt"
    one = HEAD + b"\r\n" + body
    other = (
        b"Return-Path: <x@y.ch>\r\nDelivered-To: a@b.ch\r\nReceived: from x\r\n by y\r\n"
        b"Authentication-Results: z; spf=pass\r\n"
        + HEAD.replace(b"Subject: ", b"Subject:\r\n ")
        + b"\r\n"
        + body
    )
    assert read(one).content_digest == read(other).content_digest == content_digest(other)
    assert content_digest(one) == content_digest(one.replace(b"\r\n", b"\n") + b"\n\n")
    big = b"a\r\n" * 1_000_000
    assert content_digest(HEAD + b"\r\n" + big) == content_digest(
        HEAD + b"\r\n" + big.replace(b"\r\n", b"\n")
    )
    digests = {
        content_digest(one.replace(*changed))
        for changed in (
            (b"Welt", b"Wult"),
            (b"Hilfe", b"Help"),
            (b"<1@", b"<2@"),
            (b"10:00", b"11:00"),
            (b"", b""),
        )
    }
    assert len(digests) == 5


def test_many_references_keep_the_first_and_the_last() -> None:
    ids = [f"<{number}@x.ch>" for number in range(500)]
    mail = sound(read(f"References: {' '.join(ids)}\r\nIn-Reply-To: {ids[3]} <new@x.ch>\r\n\r\n".encode()))
    assert len(mail.references) == 100
    assert (mail.references[0], mail.references[-1]) == ("<0@x.ch>", "<new@x.ch>")


NASTY = {
    "nothing": b"",
    "one newline": b"\n",
    "only a body": b"\r\n\r\nhello",
    "no headers": b"hello\r\n\r\nthere",
    "NULs": b"\0" * 100_000,
    "a header of 1 MB": b"X-A: " + b"a" * 1_000_000 + b"\r\n" + HEAD + b"\r\nx",
    "a From of 1 MB": b"From: " + b'"\\"' * 400_000 + b"\r\n\r\nx",
    "a To of 1 MB of quotes": b"To: " + b'"\\"' * 400_000 + b"\r\n\r\nx",
    "a To of 1 MB of parentheses": b"To: " + b"(@" * 500_000 + b"\r\n\r\nx",
    "a Subject of 1 MB of words": b"Subject: " + b"=?utf-8?q?" * 100_000 + b"\r\n\r\nx",
    "a Content-Type of 1 MB": b"Content-Type: text/plain;" + b';a="' * 300_000 + b"\r\n\r\nx",
    "a Message-ID of 1 MB": b"Message-ID: " + b"<" * 1_000_000 + b"\r\n\r\nx",
    "a million lines of headers": b"a:b\n" * 1_000_000,
    "10,000 recipients": b"To: "
    + b",\r\n ".join(b"u%d@demo.example" % number for number in range(10_000))
    + b"\r\n"
    + HEAD.replace(b"To:", b"Cc:")
    + b"\r\nx",
    "1,000 multiparts in each other": HEAD
    + b"".join(
        b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (n, n) for n in range(1000)
    ),
    "multiparts of one boundary": HEAD + b'Content-Type: multipart/mixed; boundary="b"\n\n--b\n' * 50_000,
    "a million parts": MIXED + b"--b\n\n" * 1_000_000,
    "a boundary that is everywhere": HEAD
    + b'Content-Type: multipart/mixed; boundary="-"\r\n\r\n'
    + b"---x\n" * 2_000_000,
    "50 MB attached": MIXED
    + part(b"see there", b"Content-Type: text/plain")
    + part(b"QUJD" * 12_500_000, b"Content-Type: application/pdf", b"Content-Transfer-Encoding: base64")
    + b"--b--",
    "50 MB of text": HEAD + b"\r\n" + b"x" * 50_000_000,
    "50 MB in one header": b"X-A: " + b"x" * 50_000_000,
    "HTML that is never closed": HEAD
    + b"Content-Type: text/html\r\n\r\n"
    + b"<style" * 50_000
    + b"<!--" * 50_000,
    "a character reference without end": HEAD + b"Content-Type: text/html\r\n\r\n&#" + b"9" * 200_000,
    "half a UTF-7": HEAD + b"Content-Type: text/plain; charset=utf-7\r\n\r\n" + b"+2AA" * 50_000,
    "broken base64": HEAD + b"Content-Transfer-Encoding: base64\r\n\r\n" + b"=A=B=" * 50_000,
    "a line end in Subject and From": b"Subject: =?utf-8?q?x=0D=0ABcc:_y?=\r\n"
    b"From: =?utf-8?q?a=0A?= <a@b.ch>\r\n\r\n",
    "headers that are none": b"From: a@b.ch\r\nnonsense\r\n: empty\r\n\xff\xfe: x\r\n\r\nx",
    "8-bit headers": "Subject: Störung\r\nFrom: Zoë <zoe@demo.example>\r\n\r\nx".encode("latin-1"),
    "surrogates": b"Subject: =?utf-7?q?+2AA-?= =?utf-8?b?7aCA?=\r\n\r\n\xed\xa0\x80",
}


@pytest.mark.parametrize("name", NASTY)
def test_nasty_mails_are_read_in_no_time_and_little_memory(name: str) -> None:
    raw = NASTY[name]
    begun = time.process_time()
    mail = sound(read(raw))
    bounce_of(raw)
    assert time.process_time() - begun < 1.5, "on a quiet machine it takes less than half a second"
    assert len(mail.text.encode()) <= 262_144
    tracemalloc.start()
    read(raw[:60_000_000])
    assert tracemalloc.get_traced_memory()[1] < 45_000_000
    tracemalloc.stop()


def test_10_000_recipients_are_counted_and_the_first_50_told() -> None:
    mail = read(NASTY["10,000 recipients"])
    assert (mail.recipient_count, len(mail.recipients)) == (10_001, 50)


def test_50_mb_attached_leave_the_text_readable() -> None:
    mail = read(NASTY["50 MB attached"])
    assert (mail.text, mail.attachments) == ("see there", 1)


pieces = st.sampled_from(
    [
        *(
            b"From: ",
            b"To: ",
            b"Subject: ",
            b"Date: ",
            b"Message-ID: <",
            b">",
            b"\r\n",
            b"\n",
            b"\r\n\r\n",
            b" ",
        ),
        *(
            b"Content-Type: multipart/mixed; boundary=b",
            b"--b",
            b"--b--",
            b"Content-Type: text/html; charset=",
        ),
        *(
            b"=?utf-8?q?",
            b"=0A",
            b"?=",
            b"a@b.ch",
            b"<",
            b">",
            b'"',
            b"\\",
            b"(",
            b")",
            b",",
            b";",
            b":",
            b"\0",
        ),
        *(b"utf-16", b"utf-7", b"Content-Transfer-Encoding: base64", b"quoted-printable", b"<script>", b"&#"),
        *(b"Return-Path: <>", b"MAILER-DAEMON@x.ch", b"550 5.1.1", b"multipart/report; report-type="),
        *(b"delivery-status", b"message/rfc822", b"Final-Recipient: rfc822;", b"Action: failed", b"\xff\xfe"),
    ]
)


@settings(max_examples=400)
@given(st.binary(max_size=2_000) | st.lists(pieces | st.binary(max_size=8), max_size=80).map(b"".join))
def test_any_bytes_are_read(raw: bytes) -> None:
    mail = sound(read(raw, own_domain="garant.example", body_bytes=500))
    assert "unreadable" not in mail.problems
    assert len(mail.text.encode()) <= 500
    bounce_of(raw)


@given(st.text("<>/!-abstyle scripthed&#;x12\n", max_size=400))
def test_any_html_is_stripped(source: str) -> None:
    plain(source)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("<p>Guten&nbsp;Tag</p><p>Zeile<br>zwei</p>", "Guten Tag\n\nZeile\nzwei"),
        ("<head><title>t</title><style>a<b{}</style></head><body>x</body>", "x"),
        ("a<!-- <b> --> c", "a c"),
        ("<script>if (a<b) {}</script>x", "x"),
        ("1 < 2 &amp; 3 > 2", "1 < 2 & 3 > 2"),
        ("<head><body>x", "x"),
        ("<table><tr><td>a</td><td>b</td></tr></table>", "a b"),
    ],
)
def test_html_becomes_what_a_person_reads(source: str, text: str) -> None:
    assert plain(source) == text


def report(*blocks: bytes, original: bytes = b"Message-ID: <ack.T-1@garant.example>") -> bytes:
    status = b"\r\n\r\n".join((b"Reporting-MTA: dns; mx.demo.example", *blocks))
    return (
        b"Return-Path: <>\r\nFrom: MAILER-DAEMON@demo.example\r\nSubject: Undelivered\r\n"
        b'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        + part(b"It did not arrive.", b"Content-Type: text/plain")
        + part(status, b"Content-Type: message/delivery-status")
        + part(original + b"\r\nSubject: x\r\n\r\nbody", b"Content-Type: message/rfc822")
        + b"--b--\r\n"
    )


FAILED = (
    b"Original-Recipient: rfc822;anna@demo.example\r\nFinal-Recipient: rfc822; anna@new.example\r\n"
    b"Action: failed\r\nStatus: 5.1.1\r\nDiagnostic-Code: smtp; 550 5.1.1 no such\r\n user"
)


def test_a_delivery_report_is_a_bounce_of_the_letter_it_names() -> None:
    assert bounce_of(report(FAILED)) == Bounce(
        "<ack.T-1@garant.example>", "anna@demo.example", "5.1.1", True, "550 5.1.1 no such user"
    )


def test_of_several_recipients_the_one_that_failed_counts_and_our_copy_does_not() -> None:
    delayed = b"Final-Recipient: rfc822; bob@demo.example\r\nAction: delayed\r\nStatus: 4.4.1"
    delivered = b"Final-Recipient: rfc822; zoe@demo.example\r\nAction: delivered\r\nStatus: 2.0.0"
    found = bounce_of(report(delivered, delayed, FAILED))
    assert found is not None
    assert (found.recipient, found.permanent) == ("anna@demo.example", True)
    found = bounce_of(report(delayed, FAILED), ignoring=["anna@demo.example"])
    assert found is not None
    assert (found.recipient, found.permanent, found.status) == ("bob@demo.example", False, "4.4.1")
    assert bounce_of(report(delivered)) is None
    assert bounce_of(report(FAILED, original=b"Subject: y")) is None


def test_a_bounce_in_nobodys_format_needs_a_mail_system_a_null_path_and_our_id() -> None:
    head = b"Return-Path: <>\r\nFrom: MAILER-DAEMON@demo.example\r\nSubject: failure notice\r\n\r\n"
    body = b"<anna@demo.example>:\r\n550 5.1.1 no such user\r\n\r\nMessage-Id: <ack.T-1@garant.example>\r\n"
    assert bounce_of(head + body) == Bounce(
        "<ack.T-1@garant.example>", None, "5.1.1", True, "550 5.1.1 no such user"
    )
    assert bounce_of(head.replace(b"MAILER-DAEMON", b"anna") + body) is None
    assert bounce_of(head.replace(b"<>", b"<x@y.ch>") + body) is None
    assert bounce_of(head + body.replace(b"Message-Id", b"Id")) is None
    assert bounce_of(head + b"Message-Id: <ack.T-1@garant.example>\r\nI am on holiday.") is None
    warned = bounce_of(
        head.replace(b"failure notice", b"Warning: delayed") + body.replace(b"5.1.1", b"4.4.7")
    )
    assert warned is not None
    assert not warned.permanent


def test_a_bounce_of_exim_names_the_recipient() -> None:
    raw = (
        b"Return-Path: <>\r\nFrom: <Mailer-Daemon@x.ch>\r\nX-Failed-Recipients: anna@demo.example\r\n\r\n"
        b"A message could not be delivered.\r\n\r\n> Message-ID: <ack.T-1@garant.example>\r\n"
    )
    found = bounce_of(raw)
    assert found is not None
    assert (found.recipient, found.permanent, found.status) == ("anna@demo.example", True, "5.0.0")
    assert bounce_of(raw, ignoring=["anna@demo.example"]) is None
