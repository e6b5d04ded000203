"""An account that lives on real servers: two workers that may die between any two of their steps, and who asks them."""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from hashlib import blake2b
from typing import Any, NamedTuple

from authsvc.answers import Answer
from authsvc.clock import SystemClock
from authsvc.decide import Decider
from authsvc.enquire import Enquiry
from authsvc.errors import AuthsvcError, NotFound, OutcomeUnknown, Unavailable
from authsvc.ledger.events import PostgresEventLedger
from authsvc.ledger.store import PostgresLedger
from authsvc.lifecycle.apply import Lifecycle
from authsvc.lifecycle.increments import Increment, Increments
from authsvc.lifecycle.messages import Applied, Message, Origin
from authsvc.ports import AuthorizationRequest
from authsvc.reaper import Reaper
from loader.directory import Directory
from rules.lifecycle import Event, EventKind
from rules.plan import plan_for
from rules.reasons import REASON_OF_LIMIT_CHECK, Kind, Reason
from tests.behaviour.places import RealPlace
from tests.behaviour.test_ledger import request as plain_request
from tests.property.lives import (
    MINUTE_US,
    Account,
    Crash,
    Life,
    More,
    Quiet,
    Repeat,
    Swipe,
    Together,
    Wipe,
    Word,
)
from tests.property.test_histories import PATIENCE_S, Observed

ASKED_MAX = 5


class Died(Exception):
    """The worker is no more."""


class Fate:
    """What one worker has before it."""

    def __init__(self) -> None:
        self.crash: Crash | None = None
        self.is_dead = False


class Frail:
    """An adapter in the hands of a worker that may die between any two of its steps."""

    def __init__(self, adapter: Any, fate: Fate) -> None:
        self._adapter = adapter
        self._fate = fate

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        return partial(self._call, name)

    async def _call(self, name: str, *arguments: Any) -> Any:
        if self._fate.is_dead:
            raise Died
        crash = self._fate.crash
        if crash is None or crash.step != name:
            return await getattr(self._adapter, name)(*arguments)
        self._fate.crash = None
        self._fate.is_dead = crash.when == "before"
        if not self._fate.is_dead:
            await getattr(self._adapter, name)(*arguments)
            self._fate.is_dead = crash.when == "after"
        if self._fate.is_dead:
            raise Died
        raise (Unavailable if name in ("reserve", "advance") else OutcomeUnknown)("its answer")


class Worker:
    """The use cases of one process."""

    def __init__(self, real: RealPlace, observed: Observed) -> None:
        assert isinstance(real.ledger, PostgresLedger)
        self.fate = Fate()
        counters, ledger = Frail(real.counters, self.fate), Frail(real.ledger, self.fate)
        events = Frail(PostgresEventLedger(real.ledger), self.fate)
        self.directory = Directory(
            real.source, time.monotonic, cards_max=100, unknown_max=10, unknown_ttl_s=1, notification_wait_s=0.01
        )
        self.decider = Decider(
            self.directory,
            counters,
            ledger,
            SystemClock(),
            observed,
            batch_max=100,
            in_flight_max=1_000,
            attempts_max=50,
            name="lives",
        )
        self.lifecycle = Lifecycle(events, counters, self.decider.repair, observed, waiting_max=1_000)
        self.increments = Increments(events, self.lifecycle, self.decider.decide)
        self.reaper = Reaper(counters, ledger, self.decider.repair, observed, grace_ms=0)
        self.enquiry = Enquiry(self.directory, counters, self.decider.repair, attempts_max=50)


class Sending(NamedTuple):
    """Something to ask a worker, and what it means for a life. A decision's own figures come with its answer."""

    name: str
    life: Life
    event: Event
    ask: "Callable[[Worker], Awaitable[Applied | Answer]]"


