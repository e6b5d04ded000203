"""The load generator, a process of its own: a Job as JSON on standard input, its Outcome as JSON on standard output.

Closed loop: each connection keeps a number of calls in flight. Requests are serialised and framed before the clock
starts; answers are read as far as their status, decision and request_id. Its own CPU is part of the outcome, so that it
can be seen whether the generator or the server was the limit.
"""

import asyncio
import contextlib
import dataclasses
import gc
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import uvloop

from authsvc.bridge.app import ASA_PATH
from authsvc.clock import SystemClock
from bench import cpu, events, lithic, traffic
from bench.http1 import HttpLane
from bench.http2 import RequestHeaders
from bench.lanes import Lane, StreamLane, Tally, UnaryLane, read_nothing, read_response, read_results

Mode = Literal["echo", "unary", "stream", "batch", "http", "event", "events"]
SERVICE: Final = "/authsvc.v1.AuthorizationService"
TRANSACTIONS: Final = "/authsvc.v1.TransactionService"
PATHS: Final[dict[Mode, str]] = {
    "echo": "/authsvc.bench.Echo/Call",
    "unary": f"{SERVICE}/Authorize",
    "stream": f"{SERVICE}/AuthorizeStream",
    "batch": f"{SERVICE}/BatchAuthorize",
    "http": ASA_PATH,
    "event": f"{TRANSACTIONS}/ApplyEvent",
    "events": f"{TRANSACTIONS}/BatchApplyEvents",
}
_MANY: Final = frozenset({"batch", "events"})
DRAIN_MAX_S: Final = 10.0


@dataclass(frozen=True)
class Job:
    """One phase. `calls_max` calls are prepared; a phase that would need more ends early and says so (`exhausted`).

    Events need `transactions` instead of cards: the network's token and the open hold of each; two messages for each.
    `once_each` sends one request for each card and ends: what the first touch of a card costs.
    """

    mode: Mode
    host: str
    port: int
    cards: list[str]
    run: str
    transacted_at_us: int
    connections: int = 4
    in_flight: int = 16
    batch: int = 100
    warmup_s: float = 1.0
    seconds: float = 5.0
    calls_max: int = 100_000
    seed: int = 1
    timeout: str | None = "2S"
    path: str | None = None
    once_each: bool = False
    transactions: list[tuple[str, int]] = field(default_factory=list)
    watched: dict[str, list[int]] = field(default_factory=dict)


