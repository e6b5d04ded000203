"""Do the counters say what the ledger says? Both are read while decisions go on, so a difference must hold still."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final, Literal, NamedTuple, Protocol

from authsvc.doctor.facts import SampledAccount
from authsvc.doctor.finding import Finding, some
from authsvc.ports import Counters, Ledger
from rules.reasons import Level, Window
from rules.types import Counter
from rules.windows import window_bounds

_ATTEMPTS_MAX: Final = 20
_AGAIN_S: Final = 0.05
# Fields of the hash that are no counters of a limit: epoch, epoch it was opened at, balance, open holds.
_EPOCH: Final = "e"
_NO_COUNTERS: Final = frozenset({"e", "g", "b", "h"})
_WINDOWS: Final = {
    "d": Window.DAILY,
    "w": Window.WEEKLY,
    "m": Window.MONTHLY,
    "y": Window.YEARLY,
    "l": Window.LIFETIME,
}
_LEVELS: Final = {"c": Level.CARD, "p": Level.PROFILE}

Outcome = Literal["equal", "different", "ahead", "none", "busy"]


class CountersChart(Protocol):
    """Reads an account's counters as they are."""

    async def counters(self, account_id: int) -> tuple[str, dict[str, int]]:
        """The run they are of, and all fields."""
        ...


class Compared(NamedTuple):
    """What came of one account. `differences` are in words, `epoch` and `run` those of the counters.

    none: no counters, or outdated ones, which are refused at commit. ahead: of an epoch that the ledger has yet to
    reach. busy: decisions kept coming in between.
    """

    account_id: int
    outcome: Outcome
    run: str = ""
    epoch: int = 0
    differences: tuple[str, ...] = ()


class Comparison:
    """Counters beside the ledger, account by account."""

    def __init__(self, chart: CountersChart, counters: Counters, ledger: Ledger) -> None:
        """`counters` tells which reservations are under way; `chart` what the counters say."""
        self._chart = chart
        self._counters = counters
        self._ledger = ledger

    async def compare(self, account: SampledAccount) -> Compared:
        """A difference counts when it is seen twice in a row, at one epoch, with nothing under way."""
        seen: Compared | None = None
        for _ in range(_ATTEMPTS_MAX):
            one = await self._look(account)
            if one.outcome != "different" or (seen is not None and seen == one):
                if one.outcome != "busy":
                    return one
                one = Compared(account.id, "busy")
            seen = one
            await asyncio.sleep(_AGAIN_S)
        return Compared(account.id, "busy")

    async def start_afresh(self, one: Compared) -> None:
        """Raise the account's epoch: its counters are loaded from the ledger when they are next needed."""
        epoch = await self._ledger.bump_epoch(one.account_id, one.epoch)
        await self._counters.open_epoch(one.account_id, one.run, epoch)

    async def _look(self, account: SampledAccount) -> Compared:
        run, before = await self._chart.counters(account.id)
        if _EPOCH not in before:
            return Compared(account.id, "none")
        epoch = before[_EPOCH]
        # In this order: what was reserved by the first look is committed when the ledger is read, or told here.
        pending = [one for one in await self._counters.pending(0) if one.account_id == account.id]
        if pending and not all(await self._ledger.recorded(pending)):
            return Compared(account.id, "busy")
        wanted = [counter_of(name, account.timezone) for name in before if name not in _NO_COUNTERS]
        loaded = await self._ledger.load(account.id, wanted)
        if loaded.counter_epoch != epoch:
            is_ahead = epoch > loaded.counter_epoch
            return Compared(account.id, "ahead" if is_ahead else "none", run, epoch)
        if await self._chart.counters(account.id) != (run, before):
            return Compared(account.id, "busy")
        truth = {"b": loaded.balance_minor, "h": loaded.held_minor}
        truth |= {counter.name: used for counter, used in zip(wanted, loaded.used_minor, strict=True)}
        different = differences(before, truth)
        return Compared(account.id, "different" if different else "equal", run, epoch, different)


def counter_of(name: str, timezone: str) -> Counter:
    """Of the name of a field: c1001:m:1762300800 is a card's month, p7:l the lifetime of a shared profile."""
    owner, _, window_name = name.partition(":")
    letter, _, start = window_name.partition(":")
    level, entity_id = _LEVELS[owner[0]], int(owner[1:])
    if not start:
        return Counter(name, level, entity_id, None, None)
    return Counter(name, level, entity_id, *window_bounds(_WINDOWS[letter], int(start) * 1_000_000, timezone))


def differences(counted: Mapping[str, int], truth: Mapping[str, int]) -> tuple[str, ...]:
    """In words, for each counter that is there and says something else; figures in minor units."""
    return tuple(
        f"{name} is {counted[name]}, the ledger says {true}"
        for name, true in truth.items()
        if name in counted and counted[name] != true
    )


def judge(compared: Sequence[Compared], fixed: Sequence[int]) -> Finding:
    """`fixed`: the accounts that were started afresh."""
    wrong = [one for one in compared if one.outcome in ("different", "ahead")]
    tally = {
        words: sum(one.outcome == outcome for one in compared)
        for outcome, words in (("equal", "agree"), ("none", "have none"), ("busy", "were too busy"))
    }
    said = f"of {len(compared)} busy accounts " + ", ".join(f"{count} {words}" for words, count in tally.items())
    if not wrong:
        if not compared:
            return Finding("counters", "skipped", "there is no transaction yet")
        return Finding("counters", "ok", said)
    told = some(f"account {one.account_id}: {some(one.differences) or 'of a later epoch'}" for one in wrong)
    if all(one.account_id in fixed for one in wrong):
        return Finding("counters", "warning", f"{told}; started afresh", "Find out why; keep this report.")
    advice = "authsvc doctor --fix starts them afresh. If PostgreSQL was restored: docs/operating.md, Backups."
    return Finding("counters", "failed", told, advice)
