"""Letters and addresses: the same bytes for the same letter, and no value becomes a header of its own."""

from __future__ import annotations

from base64 import b64encode
from email import policy
from email.header import decode_header, make_header
from email.parser import BytesParser

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from shared.mail.address import BadAddress, address, aligned, domain_of
from shared.mail.composing import HeaderInjection, Letter, compose, harmless, message_id, own_message_id
from shared.mail.encoded import CONTROL, carries_control, decoded
from shared.mail.reading import read

LETTER = Letter(
    message_id="<ack.T-1@garant.example>",
    sender_name="Garant, Support",
    sender="support@garant.example",
    to_name='Zoë "Z" O\'Hara',
    to="zoe@demo.example",
    subject="Ihre Anfrage T-1: Störung – gemeldet",
    text="Guten Tag\n\nWir haben Ihre Meldung.\n.\n--\nGarant\n",
    date_ms=1_767_225_599_999,
    html="<p>Guten Tag</p>",
    in_reply_to="<x1@demo.example>",
    references=("<x0@demo.example>", "<x1@demo.example>"),
    headers=(("Auto-Submitted", "auto-replied"), ("X-Garant-Letter", "T-1")),
)
NEWLINE = "x\nBcc: eve@evil.example"
INJECTIONS = [
    NEWLINE,
    "x\rBcc: eve@evil.example",
    "x\x00",
    "x\x0b\x0c\x1f\x7f",
    "x\u2028Bcc: y",
    "x\x85y",
    "=?utf-8?q?x=0ABcc:_eve=40evil.example?=",
    "=?utf-8?q?x=0a?= Bcc: y",
    "before =?iso-8859-1?Q?=0D=0A?= after",
    "a=?utf-8?q?=0A?=b",
    f"=?utf-8?b?{b64encode(NEWLINE.encode()).decode()}?=",
    f"=?UTF-8*de?B?{b64encode(NEWLINE.encode()).decode()}?=",
    "=?utf-7?q?+AAo-?=",
    "=?utf-8?q?=3D=3Futf-8=3Fq=3Fx=3D0ABcc=3A=3F=3D?=",
    f"=?utf-8?b?{b64encode(b'=?utf-8?q?x=0ABcc:?=').decode()}?=",
    "=?utf-8?q?=00?=",
    "=?nonsense?q?=0A?=",
]


def headers_of(data: bytes) -> list[tuple[str, str]]:
    read_back = BytesParser(policy=policy.compat32).parsebytes(data)
    unfolded = [(name, value.replace("\r\n ", " ")) for name, value in read_back.items()]
    return [(name, str(make_header(decode_header(value)))) for name, value in unfolded]


def test_a_letter_is_read_back_as_it_was_meant() -> None:
    data = compose(LETTER)
    mail = BytesParser(policy=policy.default).parsebytes(data)
    assert mail["subject"] == LETTER.subject
    assert [(one.display_name, one.addr_spec) for one in mail["from"].addresses] == [
        ("Garant, Support", "support@garant.example")
    ]
    assert [(one.display_name, one.addr_spec) for one in mail["to"].addresses] == [
        ('Zoë "Z" O\'Hara', "zoe@demo.example")
    ]
    assert mail["date"] == "Wed, 31 Dec 2025 23:59:59 +0000"
    assert mail["message-id"] == LETTER.message_id
    assert mail["references"].split() == list(LETTER.references)
    assert mail["auto-submitted"] == "auto-replied"
    plain, html = mail.iter_parts()
    assert plain.get_content().replace("\r\n", "\n") == LETTER.text.rstrip("\n")
    assert html.get_content() == "<p>Guten Tag</p>"
    assert (plain.get_content_type(), html.get_content_type()) == ("text/plain", "text/html")


