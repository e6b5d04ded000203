"""What 100,000 cards in the directory cost: memory, load time, speed. The service is looked at from outside only.

Two services run on the same servers, one with 100 cards and one with 100,000; the difference between them is what the
cards cost, and rounds of load on one and the other show what they do to speed: on as many cards of as many accounts,
since a batch of many accounts costs more whatever else is in memory. Memory is read before the first request: a card
that is used also keeps the plan of its windows.
"""

import contextlib
import dataclasses
from collections.abc import Callable
from pathlib import Path

import asyncpg
import psutil

from authsvc.ledger import migrate
from bench import dataset, phases, processes
from bench.dataset import Shape
from bench.report import Memory

FEW = Shape(accounts=1, cards_each=50, name="few")  # with the hot account: 100 cards
MANY = Shape(accounts=1_999, cards_each=50, name="many")


async def prepare(database_url: str, name: str, shape: Shape) -> str:
    """A migrated database of its own with the cards of `shape`; its URL."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute(f'CREATE DATABASE "{name}"')
    finally:
        await connection.close()
    url = _with_database(database_url, name)
    await migrate.upgrade(url)
    connection = await asyncpg.connect(url)
    try:
        await dataset.fill(connection, shape)
    finally:
        await connection.close()
    return url


def _with_database(url: str, name: str) -> str:
    """The URL with another database: the last part of its path, before any parameters."""
    address, mark, parameters = url.partition("?")
    return f"{address.rpartition('/')[0]}/{name}{mark}{parameters}"


async def measure(
    plan: phases.Plan, redis_urls: tuple[str, str], folder: Path, results: phases.Results, told: Callable[[str], None]
) -> Memory:
    """Runs both services and their rounds. `redis_urls` are two logical databases that nobody else uses."""
    few_url = await prepare(plan.database_url, "bench_few", FEW)
    many_url = await prepare(plan.database_url, "bench_many", MANY)
    with contextlib.ExitStack() as stack:
        few = stack.enter_context(processes.service(few_url, redis_urls[0], folder / "few.log"))
        many = stack.enter_context(processes.service(many_url, redis_urls[1], folder / "many.log"))
        resident = [_resident_bytes(process.pid) for process in (few, many)]
        rounds = [
            _phase(f"{mode} with {shape.name} cards", mode, process, shape)
            for mode in ("unary", "stream")
            for process, shape in ((few, FEW), (many, MANY))
        ]
        for process, shape in ((few, FEW), (many, MANY)):
            first = _phase(f"first touch of {shape.name}", "stream", process, shape)
            first = dataclasses.replace(first, in_flight=phases.UNARY_IN_FLIGHT)
            await phases.touch(plan, first, results, told)
        await phases.run_rounds(plan, rounds, results, told)
    cards = _count(MANY)
    return Memory(
        cards=cards,
        bytes_a_card=(resident[1] - resident[0]) / (cards - _count(FEW)),
        load_s=many.ready_s - few.ready_s,
        unary_ratio=results.ratio("unary with many cards", "unary with few cards"),
        stream_ratio=results.ratio("stream with many cards", "stream with few cards"),
    )


def _count(shape: Shape) -> int:
    return (shape.accounts + 1) * shape.cards_each


def _phase(name: str, mode: str, process: processes.Process, shape: Shape) -> phases.Phase:
    cards = shape.spread[: shape.cards_each] + shape.hot
    if mode == "unary":
        return phases.Phase(name, "unary", process.port, cards, process.pid, phases.CONNECTIONS, phases.UNARY_IN_FLIGHT)
    return phases.Phase(name, "stream", process.port, cards, process.pid, phases.CONNECTIONS, phases.STREAM_IN_FLIGHT)


def _resident_bytes(pid: int) -> int:
    """Memory that only this process has (not shared pages), worker processes included."""
    process = psutil.Process(pid)
    return sum(one.memory_full_info().uss for one in [process, *process.children(recursive=True)])
