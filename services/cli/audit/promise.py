"""The two promises that earn credits: the page's own words, theirs in English, and the terms' values used."""

from __future__ import annotations

from msgspec import Struct

from services.sla.terms import Version
from shared.terms import Exact, StartedDay, Terms, Tiers


class Promise(Struct, frozen=True):
    """`page` is the published sentence (French), `plain` what it comes to, with the values of the terms."""

    page: str
    plain: str


PAGE = {
    "outage": "Pour chaque coupure excédant les 24 heures, nous créditerons votre compte en fonction du "
    "tarif journalier de votre abonnement.",
    "uptime": "Mais un accident peut toujours arriver, et dans le cas où notre uptime tombe sous les 99.5%, "
    "un avoir sera automatiquement déduit sur votre prochaine facture d'abonnement.",
}


def promise(cause: str, terms: Terms) -> Promise:
    """The promise behind a credit of `cause` ("outage" or "uptime"), as `terms` put it."""
    if cause == "outage":
        plain = (
            f"A cut of more than {terms.outage.longer_than_hours} hours earns "
            f"{_RULE[type(terms.outage.credit)]}. It is deducted from the next invoice without asking."
        )
    else:
        plain = (
            f"A month with an uptime below {terms.uptime.target_percent} % earns, for its down time outside "
            f"of cuts already credited on their own, {_RULE[type(terms.uptime.credit)]}. It is deducted from "
            "the next invoice without asking."
        )
    return Promise(PAGE[cause], plain)


_RULE: dict[type, str] = {
    StartedDay: "one day's price for each 24 hours begun",
    Exact: "the price of exactly that time",
    Tiers: "a percentage of the month's fee by the uptime reached",
}


def terms_used(cause: str, version: Version) -> dict[str, str]:
    """The values of the terms that decide a credit of `cause`, as text, by what they mean."""
    terms, uptime = version.terms, version.terms.uptime
    excluded = (
        f"excluded when announced {uptime.maintenance.notice_hours} h before"
        if uptime.maintenance.excluded
        else "counts like any other time"
    )
    common = {
        "local time": terms.zone,
        "maintenance": excluded,
        "silence between down time": f"counts as down up to {uptime.bridge_hours} h",
    }
    if cause == "outage":
        longer = f"cuts of more than {terms.outage.longer_than_hours} h"
        return {"credited": longer, "credit": _RULE[type(terms.outage.credit)], **common}
    return {
        "promised uptime": f"{uptime.target_percent} % of each calendar month",
        "credit": _RULE[type(uptime.credit)],
        "cuts credited on their own": f"those of more than {terms.outage.longer_than_hours} h",
        "month closes": f"{uptime.close_after_hours} h after its end",
        **common,
    }
