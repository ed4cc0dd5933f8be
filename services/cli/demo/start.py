"""What `garant up` and the trial declare for the demonstration: a subscription of the demo application, and
terms under which every cut is credited, so that one of a few seconds can be seen on the next invoice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from msgspec.structs import replace

from services.cli.demo.history import ACCOUNT
from services.cli.demo.installation import Installation
from services.cli.demo.running import DemoStuck, billing_of, support_of
from services.cli.publish import publish_facts
from shared.calendar import local_date, month_of
from shared.codec import decode_fact
from shared.facts import TermsPublished
from shared.kafka import read_topic, wait_for_broker
from shared.settings import KafkaSettings
from shared.terms import BUILT_IN
from shared.topics import TERMS_EVENTS

SUBSCRIPTION = TARGET = "demo-app"
TERMS = "demo-every-cut"
PRICE = "290.00"
CUSTOMER = "anna@demo.example"


def start_demo(where: Installation, now_ms: int) -> str:
    """Declares both unless they are there; returns what it says of them to a person."""
    today = local_date(now_ms, BUILT_IN.zone)
    billing = billing_of(where)
    if billing.ask("GET", f"/subscriptions/{SUBSCRIPTION}") is None:
        body = {
            "account": ACCOUNT,
            "subscription": SUBSCRIPTION,
            "deployment": "cloud",
            "targets": [TARGET],
            "price": PRICE,
            "currency": "CHF",
            "term": "month",
            "starts_on": month_of(today).isoformat(),
            "language": "en",
        }
        billing.ask("POST", "/subscriptions", body)
        billing.ask("POST", "/invoices", {"through": today.isoformat()})  # credits are for the one after it
    if not _published(where.kafka):
        outage = replace(BUILT_IN.outage, longer_than_hours=0)
        terms = TermsPublished(TERMS, today, major=False, terms=replace(BUILT_IN, outage=outage))
        asyncio.run(publish_facts(where.kafka, [terms], "/garant/demo"))
    customer = {
        "account": ACCOUNT,
        "addresses": [CUSTOMER],
        "name": "Anna Keller",
        "language": "en",
        "subscription": SUBSCRIPTION,
    }
    support_of(where).ask("PUT", "/contacts/anna", customer)
    return (
        f"Account {ACCOUNT} has subscription {SUBSCRIPTION} at CHF {PRICE} a month. Under the terms of the "
        f"demonstration ({TERMS}) every cut earns a credit, not only one over 24 hours. {CUSTOMER} writes to "
        "support."
    )


def wait_and_start(where: Installation, wait_s: float, clock: Callable[[], int]) -> str:
    """`start_demo` once the services answer, for at most `wait_s`. Raises DemoStuck, BrokerUnreachable."""
    deadline = time.monotonic() + wait_s
    wait_for_broker(where.kafka)
    while True:
        try:
            return start_demo(where, clock())
        except DemoStuck:
            if time.monotonic() >= deadline:
                raise
            time.sleep(1)


def _published(settings: KafkaSettings) -> bool:
    facts = (decode_fact(record.value or b"") for record in read_topic(settings, TERMS_EVENTS))
    return any(isinstance(fact, TermsPublished) and fact.version == TERMS for fact in facts)
