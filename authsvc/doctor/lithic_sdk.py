"""The card program at Lithic through its SDK, an optional extra that nothing else imports. It only reads."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

from lithic import APIConnectionError, APIError, APIStatusError, APITimeoutError, AsyncLithic, NotFoundError
from lithic.pagination import AsyncCursorPage
from lithic.types import NonPCICard
from lithic.types.auth_rules import AuthRule

from authsvc.doctor.program import CardThere, LithicTrouble, Page, RuleThere, StreamThere

URLS: Final = {"production": "https://api.lithic.com", "sandbox": "https://sandbox.lithic.com"}
PAGE_SIZE: Final = 100
CALL_TIMEOUT_S: Final = 10.0
# Of calls that were refused for their number (429), or that failed there (5xx) or on their way.
RETRIES: Final = 2
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]+")
_ACCOUNTS: Final = {"ACCOUNT", "BUSINESS_ACCOUNT"}
_KEY_ADVICE: Final = "See AUTHSVC_LITHIC_API_KEY and AUTHSVC_LITHIC_ENVIRONMENT: a key is of one of them only."
_LATER_ADVICE: Final = "Try again later; see status.lithic.com."
_UNAUTHORIZED: Final = 401
_FORBIDDEN: Final = 403
_TOO_MANY: Final = 429

_T = TypeVar("_T")
_R = TypeVar("_R")


class SdkProgram:
    """The program of the key that the client has."""

    def __init__(self, client: AsyncLithic) -> None:
        """Whoever made the client closes it."""
        self._client = client

    async def cards(self) -> AsyncIterator[Page[CardThere]]:
        """See Program.cards."""
        async for page in _pages(self._client.cards.list(page_size=PAGE_SIZE), _card, "cards"):
            yield page

    async def card(self, token: str) -> CardThere | None:
        """See Program.card. What cannot be a token is not asked for: it would become a part of an address.

        Some programs are told the number of the card as well, which goes no further than this.
        """
        if not _TOKEN.fullmatch(token):
            return None
        with _translated("cards"):
            try:
                return _card(await self._client.cards.retrieve(token))
            except NotFoundError:
                return None

    async def rules(self) -> AsyncIterator[Page[RuleThere]]:
        """See Program.rules."""
        async for page in _pages(self._client.auth_rules.v2.list(page_size=PAGE_SIZE), _rule, "auth rules"):
            yield page

    async def stream(self) -> StreamThere:
        """See Program.stream. The SDK's auth_stream_enrollment tells, and makes, secrets only."""
        with _translated("the auth stream"):
            status = await self._client.responder_endpoints.check_status(type="AUTH_STREAM_ACCESS")
            return StreamThere(bool(status.enrolled), urlsplit(status.url or "").hostname or "")


@asynccontextmanager
async def open_program(
    api_key: str, environment: str, *, call_timeout_s: float = CALL_TIMEOUT_S, retries: int = RETRIES
) -> AsyncIterator[SdkProgram]:
    """The program of a key. `environment`: production, sandbox, or an address. Nothing is asked yet."""
    base_url = URLS.get(environment, environment)
    async with AsyncLithic(api_key=api_key, base_url=base_url, timeout=call_timeout_s, max_retries=retries) as client:
        yield SdkProgram(client)


async def _pages(first: Awaitable[AsyncCursorPage[_T]], read: Callable[[_T], _R], what: str) -> AsyncIterator[Page[_R]]:
    with _translated(what):
        told = _known(await first, AsyncCursorPage)
    while True:
        with _translated(what):
            page = Page([read(one) for one in told.data], is_last=not told.has_next_page())
        yield page
        if page.is_last:
            return
        with _translated(what):
            told = _known(await told.get_next_page(), AsyncCursorPage)


def _card(told: NonPCICard) -> CardThere:
    return CardThere(_known(told.token, str), _known(told.state, str), _known(told.account_token, str))


def _rule(told: AuthRule) -> RuleThere:
    entities: Any = told.entities
    named = [] if entities is None else [*entities.include, *entities.exclude]
    cards = {one.token for one in named if one.type == "CARD"}
    accounts = {one.token for one in named if one.type in _ACCOUNTS}
    # As rules were written before entities; the same again, where both are told.
    cards.update(told.card_tokens or (), told.excluded_card_tokens or ())
    accounts.update(told.account_tokens or (), told.excluded_account_tokens or ())
    accounts.update(told.business_account_tokens or (), told.excluded_business_account_tokens or ())
    token = _known(told.token, str)
    return RuleThere(token, told.state == "ACTIVE", bool(told.lithic_managed), sorted(cards), sorted(accounts))


def _known(value: Any, kind: type[_T]) -> _T:
    """The SDK passes on what is not as it should be; raises TypeError for that."""
    if not isinstance(value, kind):
        raise TypeError(kind.__name__)
    return value


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """Not a word of the SDK's own: it repeats what Lithic, or whoever answered in its place, has said."""
    try:
        yield
    except APITimeoutError as error:
        raise LithicTrouble(f"Lithic did not answer in time, asked for {what}", _LATER_ADVICE) from error
    except APIConnectionError as error:
        advice = "See AUTHSVC_LITHIC_ENVIRONMENT, the way out of this network, and status.lithic.com."
        raise LithicTrouble("Lithic cannot be reached", advice) from error
    except APIStatusError as error:
        raise _refused(error.status_code, what) from error
    except (APIError, AttributeError, TypeError, ValueError) as error:
        advice = "See AUTHSVC_LITHIC_ENVIRONMENT; take a newer release of the package lithic."
        raise LithicTrouble(f"Lithic's SDK does not understand the answer about {what}", advice) from error


def _refused(status: int, what: str) -> LithicTrouble:
    if status == _UNAUTHORIZED:
        return LithicTrouble("Lithic refuses the API key", _KEY_ADVICE, "failed")
    if status == _FORBIDDEN:
        return LithicTrouble(f"the API key may not read {what}", "Give the doctor a key that may.", "failed")
    if status == _TOO_MANY:
        return LithicTrouble("Lithic is asked too often with this key", "Run the doctor less often, or at night.")
    return LithicTrouble(f"Lithic answers {status}, asked for {what}", _LATER_ADVICE)
