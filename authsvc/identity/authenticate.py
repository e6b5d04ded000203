"""From what a call brings to who calls: an access token of a user, or an API key of a program."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from cachetools import LRUCache, TTLCache

from authsvc.clock import Clock
from authsvc.errors import PermissionDenied, Unauthenticated
from authsvc.identity.ports import EntranceObserver, Identities, KeyStanding, Origin, Standing
from authsvc.identity.rates import RateLimit, network_of
from authsvc.identity.shapes import ADMIN, OPERATOR, Caller, Refusal
from authsvc.identity.tokens import API_KEY_SCHEME, AccessTokens, Claims, Expired, hash_of

Metadata = Iterable[tuple[str, str | bytes]]
AUTHORIZE: Final = "authorize"
EVENTS: Final = "events"
HISTORY: Final = "history"
MANAGE: Final = "manage"
ALL: Final = "all"
SCOPES: Final = (AUTHORIZE, EVENTS, HISTORY, MANAGE, ALL)
# What people do themselves; swipes and the network's messages come from programs.
_SCOPES_OF_USERS: Final = frozenset({HISTORY, MANAGE})
_BAD: Final = "the credentials are not valid"
_ENDED: Final = "the session is over: sign in again"
_REMEMBERED_MAX: Final = 50_000
# What is made up is asked of the database once in so long, and so many of one address a minute. A key that is made
# counts at once: nobody can have asked for it before.
_UNKNOWN_TTL_S: Final = 10.0
_UNKNOWN_MAX: Final = 10_000
UNKNOWN_PER_MINUTE: Final = 60
_TEXT_MAX: Final = 200


class Authenticator:
    """Knows callers by their credentials. What the database said of one is believed for a moment."""

    def __init__(
        self,
        identities: Identities,
        tokens: AccessTokens,
        clock: Clock,
        observer: EntranceObserver,
        *,
        remembered_ms: int,
    ) -> None:
        """`remembered_ms` after a key is revoked, a session ended or a user suspended, at most, they are refused."""
        self._identities = identities
        self._tokens = tokens
        self._clock = clock
        self._observer = observer
        ttl_s = remembered_ms / 1000
        monotonic_s: Callable[[], float] = clock.monotonic_s
        self._keys: TTLCache[bytes, KeyStanding] = TTLCache(_REMEMBERED_MAX, ttl_s, monotonic_s)
        self._users: TTLCache[Claims, Standing] = TTLCache(_REMEMBERED_MAX, ttl_s, monotonic_s)
        self._unknown: TTLCache[bytes, None] = TTLCache(_UNKNOWN_MAX, _UNKNOWN_TTL_S, monotonic_s)
        # Good ones of a while ago: they are looked up again however many others make keys up behind the same address.
        self._good: LRUCache[bytes, None] = LRUCache(_REMEMBERED_MAX)
        self._asking: dict[str, asyncio.Future[None]] = {}
        self._guesses = RateLimit(
            UNKNOWN_PER_MINUTE,
            monotonic_s,
            text="too many keys; try again in a second",
            on_refusal=lambda: observer.turned_away(Refusal.RATE),
        )

    async def authenticate(self, metadata: Metadata, peer: str = "") -> Caller:
        """Who calls. `peer` is the transport's name of the other end, like `ipv4:192.0.2.1:4711`.

        Raises Unauthenticated, also without any credentials: `bearer_of` tells whether there are some.
        """
        pairs = list(metadata)
        origin = origin_of(pairs, peer)
        bearer = self._bearer_of(pairs)
        if bearer is None:
            raise self._refused(Refusal.NO_CREDENTIALS, "credentials are needed: authorization: Bearer …")
        caller = await self._once(bearer, origin)
        return caller._replace(request_id=origin.request_id, ip_address=origin.ip_address, user_agent=origin.user_agent)

    def within(self, scope: str) -> Callable[[Metadata, str], Awaitable[Caller]]:
        """`authenticate` and `required` in one, for a service that is all of one scope."""

        async def authenticate(metadata: Metadata, peer: str) -> Caller:
            caller = await self.authenticate(metadata, peer)
            self.required(caller, scope)
            return caller

        return authenticate

    def required(self, caller: Caller, scope: str) -> None:
        """See `required`; whoever is refused is counted."""
        try:
            required(caller, scope)
        except PermissionDenied:
            self._observer.turned_away(Refusal.SCOPE)
            raise

    async def claims(self, metadata: Metadata) -> Claims:
        """The session that a user calls in. Raises Unauthenticated, also for an API key."""
        bearer = self._bearer_of(list(metadata))
        if bearer is None or bearer.startswith(API_KEY_SCHEME):
            why = Refusal.NO_CREDENTIALS if bearer is None else Refusal.BAD_CREDENTIALS
            raise self._refused(why, "an access token of a user is needed")
        claims, _ = await self._session(bearer)
        return claims

    async def _once(self, bearer: str, origin: Origin) -> Caller:
        """Of many calls at once with the same credentials one asks the database; the others find what it was told."""
        while (asking := self._asking.get(bearer)) is not None:
            await asyncio.shield(asking)
        mine = self._asking[bearer] = asyncio.get_running_loop().create_future()
        try:
            return await (self._key(bearer, origin) if bearer.startswith(API_KEY_SCHEME) else self._user(bearer))
        finally:
            del self._asking[bearer]
            mine.set_result(None)

    async def _user(self, token: str) -> Caller:
        claims, standing = await self._session(token)
        return Caller(f"user:{claims.user_id}", standing.role, standing.account_id, claims.user_id)

    async def _session(self, token: str) -> tuple[Claims, Standing]:
        now_us = self._clock.now_us()
        try:
            claims = self._tokens.read(token, now_us)
        except Unauthenticated as error:
            is_expired = isinstance(error, Expired)
            self._observer.turned_away(Refusal.EXPIRED_TOKEN if is_expired else Refusal.BAD_CREDENTIALS)
            raise
        standing = self._users.get(claims)
        if standing is None:
            standing = await self._identities.standing(claims.user_id, claims.session_id, now_us)
            if standing is None or standing.account_id != claims.account_id:
                raise self._refused(Refusal.ENDED_SESSION, _ENDED)
            self._users[claims] = standing
        return claims, standing

    async def _key(self, text: str, origin: Origin) -> Caller:
        now_us = self._clock.now_us()
        key_hash = hash_of(text)
        key = self._keys.get(key_hash)
        if key is None:
            key = await self._found(key_hash, now_us, origin)
        if key.expires_us <= now_us:
            raise self._refused(Refusal.EXPIRED_KEY, _BAD)
        role = OPERATOR if key.account_id is None else ADMIN
        return Caller(f"key:{key.name}", role, key.account_id, scopes=key.scopes)

    async def _found(self, key_hash: bytes, now_us: int, origin: Origin) -> KeyStanding:
        """What the database says of a key. What it does not know is remembered, and what is asked for so is limited."""
        if key_hash in self._unknown:
            raise self._refused(Refusal.UNKNOWN_KEY, _BAD)
        network, is_guess = network_of(origin.ip_address), key_hash not in self._good
        if is_guess:
            self._guesses.take(network)
        key = await self._identities.key(key_hash, now_us)
        if key is None:
            self._unknown[key_hash] = None
            self._good.pop(key_hash, None)
            raise self._refused(Refusal.UNKNOWN_KEY, _BAD)
        if is_guess:
            self._guesses.give_back(network)
        self._keys[key_hash] = key
        self._good[key_hash] = None
        return key

    def _bearer_of(self, pairs: Metadata) -> str | None:
        try:
            return bearer_of(pairs)
        except Unauthenticated:
            self._observer.turned_away(Refusal.BAD_CREDENTIALS)
            raise

    def _refused(self, why: Refusal, text: str) -> Unauthenticated:
        self._observer.turned_away(why)
        return Unauthenticated(text)


def required(caller: Caller, scope: str) -> None:
    """Raises PermissionDenied unless the caller may do what the scope stands for; what a role may do comes on top."""
    if caller.scopes:
        allowed = bool(caller.scopes & {scope, ALL})
    else:
        allowed = caller.role == OPERATOR or scope in _SCOPES_OF_USERS
    if not allowed:
        raise PermissionDenied(f"this needs the scope {scope}")


def bearer_of(metadata: Metadata) -> str | None:
    """The credentials of `authorization: Bearer …`; None without any. Raises Unauthenticated for any other kind."""
    values = [value for name, value in metadata if name.lower() == "authorization"]
    if not values:
        return None
    scheme, _, bearer = (values[0] if isinstance(values[0], str) else "").partition(" ")
    if len(values) > 1 or scheme.lower() != "bearer" or not bearer or not bearer.isascii():
        raise Unauthenticated(_BAD)
    return bearer


def origin_of(metadata: Metadata, peer: str) -> Origin:
    """Where a call comes from; what it says of itself is cut short and made printable."""
    said = {name.lower(): value for name, value in metadata if isinstance(value, str)}
    return Origin(_told(said, "x-request-id"), ip_address_of(peer), _told(said, "user-agent"))


def ip_address_of(peer: str) -> str:
    """`192.0.2.1` of `ipv4:192.0.2.1:4711`, `::1` of `ipv6:[::1]:4711` or `ipv6:%5B::1%5D:4711`; else empty."""
    family, _, rest = peer.partition(":")
    if family not in ("ipv4", "ipv6"):
        return ""
    address = rest.rpartition(":")[0].replace("%5B", "[").replace("%5D", "]").replace("%25", "%")
    return address.strip("[]").partition("%")[0]


def _told(said: dict[str, str], name: str) -> str:
    return "".join(character for character in said.get(name, "")[:_TEXT_MAX] if character.isprintable())
