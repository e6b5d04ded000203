"""Drives the stored procedure of procedure.sql, as a process of its own: a Job as JSON in, an Outcome as JSON out.

It is called straight over asyncpg, prepared once, with nothing like gRPC in front of it. That favours it: what the
service pays to receive a request, the procedure does not.
"""

import asyncio
import contextlib
import dataclasses
import datetime as dt
import gc
import json
import sys
import time
from array import array
from collections import Counter
from dataclasses import dataclass, field

import asyncpg
import uvloop

from bench import cpu, traffic
from bench.generator import Outcome, percentile, spawn


@dataclass(frozen=True)
class Job:
    """One phase: `connections` callers, each with one call open."""

    database_url: str
    cards: list[str]
    run: str
    transacted_at_us: int
    connections: int = 16
    warmup_s: float = 1.0
    seconds: float = 5.0
    calls_max: int = 50_000
    seed: int = 1
    watched: dict[str, list[int]] = field(default_factory=dict)


@dataclass
class _Seen:
    latencies_s: "array[float]" = field(default_factory=lambda: array("d"))
    decisions: Counter[int] = field(default_factory=Counter)
    stopped: bool = False


_CALL = "SELECT plain.authorize($1, $2, $3, $4, $5)"
_Arguments = tuple[str, str, int, str, dt.datetime]


def _calls(job: Job) -> list[_Arguments]:
    at = dt.datetime.fromtimestamp(job.transacted_at_us / 1e6, dt.UTC)
    swipes = zip(range(job.calls_max), traffic.swipes(job.cards, job.seed), strict=False)
    return [(f"{job.run}-{n:08}", one.card_token, one.amount_minor, one.mcc, at) for n, one in swipes]


async def _caller(connection: "asyncpg.Connection[asyncpg.Record]", calls: list[_Arguments], seen: _Seen) -> None:
    statement = await connection.prepare(_CALL)
    while calls and not seen.stopped:
        arguments = calls.pop()
        started = time.perf_counter()
        decision = await statement.fetchval(*arguments)
        seen.latencies_s.append(time.perf_counter() - started)
        seen.decisions[decision] += 1


async def run(job: Job) -> Outcome:
    """Runs one job in this process. A call that fails ends it with the driver's error."""
    seen, calls = _Seen(), _calls(job)
    async with contextlib.AsyncExitStack() as stack:
        connections = [await asyncpg.connect(job.database_url) for _ in range(job.connections)]
        for connection in connections:
            stack.push_async_callback(connection.close)
        async with asyncio.TaskGroup() as callers:
            for connection in connections:
                callers.create_task(_caller(connection, calls, seen))
            await asyncio.sleep(job.warmup_s)
            watched = cpu.sample(job.watched)
            own_s, first, started = time.process_time(), len(seen.latencies_s), time.perf_counter()
            await asyncio.sleep(job.seconds)
            seconds, last, own_s = time.perf_counter() - started, len(seen.latencies_s), time.process_time() - own_s
            spent = cpu.used_s(watched, cpu.sample(job.watched))
            exhausted, seen.stopped = not calls, True
    latencies = sorted(seen.latencies_s[first:last])
    return Outcome(
        requests=len(latencies),
        seconds=seconds,
        p50_ms=percentile(latencies, 0.50) * 1e3,
        p99_ms=percentile(latencies, 0.99) * 1e3,
        cpu_s=spent | {"generator": own_s},
        decisions={str(number): count for number, count in sorted(seen.decisions.items())},
        errors={},
        exhausted=exhausted,
    )


async def run_in_process(job: Job) -> Outcome:
    """Runs the job in a process of its own. Raises RuntimeError with what the process said when it failed."""
    return await spawn("bench.procedure", dataclasses.asdict(job))


def main() -> None:
    """Reads a Job, runs it, writes the Outcome."""
    job = Job(**json.load(sys.stdin))
    gc.disable()  # as in the other generator
    json.dump(dataclasses.asdict(uvloop.run(run(job))), sys.stdout)


if __name__ == "__main__":
    main()
