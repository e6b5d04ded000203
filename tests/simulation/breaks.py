"""Each takes one fence out, so that a test can show that the simulation notices. Nothing of this is in the product.

Some are taken out of the stand-ins, which know them by name; the others are put into the product's classes for one run.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from authsvc.decide import Decider
from authsvc.errors import RequestIdReused
from authsvc.flight import Flight
from authsvc.ports import Claim, Fenced, Stored
from authsvc.reaper import Reaper
from loader.directory import Directory
from loader.records import Change
from tests.simulation.postgres import SimulatedLedger
from tests.simulation.redis import SimulatedCounters

Patch = Callable[[pytest.MonkeyPatch], None]


@dataclass(frozen=True)
class Break:
    """`what` was taken out; runs of `theme` soon show it. `patch` changes the product, `server` names what the stand-ins do."""

    what: str
    theme: str
    patch: Patch | None = None
    server: str = ""


def _reservation_name(parts: Callable[[Flight], str]) -> Patch:
    return lambda patch: patch.setattr(Flight, "reservation_name", parts)


def _reaper_releases(patch: pytest.MonkeyPatch) -> None:
    async def sweep(self: Reaper) -> int:
        counters = self._counters
        assert isinstance(counters, SimulatedCounters)
        orphans = await counters.pending(self._grace_ms)
        recorded = await self._ledger.recorded(orphans)
        lost = [orphan for orphan, found in zip(orphans, recorded, strict=True) if not found]
        server = counters._server
        for orphan in lost:
            counters_of = server.hash_of(orphan.account_id, orphan.run)
            server.contents.records.pop((orphan.account_id, orphan.run, orphan.epoch, orphan.name), None)
            name = f"{orphan.epoch}:{orphan.name}"
            server.pending_of(orphan.account_id, orphan.run).pop(name, None)
            move = counters_of.moves.pop(name, None) if counters_of is not None else None
            if move is not None and counters_of is not None and counters_of.epoch == orphan.epoch:
                for name, delta in move.deltas.items():
                    counters_of.used[name] -= delta
        return len(lost)

    patch.setattr(Reaper, "sweep", sweep)


def _keeps_what_it_shares(patch: pytest.MonkeyPatch) -> None:
    """A replay keeps its reservation when the row was made under the same versions: it may not be the row's own."""
    replay = Decider._replay

    def kept(self: Decider, flight: Flight, stored: Stored) -> None:
        replay(self, flight, stored)
        same = not isinstance(flight.error, RequestIdReused)
        claim = flight.claim
        if claim is not None and same and stored[2:4] == (flight.config_version, claim.epoch):
            flight.claim = None

    patch.setattr(Decider, "_replay", kept)


def _never_catches_up(patch: pytest.MonkeyPatch) -> None:
    async def again(self: Decider, flight: Flight, _: Fenced) -> None:
        self._again(flight)

    patch.setattr(Decider, "_catch_up", again)


def _fetched_for_ever(patch: pytest.MonkeyPatch) -> None:
    catch_up = Decider._catch_up

    async def keep(self: Decider, flight: Flight, fenced: Fenced) -> None:
        fetched = flight.fetched
        step = catch_up(self, flight, fenced)
        again = self._again

        def restore(one: Flight) -> None:
            one.fetched = fetched
            again(one)

        self._again = restore  # type: ignore[method-assign]
        try:
            await step
        finally:
            self._again = again  # type: ignore[method-assign]

    patch.setattr(Decider, "_catch_up", keep)


def _skips_gap(patch: pytest.MonkeyPatch) -> None:
    def notified(self: Directory, change: Change) -> None:
        self._forget_unknown(change.tokens)
        entry = self._accounts.get(change.account_id)
        if entry is None or change.version is None or change.version <= entry.account.config_version:
            return
        if change.kind == "account":
            self._forget_account(entry)
            return
        self._forget_parts(entry, change)
        entry.account.config_version = change.version
        self._wake(entry)

    patch.setattr(Directory, "notified", notified)


def _notified_moves_nothing(patch: pytest.MonkeyPatch) -> None:
    """The version moves forward, and the parts that the change names stay as they were."""
    patch.setattr(Directory, "_forget_parts", lambda *_: None)


def _takes_older_records(patch: pytest.MonkeyPatch) -> None:
    """A card that was read before a change is filed under the version after it."""
    install = Directory.install

    def stale(self: Directory, record: Any) -> Any:
        entry = self._accounts.get(record.account_id)
        if entry is not None and record.config_version < entry.account.config_version:
            record = record._replace(config_version=entry.account.config_version)
        return install(self, record)

    patch.setattr(Directory, "install", stale)


