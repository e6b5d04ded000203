"""What a caller is told whose request is none of Lithic's, or cannot be taken now."""

from typing import Final

from authsvc.errors import AuthsvcError

# One fixed text a status: whoever is refused learns nothing of why beyond it.
TEXT_OF_STATUS: Final[dict[int, str]] = {
    400: "the request cannot be read",
    401: "the signature is missing or not valid",
    413: "the request is too large",
    415: "the content type must be application/json",
    503: "the event cannot be kept now",
}


class Refused(AuthsvcError):
    """The request gets an HTTP status instead of an answer. Nothing of it reaches the engine or the database."""

    def __init__(self, status: int, why: str) -> None:
        """`status` is a key of `TEXT_OF_STATUS`; `why` is one word for the metric, never told to the caller."""
        super().__init__(TEXT_OF_STATUS[status])
        self.status = status
        self.why = why
