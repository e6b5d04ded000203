"""The use case: look up, evaluate, reserve, record, answer. One batch is under way; what arrives is the next one."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from authsvc import answers
from authsvc.batches import Batches
from authsvc.clock import Clock
from authsvc.enquire import check_currency, fetch
from authsvc.errors import (
    DeadlineExceeded,
    InvalidRequest,
    OutcomeUnknown,
    Overloaded,
    RequestIdReused,
    RowRefused,
    Unavailable,
)
from authsvc.flight import Flight, Flights
from authsvc.ports import (
    Ask,
    AuthorizationRequest,
    Claim,
    Counters,
    Directory,
    Fenced,
    Inserted,
    Ledger,
    Missing,
    Observer,
    Reserved,
    Row,
    Stored,
)
from authsvc.repair import Repair
from rules.evaluate import evaluate, settle, verdict_without_counters
from rules.plan import plan_for
from rules.reasons import Decision, Kind, Reason
from rules.types import Usage

# Well below the time that a reservation's record stays: after that, a duplicate makes a reservation of the same name.
_CONFIRM_WITHIN_S = 0.5


class Decider:
    """Decides authorizations exactly, whatever happens to the counters or the configuration meanwhile."""

    def __init__(  # noqa: PLR0913 - the ports, and what bounds the work
        self,
        directory: Directory,
        counters: Counters,
        ledger: Ledger,
        clock: Clock,
        observer: Observer,
        *,
        batch_max: int,
        in_flight_max: int,
        attempts_max: int,
        name: str,
    ) -> None:
        """`attempts_max` bounds how often one request is evaluated again because configuration or counters moved on.

        `name` is recorded with each decision, for whoever asks later who decided.
        """
        self._name = name
        self._directory = directory
        self._counters = counters
        self._ledger = ledger
        self._clock = clock
        self._observer = observer
        self._attempts_max = attempts_max
        self._in_flight_max = in_flight_max
        self._flights = Flights(self._launch)
        self._batches: Batches[Flight] = Batches(self._decide, self._failed, batch_max)
        self.repair = Repair(counters, ledger, observer)
        self._confirmed: list[tuple[float, Claim]] = []

    @property
    def in_flight(self) -> int:
        """Requests that have no answer yet."""
        return len(self._flights)

    async def rest(self, timeout_s: float) -> None:
        """Returns when nothing is being decided any more, abandoned requests included, or when the time is up."""
        await self._batches.rest(timeout_s)

    def submit(self, request: AuthorizationRequest, deadline_s: float, done: Callable[[Flight], None]) -> Flight:
        """Decide; `done` is called once, with the flight's answer or error set. `deadline_s`: monotonic."""
        if len(self._flights) >= self._in_flight_max:
            raise Overloaded
        flight = Flight(request, deadline_s, done, self._clock.monotonic_s())
        self._flights.board(flight)
        return flight

    async def decide(self, request: AuthorizationRequest, deadline_s: float) -> answers.Answer:
        """As `submit`, for who waits. Raises the flight's error; cancelled, nothing new is recorded."""
        landed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        flight = self.submit(request, deadline_s, lambda _: None if landed.done() else landed.set_result(None))
        try:
            await landed
        except asyncio.CancelledError:
            flight.abandoned = True
            raise
        if flight.error is not None:
            raise flight.error
        assert flight.answer is not None
        return flight.answer

    def _launch(self, flight: Flight) -> None:
        self._batches.submit(flight)

    async def _decide(self, batch: Sequence[Flight]) -> None:
        """One batch, fetched, then decided: whoever needs something that is not at hand leaves it and comes back."""
        started_s = self._clock.monotonic_s()
        ready = [flight for flight in batch if not self._is_late(flight, started_s) and self._evaluate(flight)]
        ready = await self._reserve(ready)
        reserved_s = self._clock.monotonic_s()
        late = [flight for flight in ready if self._is_late(flight, reserved_s)]
        if late:
            ready = [flight for flight in ready if not flight.landed]
            await self._release([flight.claim for flight in late])
        await self._record(ready)
        self._observer.batch(len(batch), reserved_s - started_s, self._clock.monotonic_s() - reserved_s)

    # --- look up and evaluate -----------------------------------------------------------------------------------

    def _evaluate(self, flight: Flight) -> bool:
        """True when the flight can go on in this batch."""
        request = flight.request
        card = self._directory.peek(request.card_token) or flight.still_current()
        if card is None and not self._directory.is_unknown(request.card_token):
            self._batches.spawn(self._fetch(flight), [flight])
            return False
        flight.renew(card)
        try:
            check_currency(card, request)
        except InvalidRequest as error:
            self._flights.land(flight, error=error)
            return False
        flight.reason, flight.plan = evaluate(card, request)
        if flight.reason is not Reason.APPROVED and request.explain and card is not None and request.amount_minor:
            # Declined already, but whoever asks for an explanation is shown the counters too.
            flight.plan = plan_for(card, request.transacted_at_us)
        return True

    async def _fetch(self, flight: Flight) -> None:
        card = await fetch(self._directory, flight.request.card_token)
        if card is not None:
            flight.fetched = (card, card.account.config_version)
        self._batches.submit(flight)

    # --- reserve ------------------------------------------------------------------------------------------------

    async def _reserve(self, batch: Sequence[Flight]) -> list[Flight]:
        """Moves counters for those who need it. Returns who may be recorded."""
        ready = [flight for flight in batch if flight.plan is None]
        asking = [flight for flight in batch if flight.plan is not None]
        for flight in ready:
            flight.verdict = verdict_without_counters(flight.reason, flight.request)
        if not asking:
            return ready
        confirmed = self._take_confirmed()
        try:
            results = await self._counters.reserve([self._ask(flight) for flight in asking], confirmed)
        except Unavailable as error:
            for flight in asking:
                self._flights.land(flight, error=error)
            return ready
        for flight, result in zip(asking, results, strict=True):
            if isinstance(result, Missing):
                self._batches.spawn(self._mend(flight, result), [flight])
            else:
                self._settle(flight, result)
                ready.append(flight)
        return ready

    def _take_confirmed(self) -> list[Claim]:
        """What was committed a moment ago. What is older is left to the reaper: by now its name may be another's."""
        since_s = self._clock.monotonic_s() - _CONFIRM_WITHIN_S
        confirmed, self._confirmed = self._confirmed, []
        return [claim for committed_s, claim in confirmed if committed_s > since_s]

    def _ask(self, flight: Flight) -> Ask:
        request = flight.request
        card, plan = flight.card, flight.plan
        assert card is not None
        assert plan is not None
        moves = flight.reason is Reason.APPROVED and request.kind is not Kind.BALANCE_INQUIRY
        posts = request.kind is Kind.FINANCIAL_AUTHORIZATION
        epoch_min = self.repair.epoch_min(card.account.id)
        return Ask(
            card.account.id,
            epoch_min,
            flight.reservation_name(),
            plan,
            request.amount_minor,
            request.partial_approval_capable,
            posts,
            moves,
        )

    def _settle(self, flight: Flight, reserved: Reserved) -> None:
        plan, card = flight.plan, flight.card
        assert plan is not None
        assert card is not None
        flight.reserved = reserved
        verdict = settle(plan, flight.request, reserved.usage)
        if flight.reason is Reason.APPROVED:
            flight.verdict = verdict
            if verdict.approved_minor != reserved.moved_minor:
                # Cannot happen: rules and script do the same arithmetic. Were it to, nothing may be approved on it.
                message = f"decided {verdict.approved_minor} but moved {reserved.moved_minor}"
                raise AssertionError(message)
        else:
            flight.verdict = verdict._replace(decision=Decision.DECLINED, reason=flight.reason, approved_minor=0)
        if reserved.moved_minor:
            posts = flight.request.kind is Kind.FINANCIAL_AUTHORIZATION
            flight.claim = Claim(card.account.id, reserved.run, reserved.epoch, flight.reservation_name(), plan, posts)

    async def _mend(self, flight: Flight, missing: Missing) -> None:
        card, plan = flight.card, flight.plan
        assert card is not None
        assert plan is not None
        await self.repair.mend(card.account.id, plan, missing)
        self._batches.submit(flight)

    # --- record -------------------------------------------------------------------------------------------------

    async def _record(self, batch: Sequence[Flight]) -> None:
        """Rows of accounts whose balance moves, other rows, unknown cards: each is one commit, recorded or refused."""
        posting = {flight.card.account.id for flight in batch if flight.card is not None and _moves_balance(flight)}
        unknown = [flight for flight in batch if flight.card is None]
        plain = [flight for flight in batch if flight.card is not None and flight.card.account.id not in posting]
        moving = [flight for flight in batch if flight.card is not None and flight.card.account.id in posting]
        for group in (plain, moving, unknown):
            if group:
                await self._commit(group, self._record_unknown if group is unknown else self._record_known)

    def _record_known(self, batch: Sequence[Flight]) -> Awaitable[list[Inserted | Stored | Fenced]]:
        now_s = self._clock.monotonic_s()
        return self._ledger.record([self._row(flight, now_s) for flight in batch])

    def _record_unknown(self, batch: Sequence[Flight]) -> Awaitable[list[Inserted | Stored | Fenced]]:
        for flight in batch:
            self._draft(flight)
        return self._ledger.record_unknown([flight.request for flight in batch])

    async def _commit(
        self,
        batch: Sequence[Flight],
        record: Callable[[Sequence[Flight]], Awaitable[list[Inserted | Stored | Fenced]]],
    ) -> None:
        try:
            results = await record(batch)
        except RowRefused as error:
            if len(batch) > 1:
                # One row must not take its whole batch with it.
                for flight in batch:
                    await self._commit([flight], record)
            else:
                await self._release([batch[0].claim])
                self._failed(batch, error)
            return
        except Unavailable as error:
            if not isinstance(error, OutcomeUnknown):
                await self._release([flight.claim for flight in batch])
            for flight in batch:
                self._flights.land(flight, error=error)
            return
        await self._tell(batch, results)

    async def _tell(self, batch: Sequence[Flight], results: Sequence[Inserted | Stored | Fenced]) -> None:
        """Answers whoever has one; whoever was refused by a fence comes back on a fresh view."""
        dropped: list[Claim | None] = []
        fenced: list[tuple[Flight, Fenced]] = []
        for flight, result in zip(batch, results, strict=True):
            if isinstance(result, Inserted):
                self._inserted(flight, result)
            elif isinstance(result, Stored):
                self._replay(flight, result)
                dropped.append(flight.claim)
            else:
                dropped.append(flight.claim)
                fenced.append((flight, result))
        await self._release(dropped)
        if fenced:
            self._observer.fenced(len(fenced))
        for flight, result in fenced:
            self._batches.spawn(self._catch_up(flight, result), [flight])

    def _row(self, flight: Flight, now_s: float) -> Row:
        answer = self._draft(flight)
        card, reserved, kind = flight.card, flight.reserved, flight.request.kind
        assert card is not None
        approved = answer.approved_minor
        posts = kind is Kind.FINANCIAL_AUTHORIZATION
        posted = approved if posts else -approved if kind is Kind.FINANCIAL_CREDIT_AUTHORIZATION else 0
        return Row(
            flight.request,
            card,
            flight.config_version,
            reserved.epoch if reserved is not None else None,
            approved,
            approved if kind is Kind.AUTHORIZATION else 0,
            approved if posts else 0,
            posted,
            answer.reason.name,
            answers.to_explanation(answer, self._name, round((now_s - flight.started_s) * 1e6)),
        )

    def _draft(self, flight: Flight) -> answers.Answer:
        usage: Usage | None = flight.reserved.usage if flight.reserved is not None else None
        posts = flight.request.kind is Kind.FINANCIAL_AUTHORIZATION
        verdict = flight.verdict
        assert verdict is not None
        answer = answers.answer_of(flight.request, flight.card, flight.config_version, verdict, usage, posts=posts)
        flight.answer = answer
        return answer

    def _inserted(self, flight: Flight, inserted: Inserted) -> None:
        answer = flight.answer
        assert answer is not None
        answer.transaction_id = inserted.transaction_id
        if flight.claim is not None:
            self._confirmed.append((self._clock.monotonic_s(), flight.claim))
        if flight.card is not None and flight.request.kind is Kind.FINANCIAL_CREDIT_AUTHORIZATION:
            self.repair.outdated(flight.card.account.id, inserted.counter_epoch)
        self._flights.land(flight, answer=answer)

    def _replay(self, flight: Flight, stored: Stored) -> None:
        """Answers as before. Its reservation is given back: whoever made the row is an owner too, and keeps theirs."""
        if stored.fingerprint == flight.request.fingerprint:
            self._flights.land(flight, answer=answers.from_stored(flight.request, stored))
        else:
            self._flights.land(flight, error=RequestIdReused())

    async def _catch_up(self, flight: Flight, fenced: Fenced) -> None:
        """The configuration or the counters have moved on: bring the view up to date and evaluate again."""
        card = flight.card
        flight.fetched = None
        if card is None:
            self._directory.forget_unknown(flight.request.card_token)
        else:
            self.repair.outdated(card.account.id, fenced.counter_epoch)
            if flight.reserved is not None and flight.reserved.epoch > fenced.counter_epoch:
                # The database was restored to an earlier time, or is another one: it must overtake the counters.
                self.repair.outdated(card.account.id, flight.reserved.epoch + 1)
            await self._directory.advance(card.account.id, fenced.config_version)
        self._again(flight)

    # --- ends ---------------------------------------------------------------------------------------------------

    def _again(self, flight: Flight) -> None:
        flight.attempts += 1
        if flight.attempts >= self._attempts_max:
            self._flights.land(flight, error=Unavailable("a current view of the account"))
        else:
            self._batches.submit(flight)

    def _is_late(self, flight: Flight, now_s: float) -> bool:
        if flight.abandoned or now_s >= flight.deadline_s:
            self._flights.land(flight, error=DeadlineExceeded())
        return flight.landed

    async def _release(self, claims: Sequence[Claim | None]) -> None:
        held = [claim for claim in claims if claim is not None]
        if not held:
            return
        try:
            await self._counters.release(held)
        except Unavailable:
            # The reaper finds them: no row remembers these reservations.
            return

    def _failed(self, flights: Sequence[Flight], error: BaseException) -> None:
        """Something nobody planned for: nobody in it may wait for ever, and reservations are left to the reaper."""
        if not isinstance(error, Unavailable):
            self._observer.failed(error)
        for flight in flights:
            self._flights.land(flight, error=error)


def _moves_balance(flight: Flight) -> bool:
    kind, verdict = flight.request.kind, flight.verdict
    posts = kind is Kind.FINANCIAL_AUTHORIZATION or kind is Kind.FINANCIAL_CREDIT_AUTHORIZATION
    return posts and verdict is not None and verdict.approved_minor > 0
