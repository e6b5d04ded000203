"""The phases of a run, in many short rounds: what is compared is measured seconds apart, because machines are noisy."""

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from bench import events, generator, procedure
from bench.generator import Mode, Outcome

# Calls a second to prepare for, before the first round has shown what it takes.
FIRST_GUESS: Final[dict[Mode, int]] = {
    "echo": 9_000,
    "unary": 6_000,
    "stream": 15_000,
    "batch": 120,
    "http": 6_000,
    "event": 1_500,
    "events": 12,
}
ROOM: Final = 1.5
# What the callers look like: four connections, as from four replicas of a caller.
CONNECTIONS: Final = 4
UNARY_IN_FLIGHT: Final = 32
STREAM_IN_FLIGHT: Final = 128
BATCH_IN_FLIGHT: Final = 1
BATCH_SIZES: Final[dict[Mode, int]] = {"batch": 100, "events": 500}
# HTTP/1.1 has one call in flight on a connection: as many connections as the streams have calls, which shows what a
# server can take, and as many as the unary phase has.
HTTP_CONNECTIONS: Final = CONNECTIONS * STREAM_IN_FLIGHT
HTTP_CONNECTIONS_FEW: Final = CONNECTIONS * UNARY_IN_FLIGHT
EVENT_IN_FLIGHT: Final = 8
EVENTS_EACH: Final = 2
TOUCH_MAX_S: Final = 120.0
PROCEDURE_CONNECTIONS: Final = 16


@dataclass(frozen=True)
class Phase:
    """One thing to measure. `name` is what the table calls it.

    `recorded_as` stands before the run's name in the request ids of what is recorded; None where nothing is.
    """

    name: str
    mode: Mode | None
    port: int
    cards: list[str]
    service_pid: int
    connections: int
    in_flight: int
    once_each: bool = False
    bridge_pid: int = 0
    recorded_as: str | None = ""


@dataclass
class Results:
    """Every outcome, by phase, in order of the rounds; the answers and events, by the prefix of their ids."""

    outcomes: dict[str, list[Outcome]] = field(default_factory=lambda: defaultdict(list))
    answers: dict[str, dict[str, int]] = field(default_factory=dict)
    events: dict[str, int] = field(default_factory=dict)

    @property
    def errors(self) -> dict[str, dict[str, int]]:
        """Error answers by phase; empty when there were none."""
        found: dict[str, dict[str, int]] = {}
        for name, outcomes in self.outcomes.items():
            for outcome in outcomes:
                for text, count in outcome.errors.items():
                    of_phase = found.setdefault(name, {})
                    of_phase[text] = of_phase.get(text, 0) + count
        return found

    def median(self, name: str, figure: Callable[[Outcome], float]) -> float:
        """The median of a figure over the rounds of a phase."""
        return median(figure(outcome) for outcome in self.outcomes[name])

    def ratio(self, name: str, other: str) -> float:
        """Requests a second of one phase over another's: the median of the rounds' own ratios."""
        pairs = zip(self.outcomes[name], self.outcomes[other], strict=False)
        return median(one.per_second / two.per_second if two.per_second else 0.0 for one, two in pairs)


@dataclass(frozen=True)
class Plan:
    """How long, how often, against what."""

    run: str
    seconds: float
    warmup_s: float
    rounds: int
    transacted_at_us: int
    database_url: str
    watched: dict[str, list[int]]


async def run_rounds(plan: Plan, phases: list[Phase], results: Results, told: Callable[[str], None]) -> None:
    """Runs every phase once a round; `told` hears the name of each as it starts."""
    for number in range(plan.rounds):
        for phase in phases:
            told(phase.name)
            outcome = await _run(plan, phase, number, results)
            results.outcomes[phase.name].append(outcome)


async def touch(plan: Plan, phase: Phase, results: Results, told: Callable[[str], None]) -> None:
    """Sends one request for each card of a phase, however long it takes.

    It shows what a decision costs whose counters are not in memory yet, and gets that out of the way of the rounds.
    """
    told(phase.name)
    once = dataclasses.replace(plan, seconds=TOUCH_MAX_S, warmup_s=0.0)
    results.outcomes[phase.name].append(await _run(once, dataclasses.replace(phase, once_each=True), 0, results))