def _never_releases(patch: pytest.MonkeyPatch) -> None:
    async def keep(self: Decider, claims: Sequence[Claim | None]) -> None:
        return

    patch.setattr(Decider, "_release", keep)
    patch.setattr(Reaper, "sweep", lambda _: _nothing())


async def _nothing() -> int:
    return 0


def _loses_failures(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Decider, "_failed", lambda *_: None)


def _loads_whatever_the_epoch(patch: pytest.MonkeyPatch) -> None:
    load = SimulatedLedger.load

    async def loaded(self: SimulatedLedger, account_id: int, counters: Sequence[Any]) -> Any:
        found = await load(self, account_id, counters)
        return found._replace(counter_epoch=_Any())

    patch.setattr(SimulatedLedger, "load", loaded)


class _Any(int):
    """Equal to every epoch."""

    def __eq__(self, other: object) -> bool:
        return True

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = int.__hash__


BREAKS: dict[str, Break] = {
    "no_epoch_bump_on_event": Break("a message moves what is recorded and goes on in the old epoch", "messages"),
    "advance_ignores_epoch": Break("counters are moved on from another epoch than that before the commit", "storms"),
    "advance_moves_nothing": Break("counters are moved on to the next epoch without the change", "messages"),
    "loads_whatever_the_epoch": Break(
        "what is loaded is installed although a commit came in between", "messages", _loads_whatever_the_epoch
    ),
    "no_config_fence": Break("the commit ignores the configuration version", "changes"),
    "no_epoch_fence": Break("the commit ignores the counter epoch", "faults"),
    "no_run_in_name": Break("a restarted server finds its old counters under the same names", "restarts"),
    "no_epoch_bump_on_reshape": Break("a new set of counters goes on in the old epoch", "shapes"),
    "no_epoch_bump_on_funding": Break("money from outside goes on in the old epoch", "changes"),
    "no_epoch_bump_on_credit": Break("a posted credit goes on in the old epoch", "calm"),
    "open_epoch_without_bump": Break("a rebuild does not raise the epoch in the ledger", "faults"),
    "install_overwrites": Break("loading sets counters that are there already", "calm"),
    "install_ignores_epoch": Break("loading sets counters of another epoch", "rebuilds"),
    "release_ignores_owners": Break("the first of two owners gives the reservation back", "calm"),
    "release_on_unknown_outcome": Break("a reservation is given back although its row may be committed", "commits"),
    "remembers_for_ever": Break("the reaper takes a row of long ago for the reservation's", "releases"),
    "stored_beats_nothing": Break("the fence is answered before the stored decision is looked up", "calm"),
    "reaper_releases": Break("the reaper gives back instead of raising the epoch", "faults", _reaper_releases),
    "no_body_in_reservation_name": Break(
        "two bodies of one request share a reservation",
        "calm",
        _reservation_name(lambda flight: f"00/{flight.config_version}/{flight.request.request_id}"),
    ),
    "no_config_in_reservation_name": Break(
        "two configurations share a reservation",
        "shapes",
        _reservation_name(lambda flight: f"{flight.request.fingerprint.hex()}/0/{flight.request.request_id}"),
    ),
    "replay_keeps_expired": Break(
        "a replay keeps what it reserved after the record had expired",
        "calm",
        _keeps_what_it_shares,
        "remembers_for_ever",
    ),
    "never_catches_up": Break("a refused commit is tried again on the same view", "changes", _never_catches_up),
    "fetched_for_ever": Break(
        "a card fetched for a request is used again after a refusal", "changes", _fetched_for_ever
    ),
    "notify_skips_gap": Break("a lost notification goes unnoticed", "changes", _skips_gap),
    "notify_moves_nothing": Break("a notification moves the version only", "changes", _notified_moves_nothing),
    "takes_older_records": Break("a read from before a change counts as current", "changes", _takes_older_records),
    "never_releases": Break("nobody gives anything back", "releases", _never_releases),
    "failures_are_lost": Break("whoever fails is not told", "faults", _loses_failures),
}


@contextmanager
def breaking(name: str) -> Iterator[str]:
    """Put a break in for the time of one run. Gives the stand-ins the name of what they leave out."""
    found = BREAKS.get(name)
    if found is None or found.patch is None:
        yield name
        return
    with pytest.MonkeyPatch.context() as patch:
        found.patch(patch)
        yield found.server
