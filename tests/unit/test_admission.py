"""Admission apart from any server: how often it asks who calls, and what ends a stream."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn

import grpc
import pytest

from authsvc import admission
from authsvc.admission import Admission, calling
from authsvc.clock import SystemClock
from authsvc.errors import Unavailable
from authsvc.identity.authenticate import AUTHORIZE, Authenticator
from authsvc.identity.ports import KeyStanding
from authsvc.identity.signing_keys import SigningKeys
from authsvc.identity.tokens import AccessTokens
from authsvc.metrics import Metrics
from tests.serving import WAIT_S

STANDING = KeyStanding("one", None, frozenset({AUTHORIZE}), 2**62)
Answer = Callable[[int], Awaitable[KeyStanding | None]]


class Keys:
    """Keeps keys: `answer` says what becomes of each question, by its number."""

    def __init__(self, answer: Answer) -> None:
        self.asked = 0
        self._answer = answer

    async def key(self, _key_hash: bytes, _now_us: int) -> KeyStanding | None:
        self.asked += 1
        return await self._answer(self.asked)


class Context:
    """A call's."""

    def __init__(self, key: str = "authsvc_example") -> None:
        self.ended_with: tuple[grpc.StatusCode, str] | None = None
        self._key = key

    def invocation_metadata(self) -> list[tuple[str, str]]:
        return [("authorization", f"Bearer {self._key}")]

    def peer(self) -> str:
        return "ipv4:192.0.2.1:4711"

    async def abort(self, code: grpc.StatusCode, text: str) -> NoReturn:
        self.ended_with = code, text
        raise grpc.aio.AbortError


def admission_on(keys: Keys, remembered_ms: int) -> Admission:
    tokens, metrics = AccessTokens(SigningKeys(None), os.urandom), Metrics()
    authenticator = Authenticator(keys, tokens, SystemClock(), metrics, remembered_ms=remembered_ms)  # type: ignore[arg-type]
    return Admission(authenticator, metrics, again_ms=0)


async def actor(_message: Any, _context: Any) -> str:
    caller = calling()
    assert caller is not None
    return caller.actor


async def test_many_first_calls_with_one_key_ask_once_who_it_is() -> None:
    release = asyncio.Event()

    async def answer(_number: int) -> KeyStanding:
        await release.wait()
        return STANDING

    keys = Keys(answer)
    method = admission_on(keys, 60_000).admitted("Authorize", actor, AUTHORIZE)
    calls = [asyncio.create_task(method(None, Context())) for _ in range(50)]
    other = asyncio.create_task(method(None, Context("authsvc_other")))
    # Each has had its turn: whoever would ask has asked.
    await asyncio.gather(*(asyncio.sleep(0) for _ in range(3)))
    assert keys.asked == 2
    release.set()
    async with asyncio.timeout(WAIT_S):
        assert await asyncio.gather(*calls, other) == 51 * ["key:one"]
    assert keys.asked == 2


async def test_a_caller_who_gives_up_leaves_the_question_to_the_next() -> None:
    release = asyncio.Event()

    async def answer(number: int) -> KeyStanding:
        if number == 1:
            await release.wait()
        return STANDING

    keys = Keys(answer)
    method = admission_on(keys, 60_000).admitted("Authorize", actor, AUTHORIZE)
    first, second = (asyncio.create_task(method(None, Context())) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    async with asyncio.timeout(WAIT_S):
        assert await second == "key:one"


async def test_a_stream_outlives_a_database_that_is_away_and_ends_once_its_key_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(admission, "_AGAIN_MIN_S", 0.01)
    cancelled = asyncio.Event()

    async def answer(number: int) -> KeyStanding | None:
        if number == 2:
            raise Unavailable("database")
        return STANDING if number < 4 else None

    async def stream(_message: Any, _context: Any) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    keys, context = Keys(answer), Context()
    method = admission_on(keys, 0).admitted("AuthorizeStream", stream, AUTHORIZE)
    async with asyncio.timeout(WAIT_S):
        with pytest.raises(grpc.aio.AbortError):
            await method(None, context)
    assert keys.asked == 4
    assert context.ended_with == (grpc.StatusCode.UNAUTHENTICATED, "the credentials are not valid")
    assert cancelled.is_set()


async def test_what_a_method_raises_or_answers_leaves_a_stream_as_it_is() -> None:
    async def answer(_number: int) -> KeyStanding:
        return STANDING

    async def fails(_message: Any, _context: Any) -> None:
        raise LookupError("mine")

    gate = admission_on(Keys(answer), 60_000)
    assert await gate.admitted("WatchTransactions", actor, AUTHORIZE)(None, Context()) == "key:one"
    with pytest.raises(LookupError, match="mine"):
        await gate.admitted("WatchTransactions", fails, AUTHORIZE)(None, Context())
