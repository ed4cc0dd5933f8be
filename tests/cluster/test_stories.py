"""The stories the product is for, told in a cluster: outage to invoice, mail to deadline."""

from __future__ import annotations

import re

import httpx

from tests.cluster.installed import SUMMARY, Installation


def test_an_outage_is_on_the_page_and_deducted_from_the_next_invoice(trial: Installation) -> None:
    trial.until(lambda: trial.shown() == "operational", "the page says that the demonstration is up")
    broken = trial.garant("demo", "break").out
    since = re.search(r"demo-app is down since (\S+),", broken)
    assert since, broken
    trial.until(lambda: trial.shown() == "major_outage", "the page says that it is down")
    with trial.kube.port_forward("service/garant-status", 28087) as url:
        assert "major_outage" in httpx.get(url + SUMMARY, timeout=10, trust_env=False).text
        page = httpx.get(url + "/en/", timeout=10, trust_env=False, follow_redirects=True)
        assert page.status_code == 200
        assert "<html" in page.text
    mended = trial.garant("demo", "mend").out
    assert "demo-app is up since" in mended, mended
    trial.until(lambda: trial.shown() == "operational", "the page says that it is up again")
    credit = f"demo-app/outage/{since[1]}"

    def deducted() -> bool:
        invoice = trial.garant("billing", "next", "demo-app").out
        return "deduction" in invoice and credit in invoice

    trial.until(deducted, f"{credit} is deducted from the next invoice")


def test_a_mail_is_acknowledged_with_its_deadline_and_work_on_it_leads_to_a_warning(
    trial: Installation,
) -> None:
    said = trial.garant("demo", "write", "[serious] The export fails", "--text", "It stops at page 3.").out
    assert "You will get a first response by" in said, said
    ticket = re.search(r"T-\d{6}", said)
    assert ticket, said
    assert ticket[0] in trial.garant("desk", "--once").out
    trial.garant("desk", "respond", ticket[0], "--text", "Page 3 has a picture we cannot read.")
    trial.garant("desk", "classify", ticket[0], "account")
    assert "logged: 165 min" in trial.garant("desk", "log", ticket[0], "165").out

    def warned() -> bool:
        return "90% of the included time is used" in trial.garant("demo", "inbox").out

    trial.until(warned, "the customer is warned in writing")


def test_a_made_up_month_is_folded_and_explained_to_the_cent(trial: Installation) -> None:
    month = trial.garant("demo", "month", within_s=300).out
    assert "Credits, as billing booked them" in month, month
    credit = re.search(r"demo-shop/outage/\S+", month)
    assert credit, month
    explained = trial.garant("explain", credit[0], within_s=300).out
    assert "replay agrees" in explained, explained
