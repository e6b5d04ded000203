"""What a caller is told when there is no decision."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import grpc

from authsvc.errors import AuthsvcError
from authsvc.v1 import authorization_pb2 as pb

_CODES: Final = {code.value[0]: code.name for code in grpc.StatusCode}


class ClientError(AuthsvcError):
    """There is no decision."""

    def __init__(self, code: str, message: str, field: str = "") -> None:
        """`code` is the name of a gRPC status; `field` is the field of the request that was wrong, or empty."""
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.field = field


class DeadlineExceeded(ClientError):
    """The time ran out. Whether there is a decision is told when the same request is sent again."""

    def __init__(self, message: str) -> None:
        """`message` says which time, and what went wrong before."""
        super().__init__("DEADLINE_EXCEEDED", message)


@contextmanager
def translated() -> Iterator[None]:
    """Errors of grpc leave as those of this module."""
    try:
        yield
    except grpc.aio.AioRpcError as error:
        raise error_named(error.code().name, error.details() or "no reason given") from error


def error_of(error: pb.Error) -> ClientError:
    """The error that stands in a result."""
    return error_named(_CODES[error.code], error.message, error.field)


def error_named(code: str, message: str, field: str = "") -> ClientError:
    """The error of a status, by its name."""
    if code == "DEADLINE_EXCEEDED":
        return DeadlineExceeded(message)
    if code == "INVALID_ARGUMENT" and not field and ": " in message:
        # A unary call names the field in front of its text.
        field = message.partition(": ")[0]
    return ClientError(code, message, field)
