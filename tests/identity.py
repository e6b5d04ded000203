"""A service in which users sign in, and a clock that waits for nobody."""

import itertools
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import grpc
from argon2 import PasswordHasher

from authsvc.clock import SystemClock
from authsvc.embedded import Servers
from authsvc.identity.signing_keys import rotate
from authsvc.identity.tokens import api_key, hash_of
from authsvc.ledger.identity import NewKey, add_key
from authsvc.v1 import identity_pb2 as pb
from authsvc.v1.identity_pb2_grpc import IdentityServiceStub
from tests.serving import WAIT_S, Running, serving_module

PASSWORD = "seven gulls over the harbour"
ADDRESS_TRIES = 100
EMAIL_TRIES = 10
# As cheap as hashes of the service may be: they are not made again at the first sign-in.
_HASH = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1).hash(PASSWORD)
_numbers = itertools.count(1)


class MovedClock(SystemClock):
    """Stands still, from the time of its making on, unless it is set forward by hand."""

    def __init__(self) -> None:
        self._made = super().now_us(), super().monotonic_s()
        self._ahead_s = 0

    def pass_s(self, seconds: int) -> None:
        self._ahead_s += seconds

    def now_us(self) -> int:
        return self._made[0] + self._ahead_s * 1_000_000

    def monotonic_s(self) -> float:
        return self._made[1] + self._ahead_s


class Person(NamedTuple):
    id: int
    account_id: int
    email: str


class Entrance:
    """Where users sign in."""

    def __init__(self, running: Running, clock: MovedClock, keys: Path) -> None:
        self.running = running
        self.clock = clock
        self.keys = keys
        self.stub: Any = IdentityServiceStub(running.channel)

    @property
    def database(self) -> asyncpg.Connection:
        return self.running.database

    async def person(
        self, role: str = "user", password_hash: str | None = _HASH, account_id: int | None = None
    ) -> Person:
        """A user with PASSWORD, of an account of their own unless one is given."""
        number = next(_numbers)
        email = f"person-{number}@identity.example"
        account_id = account_id or await self.database.fetchval(
            "INSERT INTO accounts (business_name, owner_email) VALUES ('Identity', $1) RETURNING id", email
        )
        user_id = await self.database.fetchval(
            "INSERT INTO users (account_id, email, first_name, last_name, role, password_hash)"
            " VALUES ($1, $2, 'A', 'Person', $3, $4) RETURNING id",
            account_id,
            email,
            role,
            password_hash,
        )
        return Person(user_id, account_id, email)

    async def row(self, person: Person) -> asyncpg.Record:
        return await self.database.fetchrow("SELECT * FROM users WHERE id = $1", person.id)

    async def key(self, *scopes: str, name: str | None = None, account_id: int | None = None) -> str:
        """A key for a day."""
        key, prefix = api_key(os.urandom)
        now_us = self.clock.now_us()
        name = name or f"key-{next(_numbers)}"
        asked = NewKey(account_id, name, prefix, hash_of(key), scopes, now_us, now_us + 86_400_000_000)
        await add_key(self.database, asked)
        return key

    async def sign_in(self, person: Person | str, password: str = PASSWORD) -> pb.SessionTokens:
        email = person if isinstance(person, str) else person.email
        return await self.stub.SignIn(pb.SignInRequest(email=email, password=password), timeout=WAIT_S)

    async def refresh(self, refresh_token: str) -> pb.SessionTokens:
        return await self.stub.RefreshSession(pb.RefreshSessionRequest(refresh_token=refresh_token), timeout=WAIT_S)

    async def sign_out(self, refresh_token: str) -> None:
        await self.stub.SignOut(pb.SignOutRequest(refresh_token=refresh_token), timeout=WAIT_S)

    async def who(self, bearer: str, *more: tuple[str, str]) -> pb.WhoAmIResponse:
        return await self.stub.WhoAmI(pb.WhoAmIRequest(), metadata=(*bearing(bearer), *more), timeout=WAIT_S)

    async def change(self, bearer: str, current: str, new: str) -> None:
        asked = pb.ChangePasswordRequest(current_password=current, new_password=new)
        await self.stub.ChangePassword(asked, metadata=bearing(bearer), timeout=WAIT_S)

    async def request_reset(self, email: str) -> pb.RequestPasswordResetResponse:
        return await self.stub.RequestPasswordReset(pb.RequestPasswordResetRequest(email=email), timeout=WAIT_S)

    async def reset(self, token: str, new: str) -> None:
        await self.stub.ResetPassword(pb.ResetPasswordRequest(reset_token=token, new_password=new), timeout=WAIT_S)


@asynccontextmanager
async def open_entrance(servers: Servers, template: str, folder: Path, **settings: object) -> AsyncIterator[Entrance]:
    clock, keys = MovedClock(), folder / "keys.json"
    rotate(keys, now_s=0, signs_in_s=0, keep=1, chance=os.urandom)
    given = {"signin_per_minute_address": ADDRESS_TRIES, "signin_per_minute_email": EMAIL_TRIES} | settings
    async with serving_module(servers, template, clock=clock, signing_keys_file=keys, **given) as running:
        yield Entrance(running, clock, keys)


def bearing(bearer: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {bearer}"),)


UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
