"""Finds reservations that no row remembers: their owner died between the counters and the commit, or is only slow."""

from authsvc.ports import Counters, Ledger, Observer
from authsvc.repair import Repair


class Reaper:
    """Heals what a crash left behind."""

    def __init__(
        self, counters: Counters, ledger: Ledger, repair: Repair, observer: Observer, *, grace_ms: int
    ) -> None:
        """A reservation younger than `grace_ms` is presumed to have a living owner."""
        self._counters = counters
        self._ledger = ledger
        self._repair = repair
        self._observer = observer
        self._grace_ms = grace_ms

    async def sweep(self) -> int:
        """One round. Returns how many reservations were abandoned.

        An abandoned reservation is never released: its owner may only be slow, and would commit a row that no counter
        holds. Raising the epoch fences the owner; the counters are then loaded afresh.
        """
        orphans = await self._counters.pending(self._grace_ms)
        if not orphans:
            return 0
        recorded = await self._ledger.recorded(orphans)
        await self._counters.confirm([orphan for orphan, found in zip(orphans, recorded, strict=True) if found])
        lost = [orphan for orphan, found in zip(orphans, recorded, strict=True) if not found]
        for orphan in lost:
            self._repair.outdated(orphan.account_id, orphan.epoch + 1)
        for account_id, run in dict.fromkeys((orphan.account_id, orphan.run) for orphan in lost):
            await self._repair.rebuild(account_id, run)
        if lost:
            self._observer.reaped(len(lost))
        return len(lost)
