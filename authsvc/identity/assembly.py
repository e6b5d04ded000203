"""How this room's parts are put together, on whatever keeps users, sessions and keys."""

from contextlib import AsyncExitStack
from typing import Final

from authsvc.clock import Clock
from authsvc.identity.authenticate import Authenticator
from authsvc.identity.passwords import Cost, HashedPasswords
from authsvc.identity.ports import Identities, LockPolicy, ResetDelivery
from authsvc.identity.rates import RateLimit
from authsvc.identity.servicer import IdentityServicer
from authsvc.identity.shapes import SignInEvent
from authsvc.identity.signin import Limits, NoDelivery, SignIn
from authsvc.identity.signing_keys import Chance, SigningKeys
from authsvc.identity.tokens import AccessTokens
from authsvc.metrics import Metrics
from authsvc.settings import Settings

# At 25 ms each and two at once, the last of them waits for less than a second.
_PASSWORDS_WAITING_MAX: Final = 64


def identity_on(
    identities: Identities, settings: Settings, clock: Clock, chance: Chance, metrics: Metrics, stack: AsyncExitStack
) -> tuple[Authenticator, IdentityServicer]:
    """Who callers are, and the service in which users sign in; `stack` ends what they leave under way."""
    tokens = AccessTokens(SigningKeys(settings.signing_keys_file), chance)
    authenticator = Authenticator(identities, tokens, clock, metrics, remembered_ms=settings.credentials_ttl_ms)
    passwords = HashedPasswords(
        cost_of(settings), threads=settings.password_hash_threads, waiting_max=_PASSWORDS_WAITING_MAX
    )
    stack.callback(passwords.close)
    policy, limits = LockPolicy(settings.signin_attempts_max), _limits_of(settings, clock, metrics)
    delivery = _delivery_of(settings, clock, chance, stack)
    sign_in = SignIn(
        identities, passwords, tokens, delivery, clock, chance, observer=metrics, policy=policy, limits=limits
    )
    stack.push_async_callback(sign_in.rest, settings.drain_timeout_ms / 1000)
    return authenticator, IdentityServicer(sign_in, authenticator, metrics)


def _limits_of(settings: Settings, clock: Clock, metrics: Metrics) -> Limits:
    def of(per_minute: int) -> RateLimit:
        return RateLimit(per_minute, clock.monotonic_s, on_refusal=lambda: metrics.signing_in(SignInEvent.LIMITED))

    return Limits(of(settings.signin_per_minute_address), of(settings.signin_per_minute_email))


def _delivery_of(settings: Settings, clock: Clock, chance: Chance, stack: AsyncExitStack) -> ResetDelivery:
    """Who takes resets to users; `stack` ends its connections."""
    if settings.reset_webhook_url is None:
        return NoDelivery()
    # Whoever delivers nothing need not wait for an HTTP client to be loaded.
    from authsvc.identity import delivery  # noqa: PLC0415

    key = delivery.signing_key_of(settings)
    http = delivery.http_client()
    stack.push_async_callback(http.aclose)
    return delivery.WebhookDelivery(http, settings.reset_webhook_url, key, clock, chance)


def cost_of(settings: Settings) -> Cost:
    """What one hash costs."""
    return Cost(
        settings.password_hash_memory_kib, settings.password_hash_iterations, settings.password_hash_parallelism
    )
