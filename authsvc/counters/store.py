"""The counters in Redis or Valkey: one round trip for a whole batch, one Lua script an operation."""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any, Final

import orjson

from authsvc.counters.connection import Command, Link
from authsvc.ports import Ask, Claim, Missing, Orphan, Reserved, Turn
from rules.types import Plan, Usage

_MOVES, _PARTIAL, _POSTS, _FUNDS = 1, 2, 4, 8
_NO_LIMIT: Final = -1
_PENDING_MAX: Final = 1_000


def counters_key(account_id: int, run: str) -> str:
    """The hash of an account's counters. One hash tag an account keeps all of its keys together."""
    return f"authsvc:{{{account_id}}}:{run}"


def pending_key(account_id: int, run: str) -> str:
    """The sorted set of an account's pending reservations, by the time they were made."""
    return f"authsvc:{{{account_id}}}:{run}:p"


def index_key(run: str) -> str:
    """The sorted set of accounts that made reservations, by the time of the last one."""
    return f"authsvc:accounts:{run}"


class _Accounts:
    """Numbers the accounts of one script call, and names their keys."""

    def __init__(self) -> None:
        self._number_by_id: dict[int, int] = {}

    def number(self, account_id: int) -> int:
        return self._number_by_id.setdefault(account_id, len(self._number_by_id) + 1)

    def ids(self) -> list[int]:
        return list(self._number_by_id)

    def keys(self, run: str) -> list[str]:
        pairs = ((counters_key(account_id, run), pending_key(account_id, run)) for account_id in self._number_by_id)
        return list(chain.from_iterable(pairs))


class RedisCounters:
    """The `Counters` port on one Redis or Valkey server (with replicas, if you like)."""

    def __init__(self, url: str, *, timeout_ms: int, record_ttl_ms: int, counters_ttl_s: int) -> None:
        """`record_ttl_ms`: how long a reservation is remembered for duplicates.

        `counters_ttl_s`: how long an epoch lasts.

        When an account's counters expire they are gone together with their epoch marker, so they are rebuilt: it is how
        the windows of long ago are tidied away.
        """
        self._hot = Link(url, timeout_ms)
        # Mending and reaping must not stand in the way of the batches.
        self._side = Link(url, timeout_ms)
        self._record_ttl_ms = record_ttl_ms
        self._counters_ttl_ms = counters_ttl_s * 1000

    async def close(self) -> None:
        """Close both connections."""
        await self._hot.close()
        await self._side.close()

    async def ping(self) -> None:
        """Raises `Unavailable` when the server does not answer."""
        await self._side.call(lambda _: [("PING",)])

    async def eviction_policy(self) -> str:
        """The server's `maxmemory-policy`; empty where it may not be read (some hosted services forbid CONFIG)."""
        _, (answer,) = await self._side.call(lambda _: [("INFO", "memory")])
        for line in answer.decode().splitlines():
            if line.startswith("maxmemory_policy:"):
                return str(line.partition(":")[2])
        return ""

    async def reserve(self, asks: Sequence[Ask], confirmed: Sequence[Claim]) -> list[Reserved | Missing]:
        """See `Counters.reserve`."""
        accounts = _Accounts()
        body = orjson.dumps([_encode_ask(accounts.number(ask.account_id), ask) for ask in asks])
        ids = orjson.dumps(accounts.ids())

        def build(run: str) -> list[Command]:
            keys = [index_key(run), *accounts.keys(run)]
            reserving = self._hot.script("reserve", keys, body, self._record_ttl_ms, ids, run.partition("-")[2])
            return [*self._confirming(self._hot, run, confirmed), reserving]

        run, answers = await self._hot.call(build)
        return [_decode(run, answer) for answer in answers[-1]]

    async def release(self, claims: Sequence[Claim]) -> None:
        """See `Counters.release`."""

        def build(run: str) -> list[Command]:
            accounts = _Accounts()
            body = [
                (
                    accounts.number(claim.account_id),
                    claim.epoch,
                    claim.name,
                    int(claim.posts),
                    [counter.name for counter in claim.plan.counters],
                )
                for claim in claims
                if claim.run == run
            ]
            return [self._hot.script("release", accounts.keys(run), orjson.dumps(body))] if body else []

        await self._hot.call(build)

    async def open_epoch(self, account_id: int, run: str, epoch: int) -> None:
        """See `Counters.open_epoch`."""
        await self._if_still(
            run,
            lambda: self._side.script(
                "open_epoch",
                [counters_key(account_id, run), pending_key(account_id, run)],
                epoch,
                self._counters_ttl_ms,
            ),
        )

    async def install(
        self, account_id: int, run: str, epoch: int, funds: tuple[int, int] | None, used: Sequence[tuple[str, int]]
    ) -> None:
        """See `Counters.install`."""
        values = dict(used) if funds is None else {**dict(used), "b": funds[0], "h": funds[1]}
        flat: list[str | int] = [part for pair in values.items() for part in pair]
        await self._if_still(run, lambda: self._side.script("install", [counters_key(account_id, run)], epoch, *flat))

    async def advance(self, turns: Sequence[Turn]) -> list[bool]:
        """See `Counters.advance`."""

        def build(run: str) -> list[Command]:
            keys = [counters_key(turn.account_id, run) for turn in turns]
            body = [
                (turn.epoch_before, turn.epoch_after, list(turn.changes), list(turn.changes.values())) for turn in turns
            ]
            # On the connection of the batches: a decision that this commit refused comes after it.
            return [self._hot.script("advance", keys, orjson.dumps(body))]

        _, (answers,) = await self._hot.call(build)
        return [answer == 1 for answer in answers]

    async def pending(self, grace_ms: int) -> list[Orphan]:
        """See `Counters.pending`. At most 1,000 an account and round."""
        run, (listed, clock) = await self._side.call(
            lambda run: [("ZRANGE", index_key(run), 0, -1, "WITHSCORES"), ("TIME",)]
        )
        until_ms = int(clock[0]) * 1000 + int(clock[1]) // 1000 - grace_ms
        scored = [(int(account_id), score) for account_id, score in _pairs(listed)]
        if not scored:
            return []
        commands = [
            ("ZRANGE", pending_key(account_id, run), "-inf", until_ms, "BYSCORE", "LIMIT", 0, _PENDING_MAX)
            for account_id, _ in scored
        ]
        epochs = [("HGET", counters_key(account_id, run), "e") for account_id, _ in scored]
        run_now, answers = await self._side.call(lambda now: [*commands, *epochs] if now == run else [])
        if run_now != run:
            return []
        found: list[Orphan] = []
        quiet: list[tuple[int, Any]] = []
        for (account_id, score), names, epoch in zip(
            scored, answers[: len(scored)], answers[len(scored) :], strict=True
        ):
            if names and epoch is not None:
                found += [_orphan(account_id, run, name.decode()) for name in names]
            elif float(score) <= until_ms:
                quiet.append((account_id, score))
        if quiet:
            flat = list(chain.from_iterable(quiet))
            await self._if_still(run, lambda: self._side.script("retire", [index_key(run)], *flat))
        return found

    async def confirm(self, orphans: Sequence[Orphan]) -> None:
        """See `Counters.confirm`."""
        await self._side.call(lambda run: self._confirming(self._side, run, orphans))

    def _confirming(self, link: Link, run: str, done: Iterable[Claim | Orphan]) -> list[Command]:
        names: dict[int, list[str]] = {}
        for one in done:
            if one.run == run:
                names.setdefault(one.account_id, []).append(f"{one.epoch}:{one.name}")
        if not names:
            return []
        accounts = _Accounts()
        body = [(accounts.number(account_id), group) for account_id, group in names.items()]
        return [link.script("confirm", accounts.keys(run), orjson.dumps(body))]

    async def _if_still(self, run: str, command: Callable[[], Command]) -> None:
        """Another server process has no use for it: it will be rebuilt there."""
        await self._side.call(lambda now: [command()] if now == run else [])


