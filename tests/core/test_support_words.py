"""What a subject says: which request, how grave, and how letters about it are called."""

from __future__ import annotations

import pytest

from services.support.severity import NAMES, SEVERITIES, said_severity, severity_name
from services.support.threads import digest, letter_message_id, plain_subject, subject_with, tickets_named

US = "support@garant.example"


@pytest.mark.parametrize(
    ("subject", "tickets"),
    [
        ("Re: It is slow [T-000017]", ["T-000017"]),
        ("AW: Re: [EXT] langsam [t-000017] (wichtig)", ["T-000017"]),
        ("TR: [T-000001] lent [T-000002]", ["T-000002", "T-000001"]),
        ("RIF: lento [ T-1234567 ]", ["T-1234567"]),
        ("T-000017 without brackets", []),
        ("[T-17] too short, [XT-000017]", []),
        ("", []),
    ],
)
def test_given_a_subject_then_the_tickets_it_names_are_found_the_last_first(
    subject: str, tickets: list[str]
) -> None:
    assert tickets_named(subject) == tickets


@pytest.mark.parametrize(
    ("subject", "answer"),
    [
        ("It is slow", "Re: It is slow [T-000017]"),
        ("Re: AW: TR: RIF: Fwd: It is slow [T-000017]", "Re: It is slow [T-000017]"),
        ("Re[2]: It is slow [T-000003]", "Re: It is slow [T-000017]"),
        ("", "[T-000017]"),
        ("Re:", "[T-000017]"),
    ],
)
def test_given_any_subject_then_the_answers_has_one_re_and_one_token(subject: str, answer: str) -> None:
    assert subject_with("T-000017", subject) == answer
    assert len(subject_with("T-000017", "x" * 5_000)) < 250


def test_given_a_subject_that_begins_like_a_reply_then_only_reply_words_are_taken_away() -> None:
    assert plain_subject("Reboot: it hangs") == "Reboot: it hangs"
    assert plain_subject("Error: it hangs") == "Error: it hangs"


def test_given_a_letter_then_its_message_id_is_always_the_same_and_digests_say_nothing_else() -> None:
    ours = letter_message_id("ack", "T-000017", "", "garant.example")
    assert (
        ours == "<ack.T-000017@garant.example>" == letter_message_id("ack", "T-000017", "", "garant.example")
    )
    assert digest(ours) != digest(ours.lower())
    assert len(digest(ours)) == 64


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("language", sorted(NAMES))
def test_given_a_name_from_our_letters_in_front_of_the_subject_then_it_is_that_severity(
    severity: str, language: str
) -> None:
    name = severity_name(severity, language)  # type: ignore[arg-type]
    assert said_severity(f"[{name}] app", (), US) == severity
    assert said_severity(f"Re: AW: [{name.upper()}] app [T-000001]", (), US) == severity
    assert said_severity(f"[EXT] [{name}] app", (), US) == severity


@pytest.mark.parametrize(
    "subject", ["app is down", "down", "app [down]", "[downtime] app", "[] app", "(down) app"]
)
def test_given_no_such_brackets_in_front_then_nothing_is_said(subject: str) -> None:
    assert said_severity(subject, (), US) is None


def test_given_a_plus_address_of_ours_then_it_says_the_severity() -> None:
    assert said_severity("x", ("boss@demo.example", "Support+Down@garant.example"), US) == "down"
    assert said_severity("x", ("support+modere@garant.example",), US) == "moderate"
    assert said_severity("x", ("other+down@garant.example", "support+down@demo.example"), US) is None
    assert said_severity("x", ("support+else@garant.example", "support@garant.example"), US) is None


def test_given_both_then_the_subject_counts() -> None:
    assert said_severity("[limited] x", ("support+down@garant.example",), US) == "limited"
