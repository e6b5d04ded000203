"""The simulated world: two servers, worker processes with the real use case in them, and what may happen to all of these."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from authsvc.decide import Decider
from authsvc.errors import AuthsvcError
from authsvc.flight import Flight
from authsvc.lifecycle.apply import Lifecycle
from authsvc.lifecycle.messages import Applied, Message
from authsvc.ports import AuthorizationRequest
from authsvc.reaper import Reaper
from loader.directory import Directory
from loader.records import Change, SourceUnavailable
from tests.simulation.checks import Checks
from tests.simulation.events import EventTables, SimulatedEvents
from tests.simulation.loop import SimulatedLoop
from tests.simulation.postgres import Listener, PostgresServer, SimulatedLedger, SimulatedSource
from tests.simulation.redis import RedisServer, SimulatedCounters
from tests.simulation.wire import LossyWire, Weather

RECORD_TTL_MS = 1_500
COUNTERS_TTLS_MS = [3_000, 60_000]
GRACE_MS = 100
DEADLINE_MAX_S = 0.4
START_US = 1_773_576_000_000_000  # 2026-03-15 12:00 UTC


class SimulatedClock:
    """The loop's virtual time."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop

    def now_us(self) -> int:
        return START_US + int(self._loop.time() * 1_000_000)

    def monotonic_s(self) -> float:
        return self._loop.time()


@dataclass
class Sent:
    """A request that a client has sent to one worker."""

    flight: Flight
    process: str


@dataclass
class Worker:
    """One process: the service without its server."""

    process: str
    directory: Directory
    decider: Decider
    lifecycle: Lifecycle
    reaper: Reaper
    lost: asyncio.Event | None = None
    listener: Listener | None = None
    tasks: set[asyncio.Task[object]] = field(default_factory=set)