async def _run(plan: Plan, phase: Phase, number: int, results: Results) -> Outcome:
    if phase.mode is None:
        return await procedure.run_in_process(_procedure_job(plan, phase, number))
    job = _job(plan, phase, number, results.outcomes[phase.name])
    if phase.mode in {"event", "events"}:
        return await _apply(plan, number, job, results)
    outcome = await generator.run_in_process(job)
    if phase.recorded_as is not None:
        results.answers[f"{phase.recorded_as}{job.run}-"] = outcome.decisions
    if outcome.exhausted and not phase.once_each and outcome.seconds < plan.seconds / 2:
        # Faster than guessed: what there was is too short to count. Once more, prepared for more.
        job = dataclasses.replace(job, run=f"{job.run}x", seed=job.seed + 500, calls_max=job.calls_max * 4)
        outcome = await generator.run_in_process(job)
        if phase.recorded_as is not None:
            results.answers[f"{phase.recorded_as}{job.run}-"] = outcome.decisions
    return outcome


async def _apply(plan: Plan, number: int, job: generator.Job, results: Results) -> Outcome:
    """Authorizes transactions for the events, then applies them: each event is a new one of an open transaction."""
    # Short, because five hundred messages have to fit into the window that a call starts with.
    job = dataclasses.replace(job, run=f"{plan.run}-{job.mode}{number}")
    wanted = -(-job.calls_max * job.batch // EVENTS_EACH)
    swipes = dataclasses.replace(
        job,
        mode="stream",
        run=f"{job.run}s",
        connections=CONNECTIONS,
        in_flight=STREAM_IN_FLIGHT,
        calls_max=wanted,
        warmup_s=0.0,
        seconds=TOUCH_MAX_S,
    )
    authorized = await generator.run_in_process(swipes)
    results.answers[f"{swipes.run}-"] = authorized.decisions
    transactions = await events.approved(plan.database_url, f"{swipes.run}-")
    outcome = await generator.run_in_process(dataclasses.replace(job, transactions=transactions))
    results.events[f"{job.run}-"] = sum(outcome.decisions.values())
    return outcome


def _job(plan: Plan, phase: Phase, number: int, before: Iterable[Outcome]) -> generator.Job:
    assert phase.mode is not None
    size = BATCH_SIZES.get(phase.mode, 1)
    known = [outcome.per_second / size for outcome in before]
    a_second = max(known) * ROOM if known else FIRST_GUESS[phase.mode] * ROOM
    spare = max(1_000 // size, 4 * phase.connections)
    return generator.Job(
        mode=phase.mode,
        host="127.0.0.1",
        port=phase.port,
        cards=phase.cards,
        run=f"{plan.run}-{_slug(phase.name)}-{number}",
        transacted_at_us=plan.transacted_at_us,
        connections=phase.connections,
        in_flight=phase.in_flight,
        batch=size,
        warmup_s=plan.warmup_s,
        seconds=plan.seconds,
        calls_max=len(phase.cards) if phase.once_each else int(a_second * (plan.warmup_s + plan.seconds)) + spare,
        once_each=phase.once_each,
        seed=number + 1,
        watched=plan.watched | {"service": [phase.service_pid], "bridge": [phase.bridge_pid]},
    )


def _procedure_job(plan: Plan, phase: Phase, number: int) -> procedure.Job:
    return procedure.Job(
        database_url=plan.database_url,
        cards=phase.cards,
        run=f"{plan.run}-{_slug(phase.name)}-{number}",
        transacted_at_us=plan.transacted_at_us,
        connections=phase.connections,
        warmup_s=plan.warmup_s,
        seconds=plan.seconds,
        calls_max=int(8_000 * (plan.warmup_s + plan.seconds)),
        seed=number + 1,
        watched=plan.watched,
    )


def _slug(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name.lower())
