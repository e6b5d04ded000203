"""Random programs and histories on real servers, against a slow model that sums up every recorded decision again.

Each history has a business of its own, so that the histories share one database. The model keeps the tables as plain
rows (tests/simulation/postgres.py, without its fences) and judges with tests/simulation/model.py.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import blake2b
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings

from authsvc.answers import Answer
from authsvc.clock import SystemClock
from authsvc.decide import Decider
from authsvc.errors import RequestIdReused
from authsvc.flight import Flight
from authsvc.ports import Ask, AuthorizationRequest, Reserved
from authsvc.reaper import Reaper
from loader.directory import Directory
from rules.plan import plan_for
from rules.reasons import REASON_OF_LIMIT_CHECK, Decision, Kind, Reason
from tests.behaviour.places import Program, RealPlace, SimulatedPlace, insert_program, real_place, simulated_place
from tests.behaviour.test_ledger import request as plain_request
from tests.property.histories import Again, Change, Send, Wipe, programs, steps, zones
from tests.simulation.model import Judgement, judge, spendings
from tests.simulation.postgres import TransactionRow

EXAMPLES = 120
NOON_US = 1_773_576_000_000_000  # 2026-03-15 12:00 UTC, a Sunday
HOUR_US = 3_600_000_000
PATIENCE_S = 60.0


class Observed:
    """Counts nothing; a failure that nobody planned for fails the test."""

    def __init__(self) -> None:
        self.failures: list[BaseException] = []

    def failed(self, error: BaseException) -> None:
        self.failures.append(error)

    def __getattr__(self, _: str) -> Callable[..., None]:
        return lambda *_: None


class History:
    """A business on real servers with two workers, and the same business in the model."""

    def __init__(self, real: RealPlace, model: SimulatedPlace, workers: list[Decider], observed: Observed) -> None:
        self.real = real
        self.model = model
        self.workers = workers
        self.observed = observed
        self.account_id = model.program.accounts[0].id
        self.asked: list[AuthorizationRequest] = []
        self.answered: dict[str, Answer] = {}
        self.recorded: set[str] = set()

    def request(self, drawn: tuple[int, Kind, int, int, bool]) -> AuthorizationRequest:
        card, kind, amount_minor, hours, partial = drawn
        made = plain_request(
            f"{self.account_id}-{len(self.asked)}",
            self.model.program.cards[card].token,
            kind=kind,
            amount_minor=amount_minor,
            asked_minor=amount_minor,
            transacted_at_us=NOON_US + hours * HOUR_US,
            partial_approval_capable=partial,
            fingerprint=blake2b(repr(drawn).encode(), digest_size=8).digest(),
        )
        self.asked.append(made)
        return made

    async def send(self, worker: int, request: AuthorizationRequest) -> Answer | BaseException:
        done: asyncio.Future[Flight] = asyncio.get_running_loop().create_future()
        self.workers[worker].submit(request, time.monotonic() + PATIENCE_S, done.set_result)
        flight = await done
        result = flight.answer or flight.error
        assert result is not None
        return result

    # --- steps ------------------------------------------------------------------------------------------------------

    async def take(self, step: Send | Again | Change | Wipe) -> None:
        match step:
            case Send(drawn, twice):
                await self._send([self.request(one) for one in drawn], twice=twice)
            case Again(which, same_body) if self.asked:
                await self._again(self.asked[which % len(self.asked)], same_body=same_body)
            case Change(table, which, values):
                rows = getattr(self.model.program, {"spending_profiles": "profiles"}.get(table, table))
                model_values = values if table != "users" else {"status": values["status"]}
                await self.model.change(table, rows[which].id, **model_values)
                await self.real.change(table, rows[which].id, **values)
            case Wipe():
                await self.real.wipe_counters()

    async def _send(self, requests: list[AuthorizationRequest], *, twice: bool) -> None:
        judgements = [self._judge(request) for request in requests]
        roomy = self._is_room_for_all(requests)
        sent = [(i % 2, request) for i, request in enumerate(requests)]
        sent += [(1 - worker, request) for worker, request in sent] if twice else []
        answers = await asyncio.gather(*(self.send(worker, request) for worker, request in sent))
        for (_, request), answer in zip(sent, answers, strict=True):
            assert isinstance(answer, Answer), f"{request.request_id}: {answer!r}"
            self._told(request, answer)
        for request, judgement in zip(requests, judgements, strict=True):
            told = self.answered[request.request_id]
            static = judgement.decision is Decision.DECLINED and judgement.reason < Reason.INSUFFICIENT_FUNDS
            if len(requests) == 1 or roomy or static:
                assert Judgement(told.decision, told.reason, told.approved_minor) == judgement, request
            self._assert_holds(request)

    async def _again(self, request: AuthorizationRequest, *, same_body: bool) -> None:
        if not same_body:
            reused = await self.send(0, replace(request, fingerprint=b"another body"))
            assert isinstance(reused, RequestIdReused)
            return
        answer = await self.send(len(request.request_id) % 2, request)
        assert isinstance(answer, Answer)
        assert answer.replayed
        self._told(request, answer)

    # --- the model --------------------------------------------------------------------------------------------------

    def _judge(self, request: AuthorizationRequest) -> Judgement:
        tables = self.model.postgres
        card = tables.cards[request.card_token]
        return judge(tables, request, tables.funds(card.account_id), spendings(tables, card, request.transacted_at_us))

    def _is_room_for_all(self, requests: list[AuthorizationRequest]) -> bool:
        """True when no order of these can make any of them fail on money."""
        total = sum(request.amount_minor for request in requests)
        everything = [replace(request, amount_minor=total or 1, kind=Kind.AUTHORIZATION) for request in requests]
        short = (Reason.INSUFFICIENT_FUNDS, Reason.PROFILE_LIMIT_EXCEEDED, Reason.CARD_LIMIT_EXCEEDED)
        return all(self._judge(request).reason not in short for request in everything)

    def _told(self, request: AuthorizationRequest, answer: Answer) -> None:
        known = self.answered.setdefault(request.request_id, answer)
        figures = [
            (
                one.decision,
                one.reason,
                one.approved_minor,
                one.transaction_id,
                one.balance_minor,
                one.available_minor,
                one.checks,
            )
            for one in (known, answer)
        ]
        assert figures[0] == figures[1]
        if request.request_id not in self.recorded:
            self.recorded.add(request.request_id)
            self._record(request, answer)

    def _record(self, request: AuthorizationRequest, answer: Answer) -> None:
        """One more decision in the list that the model sums up."""
        tables, approved = self.model.postgres, answer.approved_minor
        card = tables.cards[request.card_token]
        held = approved if request.kind is Kind.AUTHORIZATION else 0
        settled = approved if request.kind is Kind.FINANCIAL_AUTHORIZATION else 0
        number = len(tables.transactions) + 1
        credited = approved if request.kind is Kind.FINANCIAL_CREDIT_AUTHORIZATION else 0
        tables.transactions[number] = TransactionRow(
            number,
            None,
            card.account_id,
            card.id,
            card.profile_id,
            held,
            settled,
            request.transacted_at_us,
            0,
            None,  # type: ignore[arg-type]
            credited,
        )
        posted = settled - credited
        account = tables.accounts[card.account_id]
        tables.accounts[account.id] = replace(account, balance_minor=account.balance_minor - posted)

    def _assert_holds(self, request: AuthorizationRequest) -> None:
        """After an approval, every limit of its card holds, and so does the balance."""
        tables, answer = self.model.postgres, self.answered[request.request_id]
        if answer.approved_minor == 0 or request.kind not in (Kind.AUTHORIZATION, Kind.FINANCIAL_AUTHORIZATION):
            return
        card = tables.cards[request.card_token]
        for spending in spendings(tables, card, request.transacted_at_us):
            assert spending.used_minor <= spending.limit_minor, (request, spending)
        balance, held = tables.funds(card.account_id)
        assert balance >= held or not tables.accounts[card.account_id].balance_check

    # --- at the end -------------------------------------------------------------------------------------------------

    async def close(self) -> None:
        """Counters, balances and rows say what the list of decisions says."""
        tables = self.model.postgres
        assert self.observed.failures == []
        funds = tables.funds(self.account_id)
        assert await self.real.balance_minor(self.account_id) == funds[0]
        for card_row in self.model.program.cards:
            request = replace(self.asked[0], card_token=card_row.token) if self.asked else None
            if request is not None:
                await self._compare_counters(request, funds)
        rows = await self.real.pool.fetchval("SELECT count(*) FROM transactions WHERE account_id = $1", self.account_id)
        assert rows == len(self.asked)

    async def _compare_counters(self, request: AuthorizationRequest, funds: tuple[int, int]) -> None:
        """What the counters say once whatever was left behind is swept up, beside the model's sums."""
        tables = self.model.postgres
        answer = await self.send(0, self._inquiry(request))
        assert isinstance(answer, Answer)
        directory = self.workers[0]._directory
        card = directory.peek(request.card_token)
        assert card is not None
        plan = plan_for(card, request.transacted_at_us)
        epoch = (await self.real.versions(self.account_id))[1]
        ask = Ask(self.account_id, 0, "reading", plan, 0, partial=False, posts=False, moves=False)
        (result,) = await self.real.counters.reserve([ask], [])
        if not isinstance(result, Reserved) or result.epoch != epoch:
            # Nobody needed them since they were lost or outdated: whoever does will load them.
            return
        limits_now = spendings(tables, tables.cards[request.card_token], request.transacted_at_us)
        by_reason = {spending.reason: spending.used_minor for spending in limits_now}
        assert (result.usage.balance_minor, result.usage.held_minor) == funds
        for bound in plan.bounds:
            if bound.counter is not None:
                assert result.usage.used_minor[bound.counter] == by_reason[REASON_OF_LIMIT_CHECK[bound.check]]

    def _inquiry(self, request: AuthorizationRequest) -> AuthorizationRequest:
        made = self.request((0, Kind.BALANCE_INQUIRY, 0, 0, False))
        return replace(made, card_token=request.card_token, transacted_at_us=request.transacted_at_us, mcc=request.mcc)


