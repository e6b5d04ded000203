"""What the doctor asks of Lithic: a port, since the SDK behind it is an optional extra."""

from collections.abc import AsyncIterator, Sequence
from typing import Generic, NamedTuple, Protocol, TypeVar

from authsvc.doctor.finding import State
from authsvc.errors import AuthsvcError

T = TypeVar("T")


class Page(NamedTuple, Generic[T]):
    """A part of a list: what one call brings."""

    items: list[T]
    is_last: bool


class LithicTrouble(AuthsvcError):
    """Lithic could not be asked. Its text is a finding: no key, nothing of what Lithic said."""

    def __init__(self, finding: str, advice: str, state: State = "warning") -> None:
        """As the parts of a finding."""
        super().__init__(finding)
        self.advice = advice
        self.state: State = state


class CardThere(NamedTuple):
    """A card at Lithic, with Lithic's word for its state."""

    token: str
    state: str
    account_token: str


class RuleThere(NamedTuple):
    """An auth rule at Lithic, and what it names, to include or exclude it."""

    token: str
    is_active: bool
    is_lithics: bool
    card_tokens: Sequence[str]
    account_tokens: Sequence[str]


class StreamThere(NamedTuple):
    """Whether Lithic asks somebody before it authorizes; `host` of the address, which may hold a secret."""

    is_enrolled: bool
    host: str


class Program(Protocol):
    """A card program at Lithic: that of the API key. Every method raises LithicTrouble."""

    def cards(self) -> AsyncIterator[Page[CardThere]]:
        """All of them."""
        ...

    async def card(self, token: str) -> CardThere | None:
        """None: there is no such card."""
        ...

    def rules(self) -> AsyncIterator[Page[RuleThere]]:
        """All of them."""
        ...

    async def stream(self) -> StreamThere:
        """Who is asked before a card authorization."""
        ...