class World:
    """Everything of one run. All randomness comes from the seed."""

    def __init__(self, seed: int, broken: str = "") -> None:
        self.chance = random.Random(seed)
        self.loop = SimulatedLoop(random.Random(seed ^ 0x5EED))
        self.clock = SimulatedClock(self.loop)
        self.redis = RedisServer(
            self.now_ms,
            record_ttl_ms=RECORD_TTL_MS,
            counters_ttl_ms=self.chance.choice(COUNTERS_TTLS_MS),
            broken=broken,
        )
        self.postgres = PostgresServer(self.now_ms, broken=broken)
        self.postgres.on_notify = self._notify
        self.event_tables = EventTables(self.postgres)
        self.checks = Checks(self.postgres, self.redis)
        self.redis_weather, self.postgres_weather = Weather(), Weather()
        self.redis_wire = LossyWire(self.loop, self.chance, self.redis_weather)
        self.postgres_wire = LossyWire(self.loop, self.chance, self.postgres_weather)
        self.cards_max = self.chance.choice([1, 2, 100, 100])
        self.batch_max = self.chance.choice([1, 3, 100])
        self.worker_count = 0
        self.workers = [self.new_worker(), self.new_worker()]
        self.sent: list[Sent] = []
        self.told: list[Message] = []
        self.happenings: list[tuple[int, Callable[[], object]]] = []
        self.loop.after_step = self._after_step

    def now_ms(self) -> int:
        return int(self.loop.time() * 1000)

    # --- workers ------------------------------------------------------------------------------------------------------

    def new_worker(self) -> Worker:
        self.worker_count += 1
        process = f"worker-{self.worker_count}"
        directory = Directory(
            SimulatedSource(self.postgres, self.postgres_wire),
            self.loop.time,
            cards_max=self.cards_max,
            unknown_max=10,
            unknown_ttl_s=0.5,
            notification_wait_s=0.05,
        )
        counters = SimulatedCounters(self.redis, self.redis_wire)
        ledger = SimulatedLedger(self.postgres, self.postgres_wire, record_ttl_ms=RECORD_TTL_MS)
        decider = Decider(
            directory,
            counters,
            ledger,
            self.clock,
            self.checks,
            batch_max=self.batch_max,
            in_flight_max=1_000,
            attempts_max=8,
            name=process,
        )
        reaper = Reaper(counters, ledger, decider.repair, self.checks, grace_ms=GRACE_MS)
        events = SimulatedEvents(self.event_tables, self.postgres_wire)
        lifecycle = Lifecycle(events, counters, decider.repair, self.checks, waiting_max=1_000)
        worker = Worker(process, directory, decider, lifecycle, reaper)
        self.loop.in_process(process, self._start, worker)
        return worker

    def _start(self, worker: Worker) -> None:
        worker.tasks.add(asyncio.get_running_loop().create_task(self._watch(worker)))

    def crash(self, slot: int) -> None:
        """Stop a worker where it stands; a fresh one takes its place."""
        worker = self.workers[slot]
        self.loop.crash(worker.process)
        if worker.listener is not None:
            worker.listener.alive = False
        self.workers[slot] = self.new_worker()

    def send(self, slot: int, request: AuthorizationRequest, patience_s: float) -> None:
        worker = self.workers[slot]
        self.loop.in_process(worker.process, self._submit, worker, request, patience_s)

    def _submit(self, worker: Worker, request: AuthorizationRequest, patience_s: float) -> None:
        flight = worker.decider.submit(request, self.loop.time() + patience_s, self.checks.landed)
        self.checks.boarded(flight)
        self.sent.append(Sent(flight, worker.process))

    def tell(self, slot: int, message: Message) -> None:
        """The network says something about a transaction."""
        worker = self.workers[slot]
        self.told.append(message)
        self.loop.in_process(worker.process, self._tell_of, worker, message)

    def _tell_of(self, worker: Worker, message: Message) -> None:
        async def apply() -> None:
            try:
                (outcome,) = await worker.lifecycle.apply([message])
            except AuthsvcError:
                return
            if isinstance(outcome, Applied):
                self.checks.applied(message, outcome)

        worker.tasks.add(asyncio.get_running_loop().create_task(apply()))

    def reap(self, slot: int) -> None:
        worker = self.workers[slot]
        self.loop.in_process(worker.process, self._reap, worker)

    def _reap(self, worker: Worker) -> None:
        async def round_() -> None:
            try:
                await worker.reaper.sweep()
            except AuthsvcError:
                return

        worker.tasks.add(asyncio.get_running_loop().create_task(round_()))

    # --- notifications --------------------------------------------------------------------------------------------------

    async def _watch(self, worker: Worker) -> None:
        """loader.watch.Watch over the simulated listener."""
        first = True
        while True:
            worker.lost = asyncio.Event()
            worker.listener = Listener(
                lambda change: self.loop.in_process(worker.process, worker.directory.notified, change)
            )
            await asyncio.sleep(0)
            self.postgres.listeners.append(worker.listener)
            worker.directory.listening = True
            try:
                if not first:
                    await worker.directory.resync()
                first = False
                await worker.lost.wait()
            except SourceUnavailable:
                worker.listener.alive = False
            worker.directory.listening = False
            await asyncio.sleep(0.03)

    def lose_listener(self, slot: int) -> None:
        """The connection is cut: what was under way is gone, and the worker notices later."""
        worker = self.workers[slot]
        if worker.listener is None or worker.lost is None or not worker.listener.alive:
            return
        worker.listener.alive = False
        worker.listener.queue.clear()
        lost = worker.lost
        self.loop.call_later(self.chance.random() * 0.1, self.loop.in_process, worker.process, lost.set)

    def _notify(self) -> None:
        for listener in self.postgres.listeners:
            if listener.alive:
                self.loop.call_later(self.chance.choice([0.0, 0.0, 0.01, 0.1]), self._tell, listener)

    @staticmethod
    def _tell(listener: Listener) -> None:
        if listener.alive and listener.queue:
            change: Change = listener.queue.pop(0)
            listener.hear(change)

    # --- the script ---------------------------------------------------------------------------------------------------

    def after_steps(self, steps: int, happening: Callable[[], object]) -> None:
        """Have something happen between two steps, so many from now."""
        self.happenings.append((self.loop.steps + steps, happening))
        self.happenings.sort(key=lambda pair: pair[0])

    def _after_step(self) -> None:
        while self.happenings and self.happenings[0][0] <= self.loop.steps:
            self.happenings.pop(0)[1]()

    # --- running ----------------------------------------------------------------------------------------------------------

    def settle(self, steps_max: int = 200_000) -> None:
        """Run until nothing moves any more."""
        self.loop.run(lambda: False, steps_max)

    def after(self, delay_s: float) -> None:
        """Let time pass."""
        self.loop.call_later(delay_s, lambda: None)
        self.settle()

    def alive(self) -> list[Sent]:
        return [sent for sent in self.sent if not self.loop.is_dead(sent.process)]