def worker(real: RealPlace, observed: Observed) -> Decider:
    directory = Directory(
        real.source, time.monotonic, cards_max=1_000, unknown_max=10, unknown_ttl_s=1, notification_wait_s=0.01
    )
    return Decider(
        directory,
        real.counters,
        real.ledger,
        SystemClock(),
        observed,
        batch_max=100,
        in_flight_max=1_000,
        attempts_max=50,
        name="histories",
    )


@asynccontextmanager
async def one_place(urls: tuple[str, str]) -> AsyncIterator[RealPlace]:
    async with real_place(*urls, Program([], [], [], [])) as opened:
        yield opened


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as opened:
        yield opened


def test_random_histories_are_decided_as_the_model_says(
    database_url: str, redis_url: str, runner: asyncio.Runner
) -> None:
    place = one_place((database_url, redis_url))
    real = runner.run(place.__aenter__())

    async def live(program: Program, history_steps: list[Any]) -> None:
        observed = Observed()
        await insert_program(real.pool, program)
        workers = [worker(real, observed), worker(real, observed)]
        history = History(real, simulated_place(program), workers, observed)
        for step in history_steps:
            note(repr(step))
            await history.take(step)
        await Reaper(real.counters, real.ledger, workers[0].repair, observed, grace_ms=0).sweep()
        await history.close()

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
        database=None,
        derandomize=True,
        # Without shrinking: every step costs real commits, and an example is short enough to read.
        phases=[Phase.generate],
    )
    @given(programs(), zones, steps)
    def every(program: Program, zone: str, history_steps: list[Any]) -> None:
        runner.run(live(program, [Change("accounts", 0, {"timezone": zone}), *history_steps]))

    try:
        every()
    finally:
        runner.run(place.__aexit__(None, None, None))