class World:
    """An account on real servers with two workers, and the same account in the model."""

    def __init__(self, real: RealPlace, account: Account) -> None:
        self.real = real
        self.account = account
        self.observed = Observed()
        self.workers = [self.worker(), self.worker()]
        self.sendings: list[Sending] = []
        self.told: dict[str, Applied | Answer] = {}
        self.numbers = itertools.count(1)

    def worker(self) -> Worker:
        return Worker(self.real, self.observed)

    async def take(self, step: Together | Repeat | Wipe | Quiet) -> None:
        match step:
            case Together(items, twice, cut):
                await self._together(items, twice=twice, cut=cut)
            case Repeat():
                await self.send(self.sendings[::-1])
            case Wipe():
                await self.real.wipe_counters()
            case Quiet():
                await self.settle()
                await self.compare()

    async def _together(self, items: list[Swipe | More | Word], *, twice: bool, cut: Crash | None) -> None:
        await self.settle()
        expected = self._expected(items)
        sendings = [self.sending(item) for item in items]
        self.workers[len(self.sendings) % 2].fate.crash = cut
        await self.send(sendings * 2 if twice else sendings)
        for worker in self.workers:
            worker.fate.crash = None
        self.sendings += sendings
        if expected is not None:
            told = self.told[sendings[0].name]
            assert isinstance(told, Answer) and told.reason is expected, items

    def _expected(self, items: list[Swipe | More | Word]) -> Reason | None:
        """Of a decision that nothing else happens beside, the model knows the end."""
        if len(items) > 1 or not isinstance(items[0], Swipe):
            return None
        life = self.account.lives[items[0].life]
        return self.account.judge(life.card, items[0].kind, items[0].amount_minor, life.at_us)

    async def settle(self) -> None:
        """What every worker does every few seconds, after a crash too."""
        for at, worker in enumerate(self.workers):
            if worker.fate.is_dead:
                self.workers[at] = self.worker()
        await self.workers[0].lifecycle.catch_up()
        await self.workers[1].reaper.sweep()

    # --- asking until there is an answer --------------------------------------------------------------------------

    async def send(self, sendings: list[Sending]) -> None:
        waiting = list(enumerate(sendings))
        for _ in range(ASKED_MAX):
            outcomes = await asyncio.gather(*(self._ask(at, sending) for at, sending in waiting))
            unanswered = []
            for sent, outcome in zip(waiting, outcomes, strict=True):
                if isinstance(outcome, Died | Unavailable):
                    unanswered.append(sent)
                else:
                    self._hear(sent[1], outcome)
            waiting = unanswered
            if not waiting:
                return
        raise AssertionError(f"no answer to {waiting}")

    async def _ask(self, at: int, sending: Sending) -> Any:
        worker = self.workers[at % 2]
        if worker.fate.is_dead:
            worker = self.workers[at % 2] = self.worker()
        try:
            return await sending.ask(worker)
        except (Died, AuthsvcError) as error:
            return error

    def _hear(self, sending: Sending, outcome: Any) -> None:
        """Every answer to one thing is the same, and enters the model once."""
        if isinstance(outcome, NotFound) and sending.name.startswith("more"):
            # An increment of what nobody knows yet: nothing has happened.
            return
        assert isinstance(outcome, Applied | Answer), outcome
        known = self.told.setdefault(sending.name, outcome)
        assert figures(known) == figures(outcome), sending
        event = sending.event
        if isinstance(outcome, Answer):
            assert outcome.transaction_id is not None
            kind = event.kind if outcome.reason is Reason.APPROVED else EventKind.DECLINE
            event = Event(kind, event.occurred_us, f"{outcome.transaction_id:020}", outcome.approved_minor)
        sending.life.events.setdefault(sending.name, event)

    def sending(self, item: Swipe | More | Word) -> Sending:
        number, life = f"{self.account.row.id}-{next(self.numbers)}", self.account.lives[item.life]
        at_us = life.at_us if isinstance(item, Swipe) else life.at_us + item.minute * MINUTE_US
        fingerprint = blake2b(repr(item).encode(), digest_size=16).digest()
        card = self.account.cards[life.card].token
        match item:
            case Swipe(_, kind, amount_minor):
                request = plain_request(
                    f"swipe-{number}",
                    card,
                    kind=kind,
                    amount_minor=amount_minor,
                    asked_minor=amount_minor,
                    transacted_at_us=at_us,
                    transaction_token=life.token,
                    fingerprint=fingerprint,
                )
                event = Event(EventKind[kind.name], at_us, "", amount_minor)
                return Sending(f"swipe-{number}", life, event, lambda worker: decided(worker, request))
            case More(_, amount_minor, _):
                increment = Increment(f"more-{number}", fingerprint, 0, life.token, amount_minor, "USD", at_us)
                event = Event(EventKind.AUTHORIZATION, at_us, "", amount_minor)
                return Sending(f"more-{number}", life, event, lambda worker: added(worker, increment))
            case Word(_, kind, amount_minor, settled_minor, is_final, _):
                event = Event(
                    kind,
                    at_us,
                    f"word-{number}",
                    None if kind is EventKind.EXPIRY or (kind is EventKind.REVERSAL and is_final) else amount_minor,
                    is_final and kind is EventKind.CLEARING,
                    settled_minor if kind is EventKind.SNAPSHOT else 0,
                )
                message = self.message(life, event)
                return Sending(event.identity, life, event, lambda worker: applied(worker, message))

    def message(self, life: Life, event: Event) -> Message:
        """As the network would say it; it always names the card, so that it may come first."""
        origin = Origin(self.account.cards[life.card].token, life.at_us, "5812", "", "", "", "", "")
        return Message(event, blake2b(repr(event).encode(), digest_size=16).digest(), 0, life.token, "USD", origin)

    # --- what must be so ------------------------------------------------------------------------------------------

    async def compare(self) -> None:
        """Truth, counters as they are, and counters that are loaded afresh: all of them say what the model says."""
        assert [error for error in self.observed.failures if not isinstance(error, Died)] == []
        await self._compare_rows()
        for life in self.account.lives[:3]:
            # Whoever decides learns that counters are outdated; whoever only looks must not be told other figures then.
            await decided(self.workers[0], self.inquiry(life))
        await self.compare_counters(self.workers[0])
        await self.compare_counters(self.workers[1])
        await self.real.wipe_counters()
        await self.compare_counters(self.worker())

    def inquiry(self, life: Life) -> AuthorizationRequest:
        return plain_request(
            f"inquiry-{self.account.row.id}-{next(self.numbers)}",
            self.account.cards[life.card].token,
            kind=Kind.BALANCE_INQUIRY,
            amount_minor=0,
            asked_minor=0,
            transacted_at_us=life.at_us,
        )

    async def _compare_rows(self) -> None:
        ledger = PostgresEventLedger(self.real.ledger)  # type: ignore[arg-type]
        number = self.account.row.id
        for life in self.account.lives:
            found = await ledger.transaction(0, life.token)
            assert (found is not None) == bool(life.events), life
            assert found is None or found.state == life.state(), life
        assert await self.real.balance_minor(number) == self.account.funds()[0]
        known = {name for life in self.account.lives for name in life.events}
        events = await self.real.pool.fetch("SELECT event_id FROM transaction_events WHERE account_id = $1", number)
        rows = await self.real.pool.fetch(
            "SELECT request_id FROM transactions WHERE account_id = $1 AND is_decided AND kind <> 'BALANCE_INQUIRY'",
            number,
        )
        once = [row[0] for row in events] + [str(row[0]).removeprefix("increment:") for row in rows]
        assert sorted(once) == sorted(known)

    async def compare_counters(self, worker: Worker) -> None:
        for life in self.account.lives[:3]:
            card = await worker.enquiry.card(self.account.cards[life.card].token)
            assert card is not None
            plan = plan_for(card, life.at_us)
            usage = await worker.enquiry.usage(card, plan)
            assert (usage.balance_minor, usage.held_minor) == self.account.funds()
            spendings = {one.reason: one.used_minor for one in self.account.spendings(life.card, life.at_us)}
            for bound in plan.bounds:
                if bound.counter is not None:
                    assert usage.used_minor[bound.counter] == spendings[REASON_OF_LIMIT_CHECK[bound.check]], bound


async def decided(worker: Worker, request: AuthorizationRequest) -> Answer:
    return await worker.decider.decide(request, time.monotonic() + PATIENCE_S)


async def added(worker: Worker, increment: Increment) -> Answer:
    _, answer = await worker.increments.apply(increment, time.monotonic() + PATIENCE_S)
    return answer


async def applied(worker: Worker, message: Message) -> Applied:
    (outcome,) = await worker.lifecycle.apply([message])
    if isinstance(outcome, AuthsvcError):
        raise outcome
    return outcome


def figures(outcome: Applied | Answer) -> tuple[Any, ...]:
    """What every answer to one thing must say alike."""
    if isinstance(outcome, Applied):
        return outcome[:2]
    return outcome.reason, outcome.approved_minor, outcome.transaction_id, outcome.balance_minor
