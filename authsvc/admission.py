"""Who may call what programs use: decisions, the network's messages, and the history.

It stands before a servicer only where credentials are required; elsewhere nothing is in the way of a call. Sign-in
needs none, and the management services find out who calls by themselves, since it decides what they do.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextvars import ContextVar
from typing import Any, Final

from authsvc.errors import AuthsvcError, PermissionDenied, Unauthenticated
from authsvc.guard import Context, Guarded
from authsvc.identity.authenticate import HISTORY, MANAGE, Authenticator
from authsvc.identity.shapes import Caller, Refusal
from authsvc.metrics import Metrics

Method = Callable[[Any, Context], Coroutine[Any, Any, Any]]
# Money by hand is no message of the network.
_SCOPE_OF_METHOD: Final = {"AdjustBalance": MANAGE}
# Whoever belongs to an account may read what is its own; swipes and messages come from the platform's own programs.
_SCOPES_OF_ACCOUNTS: Final = frozenset({HISTORY})
_LASTING: Final = frozenset({"AuthorizeStream", "WatchTransactions"})
_AGAIN_MIN_S: Final = 0.5
_calling: ContextVar[Caller | None] = ContextVar("authsvc_caller", default=None)


def calling() -> Caller | None:
    """Who makes the call that is being answered; None where nobody asked."""
    return _calling.get()


class Admission(Guarded):
    """Lets calls through that bring what they need."""

    def __init__(self, authenticator: Authenticator, metrics: Metrics, *, again_ms: int) -> None:
        """Streams must still be admitted `again_ms` later, and so on until they end."""
        self.metrics = metrics
        self._authenticator = authenticator
        self._again_s = max(again_ms / 1000, _AGAIN_MIN_S)

    def before(self, servicers: Mapping[str, object], scopes: Mapping[str, str]) -> dict[str, object]:
        """Servicers by the names of their services, each behind the scope that `scopes` has for it, if any."""
        return {
            name: Admitted(self, servicer, scopes[name]) if name in scopes else servicer
            for name, servicer in servicers.items()
        }

    def admitted(self, name: str, method: Method, scope: str) -> Method:
        """The method, for those who may call it."""
        needed = _SCOPE_OF_METHOD.get(name, scope)

        async def admitted_method(message: Any, context: Context) -> Any:
            try:
                _calling.set(await self._known(context, needed))
            except AuthsvcError as error:
                await self.abort(context, error)
            except Exception as error:  # noqa: BLE001 - nothing of it may leave
                self.metrics.failed(error)
                await self.abort(context, error)
            call = method(message, context)
            return await (self._while_known(call, context, needed) if name in _LASTING else call)

        return admitted_method

    async def _known(self, context: Context, scope: str) -> Caller:
        metadata = [(key, value) for key, value in context.invocation_metadata() or ()]
        caller = await self._authenticator.authenticate(metadata, context.peer())
        if caller.account_id is not None and scope not in _SCOPES_OF_ACCOUNTS:
            self.metrics.turned_away(Refusal.SCOPE)
            raise PermissionDenied("this is not for callers who belong to an account")
        self._authenticator.required(caller, scope)
        return caller

    async def _while_known(self, call: Coroutine[Any, Any, Any], context: Context, scope: str) -> Any:
        """A key that is revoked ends the streams that it opened."""
        task = asyncio.get_running_loop().create_task(call)
        try:
            while not (await asyncio.wait([task], timeout=self._again_s))[0]:
                await self._still_known(task, context, scope)
            return task.result()
        finally:
            await _ended(task)

    async def _still_known(self, task: asyncio.Task[Any], context: Context, scope: str) -> None:
        try:
            await self._known(context, scope)
        except (Unauthenticated, PermissionDenied) as error:
            await _ended(task)
            await self.abort(context, error)
        except AuthsvcError:
            # The database is away: nobody knows better, and the next look will tell.
            return


class Admitted:
    """A servicer as the server sees it: each method behind what it needs."""

    def __init__(self, admission: Admission, servicer: object, scope: str) -> None:
        """The servicer's methods need the scope."""
        self._admission = admission
        self._servicer = servicer
        self._scope = scope

    def __getattr__(self, name: str) -> Method:
        """Asked once for each method, when the server is made."""
        return self._admission.admitted(name, getattr(self._servicer, name), self._scope)


async def _ended(task: asyncio.Task[Any]) -> None:
    if not task.done():
        task.cancel()
        await asyncio.wait([task])
