"""Read replicas: lists, sums and audit queries go to one that is known to be fresh enough, else to the primary.

How far a replica is behind is measured in this process's time alone: the primary is asked, again and again, where its
log ends; once a replica has replayed up to there, it shows everything that was committed before that question. No
clock is compared with another, and a primary that writes nothing makes nobody look late. See ADR 0029.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from functools import partial
from typing import Final, NamedTuple, TypeVar

import asyncpg

from authsvc.ledger.queries import REPLICAS_SQL
from authsvc.ledger.store import GONE, Connection, Pool, open_pool
from authsvc.metrics import Metrics
from authsvc.settings import Settings

T = TypeVar("T")
Work = Callable[[Connection], Awaitable[T]]
Primary = Callable[[], AbstractAsyncContextManager[Connection]]

PRIMARY: Final = "primary"
# Measured this often within the bound, so that a replica without any lag is never near it.
_MEASURES_PER_BOUND: Final = 4
_PAUSE_MAX_S: Final = 1.0
# How far back a late replica's lag is known; beyond, it only grows until the replica comes near again.
_MARKS_KEPT: Final = 64
_PATIENCE_S: Final = 5.0
# The replica went away, or cancelled the statement because replay needed what it was reading.
_LOST: Final = (*GONE, asyncpg.SerializationError)
_log = logging.getLogger(__name__)


class Mark(NamedTuple):
    """Where the log of the primary ended at some moment after `asked_s`."""

    asked_s: float
    position: int


class Marks:
    """What the primary said lately."""

    def __init__(self) -> None:
        """Nothing yet."""
        self.cluster = ""
        self._marks: deque[Mark] = deque(maxlen=_MARKS_KEPT)

    def add(self, cluster: str, mark: Mark) -> None:
        """One more. After a failover, what the former primary said is worth nothing."""
        if cluster != self.cluster or (self._marks and mark.position < self._marks[-1].position):
            self._marks.clear()
            self.cluster = cluster
        self._marks.append(mark)

    def reached_s(self, position: int) -> float | None:
        """Everything committed before this moment is in the log up to `position`; None when that cannot be told."""
        return next((mark.asked_s for mark in reversed(self._marks) if mark.position <= position), None)

    def is_past(self, seen_s: float, position: int) -> bool:
        """Whether somebody who was at `position` at `seen_s` had more than the primary had later: another history."""
        return bool(self._marks) and self._marks[-1].asked_s > seen_s and self._marks[-1].position < position


class Replica:
    """One of them, and what is known of it."""

    def __init__(self, name: str, url: str, pool: Pool, now_s: float) -> None:
        """`pool` may be without any connection: the replica need not be up."""
        self.name = name
        self.url = url
        self.pool = pool
        self.is_sound = False
        self.fresh_s = now_s
        self._seen: tuple[float, int] | None = None
        self._why = ""

    def measured(self, marks: Marks, now_s: float, cluster: str, position: int | None) -> None:
        """It said how far it is, at some moment before `now_s`."""
        seen, self._seen = self._seen, None if position is None else (now_s, position)
        if position is None or (seen is not None and marks.is_past(*seen)):
            self.lost("it does not follow the primary")
        elif marks.cluster and marks.cluster != cluster:
            self.lost("it follows another database")
        elif (reached_s := marks.reached_s(position)) is not None:
            if not self.is_sound:
                _log.info("%s can be read", self.name)
            self.is_sound, self._why = True, ""
            self.fresh_s = max(self.fresh_s, reached_s)

    def lost(self, why: str) -> None:
        """It is not read until it is measured again."""
        self.is_sound = False
        if why != self._why:
            self._why = why
            _log.warning("%s cannot be read: %s", self.name, why)


class Replicas:
    """Where lists are read. Nothing that decides or writes knows of it."""

    def __init__(
        self,
        primary_url: str,
        pools: Sequence[tuple[str, Pool]],
        now_s: Callable[[], float],
        *,
        lag_max_ms: int,
        acquire_timeout_ms: int,
        observe: Callable[[str], None],
    ) -> None:
        """`pools` are the replicas' URLs and connections; `observe` is told where each list was read."""
        self._primary_url = primary_url
        self._replicas = [Replica(f"replica {i}", url, pool, now_s()) for i, (url, pool) in enumerate(pools, start=1)]
        self._now_s = now_s
        self._lag_max_s = lag_max_ms / 1000
        self._pause_s = min(self._lag_max_s / _MEASURES_PER_BOUND, _PAUSE_MAX_S)
        self._acquire_timeout_s = acquire_timeout_ms / 1000
        self._observe = observe
        self._marks = Marks()
        self._turn = 0
        self._why = ""

    def __iter__(self) -> Iterator[Replica]:
        """In the order of their URLs."""
        return iter(self._replicas)

    def lag_s(self, replica: Replica) -> float:
        """No commit older than this is missing there."""
        return self._now_s() - replica.fresh_s

    def is_read(self, replica: Replica) -> bool:
        """Whether it is up, follows, and is near enough."""
        return replica.is_sound and self.lag_s(replica) <= self._lag_max_s

    async def read(self, work: "Work[T]", primary: Primary) -> T:
        """What `work` reads on the next replica; on the primary when there is none, or when it fails meanwhile.

        `work` may run twice. Its errors are those of the driver or its own; the primary's are as `primary` says.
        """
        replica = self._next()
        if replica is not None:
            with suppress(*_LOST):
                async with replica.pool.acquire(timeout=self._acquire_timeout_s) as connection:
                    answer = await work(connection)
                self._observe(replica.name)
                return answer
        async with primary() as connection:
            answer = await work(connection)
        self._observe(PRIMARY)
        return answer

    async def run(self) -> None:
        """Measure, for as long as the service runs."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._ask(self._primary_url, self._mark, self._markless))
            for replica in self._replicas:
                group.create_task(self._ask(replica.url, partial(self._look, replica), replica.lost))

    def _next(self) -> Replica | None:
        """They take turns."""
        for _ in self._replicas:
            self._turn = (self._turn + 1) % len(self._replicas)
            if self.is_read(self._replicas[self._turn]):
                return self._replicas[self._turn]
        return None

    async def _ask(self, url: str, ask: Callable[[Connection], Awaitable[None]], lost: Callable[[str], None]) -> None:
        """On a connection of its own: readers may use up the pool, and the lag must be known even so."""
        while True:
            try:
                connection = await asyncpg.connect(
                    url,
                    timeout=_PATIENCE_S,
                    command_timeout=_PATIENCE_S,
                    server_settings={"application_name": "authsvc lag"},
                )
                try:
                    while True:
                        await ask(connection)
                        await asyncio.sleep(self._pause_s)
                finally:
                    connection.terminate()
            except (asyncpg.PostgresError, *GONE) as error:
                lost(str(error) or type(error).__name__)
            await asyncio.sleep(self._pause_s)

    def _markless(self, why: str) -> None:
        if why != self._why:
            self._why = why
            _log.warning("how far replicas are behind is not known: %s", why)

    async def _mark(self, connection: Connection) -> None:
        asked_s = self._now_s()
        record = await connection.fetchrow(REPLICAS_SQL["mark"])
        self._why = ""
        self._marks.add(record["cluster"], Mark(asked_s, record["position"]))

    async def _look(self, replica: Replica, connection: Connection) -> None:
        record = await connection.fetchrow(REPLICAS_SQL["look"])
        replica.measured(self._marks, self._now_s(), record["cluster"], record["position"])


async def open_replicas(
    settings: Settings, now_s: Callable[[], float], metrics: Metrics, stack: AsyncExitStack
) -> Replicas | None:
    """Those of the settings, for whoever runs them; none of them need be up. None: there are none.

    `stack` closes what was opened.
    """
    pools: list[tuple[str, Pool]] = []
    for url in settings.replica_urls():
        timeout_ms = settings.pg_statement_timeout_ms
        size_max, idle_s = settings.pg_pool_max, settings.pg_idle_s
        pool = await open_pool(url, size_min=0, size_max=size_max, idle_s=idle_s, statement_timeout_ms=timeout_ms)
        stack.callback(pool.terminate)
        pools.append((url, pool))
    if not pools or settings.database_url is None:
        return None
    replicas = Replicas(
        settings.database_url,
        pools,
        now_s,
        lag_max_ms=settings.replica_lag_max_ms,
        acquire_timeout_ms=settings.pg_acquire_timeout_ms,
        observe=metrics.read_at,
    )
    for one in replicas:
        metrics.replica(one.name, partial(replicas.lag_s, one), partial(replicas.is_read, one))
        metrics.pool(one.name, one.pool.get_size, one.pool.get_idle_size, one.pool.get_max_size)
    return replicas
