"""What customers, sales, staff and accounting do in the installation whose records are kept."""

from __future__ import annotations

import smtplib
from functools import partial

from tests.core.support_mail import ANNA, US, mail
from tests.upgrade.processes import Service
from tests.waiting import eventually

_SOLD = (
    ("A-1", "S-1", ["shop"], "1200.00", "year", "cloud", "it"),
    ("A-2", "S-2", ["api", "shop"], "99.95", "month", "cloud", "fr"),
    ("A-3", "S-3", ["lab"], "2400.00", "year", "cloud", "de"),
    ("A-4", "S-4", ["mail", "desk"], "1000.00", "year", "on-premises", "en"),
    ("A-5", "S-5", ["shop", "moved"], "1500.00", "year", "cloud", "fr"),
)
_KNOWN = (
    ("C-1", "A-1", ANNA, "Anna Rossi", "it"),
    ("C-2", "A-2", "bruno@two.example", "Bruno Favre", "fr"),
    ("C-3", "A-3", "carla@three.example", "Carla Meier", "de"),
    ("C-4", "A-4", "dora@four.example", "Dora Smith", "en"),
    ("C-5", "A-5", "emil@five.example", "Emil Blanc", "fr"),
)
_SEVERITIES = ("down", "serious", "moderate", "limited", "limited")


def sell(billing: Service) -> None:
    """Five subscriptions; one grows, one will end."""
    for one in _SOLD:
        sell_one(billing, *one)
    grown = {"effective_on": "2026-11-10", "price": "3600.00"}
    billing.ask("POST", "/subscriptions/S-3/changes", grown)
    billing.ask("POST", "/subscriptions/S-5/cancellation", {"ends_on": "2027-10-01"})


def sell_one(
    billing: Service,
    account: str,
    subscription: str,
    targets: list[str],
    price: str,
    term: str,
    deployment: str,
    language: str,
) -> None:
    """One subscription, from October 2026."""
    body = {
        "account": account,
        "subscription": subscription,
        "deployment": deployment,
        "targets": targets,
        "price": price,
        "term": term,
        "starts_on": "2026-10-01",
        "language": language,
    }
    billing.ask("POST", "/subscriptions", body)


def known_to(support: Service) -> None:
    """A person of each account."""
    for contact, account, address, name, language in _KNOWN:
        body = {"account": account, "addresses": [address], "name": name, "language": language}
        support.ask("PUT", f"/contacts/{contact}", body)


def ask(support: Service, mail_port: int) -> None:
    """Anna writes; somebody writes whom nobody vouches for; five requests come by telephone, one by mistake;
    one is answered, one becomes worse, one is closed and opened again."""
    forged = {"sender": "eve@demo.example", "verdict": "dkim=fail", "message_id": "<2@demo.example>"}
    for raw in (
        mail("[serious] The export fails", "It stops at page 3.", message_id="<1@demo.example>"),
        mail("Send me money", **forged),
    ):
        eventually(partial(_deliver, raw, mail_port))
    for number, severity in enumerate(_SEVERITIES, 1):
        body = {
            "account": f"A-{number}",
            "subscription": f"S-{number}",
            "severity": severity,
            "kind": "account",
            "received_at": f"2026-11-0{number}T08:30:00.000Z",
            "ticket": f"T-A{number}",
            "contact": f"C-{number}",
            "subject": "By telephone",
            "acknowledge": number < 3,
        }
        support.ask("POST", "/tickets", body)
    worse = {"severity": "serious", "at": "2026-11-03T10:00:00.000Z"}
    support.ask("POST", "/tickets/T-A2/response", {"at": "2026-11-02T09:10:00.000Z"})
    support.ask("POST", "/tickets/T-A3/severity", worse)
    support.ask("POST", "/tickets/T-A5/close", {"at": "2026-11-05T10:00:00.000Z"})
    support.ask("POST", "/tickets/T-A5/reopen", {"at": "2026-11-05T11:00:00.000Z"})
    mistaken = {"account": "A-2", "severity": "limited", "ticket": "T-WRONG", "subject": "Not for us"}
    support.ask("POST", "/tickets", mistaken)
    support.ask("POST", "/tickets/T-WRONG/kind", {"kind": "bug"})
    support.ask("POST", "/tickets/T-WRONG/withdraw", {})


def _deliver(raw: bytes, mail_port: int) -> bool:
    with smtplib.SMTP("127.0.0.1", mail_port, timeout=20) as client:
        try:
            client.sendmail(ANNA, [US], raw)
        except smtplib.SMTPDataError as error:
            if error.smtp_code != 451:
                raise
            return False
    return True


def work(support: Service, account: str, minutes: int) -> str:
    """Minutes on the account's request; the entry's id."""
    logged = support.ask("POST", f"/tickets/T-A{account[-1]}/work", {"minutes": minutes})
    return str(logged["entry"])


def bill(billing: Service, credits: int) -> None:
    """Once `credits` credits are booked: one is paid out in part by hand, the rest is deducted from invoices;
    one of those is voided and replaced."""

    def booked() -> int:
        ledgers = [billing.ask("GET", f"/subscriptions/{name}/ledger") for _, name, *_ in _SOLD]
        return sum(entry["kind"] == "credit" for each in ledgers for entry in each)

    eventually(lambda: booked() == credits)
    (first, *_) = [one for one in billing.ask("GET", "/subscriptions/S-1/credits") if one["open"] > "1.00"]
    paid = {"settlement": "P-1", "credit": first["credit"], "amount": "1.00", "reason": "paid by hand"}
    billing.ask("POST", "/subscriptions/S-1/settlements", paid)
    issued = billing.ask("POST", "/invoices", {"through": "2027-10-01"})["issued"]
    lines = {number: billing.ask("GET", f"/invoices/{number}")["lines"] for number in issued}
    (wrong, *_) = [number for number in issued if any(line["credit"] for line in lines[number])]
    billing.ask("POST", f"/invoices/{wrong}/void", {"reason": "wrong address", "replace": True})
