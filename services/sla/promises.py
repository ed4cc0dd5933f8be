"""The promises fold: journal entries in, outcomes out (contract 1, 3, 4 and 7).

Pure and deterministic: the same entries give the same bytes, in the running service, in a replay and in an
audit years later. The position is part of the state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, get_args

import msgspec

from services.sla import conclusions, quota, subscriptions, terms, timeline
from services.sla.agenda import DEADLINE, QUOTA, UPTIME, Agenda, Due
from services.sla.availability import View
from services.sla.conclusions import MonthSaid, Said
from services.sla.history import History
from services.sla.rejection import Rejected
from services.sla.requests import Requests
from services.sla.spoken import Spoken, Unstamped, chained
from services.sla.subscriptions import Subscription
from services.sla.timeline import NEVER, Timeline
from services.sla.uptime import closed_until
from shared import calendar, facts, outcomes
from shared.codec import Undecodable, compact, decode_entry, decode_fact, decode_known_entry, encode
from shared.money import Amount
from shared.outcomes import JournalEntry, KnownEntry, Source, Stamp
from shared.time import Instant


class JournalBroken(RuntimeError):
    """A journal record that is no journal entry: folding on would lose history."""


_WAKING = (
    facts.RequestOpened,
    facts.SeverityChanged,
    facts.FirstResponseSent,
    facts.RequestWithdrawn,
)
"""The facts that change when time next concludes something of a request."""

Decide = Callable[[Any], list[Unstamped]]
"""What a fact of one type concludes; raises Rejected for one that makes no sense."""


class Promises:
    """One journal partition's fold. `apply` is called with each record in order."""

    def __init__(self, history: History) -> None:
        self.history = history
        self._requests = Requests(history)
        self._subscribers: dict[str, tuple[str, ...] | set[str]] = {}
        self._agenda = Agenda()
        for subscription in history.subscriptions.values():
            self._index(subscription)
            self._put(subscription, UPTIME, subscription.due)
            self._put(subscription, QUOTA, subscription.quota_due)
        for ticket in history.requests:
            self._attend(ticket)
        self._decide: dict[type[Any], Decide] = {
            facts.TargetStateChanged: self._state_changed,
            facts.TargetObserved: self._observed,
            facts.DowntimeCorrected: self._corrected,
            facts.MaintenanceAnnounced: self._announced,
            facts.MaintenanceCancelled: self._called_off,
            facts.SubscriptionStarted: self._started,
            facts.SubscriptionChanged: self._subscription_changed,
            facts.SubscriptionCancelled: self._subscription_changed,
            facts.TermsPublished: self._terms_published,
            facts.TargetDeclared: self._elsewhere,
            facts.ProbeResult: self._elsewhere,
            facts.ClockAdvanced: self._nothing,
        } | dict.fromkeys(get_args(facts.TicketFact), self._requested)

    @property
    def next_due(self) -> int | None:
        """The next instant (ms) at which time alone concludes something: the journal needs an entry then."""
        due = self._agenda.first
        return None if due is None else due.at

    def apply(self, offset: int, data: bytes) -> list[Spoken]:
        """Folds the journal record `data` at `offset`; returns its outcomes, in order, with their bytes.

        A record at or below the position, and a fact that was taken before, say nothing. Raises
        JournalBroken for a record that is no journal entry.
        """
        history = self.history
        if offset <= history.position:
            return []
        entry = decode_known_entry(data) or self._unknown(data, offset)
        history.position = offset
        if entry.recorded_at > history.recorded_at:
            history.recorded_at = entry.recorded_at
        history.digest = chained(history.digest, data)
        found = self._overdue()
        if entry.source is None or self._is_news(entry.source):
            found += self._take(entry)
            found += self._overdue()
        return self._stamped(offset, found) if found else []

    def _unknown(self, data: bytes, offset: int) -> JournalEntry:
        try:
            return decode_entry(data)
        except Undecodable as error:
            raise JournalBroken(
                f"sla.journal/{self.history.partition} offset {offset} is no journal entry ({error}); "
                "restore the topic from its backup"
            ) from None

    def _is_news(self, source: Source) -> bool:
        place = f"{source.topic}/{source.partition}"
        if source.offset <= self.history.sources.get(place, -1):
            return False
        self.history.sources[place] = source.offset
        return True

    def _take(self, entry: KnownEntry | JournalEntry) -> list[Unstamped]:
        try:
            fact = decode_fact(entry.fact) if isinstance(entry, JournalEntry) else entry.fact
            decide = self._decide[type(fact)]
            return decide(fact)
        except (Undecodable, Rejected) as error:
            return [partial(outcomes.FactRejected, str(error), entry.source)]

    def _state_changed(self, fact: facts.TargetStateChanged) -> list[Unstamped]:
        line = self._timeline(fact.target)
        since = timeline.state_changed(line, fact.at, fact.state)
        return self._restated(fact.target, line, since)

    def _observed(self, fact: facts.TargetObserved) -> list[Unstamped]:
        line = self._timeline(fact.target)
        end = line.observed_until
        since = timeline.observed(line, fact.through)
        more_of_the_same = since == end and timeline.is_plain_after(line, end)
        return self._restated(fact.target, line, since, tail=more_of_the_same)

    def _corrected(self, fact: facts.DowntimeCorrected) -> list[Unstamped]:
        _ordered("a correction", fact.starts_at, fact.ends_at)
        line = self._timeline(fact.target)
        return self._restated(fact.target, line, timeline.corrected(line, fact))

    def _announced(self, fact: facts.MaintenanceAnnounced) -> list[Unstamped]:
        _ordered("a maintenance", fact.starts_at, fact.ends_at)
        line = self._timeline(fact.target)
        return self._restated(fact.target, line, timeline.announced(line, fact))

    def _elsewhere(self, fact: facts.ProbeFact) -> list[Unstamped]:
        raise Rejected(f"{type(fact).__name__} belongs on probe.results, not in the journal")

    def _nothing(self, fact: facts.ClockAdvanced) -> list[Unstamped]:
        del fact
        return []

    def _requested(self, fact: facts.TicketFact) -> list[Unstamped]:
        found = self._requests.decided(fact)
        if type(fact) in _WAKING:
            self._attend(fact.ticket)
        return found

    def _timeline(self, target: str) -> Timeline:
        return self.history.targets.get(target) or Timeline()

    def _called_off(self, fact: facts.MaintenanceCancelled) -> list[Unstamped]:
        line = self._timeline(fact.target)
        try:
            since = timeline.cancelled(line, fact)
        except KeyError:
            raise Rejected(
                f"maintenance {fact.maintenance} of target {fact.target} was never announced"
            ) from None
        return self._restated(fact.target, line, since)

    def _restated(self, target: str, line: Timeline, since: int, tail: bool = False) -> list[Unstamped]:
        """What it concludes that the target's timeline is `line` now, changed from `since` on, for each that
        depends on it; `tail` where only more of the last state was observed."""
        self.history.targets.keep(target, line)
        if since >= NEVER:
            return []
        found, shared = [], dict[Any, Any]()
        for subscription in self._in_order(self._subscribers.get(target, ())):
            if not (tail and self._indifferent(subscription, since)):
                found += self._concluded(subscription, since, shared)
        return found

    def _indifferent(self, subscription: Subscription, since: int) -> bool:
        """Whether more of the last state, from `since` on, concludes nothing: the subscription never
        has another set of targets, its closed months are over, and its service window goes on."""
        view = self._view(subscription)
        over = (closed_until(view) or -NEVER) <= since and view.window_end > self.history.recorded_at
        return over and [len(names) for names in subscription.targets.values] == [1]

    def _started(self, fact: facts.SubscriptionStarted) -> list[Unstamped]:
        if fact.subscription in self.history.subscriptions:
            raise Rejected(f"subscription {fact.subscription} has already started")
        if fact.price < 0:
            raise Rejected("a price cannot be negative")
        subscription = subscriptions.started(fact)
        self.history.subscriptions[fact.subscription] = subscription
        self._index(subscription)
        return self._rescheduled(subscription, -NEVER)

    def _subscription_changed(
        self, fact: facts.SubscriptionChanged | facts.SubscriptionCancelled
    ) -> list[Unstamped]:
        subscription = self.history.subscriptions.get(fact.subscription)
        if subscription is None or subscription.account != fact.account:
            raise Rejected(f"account {fact.account} has no subscription {fact.subscription}")
        if isinstance(fact, facts.SubscriptionCancelled):
            if fact.ends_on < subscription.starts_on:
                raise Rejected(f"subscription {fact.subscription} cannot end before it starts")
            day = min(fact.ends_on, subscription.ends_on or fact.ends_on)
            subscription.ends_on = fact.ends_on
        else:
            if isinstance(fact.price, Amount) and fact.price < 0:
                raise Rejected("a price cannot be negative")
            day = fact.effective_on
            subscriptions.changed(subscription, fact)
            self._index(subscription)
        return self._rescheduled(subscription, calendar.day_start(day, self.history.book.zone))

    def _terms_published(self, fact: facts.TermsPublished) -> list[Unstamped]:
        history, zone = self.history, self.history.book.zone
        try:
            terms.publish(history.book, fact, history.recorded_at, bool(history.subscriptions))
        except terms.NotAcceptable as error:
            raise Rejected(str(error)) from None
        since = calendar.day_start(fact.effective_on, zone)
        found = self._notices(fact) if fact.major else []
        for subscription in self._in_order(history.subscriptions):
            found += self._rescheduled(subscription, since)
        return found

    def _in_order(self, names: Iterable[str]) -> list[Subscription]:
        """Subscriptions by account, then by their own id: the order in which one entry concludes for them."""
        found = [self.history.subscriptions[name] for name in names]
        return sorted(found, key=lambda subscription: (subscription.account, subscription.subscription))

    def _notices(self, fact: facts.TermsPublished) -> list[Unstamped]:
        today = calendar.local_date(self.history.recorded_at, self.history.book.zone)
        told = self.history.noticed.setdefault(fact.version, set())
        active = {s.account for s in self.history.subscriptions.values() if subscriptions.active(s, today)}
        found: list[Unstamped] = [
            partial(outcomes.TermsNoticeDue, account, fact.version, fact.effective_on)
            for account in sorted(active - told)
        ]
        told |= active
        return found

    def _rescheduled(self, subscription: Subscription, since: int) -> list[Unstamped]:
        """What a change of the subscription itself concludes; when time next does may have changed, too."""
        found = self._concluded(subscription, since)
        found += quota.restated(
            subscription, self.history.requests, self.history.book, self.history.recorded_at
        )
        self._schedule(subscription)
        self._schedule_quota(subscription)
        return found

    def _concluded(
        self, subscription: Subscription, since: int, shared: dict[Any, Any] | None = None
    ) -> list[Unstamped]:
        view = View(subscription, self.history.targets, self.history.book, {} if shared is None else shared)
        said = conclusions.on_change(view, since, self.history.recorded_at)
        return [_unstamped(subscription, each) for each in said]

    def _overdue(self) -> list[Unstamped]:
        """Everything due by now, in the order of the agenda."""
        found: list[Unstamped] = []
        while (due := self._agenda.first) is not None and due.at <= self.history.recorded_at:
            self._agenda.take()
            if due.kind == DEADLINE:
                found += self._requests.on_time(due.ticket)
                self._attend(due.ticket)
                continue
            subscription = self.history.subscriptions[due.subscription]
            if due.kind == QUOTA:
                found += quota.on_time(subscription, self.history.requests, self.history.book, due.at)
                self._schedule_quota(subscription)
            else:
                said = conclusions.on_time(self._view(subscription), due.at)
                found += [_unstamped(subscription, each) for each in said]
                self._schedule(subscription)
        return found

    def _view(self, subscription: Subscription) -> View:
        return View(subscription, self.history.targets, self.history.book)

    def _index(self, subscription: Subscription) -> None:
        name = subscription.subscription
        for target in subscriptions.all_targets(subscription):
            known = self._subscribers.get(target)
            if known is None:
                self._subscribers[target] = (
                    name,
                )  # nearly all have one: a set would weigh four times as much
            elif isinstance(known, set):
                known.add(name)
            elif name not in known:
                self._subscribers[target] = {*known, name}

    def _schedule(self, subscription: Subscription) -> None:
        subscription.due = conclusions.next_due(self._view(subscription))
        self._put(subscription, UPTIME, subscription.due)

    def _schedule_quota(self, subscription: Subscription) -> None:
        subscription.quota_due = quota.next_due(subscription, self.history.book.zone)
        self._put(subscription, QUOTA, subscription.quota_due)

    def _put(self, subscription: Subscription, kind: int, at: int | None) -> None:
        if at is None:
            self._agenda.strike(kind, subscription.subscription)
        else:
            self._agenda.put(Due(at, subscription.account, subscription.subscription, kind))

    def _attend(self, ticket: str) -> None:
        """Puts on the agenda when the request wakes."""
        request = self.history.requests[ticket]
        if request.wakes_at is None:
            self._agenda.strike(DEADLINE, ticket)
        elif request.wakes_at != self._agenda.at(DEADLINE, ticket):
            self._agenda.put(Due(request.wakes_at, request.account, request.subscription, DEADLINE, ticket))

    def _stamped(self, offset: int, found: Iterable[Unstamped]) -> list[Spoken]:
        history, spoken = self.history, []
        for index, unstamped in enumerate(found):
            outcome = unstamped(Stamp(history.partition, offset, index, history.digest.hex()))
            data = encode(outcome)
            history.digest = chained(history.digest, data)
            spoken.append(Spoken(outcome, data))
        return spoken


def _unstamped(subscription: Subscription, said: Said) -> Unstamped:
    names = (subscription.account, subscription.subscription)
    if isinstance(said, MonthSaid):
        figures = msgspec.structs.astuple(said.figures)
        return partial(
            outcomes.MonthClosed, *names, conclusions.month_name(said.month), said.revision, *figures
        )
    kind = outcomes.CreditGranted if said.revision == 1 else outcomes.CreditAdjusted
    return partial(
        kind,
        *names,
        f"{subscription.subscription}/{said.cause}/{said.period}",
        said.revision,
        said.cause,
        said.period,
        said.amount,
        said.worked.total,
        subscription.currency,
        said.worked.terms,
        said.worked.calculation,
    )


def _ordered(what: str, starts_at: int, ends_at: int) -> None:
    if ends_at < starts_at:
        raise Rejected(f"{what} cannot end before it starts")


def entry(recorded_at: int, fact: bytes, source: Source | None = None) -> bytes:
    """The bytes of the journal entry that records `fact` (as it was said) at `recorded_at` (ms)."""
    return encode(JournalEntry(Instant(recorded_at), source, msgspec.Raw(compact(fact))))
