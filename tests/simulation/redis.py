"""A stand-in for Redis: the scripts of authsvc/counters, operation by operation, on dictionaries."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from authsvc.errors import Unavailable
from authsvc.ports import Ask, Claim, Missing, Orphan, Reserved, Turn
from rules.types import Plan, Usage
from tests.simulation.wire import AnswerLost, NotDelivered, Wire

T = TypeVar("T")
RecordKey = tuple[int, str, int, str]
"""Account, run, epoch, reservation name."""


@dataclass
class Record:
    """A reservation, as a duplicate finds it."""

    owners: int
    moved_minor: int
    usage: Usage
    expires_ms: int


@dataclass(frozen=True)
class Move:
    """For the checks only: what the last reservation of a name did to the counters."""

    serial: int
    deltas: dict[str, int]


@dataclass
class Hash:
    """The counters of one account under one run."""

    opened: int
    epoch: int
    expires_ms: int
    used: dict[str, int] = field(default_factory=dict)
    moves: dict[str, Move] = field(default_factory=dict)


@dataclass
class Contents:
    """Everything the server would lose or restore."""

    hashes: dict[tuple[int, str], Hash] = field(default_factory=dict)
    pending: dict[tuple[int, str], dict[str, int]] = field(default_factory=dict)
    records: dict[RecordKey, Record] = field(default_factory=dict)
    active: dict[str, dict[int, int]] = field(default_factory=dict)


class RedisServer:
    """One server. Fences can be taken out by name: see tests/simulation/breaks.py."""

    def __init__(
        self, now_ms: Callable[[], int], *, record_ttl_ms: int, counters_ttl_ms: int, broken: str = ""
    ) -> None:
        self.now_ms = now_ms
        self.record_ttl_ms = record_ttl_ms
        self.counters_ttl_ms = counters_ttl_ms
        self.broken = broken
        self.run = "run-1"
        self.contents = Contents()
        self.serials = 0
        self.on_reserve: Callable[[Ask, str, Hash], None] = lambda _ask, _run, _counters: None

    # --- what happens to servers ----------------------------------------------------------------------------------

    def wipe(self) -> None:
        """FLUSHALL: the process goes on."""
        self.contents = Contents()

    def snapshot(self) -> Contents:
        return copy.deepcopy(self.contents)

    def restart(self, old: Contents | None) -> None:
        """Another process, empty or with an old copy."""
        self.run = f"run-{int(self.run.removeprefix('run-')) + 1}"
        self.contents = copy.deepcopy(old) if old is not None else Contents()

    # --- reading ----------------------------------------------------------------------------------------------------

    def hash_of(self, account_id: int, run: str) -> Hash | None:
        key = (account_id, self._named(run))
        found = self.contents.hashes.get(key)
        if found is not None and found.expires_ms <= self.now_ms():
            del self.contents.hashes[key]
            return None
        return found

    def record_of(self, account_id: int, run: str, epoch: int, name: str) -> Record | None:
        key = (account_id, self._named(run), epoch, name)
        found = self.contents.records.get(key)
        if found is not None and found.expires_ms <= self.now_ms():
            del self.contents.records[key]
            return None
        return found

    def _named(self, run: str) -> str:
        return "any" if self.broken == "no_run_in_name" else run

    def pending_of(self, account_id: int, run: str) -> dict[str, int]:
        return self.contents.pending.setdefault((account_id, self._named(run)), {})

    # --- the scripts ------------------------------------------------------------------------------------------------

    def reserve(self, run: str, ask: Ask) -> Reserved | Missing:
        now_ms = self.now_ms()
        self.contents.active.setdefault(self._named(run), {})[ask.account_id] = now_ms
        counters = self.hash_of(ask.account_id, run)
        if counters is None or counters.epoch < ask.epoch_min:
            return Missing(run, None, True, ())
        epoch, used, plan = counters.epoch, counters.used, ask.plan
        record = self.record_of(ask.account_id, run, epoch, ask.name) if ask.moves else None
        if record is not None:
            record.owners += 1
            return Reserved(run, epoch, record.usage, record.moved_minor)
        gaps = tuple(i for i, counter in enumerate(plan.counters) if counter.name not in used)
        funds_missing = not ("b" in used and "h" in used)
        if gaps or funds_missing:
            return Missing(run, epoch, funds_missing, gaps)
        self.on_reserve(ask, run, counters)
        usage = Usage(used["b"], used["h"], tuple(used[counter.name] for counter in plan.counters))
        room = min([ask.amount_minor, *_rooms(plan, usage)])
        fits = room == ask.amount_minor or (room > 0 and ask.partial)
        moved = room if ask.moves and fits else 0
        if moved > 0:
            pending, name = self.pending_of(ask.account_id, run), f"{epoch}:{ask.name}"
            known = name in pending
            pending[name] = now_ms
            if known:
                return Missing(run, None, True, ())
            deltas = {"b": -moved} if ask.posts else {"h": moved}
            for counter in plan.counters:
                deltas[counter.name] = moved
            for field_name, delta in deltas.items():
                used[field_name] += delta
            self.serials += 1
            key = (ask.account_id, self._named(run), epoch, ask.name)
            expires_ms = now_ms + self.record_ttl_ms
            self.contents.records[key] = Record(1, moved, usage, expires_ms)
            counters.moves[name] = Move(self.serials, deltas)
        return Reserved(run, epoch, usage, max(moved, 0))

    def release(self, claim: Claim) -> None:
        counters = self.hash_of(claim.account_id, claim.run)
        if counters is None or not counters.opened <= claim.epoch <= counters.epoch:
            return
        record = self.record_of(claim.account_id, claim.run, claim.epoch, claim.name)
        if record is None:
            return
        if record.owners > 1 and self.broken != "release_ignores_owners":
            record.owners -= 1
            return
        moved = record.moved_minor
        del self.contents.records[(claim.account_id, self._named(claim.run), claim.epoch, claim.name)]
        name = f"{claim.epoch}:{claim.name}"
        self.pending_of(claim.account_id, claim.run).pop(name, None)
        counters.moves.pop(name, None)
        deltas = {"b": moved} if claim.posts else {"h": -moved}
        for counter in claim.plan.counters:
            deltas[counter.name] = -moved
        for field_name, delta in deltas.items():
            counters.used[field_name] = counters.used.get(field_name, 0) + delta

    def confirm(self, run: str, done: Claim | Orphan) -> None:
        if done.run == run:
            self.pending_of(done.account_id, run).pop(f"{done.epoch}:{done.name}", None)

    def open_epoch(self, account_id: int, run: str, epoch: int) -> None:
        counters = self.hash_of(account_id, run)
        if counters is None or counters.epoch < epoch:
            self.pending_of(account_id, run).clear()
            expires_ms = self.now_ms() + self.counters_ttl_ms
            self.contents.hashes[account_id, self._named(run)] = Hash(epoch, epoch, expires_ms)

    def install(self, account_id: int, run: str, epoch: int, values: Sequence[tuple[str, int]]) -> None:
        counters = self.hash_of(account_id, run)
        if counters is None or (counters.epoch != epoch and self.broken != "install_ignores_epoch"):
            return
        for name, value in values:
            if name not in counters.used or self.broken == "install_overwrites":
                counters.used[name] = value

    def advance(self, run: str, turn: Turn) -> bool:
        counters = self.hash_of(turn.account_id, run)
        if counters is None or (counters.epoch != turn.epoch_before and self.broken != "advance_ignores_epoch"):
            return False
        for name, change in turn.changes.items():
            if name in counters.used and self.broken != "advance_moves_nothing":
                counters.used[name] += change
        counters.epoch = turn.epoch_after
        return True

    def pending(self, run: str, grace_ms: int) -> list[Orphan]:
        until_ms = self.now_ms() - grace_ms
        found: list[Orphan] = []
        active = self.contents.active.get(self._named(run), {})
        for account_id, last_ms in list(active.items()):
            counters = self.hash_of(account_id, run)
            names = [name for name, made_ms in self.pending_of(account_id, run).items() if made_ms <= until_ms]
            if names and counters is not None:
                parts = [name.split(":", 1) for name in names]
                found += [Orphan(account_id, run, int(epoch), name) for epoch, name in parts]
            elif last_ms <= until_ms:
                del active[account_id]
        return found


def _rooms(plan: Plan, usage: Usage) -> list[int]:
    rooms = [usage.balance_minor - usage.held_minor] if plan.funds_enforced else []
    for bound in plan.bounds:
        used = 0 if bound.counter is None else usage.used_minor[bound.counter]
        rooms.append(bound.limit.amount_minor - used)
    return rooms


class SimulatedCounters:
    """The `Counters` port of one process."""

    def __init__(self, server: RedisServer, wire: Wire) -> None:
        self._server = server
        self._wire = wire

    async def reserve(self, asks: Sequence[Ask], confirmed: Sequence[Claim]) -> list[Reserved | Missing]:
        def operation(run: str) -> list[Reserved | Missing]:
            for claim in confirmed:
                self._server.confirm(run, claim)
            return [self._server.reserve(run, ask) for ask in asks]

        return await self._call(operation)

    async def release(self, claims: Sequence[Claim]) -> None:
        await self._call(lambda run: [self._server.release(claim) for claim in claims if claim.run == run])

    async def open_epoch(self, account_id: int, run: str, epoch: int) -> None:
        await self._call(lambda now: self._server.open_epoch(account_id, run, epoch) if now == run else None)

    async def install(
        self, account_id: int, run: str, epoch: int, funds: tuple[int, int] | None, used: Sequence[tuple[str, int]]
    ) -> None:
        values = list(used) + ([("b", funds[0]), ("h", funds[1])] if funds is not None else [])
        await self._call(lambda now: self._server.install(account_id, run, epoch, values) if now == run else None)

    async def advance(self, turns: Sequence[Turn]) -> list[bool]:
        return await self._call(lambda run: [self._server.advance(run, turn) for turn in turns])

    async def pending(self, grace_ms: int) -> list[Orphan]:
        return await self._call(lambda run: self._server.pending(run, grace_ms))

    async def confirm(self, orphans: Sequence[Orphan]) -> None:
        await self._call(lambda run: [self._server.confirm(run, orphan) for orphan in orphans])

    async def _call(self, operation: Callable[[str], T]) -> T:
        """The names are made for the run that is known when the message is sent; another process does not take it."""
        run = self._server.run

        def carry_out() -> T:
            if self._server.run != run:
                raise NotDelivered
            return operation(run)

        try:
            return await self._wire.call(carry_out)
        except (NotDelivered, AnswerLost) as error:
            raise Unavailable("counters") from error
