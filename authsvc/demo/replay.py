"""Sending the traffic through the public API, many requests at once."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from authsvc.client import AuthorizationClient, ClientError
from authsvc.clock import Clock
from authsvc.demo.traffic import Fields

IN_FLIGHT: Final = 24
TIMEOUT_S: Final = 10.0


class Outcome(NamedTuple):
    """One request, its answer (or why there is none), and the time the caller waited."""

    fields: Fields
    response: Any
    error: ClientError | None
    latency_ms: float


async def replay(
    client: AuthorizationClient, orders: Sequence[Fields], clock: Clock, progress: Callable[[], None]
) -> list[Outcome]:
    """Send every order, `IN_FLIGHT` at a time, roughly in their order; `progress` is called after each."""
    outcomes: list[Outcome] = []
    waiting = iter(orders)

    async def caller() -> None:
        for fields in waiting:
            outcomes.append(await _send(client, fields, clock))
            progress()

    async with asyncio.TaskGroup() as callers:
        for _ in range(IN_FLIGHT):
            callers.create_task(caller())
    return outcomes


async def _send(client: AuthorizationClient, fields: Fields, clock: Clock) -> Outcome:
    request = client.request(**fields)
    started_s = clock.monotonic_s()
    response, failure = None, None
    try:
        response = await client.authorize(request, timeout_s=TIMEOUT_S)
    except ClientError as error:
        failure = error
    return Outcome(fields, response, failure, (clock.monotonic_s() - started_s) * 1_000)


def percentile(sorted_values: Sequence[float], share: float) -> float:
    """The value that `share` of the values do not exceed; 0 without values."""
    return sorted_values[min(int(len(sorted_values) * share), len(sorted_values) - 1)] if sorted_values else 0.0
