"""What can go wrong, one class each. Their texts may reach a caller: no SQL, no secret, no other account's data."""

from typing import Final


class AuthsvcError(Exception):
    """The service failed."""

    def __init__(self, message: str | None = None) -> None:
        """Without a message, the class's docstring is the message."""
        super().__init__(message or type(self).__doc__)


class InvalidRequest(AuthsvcError):
    """The request is not valid."""

    def __init__(self, field: str, problem: str) -> None:
        """`field` is the path in the wire contract (`merchant.mcc`), `problem` completes a sentence about it."""
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


class RequestIdReused(AuthsvcError):
    """This request_id was already used with a different body."""


class EventIdReused(RequestIdReused):
    """This event_id was already used with a different body."""


class Overloaded(AuthsvcError):
    """Too many requests are in flight; try again shortly."""


class Unavailable(AuthsvcError):
    """A part that decisions need is down."""

    def __init__(self, part: str) -> None:
        """`part` is the name of the part (`database`, `counters`), never its address."""
        super().__init__(f"{part} is unavailable")
        self.part = part


class OutcomeUnknown(Unavailable):
    """The database went away during a commit: the decision may be recorded or not; nothing may be given back."""


class RowRefused(AuthsvcError):
    """The database refused to record a decision; nothing of its batch was committed."""


class DeadlineExceeded(AuthsvcError):
    """The deadline passed before a decision could be recorded."""


class NotFound(AuthsvcError):
    """There is no such thing."""


class Unauthenticated(AuthsvcError):
    """Who calls is not known."""


class PermissionDenied(AuthsvcError):
    """The caller may not do this."""


class AlreadyExists(AuthsvcError):
    """There is such a thing already."""


class Conflict(AuthsvcError):
    """Somebody else changed it meanwhile: read it again."""


class NotPossible(AuthsvcError):
    """What it is now does not allow that."""


class NotCovered(AuthsvcError):
    """The account's available balance does not cover it."""


class SettingsError(AuthsvcError):
    """The settings are not valid."""

    def __init__(self, problems: list[str]) -> None:
        """`problems` holds one line for each problem; they are shown together."""
        lines = "\n".join(f"  - {problem}" for problem in problems)
        super().__init__(f"{len(problems)} problem(s) in the settings:\n{lines}")
        self.problems = problems


class StartupRefused(AuthsvcError):
    """The service refuses to start, because it could not keep its promises here."""


# Names of gRPC status codes, as text: this module knows nothing of gRPC. Whatever is not listed is INTERNAL.
STATUS_NAMES: Final[dict[type[AuthsvcError], str]] = {
    InvalidRequest: "INVALID_ARGUMENT",
    RequestIdReused: "ALREADY_EXISTS",
    Overloaded: "RESOURCE_EXHAUSTED",
    Unavailable: "UNAVAILABLE",
    DeadlineExceeded: "DEADLINE_EXCEEDED",
    NotFound: "NOT_FOUND",
    Unauthenticated: "UNAUTHENTICATED",
    PermissionDenied: "PERMISSION_DENIED",
    AlreadyExists: "ALREADY_EXISTS",
    Conflict: "ABORTED",
    NotPossible: "FAILED_PRECONDITION",
    NotCovered: "FAILED_PRECONDITION",
    SettingsError: "FAILED_PRECONDITION",
    StartupRefused: "FAILED_PRECONDITION",
    AuthsvcError: "INTERNAL",
}


def status_name(error: BaseException) -> str:
    """The gRPC status name of an error; INTERNAL for everything this module does not know."""
    for kind in type(error).__mro__:
        if kind in STATUS_NAMES:
            return STATUS_NAMES[kind]
    return "INTERNAL"
