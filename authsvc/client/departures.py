"""Authorizations on their way to the service: what is asked while others are under way goes together into one call."""

import asyncio
from collections import deque
from collections.abc import Sequence
from math import ceil
from typing import Final, NamedTuple

from authsvc.client.failures import ClientError, error_named, error_of, translated
from authsvc.client.lane import Lane
from authsvc.v1 import authorization_pb2 as pb

# So many requests, or so many bytes of them, go into one call: well below what a service takes by default.
TOGETHER_MAX: Final = 256
TOGETHER_BYTES_MAX: Final = 262_144
# Whose time is up at about the same time may share a call, which has one deadline.
SAME_TIME_S: Final = 0.1
# Nobody is told that the time is up later than a tick after it was.
TICKS_PER_S: Final = 128
# A call that has no answer after this time is held up by something that need not hold up others.
SLOW_S: Final = 0.1


_Answer = asyncio.Future[pb.AuthorizeResponse]


class _Waiting(NamedTuple):
    """`together` are the answers whose time is up with this one's."""

    request: pb.AuthorizeRequest
    size: int
    until_s: float
    answer: _Answer
    together: set[_Answer]

    def tell(self, response: pb.AuthorizeResponse) -> None:
        self.together.discard(self.answer)
        if not self.answer.done():
            self.answer.set_result(response)

    def refuse(self, error: ClientError) -> None:
        self.together.discard(self.answer)
        if not self.answer.done():
            self.answer.set_exception(error)


class _Deadlines:
    """Ends waits whose time is up. A timer for each wait would cost as much as the rest of asking: they share them."""

    def __init__(self) -> None:
        self._by_tick: dict[int, set[_Answer]] = {}

    def together(self, until_s: float) -> set[_Answer]:
        """Those who end at that time of the loop's clock, or less than a tick after it: add to them."""
        tick = ceil(until_s * TICKS_PER_S)
        answers = self._by_tick.get(tick)
        if answers is None:
            answers = self._by_tick[tick] = set()
            asyncio.get_running_loop().call_at(tick / TICKS_PER_S, self._end, tick)
        return answers

    def _end(self, tick: int) -> None:
        for answer in self._by_tick.pop(tick):
            if not answer.done():
                answer.set_exception(TimeoutError())


class Departures:
    """As many calls under way as there are lanes, slow ones aside. Idle, a request leaves at once and alone."""

    def __init__(self, lanes: Sequence[Lane], metadata: Sequence[tuple[str, str]]) -> None:
        """`metadata` goes with each call."""
        self._lanes = lanes
        self._metadata = metadata
        self._queue: deque[_Waiting] = deque()
        self._deadlines = _Deadlines()
        self._is_called = False
        self._under_way: set[asyncio.Task[None]] = set()
        # The loop keeps only weak references to tasks: hold them until they end.
        self._tasks: set[asyncio.Task[None]] = set()

    def ask(self, request: pb.AuthorizeRequest, size: int, until_s: float) -> asyncio.Future[pb.AuthorizeResponse]:
        """The answer to a request of `size` bytes: else ClientError, or TimeoutError at `until_s` of the loop's clock.

        After UNAVAILABLE and after TimeoutError the request may have been decided or not.
        """
        loop = asyncio.get_running_loop()
        answer: _Answer = loop.create_future()
        together = self._deadlines.together(until_s)
        together.add(answer)
        self._queue.append(_Waiting(request, size, until_s, answer, together))
        self._call()
        return answer

    async def close(self) -> None:
        """Nobody leaves any more, and what is under way is abandoned. Who waits is not told before the time is up."""
        self._lanes = ()
        self._queue.clear()
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _call(self) -> None:
        """Behind what is ready in this turn of the loop: who asks in the same turn leaves together."""
        if not self._is_called:
            self._is_called = True
            asyncio.get_running_loop().call_soon(self._depart)

    def _depart(self) -> None:
        self._is_called = False
        while len(self._under_way) < len(self._lanes) and (group := self._next_group()):
            self._send_off(group)

    def _next_group(self) -> list[_Waiting]:
        """Who goes together, without those who gave up; empty when nobody waits."""
        group: list[_Waiting] = []
        size = 0
        while self._queue and len(group) < TOGETHER_MAX:
            one = self._queue[0]
            size += one.size
            if group and (size > TOGETHER_BYTES_MAX or abs(one.until_s - group[0].until_s) > SAME_TIME_S):
                break
            self._queue.popleft()
            if one.answer.done():
                one.together.discard(one.answer)
            else:
                group.append(one)
        return group

    def _send_off(self, group: list[_Waiting]) -> None:
        loop = asyncio.get_running_loop()
        task = loop.create_task(self._travel(group))
        slow = loop.call_later(SLOW_S, self._make_room, task)
        self._tasks.add(task)
        self._under_way.add(task)

        def arrived(_: object) -> None:
            slow.cancel()
            self._tasks.discard(task)
            self._make_room(task)

        task.add_done_callback(arrived)

    def _make_room(self, task: asyncio.Task[None]) -> None:
        """It has arrived, or others no longer wait for it."""
        self._under_way.discard(task)
        if self._queue:
            self._call()

    async def _travel(self, group: list[_Waiting]) -> None:
        lane = min(self._lanes, key=_preference)
        lane.calls += 1
        # The call's deadline comes after theirs, who would else be told in gRPC's words.
        timeout_s = max(one.until_s for one in group) + 1 / TICKS_PER_S - asyncio.get_running_loop().time()
        try:
            await self._tell(lane, group, timeout_s)
        except ClientError as error:
            if error.code == "RESOURCE_EXHAUSTED" and len(group) > 1:
                # Together they may have been too large for this service; each on its own is not.
                for one in group:
                    self._send_off([one])
            else:
                # A service that stops cancels what it has not answered in time; another one may answer it.
                code = "UNAVAILABLE" if error.code == "CANCELLED" else error.code
                for one in group:
                    one.refuse(error_named(code, error.message, error.field))
        finally:
            lane.calls -= 1

    async def _tell(self, lane: Lane, group: list[_Waiting], timeout_s: float) -> None:
        """Asks, and hands the answers out."""
        # A lane that is not connected waits until it is; one that breaks says so at once.
        options = {"timeout": timeout_s, "metadata": self._metadata, "wait_for_ready": True}
        with translated():
            if len(group) == 1:
                response = await lane.stub.Authorize(group[0].request, **options)
                group[0].tell(response)
                return
            together = pb.BatchAuthorizeRequest(requests=[one.request for one in group])
            answers = await lane.stub.BatchAuthorize(together, **options)
        for one, result in zip(group, answers.results, strict=True):
            if result.HasField("error"):
                one.refuse(error_of(result.error))
            else:
                one.tell(result.response)


def _preference(lane: Lane) -> tuple[bool, int]:
    """Connected ones first, then idle ones."""
    return not lane.is_connected(), lane.calls
