"""Random exploration of the decision engine: `python -m tests.simulation.explore --runs N [--seed S] [--break NAME]`.

One run is one seed. The use case is the real one; Redis, PostgreSQL and time are simulated.
"""

import argparse
import functools
import sys
from dataclasses import dataclass

from authsvc.errors import RequestIdReused, RowRefused
from authsvc.ports import AuthorizationRequest
from rules.reasons import Kind
from tests.simulation.breaks import BREAKS, breaking
from tests.simulation.program import THEMES, Theme, build, request, requests, script, send_all
from tests.simulation.world import DEADLINE_MAX_S, GRACE_MS, RECORD_TTL_MS, World

_STEPS_MAX = 60_000
_PATIENCE_S = 60.0
_PROBE_US = 1_773_575_000_000_000


@dataclass(frozen=True)
class Outcome:
    """What a run showed. Equal seeds give equal outcomes."""

    seed: int
    violations: tuple[str, ...]
    trace: int
    steps: int
    answered: int
    rows: int


def run_seed(seed: int, broken: str = "", theme_name: str = "") -> Outcome:
    """One whole run. Without a theme the seed draws one."""
    with breaking(broken) as server_break:
        world = World(seed, server_break)
        build(world)
        theme = THEMES[theme_name or world.chance.choice(list(THEMES))]
        asked = requests(world, theme)
        refused = {one.request_id for one in asked if world.chance.random() < 0.03}
        world.postgres.refuse = lambda row: row.request.request_id in refused
        send_all(world, theme, asked)
        _arrange(world, theme)
        world.settle(_STEPS_MAX)
        _come_to_rest(world, theme, asked)
        outcome = _outcome(seed, world)
        world.loop.close()
    return outcome


def _arrange(world: World, theme: Theme) -> None:
    """Have things happen between the steps."""
    for step, event in script(world, theme):
        world.after_steps(step, functools.partial(event, world))


def _come_to_rest(world: World, theme: Theme, asked: list[AuthorizationRequest]) -> None:
    """No more faults: the reaper goes round, every request is sent again, and new ones meet counters that are true."""
    world.happenings.clear()
    checks = world.checks
    world.redis_weather.clear()
    world.postgres_weather.clear()
    world.settle(_STEPS_MAX)
    _landed(world)
    _late_duplicates(world, theme, asked)
    _reap(world)
    again = len(world.sent)
    for one in asked:
        world.send(world.chance.choice([0, 1]), one, _PATIENCE_S)
    for message in dict.fromkeys(world.told):
        world.tell(world.chance.choice([0, 1]), message)
    world.settle(_STEPS_MAX)
    _landed(world)
    _applied(world)
    for sent in world.sent[again:]:
        if not isinstance(sent.flight.error, RequestIdReused | RowRefused | None):
            checks.violations.append(f"no answer: {sent.flight.request.request_id}: {sent.flight.error!r}")
    _reap(world)
    checks.quiet = True
    _probe(world)
    _landed(world)
    checks.at_rest()
    _reap(world)
    checks.at_rest()
    checks.nothing_pending()


def _applied(world: World) -> None:
    """Every message that was told has been heard by now."""
    for message in world.told:
        if message.event.identity not in world.event_tables.known:
            world.checks.violations.append(f"lost message: {message.event.identity}")


def _late_duplicates(world: World, theme: Theme, asked: list[AuthorizationRequest]) -> None:
    """Clients ask again when records may have expired, and meet faults once more."""
    chance = world.chance
    world.after(chance.choice([0.01, RECORD_TTL_MS / 1000]))
    if chance.random() < theme.late_fault:
        world.redis_weather.refused, world.redis_weather.lost = 0.3, 0.1
    for one in chance.sample(asked, len(asked) // 2):
        world.send(chance.choice([0, 1]), one, chance.choice([DEADLINE_MAX_S, _PATIENCE_S]))
    if chance.random() < theme.late_fault / 2:
        world.after_steps(chance.randint(1, 200), lambda: world.crash(chance.choice([0, 1])))
    world.settle(_STEPS_MAX)
    world.happenings.clear()
    world.redis_weather.clear()


def _probe(world: World) -> None:
    chance = world.chance
    for number, token in enumerate(sorted(world.postgres.cards)):
        for kind, amount in ((Kind.BALANCE_INQUIRY, 0), (Kind.AUTHORIZATION, 20), (Kind.FINANCIAL_AUTHORIZATION, 30)):
            probe = request(
                chance, f"probe-{number}-{kind}", token, kind=kind, amount_minor=amount, mcc="5812", explain=True
            )
            again = len(world.sent)
            world.send(chance.choice([0, 1]), probe, _PATIENCE_S)
            world.settle(_STEPS_MAX)
            if any(sent.flight.answer is None for sent in world.sent[again:]):
                world.checks.violations.append(f"no answer: {probe.request_id}: {world.sent[-1].flight.error!r}")


def _reap(world: World) -> None:
    """Past the grace time, until the reaper finds nothing."""
    for slot in (0, 1, 0):
        world.after(GRACE_MS / 1000 + 0.01)
        world.reap(slot)
        world.settle(_STEPS_MAX)


def _landed(world: World) -> None:
    for sent in world.alive():
        if not sent.flight.landed:
            world.checks.violations.append(f"waits for ever: {sent.flight.request.request_id}")


def _outcome(seed: int, world: World) -> Outcome:
    checks = world.checks
    answered = sum(1 for sent in world.sent if sent.flight.answer is not None)
    violations = tuple(dict.fromkeys(checks.violations))
    return Outcome(seed, violations, world.loop.trace, world.loop.steps, answered, len(world.postgres.transactions))


def first_failure(seeds: range, broken: str = "", theme_name: str = "") -> Outcome | None:
    """The first run of these that breaks a promise."""
    for seed in seeds:
        outcome = run_seed(seed, broken, theme_name)
        if outcome.violations:
            return outcome
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=0, help="of the first run; the others count up from it")
    parser.add_argument("--break", dest="broken", default="", choices=["", *sorted(BREAKS)], help="take out one fence")
    parser.add_argument("--theme", default="", choices=["", *THEMES], help="what the runs are like; drawn if not given")
    arguments = parser.parse_args()
    failed = steps = answered = rows = 0
    for seed in range(arguments.seed, arguments.seed + arguments.runs):
        outcome = run_seed(seed, arguments.broken, arguments.theme)
        steps, answered, rows = steps + outcome.steps, answered + outcome.answered, rows + outcome.rows
        if outcome.violations:
            failed += 1
            if failed <= 10:
                sys.stdout.write(f"seed {seed} (trace {outcome.trace:012x}, {outcome.steps} steps):\n")
                sys.stdout.write("".join(f"  {violation}\n" for violation in outcome.violations[:4]))
    sys.stdout.write(f"{arguments.runs} runs, {failed} failed; {steps} steps, {answered} answers, {rows} rows\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
