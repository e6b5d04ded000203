"""Two places where the ports can be tried: the stand-ins of the simulation, and real servers. Both must mean the same."""

import dataclasses
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple, Protocol

import asyncpg
import orjson
from redis.asyncio import Redis

from authsvc.counters.store import RedisCounters
from authsvc.ledger.store import PostgresLedger, open_pool, open_recorders
from authsvc.ports import Counters, Ledger
from loader.directory import Directory
from loader.records import Source
from loader.source import PostgresSource
from rules.reasons import Window
from rules.types import Card
from tests.simulation.postgres import (
    AccountRow,
    CardRow,
    PostgresServer,
    ProfileRow,
    SimulatedLedger,
    SimulatedSource,
    UserRow,
)
from tests.simulation.redis import RedisServer, SimulatedCounters
from tests.simulation.wire import DirectWire

RECORD_TTL_MS = 60_000
# One business: users 11 and 12, profiles 101 (per card) and 102 (shared), cards 1001 to 1003. Another: user 21, card 2001.
ACCOUNTS = [AccountRow(1, "active", "UTC", True, 100_000), AccountRow(2, "active", "UTC", True, 50_000)]
USERS = [UserRow(11, 1, "active"), UserRow(12, 1, "active"), UserRow(21, 2, "active")]
PROFILES = [
    ProfileRow(101, 1, 20_000, Window.MONTHLY, shared=False, blocked=("7995",)),
    ProfileRow(102, 1, 30_000, Window.DAILY, shared=True, allowed=("5000-5999",)),
]
CARDS = [
    CardRow(1001, 1, 11, 101, "card-1001", "active", 10_000, Window.DAILY),
    CardRow(1002, 1, 12, 102, "card-1002", "active", None, None),
    CardRow(1003, 1, 12, 102, "card-1003", "active", 5_000, Window.LIFETIME),
    CardRow(2001, 2, 21, None, "card-2001", "active", 1_000, Window.TRANSACTION),
]


class Program(NamedTuple):
    """Rows of the tables, in the stand-ins' words."""

    accounts: list[AccountRow]
    users: list[UserRow]
    profiles: list[ProfileRow]
    cards: list[CardRow]


PROGRAM = Program(ACCOUNTS, USERS, PROFILES, CARDS)


class Place(Protocol):
    """The ports of one process, and what the world does to the servers behind them."""

    counters: Counters
    ledger: Ledger
    source: Source

    async def wipe_counters(self) -> None: ...

    async def change(self, table: str, key: int, **values: Any) -> None: ...

    async def add_card(self, card: CardRow) -> None: ...

    async def age_rows(self, age_ms: int) -> None: ...

    async def versions(self, account_id: int) -> tuple[int, int]: ...

    async def balance_minor(self, account_id: int) -> int: ...


async def card_of(place: Place, token: str) -> Card:
    """The card as the directory would have it."""
    directory = Directory(
        place.source, time.monotonic, cards_max=10, unknown_max=10, unknown_ttl_s=1, notification_wait_s=0.01
    )
    card = await directory.fetch(token)
    assert card is not None
    return card


@dataclass
class SimulatedPlace:
    """The stand-ins, with nothing on the way."""

    redis: RedisServer
    postgres: PostgresServer
    program: Program

    def __post_init__(self) -> None:
        wire = DirectWire()
        self.counters: Counters = SimulatedCounters(self.redis, wire)
        self.ledger: Ledger = SimulatedLedger(self.postgres, wire, record_ttl_ms=RECORD_TTL_MS)
        self.source: Source = SimulatedSource(self.postgres, wire)
        known = {card.id for card in self.program.cards}
        self.postgres.refuse = lambda row: row.card.id not in known
        self.postgres.accounts = {account.id: account for account in self.program.accounts}
        self.postgres.users = {user.id: user for user in self.program.users}
        self.postgres.profiles = {profile.id: profile for profile in self.program.profiles}
        self.postgres.cards = {card.token: card for card in self.program.cards}

    async def wipe_counters(self) -> None:
        self.redis.wipe()

    async def change(self, table: str, key: int, **values: Any) -> None:
        server = self.postgres
        match table:
            case "accounts":
                server.change_account(key, **values)
            case "users":
                server.change_user(key, **values)
            case "spending_profiles":
                server.change_profile(key, **values)
            case _:
                server.change_card(next(card.token for card in server.cards.values() if card.id == key), **values)

    async def add_card(self, card: CardRow) -> None:
        self.postgres.add_card(card)

    async def age_rows(self, age_ms: int) -> None:
        for row in list(self.postgres.transactions.values()):
            aged = dataclasses.replace(row, created_ms=row.created_ms - age_ms)
            self.postgres.transactions[row.id] = aged

    async def versions(self, account_id: int) -> tuple[int, int]:
        account = self.postgres.accounts[account_id]
        return account.config_version, account.counter_epoch

    async def balance_minor(self, account_id: int) -> int:
        return self.postgres.accounts[account_id].balance_minor


def simulated_place(program: Program = PROGRAM) -> SimulatedPlace:
    def now_ms() -> int:
        return time.monotonic_ns() // 1_000_000

    redis = RedisServer(now_ms, record_ttl_ms=RECORD_TTL_MS, counters_ttl_ms=86_400_000)
    return SimulatedPlace(redis, PostgresServer(now_ms), program)


