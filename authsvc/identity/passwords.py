"""Passwords: what makes a good one, how they are kept, and that checking them stops nothing else."""

import asyncio
import re
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import bcrypt
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from authsvc.errors import InvalidRequest, Overloaded

LENGTH_MIN: Final = 12
LENGTH_MAX: Final = 128
# Nobody signs in with a novel, and nobody's hash waits for one.
ASKED_LENGTH_MAX: Final = 1_024
# bcrypt has never looked further; its libraries differ only in whether they say so.
_BCRYPT_BYTES_MAX: Final = 72
_BCRYPT: Final = re.compile(r"\$2[aby]\$")
_COMMON: Final = frozenset(Path(__file__).with_name("common_passwords.txt").read_text(encoding="utf-8").split())
_REPEATED: Final = re.compile(r"(.{1,4})\1+", re.DOTALL)
_Result = TypeVar("_Result")


class Verdict(NamedTuple):
    """Of a password. `is_outdated` when it is right and should be hashed again, in today's way."""

    is_right: bool
    is_outdated: bool = False


class Passwords(Protocol):
    """Hashes and checks."""

    async def verify(self, password_hash: str | None, password: str) -> Verdict:
        """Whether it is right. Without a hash it never is, and that takes as long. Raises Overloaded."""

    async def hash(self, password: str) -> str:
        """How it is kept. Raises Overloaded."""


class Cost(NamedTuple):
    """Of one argon2id hash."""

    memory_kib: int
    iterations: int
    parallelism: int


class HashedPasswords:
    """See `Passwords`. In threads of its own: a hash takes tens of milliseconds, in which decisions go on."""

    def __init__(self, cost: Cost, *, threads: int, waiting_max: int) -> None:
        """`waiting_max` hashes may be under way or wait; one more is refused."""
        self._hasher = PasswordHasher(
            time_cost=cost.iterations, memory_cost=cost.memory_kib, parallelism=cost.parallelism
        )
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="password")
        self._waiting_max = waiting_max
        self._waiting = 0
        # Of nobody's password; made in the same way as everybody's.
        self._nobodys_hash = self._hasher.hash("nobody's password")

    async def verify(self, password_hash: str | None, password: str) -> Verdict:
        """See `Passwords.verify`."""
        return await self._run(partial(self._verify, password_hash, password))

    async def hash(self, password: str) -> str:
        """See `Passwords.hash`."""
        return await self._run(partial(self._hasher.hash, normalized(password)))

    def close(self) -> None:
        """What is under way ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], _Result]) -> _Result:
        if self._waiting >= self._waiting_max:
            raise Overloaded("too many passwords are being checked; try again shortly")
        self._waiting += 1
        future = asyncio.get_running_loop().run_in_executor(self._threads, work)
        # Its caller may be gone before it ends; the thread is not free before that.
        future.add_done_callback(self._ended)
        return await asyncio.shield(future)

    def _ended(self, _: "asyncio.Future[Any]") -> None:
        self._waiting -= 1

    def _verify(self, password_hash: str | None, password: str) -> Verdict:
        if password_hash is not None and _BCRYPT.match(password_hash):
            # Older systems hashed what was typed, as it was typed.
            try:
                is_right = bcrypt.checkpw(password.encode()[:_BCRYPT_BYTES_MAX], password_hash.encode())
            except ValueError:
                return Verdict(is_right=False)
            return Verdict(is_right, is_outdated=is_right)
        known = password_hash or self._nobodys_hash
        try:
            self._hasher.verify(known, normalized(password))
        except (VerificationError, InvalidHashError):
            return Verdict(is_right=False)
        return Verdict(password_hash is not None, is_outdated=self._hasher.check_needs_rehash(known))


def normalized(password: str) -> str:
    """NFKC: the same keys give the same password on every system."""
    return unicodedata.normalize("NFKC", password)


def check_strength(field: str, password: str, email: str) -> None:
    """Raises InvalidRequest when it is no good as a password of whoever has this e-mail address."""
    text = normalized(password)
    if not LENGTH_MIN <= len(text) <= LENGTH_MAX:
        raise InvalidRequest(field, f"must have {LENGTH_MIN} to {LENGTH_MAX} characters")
    if any(unicodedata.category(character) in ("Cc", "Cs", "Cn") for character in text):
        raise InvalidRequest(field, "must not hold control characters")
    folded, address = text.casefold(), normalized(email).casefold()
    if folded in (address, address.partition("@")[0]):
        raise InvalidRequest(field, "must not be the e-mail address")
    if folded in _COMMON or _REPEATED.fullmatch(folded):
        raise InvalidRequest(field, "is among the first that anybody would try")
