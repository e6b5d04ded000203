"""The gRPC methods of BulkService."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Any, Final, NamedTuple

from google.protobuf import json_format

from authsvc import codec as wire
from authsvc.errors import DeadlineExceeded, InvalidRequest, Overloaded
from authsvc.guard import Context, Guarded, guarded
from authsvc.identity.shapes import Caller
from authsvc.management import codec
from authsvc.management.bulk import Batch, Bulk
from authsvc.management.resources import CARD, RESOURCES, Resource
from authsvc.management.servicer import Callers
from authsvc.management.shapes import Problem
from authsvc.metrics import Metrics
from authsvc.v1 import management_pb2 as pb

_BY_NAME: Final = {resource.name: resource for resource in RESOURCES}
_LINE_MAX: Final = 65_536


class BulkLimits(NamedTuple):
    """How long a call may take, and how many there may be at once: each holds a connection of the pool all the while.

    A caller sends as slowly, and reads as slowly, as it likes; others need connections, and the rows that it locks.
    """

    timeout_s: float
    calls_max: int


class BulkServicer(Guarded):
    """Many records at once."""

    def __init__(self, bulk: Bulk, callers: Callers, metrics: Metrics, limits: BulkLimits) -> None:
        """The use case, who calls, whom errors are told, and how much of it there may be."""
        self.metrics = metrics
        self._limits = limits
        self._under_way = 0
        self._bulk = bulk
        self._callers = callers

    @guarded
    async def CreateCards(self, message: pb.CreateCardsRequest, context: Context) -> None:  # noqa: N802 - gRPC's
        """Cards of a product."""
        caller = await self._callers.caller_of(context)
        if message.card_product_id <= 0:
            raise InvalidRequest("card_product_id", "is required")
        status = codec.word_of(CARD.by_name["status"], message) or "pending"
        seeds = [codec.seed_of(seed) for seed in message.cards]
        made, total = 0, len(seeds)
        told = self._bulk.create_cards(caller, message.card_product_id, seeds, status)
        with self._one_of_few():
            async with self._in_time(), aclosing(told) as chunks:
                async for card_ids in chunks:
                    made += len(card_ids)
                    await context.write(pb.CreateCardsProgress(made=made, total=total, card_ids=card_ids))
        await context.write(pb.CreateCardsProgress(made=made, total=total, is_committed=True))

    @guarded
    async def MoveCards(self, message: pb.MoveCardsRequest, context: Context) -> pb.MoveCardsResponse:  # noqa: N802
        """Cards with another profile."""
        caller = await self._callers.caller_of(context)
        moved = await self._bulk.move_cards(
            caller, message.card_ids, message.from_profile_id or None, message.to_profile_id or None
        )
        return pb.MoveCardsResponse(moved=moved)

    @guarded
    async def ImportRecords(self, messages: AsyncIterator[Any], context: Context) -> None:  # noqa: N802 - gRPC's
        """Records from lines."""
        caller = await self._callers.caller_of(context)
        committed = None
        async with self._in_time(), aclosing(self._imported(caller, _readable(messages))) as reports:
            async for report in reports:
                if report.is_committed:
                    committed = report
                else:
                    await context.write(report)
        if committed is not None:
            await context.write(committed)

    async def _imported(
        self, caller: Caller, stream: AsyncIterator[pb.ImportRecordsRequest]
    ) -> AsyncGenerator[pb.ImportRecordsProgress, None]:
        first = await anext(stream, None)
        if first is None or first.resource not in _BY_NAME:
            raise InvalidRequest("resource", f"must be one of {', '.join(_BY_NAME)}")
        resource = _BY_NAME[first.resource]
        batches = _batches(resource, first, stream)
        told = self._bulk.import_records(
            caller, resource, batches, skip_bad=first.skip_bad, check_only=first.check_only
        )
        with self._one_of_few():
            async with aclosing(told) as reports:
                async for report in reports:
                    lines = [pb.BadLine(line=number, problem=codec.problems_of([why])[0]) for number, why in report.bad]
                    yield pb.ImportRecordsProgress(
                        read=report.read, good=report.good, bad_lines=lines, is_committed=report.is_committed
                    )

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        """What is not committed when the time is over is undone. That it was committed is told outside of this."""
        try:
            async with asyncio.timeout(self._limits.timeout_s) as limit:
                yield
        except TimeoutError:
            if not limit.expired():
                raise
            text = f"a bulk call may take {self._limits.timeout_s:g} seconds: send less in one"
            raise DeadlineExceeded(text) from None

    @contextmanager
    def _one_of_few(self) -> Iterator[None]:
        if self._under_way >= self._limits.calls_max:
            raise Overloaded("as many bulk calls as there may be are under way: try again when one of them has ended")
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1


async def _readable(messages: AsyncIterator[Any]) -> AsyncIterator[pb.ImportRecordsRequest]:
    async for message in messages:
        if isinstance(message, wire.Malformed):
            message.refuse()
        yield message


async def _batches(
    resource: Resource, first: pb.ImportRecordsRequest, rest: AsyncIterator[pb.ImportRecordsRequest]
) -> AsyncIterator[Batch]:
    number = 0
    message: pb.ImportRecordsRequest | None = first
    while message is not None:
        lines = [(number + position, _said(resource, line)) for position, line in enumerate(message.lines, start=1)]
        number += len(lines)
        yield Batch(lines)
        message = await anext(rest, None)


def _said(resource: Resource, line: str) -> Mapping[str, Any] | Problem:
    """What a line says, or why it cannot be read. The parser's words name the field."""
    if len(line) > _LINE_MAX:
        return Problem("line", f"is longer than {_LINE_MAX:,} characters")
    message = getattr(pb, resource.name)()
    try:
        json_format.Parse(line, message)
        return codec.record_of(resource, message)
    except InvalidRequest as error:
        return Problem(error.field, error.problem)
    except (json_format.ParseError, ValueError, RecursionError):
        return Problem("line", f"is not the JSON of a {resource.name}")