@dataclass
class RealPlace:
    """The adapters of the product on real servers."""

    counters: Counters
    ledger: Ledger
    source: Source
    pool: asyncpg.Pool
    redis: Redis

    async def wipe_counters(self) -> None:
        await self.redis.flushall()

    async def change(self, table: str, key: int, **values: Any) -> None:
        for setting in ("timezone", "balance_check"):
            if table == "accounts" and setting in values:
                value = values.pop(setting)
                said = value if isinstance(value, str) else ("on" if value else "off")
                await self.pool.execute(
                    "INSERT INTO account_settings (account_id, key, value, value_type) VALUES ($1, $2, $3::jsonb, 'string')"
                    " ON CONFLICT (account_id, key) WHERE deleted_at IS NULL DO UPDATE SET value = excluded.value",
                    key,
                    setting,
                    orjson.dumps(said).decode(),
                )
        columns = [_column(name, value) for name, value in values.items()]
        if columns:
            sets = ", ".join(f"{name} = ${position}" for position, (name, _) in enumerate(columns, start=2))
            await self.pool.execute(f"UPDATE {table} SET {sets} WHERE id = $1", key, *(value for _, value in columns))

    async def add_card(self, card: CardRow) -> None:
        await _insert_card(self.pool, card)

    async def age_rows(self, age_ms: int) -> None:
        await self.pool.execute(
            "UPDATE transactions SET created_at = created_at - $1::bigint * interval '1 millisecond'", age_ms
        )

    async def versions(self, account_id: int) -> tuple[int, int]:
        row = await self.pool.fetchrow("SELECT config_version, counter_epoch FROM accounts WHERE id = $1", account_id)
        assert row is not None
        return row["config_version"], row["counter_epoch"]

    async def balance_minor(self, account_id: int) -> int:
        return int(await self.pool.fetchval("SELECT balance * 100 FROM accounts WHERE id = $1", account_id))


def _column(name: str, value: Any) -> tuple[str, Any]:
    """A field of the simulated tables as the column and value of the real ones."""
    match name:
        case "limit_minor":
            return "spend_limit", _decimal(value)
        case "balance_minor":
            return "balance", _decimal(value)
        case "window":
            return "spend_limit_duration", value.name.lower() if value is not None else None
        case "shared":
            return "limit_scope", "shared" if value else "card"
        case "allowed" | "blocked":
            return f"{name}_categories", orjson.dumps(list(value)).decode()
        case _:
            return {"profile_id": "spending_profile_id"}.get(name, name), value


def _decimal(minor: int | None) -> Decimal | None:
    return Decimal(minor) / 100 if minor is not None else None


async def _insert_card(pool: asyncpg.Pool, card: CardRow) -> None:
    await pool.execute(
        "INSERT INTO cards (id, account_id, user_id, spending_profile_id, lithic_card_token, card_type, status, spend_limit,"
        " spend_limit_duration) VALUES ($1, $2, $3, $4, $5, 'virtual', $6, $7, $8)",
        card.id,
        card.account_id,
        card.user_id,
        card.profile_id,
        card.token,
        card.status,
        _decimal(card.limit_minor),
        card.window.name.lower() if card.window is not None else None,
    )


async def insert_program(pool: asyncpg.Pool, program: "Program") -> None:
    for account in program.accounts:
        await pool.execute(
            "INSERT INTO accounts (id, business_name, owner_email, balance) VALUES ($1, $2, $3, $4)",
            account.id,
            f"Business {account.id}",
            f"owner{account.id}@business.example",
            _decimal(account.balance_minor),
        )
    for user in program.users:
        await pool.execute(
            "INSERT INTO users (id, account_id, email, first_name, last_name) VALUES ($1, $2, $3, 'First', 'Last')",
            user.id,
            user.account_id,
            f"user{user.id}@business.example",
        )
    for profile in program.profiles:
        columns = [
            _column(name, getattr(profile, name)) for name in ("limit_minor", "window", "shared", "allowed", "blocked")
        ]
        await pool.execute(
            f"INSERT INTO spending_profiles (id, account_id, name, {', '.join(name for name, _ in columns)})"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            profile.id,
            profile.account_id,
            f"Profile {profile.id}",
            *(value for _, value in columns),
        )
    for card in program.cards:
        await _insert_card(pool, card)


@asynccontextmanager
async def real_place(database_url: str, redis_url: str, program: Program = PROGRAM) -> AsyncIterator[RealPlace]:
    pool = await open_pool(database_url, size_min=1, size_max=4, idle_s=60, statement_timeout_ms=10_000)
    recorders = await open_recorders(database_url, statement_timeout_ms=10_000)
    counters = RedisCounters(redis_url, timeout_ms=10_000, record_ttl_ms=RECORD_TTL_MS, counters_ttl_s=86_400)
    redis = Redis.from_url(redis_url)
    ledger = PostgresLedger(pool, recorders, acquire_timeout_ms=10_000, record_ttl_ms=RECORD_TTL_MS)
    try:
        await insert_program(pool, program)
        yield RealPlace(counters, ledger, PostgresSource(pool, acquire_timeout_ms=10_000), pool, redis)
    finally:
        await redis.aclose()
        await counters.close()
        recorders.terminate()
        pool.terminate()