def test_the_same_letter_is_the_same_bytes_and_stays_so() -> None:
    assert compose(LETTER) == compose(replace(LETTER))
    assert compose(replace(LETTER, html=None)) == (
        b"Date: Wed, 31 Dec 2025 23:59:59 +0000\r\n"
        b'From: "Garant, Support" <support@garant.example>\r\n'
        b"To: =?utf-8?b?Wm/DqyAiWiIgTydIYXJh?= <zoe@demo.example>\r\n"
        b"Subject: =?utf-8?b?SWhyZSBBbmZyYWdlIFQtMTogU3TDtnJ1bmcg4oCTIGdlbWVsZGV0?=\r\n"
        b"Message-ID: <ack.T-1@garant.example>\r\n"
        b"In-Reply-To: <x1@demo.example>\r\n"
        b"References: <x0@demo.example> <x1@demo.example>\r\n"
        b"Auto-Submitted: auto-replied\r\n"
        b"X-Garant-Letter: T-1\r\n"
        b"MIME-Version: 1.0\r\n"
        b"Content-Type: text/plain; charset=utf-8\r\n"
        b"Content-Transfer-Encoding: quoted-printable\r\n"
        b"\r\n"
        b"Guten Tag\r\n\r\nWir haben Ihre Meldung.\r\n=2E\r\n--\r\nGarant\r\n"
    )


@pytest.mark.parametrize("value", INJECTIONS)
@pytest.mark.parametrize("field", ["subject", "sender_name", "to_name", "sender", "to", "message_id"])
def test_no_value_makes_a_header(field: str, value: str) -> None:
    with pytest.raises((HeaderInjection, BadAddress)):
        compose(replace(LETTER, **{field: value}))
    with pytest.raises(BadAddress):
        compose(replace(LETTER, to=f"{value}@demo.example"))
    with pytest.raises(HeaderInjection):
        compose(replace(LETTER, headers=(("X-A", value),)))
    with pytest.raises(HeaderInjection):
        compose(replace(LETTER, references=(f"<{value}@demo.example>",)))


@pytest.mark.parametrize("name", ["Bcc", "subject", "Content-Type", "X A", "X:", "", "X\n", "Grüsse"])
def test_a_further_header_has_a_name_of_its_own(name: str) -> None:
    with pytest.raises(HeaderInjection):
        compose(replace(LETTER, headers=((name, "x"),)))


values = st.text(max_size=200) | st.text('=?utf-8bqBQ0AaD_ \n\r<>@",;:()\\', max_size=60)


@given(values, values, values, values, values)
def test_whatever_is_said_only_the_meant_headers_are_there_or_it_is_refused(
    subject: str, name: str, extra: str, text: str, html: str
) -> None:
    letter = replace(
        LETTER,
        subject=subject,
        sender_name=name,
        to_name=name,
        text=text,
        html=html,
        headers=(("X-A", extra),),
    )
    try:
        data = compose(letter)
    except HeaderInjection:
        assert any(carries_control(value) for value in (subject, name, extra))
        return
    assert data == compose(letter)
    assert data.replace(b"\r\n", b"").count(b"\n") == data.replace(b"\r\n", b"").count(b"\r") == 0
    assert max(len(line) for line in data.split(b"\r\n")) <= 998
    assert data.isascii()
    found = headers_of(data)
    assert [name for name, _ in found] == [
        *("Date", "From", "To", "Subject", "Message-ID", "In-Reply-To", "References", "X-A", "MIME-Version"),
        "Content-Type",
    ]
    assert not any(CONTROL.search(value) for _, value in found)
    said = subject.encode("utf-8", "replace").decode()
    assert dict(found)["Subject"].strip() == said.strip()
    incoming = read(data, own_domain="garant.example")
    assert (incoming.sender, incoming.own) == ("support@garant.example", True)


@given(values)
def test_harmless_text_can_be_a_header(text: str) -> None:
    value = harmless(text)
    assert len(value) <= 300
    compose(replace(LETTER, subject=value, sender_name=value, to_name=value, headers=(("X-A", value),)))


@given(st.text(max_size=300))
def test_what_is_encoded_is_decoded_to_the_same(text: str) -> None:
    value = " ".join(CONTROL.sub("", text).split())
    said = dict(headers_of(compose(replace(LETTER, subject=value)))) if not carries_control(value) else None
    assert said is None or said["Subject"] == value.encode("utf-8", "replace").decode()


