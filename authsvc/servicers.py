"""The gRPC methods of AuthorizationService: a message in, a decision or a status out."""

import asyncio
import functools
from collections.abc import Callable
from typing import Any

from authsvc import codec
from authsvc.answers import Answer
from authsvc.clock import Clock
from authsvc.decide import Decider
from authsvc.enquire import Enquiry
from authsvc.errors import AuthsvcError, InvalidRequest, NotFound, Overloaded, Unavailable
from authsvc.flight import Flight
from authsvc.guard import Context, Guarded, guarded, write_error
from authsvc.logs import DecisionLog
from authsvc.metrics import Metrics
from authsvc.ports import Ledger
from authsvc.spending import spending_power
from authsvc.streams import Outcome, Refusal, Stream
from authsvc.v1 import authorization_pb2 as pb
from authsvc.v1.authorization_pb2_grpc import AuthorizationServiceServicer


class AuthorizationServicer(AuthorizationServiceServicer, Guarded):
    """The service's methods. Holds no state but the streams that are open."""

    def __init__(  # noqa: PLR0913 - the use cases, what they tell of, and what bounds the calls
        self,
        decider: Decider,
        enquiry: Enquiry,
        ledger: Ledger,
        clock: Clock,
        metrics: Metrics,
        log: DecisionLog | None,
        *,
        default_deadline_ms: int,
        streams_max: int,
        stream_in_flight_max: int,
    ) -> None:
        """`log` None: decisions are not logged. `default_deadline_ms` is for requests that bring no deadline."""
        self._decider = decider
        self._enquiry = enquiry
        self._ledger = ledger
        self._clock = clock
        self.metrics = metrics
        self._log = log
        self._log_lines: list[dict[str, Any]] = []
        self._default_deadline_s = default_deadline_ms / 1000
        self._streams_max = streams_max
        self._stream_in_flight_max = stream_in_flight_max
        self._streams: set[Stream] = set()
        self._draining = False

    # --- methods ------------------------------------------------------------------------------------------------

    @guarded
    async def Authorize(self, message: pb.AuthorizeRequest, context: Context) -> pb.AuthorizeResponse:  # noqa: N802 - gRPC's
        """One decision."""
        landed: asyncio.Future[pb.AuthorizeResponse] = asyncio.get_running_loop().create_future()
        flight = self._submit(message, self._patience_s(context), functools.partial(self._land, landed))
        try:
            return await landed
        except asyncio.CancelledError:
            # The caller is gone: whatever is not recorded yet must not be.
            flight.abandoned = True
            raise

    @guarded
    async def AuthorizeStream(self, _: object, context: Context) -> None:  # noqa: N802 - gRPC's
        """Any number of decisions in flight on one connection."""
        if self._draining:
            raise Unavailable("this worker")
        if len(self._streams) >= self._streams_max:
            raise Overloaded("too many streams are open")
        stream = Stream(self._submit_to, self._write, self._default_deadline_s, self._stream_in_flight_max)
        self._streams.add(stream)
        try:
            await stream.serve(context)
        finally:
            self._streams.discard(stream)

    @guarded
    async def BatchAuthorize(self, message: pb.BatchAuthorizeRequest, context: Context) -> pb.BatchAuthorizeResponse:  # noqa: N802 - gRPC's
        """Up to 1,000 decisions, each on its own, order kept."""
        requests = message.requests
        if not 0 < len(requests) <= codec.BATCH_MAX:
            raise InvalidRequest("requests", f"must hold 1 to {codec.BATCH_MAX} requests")
        outcomes: list[Outcome | None] = [None] * len(requests)
        open_count = len(requests)
        finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        flights: list[Flight] = []

        def settle(position: int, outcome: Outcome) -> None:
            nonlocal open_count
            outcomes[position] = outcome
            open_count -= 1
            if not open_count and not finished.done():
                finished.set_result(None)

        patience_s = self._patience_s(context)
        for position, request in enumerate(requests):
            flight = self._submit_to(request, patience_s, functools.partial(settle, position))
            if flight is not None:
                flights.append(flight)
        try:
            await finished
        except asyncio.CancelledError:
            for flight in flights:
                flight.abandoned = True
            raise
        response = pb.BatchAuthorizeResponse()
        for outcome in outcomes:
            assert outcome is not None
            self._write(response.results.add(), outcome)
        return response

    @guarded
    async def Simulate(self, message: pb.AuthorizeRequest, _: Context) -> pb.AuthorizeResponse:  # noqa: N802 - gRPC's
        """The full evaluation; nothing is reserved or recorded."""
        started_s = self._clock.monotonic_s()
        answer = await self._enquiry.simulate(codec.request_of(message, self._clock.now_us()))
        elapsed_us = round((self._clock.monotonic_s() - started_s) * 1e6)
        return codec.response_of(answer, elapsed_us, list_checks=True)

    @guarded
    async def GetSpendingPower(  # noqa: N802 - gRPC's
        self, message: pb.GetSpendingPowerRequest, _: Context
    ) -> pb.GetSpendingPowerResponse:
        """What a card may still spend."""
        token = codec.card_token(message.card_token)
        at_us = codec.instant_us_of("at", message.at) if message.HasField("at") else self._clock.now_us()
        card = await self._enquiry.card(token)
        if card is None:
            raise NotFound("no card has this token")
        return codec.spending_power_of(await spending_power(card, at_us, self._ledger))

    # --- what they share ----------------------------------------------------------------------------------------

    def drain(self) -> None:
        """Streams take no more requests; they end when what they took is answered."""
        self._draining = True
        for stream in self._streams:
            stream.drain()

    @property
    def streams_open(self) -> int:
        """Open AuthorizeStream calls."""
        return len(self._streams)

    def _patience_s(self, context: Context) -> float:
        remaining_s: float | None = context.time_remaining()
        return self._default_deadline_s if remaining_s is None else remaining_s

    def _submit(self, message: pb.AuthorizeRequest, patience_s: float, done: Callable[[Flight], None]) -> Flight:
        request = codec.request_of(message, self._clock.now_us())
        return self._decider.submit(request, self._clock.monotonic_s() + patience_s, done)

    def _land(self, landed: asyncio.Future[pb.AuthorizeResponse], flight: Flight) -> None:
        """Answers are made here, one after the other for a whole batch, and not each when its call is woken up."""
        if landed.done():
            return
        if flight.error is not None:
            landed.set_exception(flight.error)
            return
        response = pb.AuthorizeResponse()
        self._respond(response, flight)
        landed.set_result(response)

    def _submit_to(
        self,
        message: pb.AuthorizeRequest | codec.Malformed,
        patience_s: float,
        settle: Callable[[Outcome], None],
    ) -> Flight | None:
        """Decide one of many. One outcome goes to `settle`, at once where the request cannot be taken: then None."""
        try:
            if isinstance(message, codec.Malformed):
                message.refuse()
            return self._submit(message, patience_s, settle)
        except AuthsvcError as error:
            settle(Refusal(message.request_id, error))
        except Exception as error:  # noqa: BLE001 - the others of its stream or batch go on
            self.metrics.failed(error)
            settle(Refusal(message.request_id, error))
        return None

    def _respond(self, response: pb.AuthorizeResponse, flight: Flight) -> None:
        answer = flight.answer
        assert answer is not None
        elapsed_s = self._clock.monotonic_s() - flight.started_s
        self.metrics.decided(answer.decision, answer.reason, elapsed_s, replayed=answer.replayed)
        elapsed_us = round(elapsed_s * 1e6)
        codec.write_response(response, answer, elapsed_us, list_checks=flight.request.explain)
        if self._log is not None:
            self._note(flight, answer, elapsed_us)

    def _write(self, result: pb.AuthorizeResult, outcome: Outcome) -> None:
        """One of many: a decision, or why there is none."""
        if isinstance(outcome, Flight):
            request_id, error = outcome.request.request_id, outcome.error
        else:
            request_id, error = outcome
        result.request_id = request_id
        if error is None:
            assert isinstance(outcome, Flight)
            self._respond(result.response, outcome)
            return
        self.metrics.refused(write_error(result.error, error))

    def _note(self, flight: Flight, answer: Answer, elapsed_us: int) -> None:
        """One structured line a decision; the lines of one turn of the loop go out in one write."""
        request = flight.request
        if not self._log_lines:
            asyncio.get_running_loop().call_soon(self._write_lines)
        self._log_lines.append(
            {
                "event": "decision",
                "at_us": self._clock.now_us(),
                "request_id": request.request_id,
                "card_token": request.card_token,
                "decision": answer.decision.name,
                "reason": answer.reason.name,
                "kind": request.kind.name,
                "amount_minor": request.amount_minor,
                "approved_minor": answer.approved_minor,
                "currency": request.currency,
                "mcc": request.mcc,
                "transaction_id": answer.transaction_id or 0,
                "config_version": answer.config_version,
                "replayed": answer.replayed,
                "attempts": flight.attempts,
                "elapsed_us": elapsed_us,
            }
        )

    def _write_lines(self) -> None:
        lines, self._log_lines = self._log_lines, []
        assert self._log is not None
        self._log.write(lines)
