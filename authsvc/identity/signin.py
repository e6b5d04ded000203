"""Users sign in, stay signed in, sign out, and choose their passwords."""

import asyncio
import logging
from typing import Final, NamedTuple
from uuid import UUID

from authsvc.clock import Clock
from authsvc.errors import InvalidRequest, Unauthenticated
from authsvc.identity.passwords import Passwords, check_strength
from authsvc.identity.ports import (
    Candidate,
    EntranceObserver,
    Identities,
    LockPolicy,
    NewToken,
    NotDelivered,
    Origin,
    Reset,
    ResetDelivery,
)
from authsvc.identity.rates import RateLimit, network_of
from authsvc.identity.shapes import SignInEvent
from authsvc.identity.signing_keys import Chance
from authsvc.identity.tokens import AccessTokens, Claims, hash_of, secret

_SECOND_US: Final = 1_000_000
SESSION_TTL_US: Final = 30 * 86_400 * _SECOND_US
RESET_TTL_US: Final = 30 * 60 * _SECOND_US
_SESSION_ID_BYTES: Final = 16
_DELIVERIES_MAX: Final = 1_000
# The answer has left by then: nothing of a delivery shows in how long it took.
_AFTER_ANSWER_S: Final = 0.05
# One answer for everything that may be wrong: an unknown user, a wrong password, a lock, a suspension.
_REFUSED: Final = "the e-mail address or the password is not right"
_ENDED: Final = "the session is over: sign in again"
_log = logging.getLogger(__name__)


class Session(NamedTuple):
    """What a user is given. Times are in seconds of the Unix epoch."""

    access_token: str
    access_expires_s: int
    refresh_token: str


class Limits(NamedTuple):
    """How often the same address, and the same user, may try."""

    by_address: RateLimit
    by_email: RateLimit


