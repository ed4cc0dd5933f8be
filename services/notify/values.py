"""What stands in a letter: figures and dates, in the words of its language. Pure."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from msgspec import Struct

from services.notify import words
from services.notify.settings import Language
from shared.terms import Allowances, Terms, Tiers

Values = dict[str, Any]
_DAY = timedelta(days=1)


class Quota(Struct, frozen=True):
    """A subscription year's quota when its letter is written. `percent` is the threshold it is about,
    `until` the first date after the year, `renews` whether another year follows; `as_of` is ms."""

    subscription: str
    percent: int
    used_minutes: int
    quota_minutes: int
    since: date
    until: date
    renews: bool
    as_of: int


class Deadline(Struct, frozen=True):
    """A first response that is at risk or was missed; `due_at` is an instant (ms)."""

    ticket: str
    account: str
    subscription: str
    severity: str
    due_at: int


class NewTerms(Struct, frozen=True):
    """A version of the terms and the date from which it is in force."""

    version: str
    effective_on: date
    terms: Terms


About = Quota | Deadline | NewTerms


def values(about: About, language: Language, zone: str) -> Values:
    """The values of the letter's template that come from `about`; times are local in `zone`."""
    match about:
        case Quota():
            return _quota(about, language, zone)
        case Deadline():
            return _deadline(about, language, zone)
        case NewTerms():
            return _terms(about, language)


def _quota(about: Quota, language: Language, zone: str) -> Values:
    left = about.quota_minutes - about.used_minutes
    share = about.used_minutes * 100 // about.quota_minutes if about.quota_minutes else None
    return {
        "subscription": about.subscription,
        "zero": about.quota_minutes == 0,
        "percent": words.percent(about.percent, language),
        "share": "" if share is None else words.percent(share, language),
        "used": words.duration(about.used_minutes),
        "left": words.duration(left) if left > 0 else "",
        "over": words.duration(-left) if left < 0 else "",
        "quota": words.duration(about.quota_minutes),
        "since": words.day(about.since, language),
        "until": words.day(about.until - _DAY, language),
        "renews": words.day(about.until, language) if about.renews else "",
        "as_of": words.moment(about.as_of, zone, language),
    }


def _deadline(about: Deadline, language: Language, zone: str) -> Values:
    return {
        "ticket": about.ticket,
        "account": about.account,
        "subscription": about.subscription,
        "severity": words.severity(about.severity, language),
        "due": words.moment(about.due_at, zone, language),
    }


def _terms(about: NewTerms, language: Language) -> Values:
    terms, support = about.terms, about.terms.support
    credit = terms.uptime.credit
    tiers = credit.tiers if isinstance(credit, Tiers) else ()
    response = support.first_response
    return {
        "version": about.version,
        "effective": words.day(about.effective_on, language),
        "uptime_target": words.percent(terms.uptime.target_percent, language),
        "uptime_rule": _tag(credit),
        "tiers": [
            {
                "below": words.percent(tier.below_percent, language),
                "fee": words.percent(tier.percent_of_fee, language),
            }
            for tier in sorted(tiers, key=lambda tier: tier.below_percent, reverse=True)
        ],
        "outage_hours": words.duration(terms.outage.longer_than_hours * 60),
        "outage_rule": _tag(terms.outage.credit),
        "maintenance": (
            words.duration(terms.uptime.maintenance.notice_hours * 60)
            if terms.uptime.maintenance.excluded
            else ""
        ),
        "support_hours": words.hours(support.week, language),
        "holidays": bool(support.holidays),
        "responses": [
            {
                "severity": words.severity(severity, language),
                "cloud": words.allowance(getattr(response.cloud, severity), language),
                "on_premises": words.allowance(getattr(response.on_premises, severity), language),
            }
            for severity in Allowances.__struct_fields__
        ],
        "money_per_hour": words.money(terms.quota.chf_per_hour, language),
        "warnings": words.listed(
            [words.percent(one, language) for one in sorted(set(terms.quota.warn_percent))], language
        ),
    }


def _tag(rule: Struct) -> str:
    return str(rule.__struct_config__.tag)
