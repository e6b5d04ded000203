"""From errors to what a caller is told of them: a status, its text, the field. Nothing else leaves."""

import functools
from collections.abc import Awaitable, Callable
from typing import Any, Final, NoReturn

import grpc

from authsvc import codec
from authsvc.errors import AuthsvcError, InvalidRequest, status_name
from authsvc.metrics import Metrics
from authsvc.v1 import authorization_pb2 as pb

Context = grpc.aio.ServicerContext[Any, Any]
_INTERNAL_TEXT: Final = "internal error"


def status_of(error: BaseException) -> tuple[grpc.StatusCode, str]:
    """The status of an error, and what may be said of it."""
    code = grpc.StatusCode[status_name(error)]
    return code, _INTERNAL_TEXT if code is grpc.StatusCode.INTERNAL else str(error)


def write_error(message: pb.Error, error: BaseException) -> str:
    """Write an error into an empty answer. Returns the name of its status."""
    code, text = status_of(error)
    message.code, message.message = code.value[0], text
    if isinstance(error, InvalidRequest):
        message.field = error.field
    return code.name


class Guarded:
    """A servicer whose errors are counted and told."""

    metrics: Metrics

    async def abort(self, context: Context, error: BaseException) -> NoReturn:
        """End a call with the status of an error."""
        code, text = status_of(error)
        self.metrics.refused(code.name)
        await context.abort(code, text)
        raise error


def guarded(method: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Turns errors into statuses. An exception that escapes a handler would send its text to the caller."""

    @functools.wraps(method)
    async def guarded_method(self: Guarded, message: Any, context: Context) -> Any:
        try:
            if isinstance(message, codec.Malformed):
                message.refuse()
            return await method(self, message, context)
        except grpc.aio.AbortError:
            raise
        except AuthsvcError as error:
            await self.abort(context, error)
        except Exception as error:  # noqa: BLE001 - nothing of it may leave
            self.metrics.failed(error)
            await self.abort(context, error)

    return guarded_method
