"""The way from a process to a server: messages are delayed, refused, carried out late, or their answers get lost."""

import random
from collections.abc import Callable
from contextvars import Context
from dataclasses import dataclass
from typing import Protocol, TypeVar

from authsvc.errors import AuthsvcError
from tests.simulation.loop import SimulatedLoop

T = TypeVar("T")


class NotDelivered(Exception):
    """The server never saw the message, and never will."""


class AnswerLost(Exception):
    """The server has seen the message, or will see it yet."""


class Wire(Protocol):
    async def call(self, operation: Callable[[], T]) -> T: ...


class DirectWire:
    """Nothing ever happens on the way."""

    async def call(self, operation: Callable[[], T]) -> T:
        return operation()


@dataclass
class Weather:
    """How likely a message meets a fault or a delay. The script of a run changes it."""

    refused: float = 0.0
    lost: float = 0.0
    late: float = 0.0
    slow: float = 0.3
    slow_max_s: float = 0.08

    def clear(self) -> None:
        self.refused = self.lost = self.late = 0.0


class LossyWire:
    """One step before the operation, one after; the operation itself is atomic."""

    def __init__(self, loop: SimulatedLoop, chance: random.Random, weather: Weather) -> None:
        self._loop = loop
        self._chance = chance
        self._weather = weather
        self._outside = Context()

    async def call(self, operation: Callable[[], T]) -> T:
        answer = self._loop.create_future()
        weather, draw = self._weather, self._chance.random()

        def fail(error: Exception) -> None:
            if not answer.done():
                answer.set_exception(error)

        def deliver() -> None:
            try:
                result = operation()
            except Exception as error:  # noqa: BLE001 - belongs to the caller
                self._send(fail, error)
            else:
                self._send(answer.set_result, result) if not lost else self._send(fail, AnswerLost())

        def carry_out_unheard() -> None:
            try:
                operation()
            except (NotDelivered, AnswerLost, AuthsvcError):
                return

        lost = draw < weather.lost
        if lost or draw >= weather.lost + weather.refused + weather.late:
            self._send(deliver)
        elif draw < weather.lost + weather.refused:
            self._send(fail, NotDelivered())
        else:
            self._send(fail, AnswerLost())
            self._loop.call_later(
                self._chance.random() * 4 * weather.slow_max_s, carry_out_unheard, context=self._outside
            )
        return await answer  # type: ignore[no-any-return]

    def _send(self, callback: Callable[..., object], *args: object) -> None:
        weather = self._weather
        if self._chance.random() < weather.slow:
            self._loop.call_later(self._chance.random() * weather.slow_max_s, callback, *args, context=self._outside)
        else:
            self._loop.call_soon(callback, *args, context=self._outside)
