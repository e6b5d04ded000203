"""Starting an account's counters afresh, and loading those that are missing: once, however many wait for it."""

import asyncio
from dataclasses import dataclass, field

from authsvc.ports import Counters, Ledger, Missing, Observer
from rules.types import Counter, Plan


@dataclass(slots=True)
class _Want:
    """What the waiting requests of one account lack. No epoch: everything."""

    run: str
    epoch: int | None
    funds: bool = False
    counters: dict[str, Counter] = field(default_factory=dict)
    task: asyncio.Task[None] | None = None


class Repair:
    """Heals the counters of accounts from the ledger."""

    def __init__(self, counters: Counters, ledger: Ledger, observer: Observer) -> None:
        """Both ends: the counters to mend and the truth to mend them from."""
        self._counters = counters
        self._ledger = ledger
        self._observer = observer
        self._wants: dict[int, _Want] = {}
        self._epoch_min: dict[int, int] = {}

    def epoch_min(self, account_id: int) -> int:
        """Counters of an older epoch than this are known to be refused at commit."""
        return self._epoch_min.get(account_id, 0)

    def outdated(self, account_id: int, epoch_min: int) -> None:
        """Counters of an older epoch than this are of no use."""
        if epoch_min > self._epoch_min.get(account_id, 0):
            self._epoch_min[account_id] = epoch_min

    async def look(self, account_id: int) -> None:
        """Learn from the ledger which counters are outdated: a crash may have kept them from moving on."""
        self.outdated(account_id, await self._ledger.counter_epoch(account_id))

    async def mend(self, account_id: int, plan: Plan, missing: Missing) -> None:
        """Bring what is missing. Requests of one account that come before the work starts share it."""
        want = self._wants.get(account_id)
        if want is None or (want.run, want.epoch) != (missing.run, missing.epoch):
            want = self._wants[account_id] = _Want(missing.run, missing.epoch)
            want.task = asyncio.get_running_loop().create_task(self._bring(account_id, want))
        want.funds |= missing.funds
        # After a rebuild nothing is there: all of the plan will be missing.
        lacking = plan.counters if missing.epoch is None else [plan.counters[position] for position in missing.counters]
        want.counters.update((counter.name, counter) for counter in lacking)
        assert want.task is not None
        # A waiter that is cancelled must not take the work away from the others.
        await asyncio.shield(want.task)

    async def _bring(self, account_id: int, want: _Want) -> None:
        try:
            epoch = want.epoch if want.epoch is not None else await self.rebuild(account_id, want.run)
        finally:
            # Whoever comes from now on is too late for this piece of work.
            if self._wants.get(account_id) is want:
                del self._wants[account_id]
        await self._load(account_id, epoch, want)

    async def rebuild(self, account_id: int, run: str) -> int:
        """Raise the epoch in the ledger, which fences reservations under older ones; then open it in the counters."""
        epoch = await self._ledger.bump_epoch(account_id, self.epoch_min(account_id))
        await self._counters.open_epoch(account_id, run, epoch)
        self._observer.rebuilt()
        return epoch

    async def _load(self, account_id: int, epoch: int, want: _Want) -> None:
        wanted = list(want.counters.values())
        loaded = await self._ledger.load(account_id, wanted)
        if loaded.counter_epoch != epoch:
            # A commit came in between that these counters have yet to be moved on with, or never will be.
            self.outdated(account_id, max(loaded.counter_epoch, epoch + 1))
            return
        funds = (loaded.balance_minor, loaded.held_minor) if want.funds else None
        names = [(counter.name, used) for counter, used in zip(wanted, loaded.used_minor, strict=True)]
        await self._counters.install(account_id, want.run, epoch, funds, names)
        self._observer.loaded(len(names) + (2 if funds else 0))