def _encode_ask(number: int, ask: Ask) -> tuple[object, ...]:
    plan = ask.plan
    terms = plan.encoded
    if terms is None:
        terms = plan.encoded = orjson.Fragment(orjson.dumps(_terms(plan)))
    flags = (
        (_MOVES if ask.moves else 0)
        | (_PARTIAL if ask.partial else 0)
        | (_POSTS if ask.posts else 0)
        | (_FUNDS if plan.funds_enforced else 0)
    )
    return number, ask.epoch_min, ask.name, flags, ask.amount_minor, terms


def _terms(plan: Plan) -> tuple[list[str], list[int]]:
    """The fields to read, and the caps: on each transaction alone, then on every counter its least limit."""
    caps = [_NO_LIMIT if plan.transaction_cap_minor is None else plan.transaction_cap_minor]
    for position in range(len(plan.counters)):
        limits = [bound.limit.amount_minor for bound in plan.bounds if bound.counter == position]
        caps.append(min(limits, default=_NO_LIMIT))
    return ["e", "b", "h", *(counter.name for counter in plan.counters)], caps


def _orphan(account_id: int, run: str, pending: str) -> Orphan:
    epoch, name = pending.split(":", 1)
    return Orphan(account_id, run, int(epoch), name)


def _decode(run: str, answer: list[int]) -> Reserved | Missing:
    if answer[0] == 0:
        return Missing(run, answer[1] or None, answer[2] == 1, tuple(answer[3:]))
    _, epoch, moved, balance, held, *used = answer
    return Reserved(run, epoch, Usage(balance, held, tuple(used)), moved)


def _pairs(flat: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Members with their scores, as RESP2 (flat) or RESP3 (pairs) gives them."""
    if flat and isinstance(flat[0], list | tuple):
        return [(member, score) for member, score in flat]
    return list(zip(flat[::2], flat[1::2], strict=True))
