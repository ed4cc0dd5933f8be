"""Only what our own mail server verified makes a sender who they say; nothing the sender wrote does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.support.authentication import Trust, authenticated, results
from shared.mail.parts import head

OURS = "mail.garant.example"
TRUST = Trust(OURS)
RECEIVED = "Received: from client.example by mail.garant.example; Mon, 23 Nov 2026 10:00:00 +0000"


def domain(*fields: str, sender: str | None = "anna@demo.example", trust: Trust = TRUST) -> str | None:
    raw = "\r\n".join([*fields, "From: anna@demo.example", "", "text"]).encode()
    return authenticated(head(raw)[0], sender, trust).domain


def said(verdict: str, server: str = OURS) -> str:
    return f"Authentication-Results: {server}; {verdict}"


@pytest.mark.parametrize(
    "verdict",
    [
        "dmarc=pass header.from=demo.example",
        "DMARC=Pass (p=reject) header.from=Demo.Example",
        "dkim=pass header.d=demo.example",
        "dkim=pass header.i=@demo.example",
        "dkim=pass header.d=mail.demo.example header.s=x",
        "spf=pass smtp.mailfrom=anna@demo.example",
        "spf=pass smtp.mailfrom=bounces.demo.example",
        'spf=pass smtp.mailfrom="odd name"@demo.example',
        "auth=pass smtp.auth=anna@demo.example",
        "auth=pass (cram-md5) smtp.mailfrom=anna@demo.example",
        "dkim=fail header.d=demo.example; dkim=pass header.d=demo.example",
        "spf=fail smtp.mailfrom=demo.example;\r\n dkim=pass (2048-bit key)\r\n\theader.d=demo.example",
        'dkim=pass reason="good; signature" header.d=demo.example',
        "dkim/1=pass header.d = demo.example",
        "x=y z; dkim=pass header.d=demo.example",
    ],
)
def test_given_our_servers_verdict_on_the_senders_domain_then_it_is_authenticated(verdict: str) -> None:
    assert domain(said(verdict), RECEIVED) == "demo.example"


@pytest.mark.parametrize(
    "verdict",
    [
        "none",
        "",
        "dkim=fail header.d=demo.example",
        "dkim=pass",
        "dkim=pass header.d=evil.example",
        "dkim=pass header.d=example",
        "dkim=pass header.d=notdemo.example",
        "dkim=pass header.d=demo.example.evil.example",
        "dkim=pass header.d=evil.example (header.d=demo.example)",
        'dkim=pass reason="header.d=demo.example" header.d=evil.example',
        'dkim=fail reason="; dkim=pass header.d=demo.example" header.d=evil.example',
        r'spf=pass smtp.mailfrom="\"; dkim=pass header.d=demo.example; x=\""@evil.example',
        "dkim=pass header.d=evil.example header.d=demo.example",
        "dkim=pass header.from=demo.example",
        "dmarc=pass header.from=mail.demo.example",
        "dmarc=pass header.d=demo.example",
        "spf=pass smtp.helo=demo.example",
        "spf=softfail smtp.mailfrom=demo.example",
        "auth=pass smtp.auth=anna",
        "auth=pass smtp.auth=mallory@evil.example smtp.mailfrom=anna@demo.example",
        "iprev=pass policy.iprev=192.0.2.1",
        "arc=pass header.d=demo.example",
        "dkim=pass (header.d=demo.example",
        'dkim=pass header.d="demo.example',
        "dkim=pass header.d=demo.example )",
        "dkim.pass=header.d=demo.example",
    ],
)
def test_given_a_verdict_on_another_domain_or_none_then_nobody_is_authenticated(verdict: str) -> None:
    assert domain(said(verdict), RECEIVED) is None


GOOD = "dkim=pass header.d=demo.example"


@pytest.mark.parametrize(
    "server",
    [
        "mail.garant.example.evil.example",
        "evil-mail.garant.example",
        "mail",
        "garant.example",
        "evil.example (mail.garant.example)",
        "evil.example mail.garant.example",
        '"evil.example; mail.garant.example"',
        "",
    ],
)
def test_given_a_field_of_another_server_then_it_is_not_believed(server: str) -> None:
    assert domain(said(GOOD, server), RECEIVED) is None


@pytest.mark.parametrize(
    "server", [OURS, OURS.upper(), f"{OURS} 1", f'"{OURS}"', f"(ours) {OURS} (v) 1", f"(a(b)c){OURS}"]
)
def test_given_our_servers_name_in_any_legal_form_then_it_is_believed(server: str) -> None:
    assert domain(said(GOOD, server), RECEIVED) == "demo.example"


def test_given_a_field_in_our_name_below_our_received_then_the_sender_wrote_it() -> None:
    assert domain(RECEIVED, said(GOOD)) is None
    assert domain(said("none"), RECEIVED, "Received: from x by y", said(GOOD)) is None


def test_given_a_server_that_stamps_below_then_only_the_fields_right_below_it_count() -> None:
    below = Trust(OURS, stamps_below=True)
    assert domain(RECEIVED, said(GOOD), trust=below) == "demo.example"
    assert domain(RECEIVED, said("none", "filter.example"), said(GOOD), trust=below) == "demo.example"
    assert domain(RECEIVED, "X-Sender: says", said(GOOD), trust=below) is None
    assert domain(RECEIVED, "Received: from x by y", said(GOOD), trust=below) is None


def test_given_two_servers_of_ours_then_what_stands_between_their_received_counts() -> None:
    two = Trust(OURS, received_hops=2)
    inner = "Received: from mail.garant.example by inside.garant.example with LMTP"
    assert domain(inner, said(GOOD), RECEIVED, trust=two) == "demo.example"
    assert domain(inner, RECEIVED, said(GOOD), trust=two) is None
    assert domain(inner, said(GOOD), RECEIVED, trust=Trust(OURS, received_hops=1)) is None


def test_given_fewer_received_fields_than_our_servers_write_then_nobody_is_authenticated() -> None:
    assert domain(said(GOOD)) is None
    assert domain(said(GOOD), RECEIVED, trust=Trust(OURS, received_hops=2)) is None


def test_given_a_field_in_the_body_then_it_is_text() -> None:
    assert domain(said("none"), RECEIVED, "Subject: x", "", said(GOOD)) is None


def test_given_no_name_of_our_server_or_no_single_sender_then_nobody_is_authenticated() -> None:
    assert domain(said(GOOD), RECEIVED, trust=Trust("")) is None
    assert domain(said(GOOD, ""), RECEIVED, trust=Trust("")) is None
    assert domain(said(GOOD), RECEIVED, sender=None) is None


@given(st.text(max_size=200))
def test_given_any_text_then_reading_it_neither_fails_nor_believes_another_server(text: str) -> None:
    found = results(text, OURS)
    assert found is None or OURS in text.lower()


@given(st.text(alphabet='();"\\ =.-a', max_size=60))
def test_given_any_property_text_of_another_domain_then_ours_is_not_found_in_it(text: str) -> None:
    assert domain(said(f"spf=pass smtp.mailfrom={text}@evil.example".replace("\r", "")), RECEIVED) is None
