"""The `Identities` port on PostgreSQL, and what the commands ask about keys and passwords."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

import asyncpg

from authsvc.errors import AlreadyExists, NotFound, StartupRefused
from authsvc.identity.ports import Candidate, Exchanged, KeyStanding, LockPolicy, NewToken, Origin, Standing
from authsvc.ledger.queries import IDENTITY_SQL as SQL
from authsvc.ledger.session import session
from authsvc.ledger.store import Connection, PostgresLedger, datetime_of, instant_us
from authsvc.privacy.columns import opened
from authsvc.privacy.keys import Privacy
from authsvc.privacy.sealing import Sealer

_MINUTE_US: Final = 60_000_000
_INTEGER_MAX: Final = 2**31 - 1
_USER_AGENT_MAX: Final = 255
_NOBODY: Final = "sign-in"
_Connection = Any  # a pooled asyncpg connection, or one of its own; the stubs have no name for both


class PostgresIdentities:
    """See `Identities`."""

    def __init__(self, ledger: PostgresLedger, privacy: Privacy) -> None:
        """On the connections of the ledger of decisions; `privacy` opens addresses."""
        self._ledger = ledger
        self._privacy = privacy

    async def attempt(self, email: str, policy: LockPolicy, now_us: int, origin: Origin) -> Candidate | None:
        """See `Identities.attempt`. An unknown user costs the same statements."""
        sealer = self._privacy.sealer()
        async with self._transaction(_NOBODY, origin) as connection:
            await connection.execute(SQL["unhurried"])
            row = await connection.fetchrow(SQL["candidate"], email, _index_of(sealer, email))
            if row is None:
                await connection.execute(SQL["count_attempt"], 0, 0, None)
                return None
            attempts, locked_until = row["login_attempts"], row["locked_until"]
            is_locked = locked_until is not None and instant_us(locked_until) > now_us
            if not is_locked:
                attempts = min(attempts + 1, _INTEGER_MAX)
                until_us = policy.until_us(attempts, now_us)
                locked_until = None if until_us is None else datetime_of(until_us)
            await connection.execute(SQL["count_attempt"], 0 if is_locked else row["id"], attempts, locked_until)
        return _candidate(sealer, row, row["password_hash"], may_enter=row["is_active"] and not is_locked)

    async def entered(
        self, user: Candidate, new_hash: str | None, token: NewToken, now_us: int, origin: Origin
    ) -> bool:
        """See `Identities.entered`."""
        now = datetime_of(now_us)
        async with self._transaction(f"user:{user.user_id}", origin, str(user.user_id)) as connection:
            old_hash = user.password_hash
            if await connection.fetchval(SQL["entered"], user.user_id, old_hash, new_hash or old_hash, now) is None:
                return False
            await connection.execute(SQL["forget_expired"], user.user_id, now)
            await _add_token(connection, token, user, now, origin)
        return True

    async def exchange(self, token_hash: bytes, new_hash: bytes, now_us: int, origin: Origin) -> Exchanged:
        """See `Identities.exchange`."""
        now = datetime_of(now_us)
        async with self._transaction(_NOBODY, origin) as connection:
            row = await connection.fetchrow(SQL["token"], token_hash)
            if row is None:
                return Exchanged()
            session_id = row["family_id"]
            user = _candidate(self._privacy.sealer(), row, None, may_enter=row["is_active"])
            if row["used_at"] is not None:
                await connection.execute(SQL["revoke_family"], session_id, now)
                return Exchanged(session_id, is_reused=True)
            if row["revoked_at"] is not None or row["expires_at"] <= now or not user.may_enter:
                return Exchanged(session_id)
            await connection.execute(SQL["use_token"], row["id"], now)
            token = NewToken(new_hash, session_id, instant_us(row["expires_at"]))
            await _add_token(connection, token, user, now, origin)
        return Exchanged(session_id, user)

    async def sign_out(self, token_hash: bytes, now_us: int, origin: Origin) -> None:
        """See `Identities.sign_out`."""
        async with self._transaction(_NOBODY, origin) as connection:
            session_id = await connection.fetchval(SQL["family"], token_hash)
            if session_id is not None:
                await connection.execute(SQL["revoke_family"], session_id, datetime_of(now_us))

    async def email_of(self, user_id: int) -> str | None:
        """See `Identities.email_of`."""
        async with self._transaction(_NOBODY) as connection:
            row = await connection.fetchrow(SQL["email_of"], user_id)
        return None if row is None else _email(self._privacy.sealer(), row)

    async def set_password(
        self, user: Candidate, new_hash: str, session_id: UUID | None, now_us: int, origin: Origin
    ) -> bool:
        """See `Identities.set_password`."""
        async with self._transaction(f"user:{user.user_id}", origin, str(user.user_id)) as connection:
            return await _set_password(connection, user, new_hash, session_id, now_us)

    async def plan_reset(self, email: str, token_hash: bytes, expires_us: int, origin: Origin) -> int | None:
        """See `Identities.plan_reset`."""
        async with self._transaction(_NOBODY, origin) as connection:
            await connection.execute(SQL["unhurried"])
            user_id: int | None = await connection.fetchval(
                SQL["plan_reset"], email, _index_of(self._privacy.sealer(), email), token_hash, datetime_of(expires_us)
            )
        return user_id

    async def reset_email(self, token_hash: bytes, now_us: int) -> str | None:
        """See `Identities.reset_email`."""
        async with self._transaction(_NOBODY) as connection:
            row = await connection.fetchrow(SQL["reset_email"], token_hash, datetime_of(now_us))
        return None if row is None else _email(self._privacy.sealer(), row)

    async def reset(self, token_hash: bytes, new_hash: str, now_us: int, origin: Origin) -> bool:
        """See `Identities.reset`."""
        now = datetime_of(now_us)
        async with self._transaction("password-reset", origin) as connection:
            user_id = await connection.fetchval(SQL["reset"], token_hash, new_hash, now)
            if user_id is None:
                return False
            await connection.execute(SQL["revoke_sessions"], user_id, None, now)
        return True

    async def standing(self, user_id: int, session_id: UUID, now_us: int) -> Standing | None:
        """See `Identities.standing`."""
        async with self._transaction(_NOBODY) as connection:
            row = await connection.fetchrow(SQL["standing"], user_id, session_id, datetime_of(now_us))
        return None if row is None else Standing(row["account_id"], row["role"])

    async def key(self, key_hash: bytes, now_us: int) -> KeyStanding | None:
        """See `Identities.key`."""
        now = datetime_of(now_us)
        async with self._transaction(_NOBODY) as connection:
            row = await connection.fetchrow(SQL["key"], key_hash, now)
            if row is None:
                return None
            if row["last_used_at"] is None or instant_us(row["last_used_at"]) <= now_us - _MINUTE_US:
                await connection.execute(SQL["unhurried"])
                await connection.execute(SQL["key_used"], row["id"], now)
        return KeyStanding(row["name"], row["account_id"], frozenset(row["scopes"]), instant_us(row["expires_at"]))

    @asynccontextmanager
    async def _transaction(
        self,
        actor: str,
        origin: Origin = Origin(),  # noqa: B008 (it is immutable)
        user_id: str = "",
    ) -> AsyncIterator[Connection]:
        async with self._ledger.posting() as connection, connection.transaction():
            await _tell(connection, actor, origin, user_id)
            yield connection


# --- what commands ask ------------------------------------------------------------------------------------------------


class Key(NamedTuple):
    """An API key, for people."""

    id: int
    account_id: int | None
    name: str
    prefix: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None


class NewKey(NamedTuple):
    """A key to be kept."""

    account_id: int | None
    name: str
    prefix: str
    key_hash: bytes
    scopes: Sequence[str]
    created_us: int
    expires_us: int


@asynccontextmanager
async def desk(database_url: str) -> AsyncIterator[_Connection]:
    """A transaction for whoever looks after keys and passwords: for the functions below."""
    async with session(database_url) as connection:
        try:
            async with connection.transaction():
                await _tell(connection, "cli", Origin())
                yield connection
        except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError) as error:
            raise StartupRefused("the database has no table of keys yet: run `authsvc db migrate`") from error


async def add_key(connection: _Connection, key: NewKey) -> int:
    """Keep it; its number. Raises AlreadyExists for a name that is taken, NotFound for an unknown account."""
    times = datetime_of(key.created_us), datetime_of(key.expires_us)
    try:
        number = await connection.fetchval(
            SQL["add_key"], key.account_id, key.name, key.prefix, key.key_hash, list(key.scopes), *times
        )
    except asyncpg.UniqueViolationError as error:
        raise AlreadyExists(f"there is a key {key.name} already: revoke it first, or choose another name") from error
    except asyncpg.ForeignKeyViolationError as error:
        raise NotFound(f"there is no account {key.account_id}") from error
    return int(number)


async def list_keys(connection: _Connection, now_us: int, *, all_of_them: bool) -> list[Key]:
    """In the order in which they were made; those that no longer count only if asked for."""
    return [Key(**row) for row in await connection.fetch(SQL["list_keys"], all_of_them, datetime_of(now_us))]


async def revoke_key(connection: _Connection, name: str, now_us: int) -> bool:
    """By its name or its prefix. False when there is none that counts."""
    return await connection.fetchval(SQL["revoke_key"], name, datetime_of(now_us)) is not None


async def user_named(connection: _Connection, name: str, sealer: Sealer) -> Candidate | None:
    """By number or e-mail address."""
    number = int(name) if name.isascii() and name.isdigit() and int(name) <= _INTEGER_MAX else None
    row = await connection.fetchrow(SQL["user_named"], number, name, _index_of(sealer, name))
    return None if row is None else _candidate(sealer, row, row["password_hash"], may_enter=True)


async def set_password(connection: _Connection, user: Candidate, new_hash: str, now_us: int) -> bool:
    """Replace it, end every session and every lock. False when somebody else replaced it meanwhile."""
    return await _set_password(connection, user, new_hash, None, now_us)


async def _set_password(
    connection: _Connection, user: Candidate, new_hash: str, session_id: UUID | None, now_us: int
) -> bool:
    if await connection.fetchval(SQL["set_password"], user.user_id, user.password_hash, new_hash) is None:
        return False
    await connection.execute(SQL["revoke_sessions"], user.user_id, session_id, datetime_of(now_us))
    return True


async def _add_token(connection: _Connection, token: NewToken, user: Candidate, now: datetime, origin: Origin) -> None:
    expires = datetime_of(token.expires_us)
    where = origin.ip_address, origin.user_agent[:_USER_AGENT_MAX]
    of = user.account_id, user.user_id
    await connection.execute(SQL["add_token"], token.token_hash, token.session_id, *of, expires, now, *where)


async def _tell(connection: _Connection, actor: str, origin: Origin, user_id: str = "") -> None:
    """Whoever writes the audit log reads it there."""
    await connection.execute(SQL["context"], actor, origin.request_id, origin.ip_address, origin.user_agent, user_id)


def _candidate(sealer: Sealer, row: Any, password_hash: str | None, *, may_enter: bool) -> Candidate:
    user_id = row["user_id"] if "user_id" in row else row["id"]
    email = _email(sealer, {"id": user_id, "email": row["email"]})
    return Candidate(user_id, row["account_id"], row["role"], email, password_hash, may_enter)


def _email(sealer: Sealer, row: Mapping[str, Any]) -> str:
    return str(opened(sealer, "users", row["id"], row)["email"])


def _index_of(sealer: Sealer, email: str) -> bytes:
    return sealer.index("users", "email", email)