def test_long_texts_stay_in_short_lines() -> None:
    data = compose(replace(LETTER, text="ü" * 10_000, subject="a" * 5_000, html="<p>" + "b" * 10_000))
    assert max(len(line) for line in data.split(b"\r\n")) <= 78
    assert read(data).text == "ü" * 10_000


@pytest.mark.parametrize(
    ("kind", "key", "made"),
    [
        ("ack", "T-2026-1", "<ack.T-2026-1@garant.example>"),
        ("letter", "sla/S-1/2026-11", "<letter.sla/S-1/2026-11@garant.example>"),
        ("letter", "Zoë", "<letter._"),
        ("letter", "a" * 61, "<letter._"),
        ("letter", "_0123", "<letter._"),
        ("letter", "a b", "<letter._"),
        ("letter", "a..b", "<letter._"),
        ("letter", "", "<letter._"),
    ],
)
def test_a_message_id_tells_its_kind_and_key(kind: str, key: str, made: str) -> None:
    found = message_id(kind, key, "Garant.example")
    assert found.startswith(made)
    assert found == message_id(kind, key, "garant.example")
    ours = own_message_id(f" {found}\r\n", "garant.example")
    assert ours is not None
    assert ours[0] == kind
    assert own_message_id(found, "other.example") is None


@given(st.text(max_size=80), st.text(max_size=80))
def test_different_keys_have_different_message_ids(a: str, b: str) -> None:
    assert (message_id("x", a, "d.ch") == message_id("x", b, "d.ch")) == (a == b)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Anna.Muster@Demo.EXAMPLE", "Anna.Muster@demo.example"),
        (" a+b=c@x.ch ", "a+b=c@x.ch"),
        ("anna@Bücher.example", "anna@xn--bcher-kva.example"),
        ("anna@demo.example.", "anna@demo.example"),
        ("root@localhost", "root@localhost"),
    ],
)
def test_an_address_is_normalised(text: str, expected: str) -> None:
    assert address(text) == expected
    assert address(expected) == expected
    assert domain_of(expected) == expected.partition("@")[2]


@pytest.mark.parametrize(
    "text",
    [
        *("", "anna", "anna@", "@demo.example", "a@b@c.ch", "a@b.ch, c@d.ch", "a@b.ch c@d.ch", "<a@b.ch>"),
        *("Anna <a@b.ch>", "a b@c.ch", '"a b"@c.ch', "a@[127.0.0.1]", "a@b..ch", "a@-b.ch", "ä@b.ch"),
        *("a@b.ch\nBcc: x@y.ch", "a%0Ab@c.ch", "a%250Ab@c.ch", "=?utf-8?q?a=0A?=@b.ch", "a\0@b.ch"),
        *("a" * 250 + "@b.ch", "a@" + "b" * 64 + ".ch", "a@b.ch;c@d.ch", "a@b_\u2028.ch", "\ud800@b.ch"),
    ],
)
def test_what_is_no_single_address_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(BadAddress) as refused:
        address(text)
    assert not text or text not in str(refused.value)


@given(st.text(max_size=300))
def test_any_text_is_an_address_or_a_bad_one(text: str) -> None:
    try:
        found = address(text)
    except BadAddress:
        return
    assert address(found) == found
    assert found.isascii()
    assert len(found) <= 254


@pytest.mark.parametrize(
    ("a", "b", "together"),
    [
        ("demo.example", "demo.example", True),
        ("mail.demo.example", "Demo.example", True),
        ("demo.example", "a.b.demo.example", True),
        ("demo.example", "evildemo.example", False),
        ("a.demo.example", "b.demo.example", False),
        ("example", "demo.example", False),
        ("example", "example", True),
        ("", "", False),
        ("", "demo.example", False),
    ],
)
def test_domains_belong_together_if_one_lies_under_the_other(a: str, b: str, together: bool) -> None:
    assert aligned(a, b) is aligned(b, a) is together


@given(st.text("=?utf-8bq0AD_ a", max_size=100))
def test_decoding_never_fails(text: str) -> None:
    decoded(text)
