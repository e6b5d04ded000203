"""What signing in needs of others: where users, sessions and keys are kept, who delivers a reset, and who counts."""

from typing import Final, NamedTuple, Protocol
from uuid import UUID

from authsvc.identity.shapes import Refusal, SignInEvent

_SECOND_US: Final = 1_000_000


class Origin(NamedTuple):
    """Where a call comes from; empty text where that is not known."""

    request_id: str = ""
    ip_address: str = ""
    user_agent: str = ""


class LockPolicy(NamedTuple):
    """How long a user is locked out after wrong passwords: from `attempts_max` on, twice as long each time."""

    attempts_max: int
    first_s: int = 30
    longest_s: int = 900

    def until_us(self, attempts: int, now_us: int) -> int | None:
        """When the next attempt counts, after so many in a row; None: at once."""
        if attempts < self.attempts_max:
            return None
        doublings = min(attempts - self.attempts_max, self.longest_s.bit_length())
        return now_us + min(self.first_s << doublings, self.longest_s) * _SECOND_US


class Candidate(NamedTuple):
    """A user whose password is about to be checked. `may_enter` unless locked, suspended, or of a suspended account."""

    user_id: int
    account_id: int
    role: str
    email: str
    password_hash: str | None
    may_enter: bool


class NewToken(NamedTuple):
    """A refresh token to be kept."""

    token_hash: bytes
    session_id: UUID
    expires_us: int


class Exchanged(NamedTuple):
    """What became of a refresh token. Without `user` it was refused, because it was used before if `is_reused`."""

    session_id: UUID | None = None
    user: Candidate | None = None
    is_reused: bool = False


class Standing(NamedTuple):
    """What a user is now, whatever the token says that was made some minutes ago."""

    account_id: int
    role: str


class KeyStanding(NamedTuple):
    """A key that counts."""

    name: str
    account_id: int | None
    scopes: frozenset[str]
    expires_us: int


class Reset(NamedTuple):
    """A reset of a password that somebody asked for. Whoever has the token may choose the password."""

    user_id: int
    email: str
    token: str
    expires_us: int


class Identities(Protocol):
    """Where users, sessions and keys are kept. Every method raises Unavailable."""

    async def attempt(self, email: str, policy: LockPolicy, now_us: int, origin: Origin) -> Candidate | None:
        """Count an attempt to sign in, and find its user; None for an unknown one.

        It counts before the password is looked at: however many come at once, no more count than the policy allows.
        """

    async def entered(
        self, user: Candidate, new_hash: str | None, token: NewToken, now_us: int, origin: Origin
    ) -> bool:
        """The password was right: a session begins. False when the user was changed meanwhile."""

    async def exchange(self, token_hash: bytes, new_hash: bytes, now_us: int, origin: Origin) -> Exchanged:
        """A refresh token for the next one. One that was used before ends its session."""

    async def sign_out(self, token_hash: bytes, now_us: int, origin: Origin) -> None:
        """End the session that the token belongs to, if there is one."""

    async def email_of(self, user_id: int) -> str | None:
        """Of a user who is not deleted."""

    async def set_password(
        self, user: Candidate, new_hash: str, session_id: UUID | None, now_us: int, origin: Origin
    ) -> bool:
        """Replace it and end every session but this one. False when it was changed meanwhile."""

    async def plan_reset(self, email: str, token_hash: bytes, expires_us: int, origin: Origin) -> int | None:
        """Keep a reset, in place of the one before. The id of the user, or None when there is none who may enter."""

    async def reset_email(self, token_hash: bytes, now_us: int) -> str | None:
        """Whose reset it is, if it is still good."""

    async def reset(self, token_hash: bytes, new_hash: str, now_us: int, origin: Origin) -> bool:
        """Use a reset up: a new password, no session, no lock. False when it is no longer good."""

    async def standing(self, user_id: int, session_id: UUID, now_us: int) -> Standing | None:
        """None unless user, account and session are all as they should be."""

    async def key(self, key_hash: bytes, now_us: int) -> KeyStanding | None:
        """The key, if it counts; that it was used is remembered to the minute."""


class ResetDelivery(Protocol):
    """Takes a reset to its user: an e-mail, a letter."""

    async def deliver(self, reset: Reset) -> None:
        """Called beside the request, whose answer does not wait. Raises NotDelivered.

        Of whatever else it raises only the type is logged.
        """


class NotDelivered(Exception):
    """Its text says why, and nothing of the reset: it is logged."""


class EntranceObserver(Protocol):
    """Counts what happens where callers come in. Never fails, never waits."""

    def signing_in(self, event: SignInEvent) -> None:
        """Something happened to a password or a session."""

    def turned_away(self, why: Refusal) -> None:
        """A call was not let in."""