@dataclass
class Outcome:
    """What happened in the measured seconds. A request is one authorization or event (a batch of 100 is 100 requests).

    `decisions` and `errors` cover the whole job, warm-up and drain included: they must agree with what was recorded.
    """

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    cpu_s: dict[str, float]
    decisions: dict[str, int]
    errors: dict[str, int]
    exhausted: bool

    @property
    def per_second(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds

    def cpu_us(self, group: str) -> float:
        """CPU a request, microseconds, of one watched group (or of the `generator`)."""
        return self.cpu_s.get(group, 0.0) * 1e6 / max(1, self.requests)


def build_lanes(job: Job, tally: Tally) -> Sequence[Lane | HttpLane]:
    """The lanes with all their bytes."""
    if job.mode == "http":
        return _http_lanes(job, tally)
    if job.mode in {"event", "events"}:
        return _event_lanes(job, tally)
    path = job.path or PATHS[job.mode]
    headers = RequestHeaders(path, f"{job.host}:{job.port}", None if job.mode == "stream" else job.timeout)
    share = job.calls_max // job.connections
    lanes: list[Lane] = []
    for number in range(job.connections):
        seed = job.seed * 1_000 + number
        mine = job.cards[number :: job.connections]
        swipes = traffic.once_each(mine, seed) if job.once_each else traffic.swipes(job.cards, seed)
        wanted = share * job.batch if job.mode == "batch" else share
        messages = traffic.serialised(swipes, wanted, f"{job.run}-{number}", job.transacted_at_us)
        if job.mode == "stream":
            lanes.append(StreamLane(messages, headers, job.in_flight, tally, traffic.DIGITS))
            continue
        read = {"echo": read_nothing, "unary": read_response, "batch": read_results}[job.mode]
        calls = traffic.batches(messages, job.batch) if job.mode == "batch" else messages
        lanes.append(UnaryLane(calls, headers, job.in_flight, read, tally))
    return lanes


def _http_lanes(job: Job, tally: Tally) -> list[HttpLane]:
    """As many connections as calls in flight. A signature goes stale in minutes: they are made just before the load."""
    swipes = traffic.swipes(job.cards, job.seed * 1_000)
    now_s = SystemClock().now_us() // 1_000_000
    calls = lithic.calls(swipes, job.calls_max, job.run, job.transacted_at_us, now_s)
    return [HttpLane(calls, lithic.read_result, tally) for _ in range(job.connections)]


def _event_lanes(job: Job, tally: Tally) -> list[Lane]:
    """Each connection has accounts of its own: messages about one account wait for each other in the database."""
    share = -(-len(job.transactions) // job.connections)
    headers = RequestHeaders(PATHS[job.mode], f"{job.host}:{job.port}", job.timeout)
    lanes: list[Lane] = []
    for number in range(job.connections):
        mine = job.transactions[number * share : (number + 1) * share]
        messages = events.serialised(mine, f"{job.run}-{number}", job.transacted_at_us)
        calls = traffic.batches(messages, job.batch) if job.mode == "events" else messages
        read = events.read_results if job.mode == "events" else events.read_response
        lanes.append(UnaryLane(calls, headers, job.in_flight, read, tally))
    return lanes


async def run(job: Job) -> Outcome:
    """Runs one job in this process. Raises OSError when nothing listens."""
    tally = Tally()
    lanes = build_lanes(job, tally)
    loop = asyncio.get_running_loop()
    for lane in lanes:
        await loop.create_connection(lambda lane=lane: lane, job.host, job.port)  # type: ignore[misc]
    await _until(lambda: _stuck(lanes), job.warmup_s)
    watched = cpu.sample(job.watched)
    own_s, first, started = time.process_time(), len(tally.latencies_s), time.perf_counter()
    await _until(lambda: _stuck(lanes), job.seconds)
    seconds, last, own_s = time.perf_counter() - started, len(tally.latencies_s), time.process_time() - own_s
    spent = cpu.used_s(watched, cpu.sample(job.watched))
    exhausted = any(lane.exhausted for lane in lanes)
    await _drain(lanes, tally)
    return _outcome(job, tally, slice(first, last), seconds, spent | {"generator": own_s}, exhausted=exhausted)


def _stuck(lanes: Sequence[Lane | HttpLane]) -> bool:
    return any(lane.lost or lane.exhausted for lane in lanes)


async def _until(condition: Callable[[], bool], seconds: float) -> None:
    """Waits for a condition, `seconds` at most; looks twenty times a second."""
    deadline = time.perf_counter() + seconds
    while not condition() and (left := deadline - time.perf_counter()) > 0:  # noqa: ASYNC110  (an event would cost calls)
        await asyncio.sleep(min(0.05, left))


async def _drain(lanes: Sequence[Lane | HttpLane], tally: Tally) -> None:
    """Stops sending, waits for the answers that are still due, and closes."""
    for lane in lanes:
        lane.stopped = True
    await _until(lambda: all(lane.idle or lane.lost for lane in lanes), DRAIN_MAX_S)
    streams = [lane for lane in lanes if isinstance(lane, StreamLane) and not lane.over and not lane.lost]
    for lane in streams:
        lane.finish()
    await _until(lambda: all(lane.over or lane.lost for lane in streams), DRAIN_MAX_S)
    for lane in lanes:
        unanswered = lane.sent - lane.done
        if unanswered:
            tally.errors["never answered"] += unanswered
        if lane.lost:
            tally.errors["a connection was lost"] += 1
        if lane.transport is not None:
            lane.transport.close()


def _outcome(
    job: Job, tally: Tally, window: slice, seconds: float, spent: dict[str, float], *, exhausted: bool
) -> Outcome:
    latencies = sorted(tally.latencies_s[window])
    size = job.batch if job.mode in _MANY else 1
    return Outcome(
        requests=len(latencies) * size,
        seconds=seconds,
        p50_ms=percentile(latencies, 0.50) * 1e3,
        p99_ms=percentile(latencies, 0.99) * 1e3,
        cpu_s=spent,
        decisions={str(number): count for number, count in sorted(tally.decisions.items())},
        errors=dict(tally.errors.most_common(20)),
        exhausted=exhausted,
    )


def percentile(ordered: list[float], share: float) -> float:
    """The value that `share` of an ordered list lies at or below (nearest rank); 0 for an empty list."""
    if not ordered:
        return 0.0
    return ordered[max(0, min(len(ordered) - 1, -int(-share * len(ordered) // 1) - 1))]


def main() -> None:
    """Reads a Job, runs it, writes the Outcome."""
    job = Job(**json.load(sys.stdin))
    gc.disable()  # a hundred thousand prepared requests would be walked again and again; nothing here makes cycles
    outcome = uvloop.run(run(job))
    json.dump(dataclasses.asdict(outcome), sys.stdout)


async def run_in_process(job: Job) -> Outcome:
    """Runs the job in a process of its own. Raises RuntimeError with what the process said when it failed."""
    return await spawn("bench.generator", dataclasses.asdict(job))


async def spawn(module: str, job: dict[str, Any]) -> Outcome:
    """Runs `python -m module` with a job on its standard input; its standard output is the outcome."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        said, complaint = await process.communicate(json.dumps(job).encode())
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    if process.returncode != 0:
        raise RuntimeError(f"{module} failed:\n{complaint.decode()}")
    outcome: dict[str, Any] = json.loads(said)
    return Outcome(**outcome)


if __name__ == "__main__":
    main()