class SignIn:
    """The use cases. Everything raises Unavailable when the database does not answer."""

    def __init__(  # noqa: PLR0913 (its parts)
        self,
        identities: Identities,
        passwords: Passwords,
        tokens: AccessTokens,
        delivery: ResetDelivery,
        clock: Clock,
        chance: Chance,
        *,
        observer: EntranceObserver,
        policy: LockPolicy,
        limits: Limits,
    ) -> None:
        """`chance` gives so many random bytes."""
        self._identities = identities
        self._passwords = passwords
        self._tokens = tokens
        self._delivery = delivery
        self._clock = clock
        self._chance = chance
        self._observer = observer
        self._policy = policy
        self._limits = limits
        self._deliveries: set[asyncio.Task[None]] = set()

    async def sign_in(self, email: str, password: str, origin: Origin) -> Session:
        """A new session. Raises Unauthenticated, always with the same words; Overloaded for too many tries."""
        self._limit(origin, email)
        now_us = self._clock.now_us()
        user, is_outdated = await self._checked(email, password, now_us, origin)
        new_hash = await self._passwords.hash(password) if is_outdated else None
        session_id = UUID(bytes=self._chance(_SESSION_ID_BYTES), version=4)
        refresh_token = secret(self._chance)
        session = self._session(user, session_id, refresh_token, now_us)
        token = NewToken(hash_of(refresh_token), session_id, now_us + SESSION_TTL_US)
        if not await self._identities.entered(user, new_hash, token, now_us, origin):
            raise Unauthenticated(_REFUSED)
        self._observer.signing_in(SignInEvent.SIGNED_IN)
        return session

    async def refresh(self, refresh_token: str, origin: Origin) -> Session:
        """The next pair of tokens of a session. Whoever brings a used token ends it: one of two has stolen it."""
        self._limit(origin)
        now_us = self._clock.now_us()
        following = secret(self._chance)
        exchanged = await self._identities.exchange(hash_of(refresh_token), hash_of(following), now_us, origin)
        if exchanged.is_reused:
            self._observer.signing_in(SignInEvent.REFRESH_REUSED)
            _log.warning(
                "a refresh token was used twice; its session is revoked",
                extra={"session_id": str(exchanged.session_id), "ip_address": origin.ip_address},
            )
        if exchanged.user is None or exchanged.session_id is None:
            if not exchanged.is_reused:
                self._observer.signing_in(SignInEvent.REFRESH_REFUSED)
            raise Unauthenticated(_ENDED)
        self._observer.signing_in(SignInEvent.REFRESHED)
        return self._session(exchanged.user, exchanged.session_id, following, now_us)

    async def sign_out(self, refresh_token: str, origin: Origin) -> None:
        """End a session. One that is over already, or never was, is no error."""
        await self._identities.sign_out(hash_of(refresh_token), self._clock.now_us(), origin)
        self._observer.signing_in(SignInEvent.SIGNED_OUT)

    async def change_password(self, claims: Claims, current: str, new: str, origin: Origin) -> None:
        """Replace it and end every other session. The current one is asked for again, as at signing in."""
        email = await self._identities.email_of(claims.user_id)
        if email is None:
            raise Unauthenticated(_ENDED)
        self._limit(origin, email)
        check_strength("new_password", new, email)
        now_us = self._clock.now_us()
        try:
            user, _ = await self._checked(email, current, now_us, origin)
        except Unauthenticated as error:
            raise InvalidRequest("current_password", "is not right") from error
        if user.user_id != claims.user_id:
            raise Unauthenticated(_ENDED)
        new_hash = await self._passwords.hash(new)
        if not await self._identities.set_password(user, new_hash, claims.session_id, now_us, origin):
            raise Unauthenticated(_ENDED)
        self._observer.signing_in(SignInEvent.PASSWORD_CHANGED)

    async def request_reset(self, email: str, origin: Origin) -> None:
        """Send whoever has this address a way to choose a new password. Nothing tells whether there is anybody."""
        self._limit(origin, email)
        self._observer.signing_in(SignInEvent.RESET_ASKED)
        token = secret(self._chance)
        expires_us = self._clock.now_us() + RESET_TTL_US
        user_id = await self._identities.plan_reset(email, hash_of(token), expires_us, origin)
        if user_id is not None:
            task = asyncio.get_running_loop().create_task(self._deliver(user_id, token, expires_us))
            self._deliveries.add(task)
            task.add_done_callback(self._deliveries.discard)

    async def reset_password(self, token: str, new: str, origin: Origin) -> None:
        """Use a reset up. A password that is refused leaves it good; every session ends."""
        self._limit(origin)
        now_us = self._clock.now_us()
        token_hash = hash_of(token)
        email = await self._identities.reset_email(token_hash, now_us)
        if email is not None:
            check_strength("new_password", new, email)
            if await self._identities.reset(token_hash, await self._passwords.hash(new), now_us, origin):
                self._observer.signing_in(SignInEvent.RESET_USED)
                return
        self._observer.signing_in(SignInEvent.RESET_REFUSED)
        raise Unauthenticated("the reset is not valid, or no longer: ask for another")

    async def rest(self, timeout_s: float) -> None:
        """Returns when resets are delivered, or after `timeout_s`."""
        if self._deliveries:
            await asyncio.wait(self._deliveries, timeout=timeout_s)

    async def _checked(self, email: str, password: str, now_us: int, origin: Origin) -> tuple[Candidate, bool]:
        """The user with this password, and whether its hash is outdated. The hash is computed whoever asks."""
        user = await self._identities.attempt(email, self._policy, now_us, origin)
        verdict = await self._passwords.verify(None if user is None else user.password_hash, password)
        if user is None or not (verdict.is_right and user.may_enter):
            is_locked = user is not None and not user.may_enter
            self._observer.signing_in(SignInEvent.LOCKED if is_locked else SignInEvent.WRONG_PASSWORD)
            raise Unauthenticated(_REFUSED)
        return user, verdict.is_outdated

    def _session(self, user: Candidate, session_id: UUID, refresh_token: str, now_us: int) -> Session:
        claims = Claims(user.user_id, user.account_id, user.role, session_id)
        access_token, expires_s = self._tokens.issue(claims, now_us)
        return Session(access_token, expires_s, refresh_token)

    def _limit(self, origin: Origin, email: str | None = None) -> None:
        self._limits.by_address.take(network_of(origin.ip_address))
        if email is not None:
            self._limits.by_email.take(email.casefold())

    async def _deliver(self, user_id: int, token: str, expires_us: int) -> None:
        """To the address that is kept: what was asked for may be another that only looks the same."""
        try:
            if len(self._deliveries) > _DELIVERIES_MAX:
                raise NotDelivered("too many others are under way")  # noqa: TRY301 - as for every other reason
            await asyncio.sleep(_AFTER_ANSWER_S)
            email = await self._identities.email_of(user_id)
            if email is None:
                return
            await self._delivery.deliver(Reset(user_id, email, token, expires_us))
        except Exception as error:  # noqa: BLE001 - its text may hold the token or an address
            why = str(error) if isinstance(error, NotDelivered) else type(error).__name__
            _log.warning("a password reset was asked for and not delivered", extra={"user_id": user_id, "why": why})
            self._observer.signing_in(SignInEvent.RESET_NOT_DELIVERED)
        else:
            self._observer.signing_in(SignInEvent.RESET_DELIVERED)


class NoDelivery:
    """A `ResetDelivery` for those who have none: the log says that there is a reset, never what it is."""

    async def deliver(self, _: Reset) -> None:
        """See `ResetDelivery.deliver`."""
        raise NotDelivered("nobody can receive it: AUTHSVC_RESET_WEBHOOK_URL is not set")
