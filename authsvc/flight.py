"""A request on its way to its answer, and everyone who waits for the same one."""

from collections.abc import Callable
from dataclasses import dataclass, field

from authsvc.answers import Answer
from authsvc.errors import RequestIdReused
from authsvc.ports import AuthorizationRequest, Claim, Reserved
from rules.reasons import Reason
from rules.types import Card, Plan, Verdict


@dataclass(slots=True, eq=False)
class Flight:
    """One request under decision. Lands with `answer` or `error` set; `abandoned` says that nobody waits any more."""

    request: AuthorizationRequest
    deadline_s: float
    done: "Callable[[Flight], None]"
    started_s: float
    attempts: int = 0
    abandoned: bool = False
    landed: bool = False
    fetched: tuple[Card, int] | None = None
    card: Card | None = None
    config_version: int = 0
    reason: Reason = Reason.UNKNOWN_CARD
    plan: Plan | None = None
    reserved: Reserved | None = None
    claim: Claim | None = None
    verdict: Verdict | None = None
    answer: Answer | None = None
    error: BaseException | None = None
    followers: "list[Flight]" = field(default_factory=list)

    def renew(self, card: Card | None) -> None:
        """Start an evaluation afresh on this view of the card."""
        self.card = card
        self.config_version = card.account.config_version if card is not None else 0
        self.plan = self.reserved = self.claim = self.verdict = self.answer = None

    def still_current(self) -> Card | None:
        """The card fetched for this flight, unless its account has moved on. A small memory may have dropped it."""
        if self.fetched is None or self.fetched[0].account.config_version != self.fetched[1]:
            return None
        return self.fetched[0]

    def reservation_name(self) -> str:
        """Body, configuration, request: two senders share a reservation only when all three agree."""
        return f"{self.request.fingerprint.hex()}/{self.config_version}/{self.request.request_id}"


class Flights:
    """Everything in flight in this process, by request id: an equal request that arrives meanwhile waits."""

    def __init__(self, launch: Callable[[Flight], None]) -> None:
        """`launch` starts the decision of a flight that nobody is ahead of."""
        self._launch = launch
        self._by_id: dict[str, Flight] = {}
        self._count = 0

    def __len__(self) -> int:
        """Flights that have not landed, followers included."""
        return self._count

    def board(self, flight: Flight) -> None:
        """Launch the flight, or let it follow the one that is already under way with the same request id."""
        self._count += 1
        self._board(flight)

    def _board(self, flight: Flight) -> None:
        first = self._by_id.setdefault(flight.request.request_id, flight)
        if first is flight:
            self._launch(flight)
        else:
            first.followers.append(flight)

    def land(self, flight: Flight, *, answer: Answer | None = None, error: BaseException | None = None) -> None:
        """End a flight. Its followers get the same answer; where there is none, the next of them is decided itself."""
        if self._by_id.get(flight.request.request_id) is flight:
            del self._by_id[flight.request.request_id]
        self._end(flight, answer, error)
        for follower in flight.followers:
            if answer is None:
                self._board(follower)
            elif follower.request.fingerprint == flight.request.fingerprint:
                self._end(follower, answer.again(follower.request), None)
            else:
                self._end(follower, None, RequestIdReused())
        flight.followers = []

    def _end(self, flight: Flight, answer: Answer | None, error: BaseException | None) -> None:
        if flight.landed:
            return
        flight.landed = True
        flight.answer, flight.error = answer, error
        self._count -= 1
        done, flight.done = flight.done, _told
        # The caller's end refers to the flight as well: let go of it, or each request would be work for the collector.
        done(flight)


def _told(_: Flight) -> None:
    """Stands where a flight's caller was told already."""
