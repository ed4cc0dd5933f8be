"""Caps: how much may be granted in a day before a person looks at it (ADR 0012).

Pure. A cap decides only whether an invoice may use a credit by itself; booked it always is. What passes is
counted for each account and local booking day, and over all accounts, each currency by itself.
"""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from shared.money import Amount, parse_amount

Because = Literal["account-day", "day", "held-credit"]
"""account-day, day: the cap that would be passed. held-credit: an earlier revision of the credit is held, so
this one waits with it."""
NO_CAP = "none"


class Caps(Struct, frozen=True):
    """The most (hundredths) that passes by itself on a date of `zone`; None is no cap, 0 holds everything."""

    account_day: Amount | None = Amount(1_000_000)
    day: Amount | None = Amount(10_000_000)
    zone: str = "Europe/Zurich"


DEFAULT_CAPS = Caps()


class Passed(Struct, frozen=True):
    """What passed by itself on a day in a currency (hundredths).

    `account`: all differences of the account, also those below zero. `day`: over all accounts, of each what
    it gained; what one account lost makes no room for another.
    """

    account: Amount = Amount(0)
    day: Amount = Amount(0)


class Verdict(Struct, frozen=True):
    """What becomes of a revision: held `because` of `cap`, or (None) free; and what has passed with it."""

    because: Because | None
    cap: Amount | None
    passed: Passed


def judge(amount: Amount, held: Amount, passed: Passed, caps: Caps) -> Verdict:
    """Whether a revision of `amount`, of a credit of which `held` is held now, may be used by itself.

    A revision is held whole or not at all. What is held does not count as passed, so one slip does not hold
    what is honest after it. A difference below zero reduces what is given: no cap holds it.
    """
    if held > 0:
        return Verdict("held-credit", None, passed)
    net = Amount(passed.account + amount)
    after = Passed(net, Amount(passed.day - max(passed.account, 0) + max(net, 0)))
    if amount > 0 and caps.account_day is not None and net > caps.account_day:
        return Verdict("account-day", caps.account_day, passed)
    if amount > 0 and caps.day is not None and after.day > caps.day:
        return Verdict("day", caps.day, passed)
    return Verdict(None, None, after)


def parse_cap(text: str) -> Amount | None:
    """The cap `text` names, "10000.00" or "none". Raises ValueError for anything else."""
    if text == NO_CAP:
        return None
    try:
        cap = parse_amount(text)
    except ValueError:
        cap = Amount(-1)
    if cap < 0:
        raise ValueError(
            f'{text!r} is no cap; write an amount like "10000.00" ("0" holds every credit), or "{NO_CAP}"'
        )
    return cap
