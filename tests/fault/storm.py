"""Storms of decisions and messages on shared accounts, and what every transaction must count when they are over."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

import grpc
from google.protobuf.message import Message

from authsvc.v1 import authorization_pb2 as auth
from authsvc.v1 import transactions_pb2 as pb
from authsvc.v1 import types_pb2 as types
from authsvc.v1.transactions_pb2_grpc import TransactionServiceStub
from rules.lifecycle import Event, EventKind, State
from tests import books
from tests.fault.conftest import HEALED_S, World
from tests.network import RESTAURANT
from tests.programs import Card, add_account, add_cards, add_profile
from tests.property.lives import state_after
from tests.traffic import AT, GIVE_UP_S, request
from tests.waiting import pause, until_clear

CALLERS: Final = 48
_TIMEOUT_S: Final = 5.0
_AGAIN_S: Final = 0.05
_RETRIED: Final = {"UNAVAILABLE", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED"}
_MINUTE_US: Final = 60_000_000
_numbers: Final = itertools.count(1)


@dataclass(slots=True)
class Life:
    """One transaction: its card, when it began, what is asked, and what is said."""

    card: Card
    token: str
    is_calm: bool
    asked: auth.AuthorizeRequest
    messages: list[pb.ApplyEventRequest] = field(default_factory=list)
    events: dict[str, Event] = field(default_factory=dict)
    told: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    def state(self) -> State:
        """What it must count."""
        return state_after(self.events.values())


class Storm:
    """Lives on two accounts. On the calm one the network never raises what was approved, so that limits must hold;
    on the wild one it says anything, in any order, before the decision too."""

    calm_card_minor: Final = 8_000
    calm_shared_minor: Final = 28_000
    balance_minor: Final = 400_000

    def __init__(self, world: World, calm: Sequence[Card], wild: Sequence[Card], chance: random.Random) -> None:
        """See `brewing`."""
        self.world = world
        self.calm, self.wild, self.chance = calm, wild, chance
        # Interleaved, so that both are under way whatever happens.
        self.lives = [life for _ in range(50) for life in (self._calm_life(), self._wild_life())]
        self._stubs: list[Any] = [TransactionServiceStub(channel) for channel in world.callers._channels]
        self._answered = 0
        self._lanes = itertools.count()

    # --- what is to happen ----------------------------------------------------------------------------------------

    def _life(self, card: Card, *, is_calm: bool) -> Life:
        token = f"storm-{next(_numbers)}"
        kinds = [types.KIND_AUTHORIZATION] * 5 + [types.KIND_FINANCIAL_AUTHORIZATION]
        asked = request(
            card.token, self.chance.randint(400, 1_500), kind=self.chance.choice(kinds), transaction_token=token
        )
        return Life(card, token, is_calm, asked)

    def _calm_life(self) -> Life:
        life, roll = self._life(self.chance.choice(self.calm), is_calm=True), self.chance.random()
        amount_minor = life.asked.amount_minor
        if life.asked.kind == types.KIND_FINANCIAL_AUTHORIZATION:
            return life
        if roll < 0.5:
            self._say(life, EventKind.REVERSAL, amount_minor // 4, 20)
            self._say(life, EventKind.CLEARING, amount_minor // 2, 30, is_final=roll < 0.3)
        elif roll < 0.7:
            self._say(life, EventKind.EXPIRY, None, 40)
        if self.chance.random() < 0.3:
            self._say(life, None, amount_minor // 3, 10)
        return life

    def _wild_life(self) -> Life:
        life = self._life(self.chance.choice(self.wild), is_calm=False)
        words = [kind for kind in EventKind if kind < EventKind.AUTHORIZATION]
        for _ in range(self.chance.randint(1, 6)):
            kind = self.chance.choice(words)
            amount_minor = None if kind is EventKind.EXPIRY else self.chance.randint(0, 1_500)
            settled_minor = self.chance.randint(-500, 1_500) if kind is EventKind.SNAPSHOT else 0
            self._say(life, kind, amount_minor, self.chance.randint(1, 50), settled_minor=settled_minor)
        if self.chance.random() < 0.3:
            self._say(life, None, self.chance.randint(1, 500), self.chance.randint(1, 50))
        return life

    def _say(self, life: Life, kind: EventKind | None, amount_minor: int | None, minute: int, **fields: Any) -> None:
        """A message; without a kind, an increment."""
        said = pb.EVENT_KIND_INCREMENT if kind is None else int(kind)
        message = pb.ApplyEventRequest(
            event_id=f"storm-event-{next(_numbers)}",
            kind=said,  # type: ignore[arg-type]
            transaction_token=life.token,
            amount_minor=amount_minor,
            currency="USD",
            occurred_at=AT + timedelta(minutes=minute),
            **fields,
        )
        if kind is not None:
            message.card_token = life.card.token
            message.transacted_at.FromDatetime(AT)
            message.merchant.CopyFrom(RESTAURANT)
        life.messages.append(message)

    # --- the storm ------------------------------------------------------------------------------------------------

    async def rage(self, *faults: Callable[[], Awaitable[None]]) -> None:
        """Lives everything, with the faults one after the other in the midst of it; returns when all is answered."""
        total = len(self.lives) + sum(len(life.messages) for life in self.lives)
        due = [total * at // (len(faults) + 2) for at in range(1, len(faults) + 1)]
        waiting = iter(self.lives)

        async def caller() -> None:
            for life in waiting:
                await self._live(life)

        async def cause() -> None:
            for count, fault in zip(due, faults, strict=True):
                while self._answered < count:
                    await pause(_AGAIN_S / 10)
                await fault()

        async with asyncio.TaskGroup() as group:
            for _ in range(CALLERS):
                group.create_task(caller())
            group.create_task(cause())

    async def _live(self, life: Life) -> None:
        later = [self._apply(life, message) for message in life.messages for _ in range(self._times())]
        self.chance.shuffle(later)
        if life.is_calm:
            await self._swipe(life)
            if not life.told[life.asked.request_id][0]:
                # Whatever the network would say of a declined transaction is its own doing, and not calm.
                for message in later:
                    message.close()
                life.messages.clear()
                return
        else:
            later.append(self._swipe(life))
        await asyncio.gather(*later)

    def _times(self) -> int:
        return 2 if self.chance.random() < 0.2 else 1

    async def _swipe(self, life: Life) -> None:
        answer = await self.world.callers.ask(life.asked, next(self._lanes))
        self._decided(life, answer, life.asked.request_id, EventKind[types.Kind.Name(life.asked.kind)[5:]], 0)
        self._answered += 1

    async def _apply(self, life: Life, message: pb.ApplyEventRequest) -> None:
        if message.kind == pb.EVENT_KIND_INCREMENT:
            while life.asked.request_id not in life.told:
                await pause(_AGAIN_S)
        answer = await self._until_answered("ApplyEvent", message)
        self._hear(life, message, answer)
        self._answered += 1

    async def _until_answered(self, method: str, message: Message) -> Any:
        async with asyncio.timeout(GIVE_UP_S):
            while True:
                stub = self._stubs[next(self._lanes) % len(self._stubs)]
                try:
                    return await getattr(stub, method)(message, timeout=_TIMEOUT_S)
                except grpc.aio.AioRpcError as error:
                    if error.code().name not in _RETRIED:
                        raise
                    self.world.callers.retries += 1
                await pause(_AGAIN_S)

    def _hear(self, life: Life, message: pb.ApplyEventRequest, answer: pb.ApplyEventResponse) -> None:
        minute_us = message.occurred_at.ToMicroseconds()
        if message.kind == pb.EVENT_KIND_INCREMENT:
            self._decided(life, answer.decision, message.event_id, EventKind.AUTHORIZATION, minute_us)
            return
        amount_minor = message.amount_minor if message.HasField("amount_minor") else None
        kind = EventKind(message.kind)
        event = Event(kind, minute_us, message.event_id, amount_minor, message.is_final, message.settled_minor)
        self._told(life, message.event_id, (answer.held_minor, answer.settled_minor, answer.credited_minor), event)

    def _decided(
        self, life: Life, answer: auth.AuthorizeResponse, name: str, kind: EventKind, happened_us: int
    ) -> None:
        is_declined = answer.decision == types.DECISION_DECLINED
        happened_us = happened_us or life.asked.transacted_at.ToMicroseconds()
        event = Event(
            EventKind.DECLINE if is_declined else kind,
            happened_us,
            f"{answer.transaction_id:020}",
            answer.approved_minor,
        )
        self._told(life, name, (answer.approved_minor, answer.transaction_id, answer.reason), event)

    @staticmethod
    def _told(life: Life, name: str, figures: tuple[Any, ...], event: Event) -> None:
        """One thing is answered alike, however often and wherever it is asked."""
        assert life.told.setdefault(name, figures) == figures, name
        life.events.setdefault(name, event)

    # --- afterwards -----------------------------------------------------------------------------------------------

    async def check(self) -> None:
        """Every message counts once, every figure is the model's, limits hold, and counters are what the rows say."""
        await self._send_all_again()
        async with self.world.looking() as (database, counters):
            await until_clear(self._unlike_model, HEALED_S)
            names = [name for life in self.lives for name in life.told]
            once = "SELECT event_id FROM transaction_events WHERE event_id = ANY($1) UNION ALL SELECT request_id FROM transactions WHERE request_id = ANY($1) OR request_id = ANY($2)"
            rows = await database.fetch(once, names, [f"increment:{name}" for name in names])
            assert sorted(row[0].removeprefix("increment:") for row in rows) == sorted(names)
            for cards in (self.calm, self.wild):
                balance = await database.fetchval("SELECT balance FROM accounts WHERE id = $1", cards[0].account_id)
                assert balance * 100 == self._balance_minor(cards)
            await until_clear(lambda: books.drift(database, counters), HEALED_S)
            inquiries = [request(card.token, 0, kind=types.KIND_BALANCE_INQUIRY) for card in (*self.calm, *self.wild)]
            await self.world.callers.at_once(inquiries)
            current = {self.calm[0].account_id, self.wild[0].account_id}
            assert await books.drift(database, counters, current=current) == []
        self._assert_limits_hold()
        assert self.world.service.new_errors() == []

    async def _send_all_again(self) -> None:
        """Each gets the first answer."""
        said = [(life, message) for life in self.lives for message in life.messages]
        for first in range(0, len(said), 200):
            part = said[first : first + 200]
            batch = pb.BatchApplyEventsRequest(events=[message for _, message in part])
            while True:
                answer = await self._until_answered("BatchApplyEvents", batch)
                if all(result.HasField("response") for result in answer.results):
                    break
            for (life, message), result in zip(part, answer.results, strict=True):
                assert result.response.replayed
                self._hear(life, message, result.response)
        await asyncio.gather(*(self._swipe(life) for life in self.lives))

    async def _unlike_model(self) -> list[str]:
        turn = asyncio.Semaphore(CALLERS)

        async def one(life: Life) -> str | None:
            async with turn:
                known = await self._until_answered(
                    "GetTransaction", pb.GetTransactionRequest(transaction_token=life.token)
                )
            state = life.state()
            figures = (known.held_minor, known.settled_minor, known.credited_minor)
            status = pb.TransactionStatus.Name(known.status).removeprefix("TRANSACTION_STATUS_")
            return None if (*figures, status) == state else f"{life.token} is {figures} {status}, must be {state}"

        return [found for found in await asyncio.gather(*map(one, self.lives)) if found]

    def _balance_minor(self, cards: Sequence[Card]) -> int:
        states = [life.state() for life in self.lives if life.card in cards]
        return self.balance_minor + sum(state.credited_minor - state.settled_minor for state in states)

    def _assert_limits_hold(self) -> None:
        spent = [(life.card, life.state()) for life in self.lives if life.is_calm]
        totals = {card: sum(s.held_minor + s.settled_minor for of, s in spent if of == card) for card in self.calm}
        assert max(totals.values()) <= self.calm_card_minor
        assert 0 < sum(totals.values()) <= self.calm_shared_minor
        declined = [life for life in self.lives if life.is_calm and not life.told[life.asked.request_id][0]]
        assert declined


async def brewing(world: World, seed: int) -> Storm:
    """A storm that has not begun, on accounts of its own."""
    async with world.looking() as (database, _):
        calm = await add_account(database, f"{Storm.balance_minor // 100}.00")
        shared = await add_profile(database, calm, f"{Storm.calm_shared_minor // 100}.00", "weekly", "shared")
        cards = await add_cards(database, 5, calm, f"{Storm.calm_card_minor // 100}.00", "daily", shared)
        wild = await add_account(database, f"{Storm.balance_minor // 100}.00", balance_check="off")
        vast = await add_profile(database, wild, "900000.00", "monthly", "shared")
        wild_cards = await add_cards(database, 3, wild, "900000.00", "lifetime", vast)
    return Storm(world, cards, wild_cards, random.Random(seed))
