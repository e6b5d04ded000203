"""The history as callers of one account may read it: what is another's is not there."""

from collections.abc import Callable, Sequence

from authsvc.errors import NotFound, PermissionDenied
from authsvc.history.shapes import (
    Filter,
    Grouping,
    History,
    Holder,
    Page,
    Place,
    Recorded,
    Remembered,
    Scope,
    Span,
    Sums,
    Turnstile,
    Whose,
)
from authsvc.identity.shapes import USER, Caller


class OwnHistory:
    """The `History` port, narrowed to the account of whoever calls, and to the own cards of a cardholder."""

    def __init__(self, history: History, calling: Callable[[], Caller | None]) -> None:
        """`calling` tells who calls; a caller of no account reads everything."""
        self._history = history
        self._calling = calling

    async def page(self, wanted: Filter, after: Place | None, count: int) -> list[Recorded]:
        """See `History.page`."""
        user_id = self._cardholder_id()
        if user_id is not None:
            if wanted.user_id not in (None, user_id):
                raise NotFound("no such user")
            wanted = wanted._replace(user_id=user_id)
        return await self._history.page(wanted._replace(whose=await self._own(wanted.whose)), after, count)

    async def remembered(self, transaction_id: int, request_id: str) -> Remembered | None:
        """See `History.remembered`. Also what nobody decided is nothing here: its text would tell that it exists."""
        account_id, user_id = self._account_id(), self._cardholder_id()
        try:
            found = await self._history.remembered(transaction_id, request_id)
        except NotFound:
            if account_id is None:
                raise
            return None
        if account_id is None or found is None:
            return found
        if found.recorded is None or found.recorded.account_id != account_id:
            return None
        return found if user_id in (None, found.recorded.user_id) else None

    async def holder(self, account_id: int | None, account_token: str) -> Holder | None:
        """See `History.holder`."""
        own_id = self._account_id()
        if own_id is not None:
            self._no_cardholder()
        if own_id is not None and account_id not in (None, own_id):
            return None
        holder = await self._history.holder(account_id, account_token)
        return holder if holder is None or own_id in (None, holder.account_id) else None

    async def sums(self, span: Span, starts_us: Sequence[int], by: Grouping, rows_max: int) -> list[Sums]:
        """See `History.sums`."""
        own_id = self._account_id()
        if own_id not in (None, span.account_id):
            raise NotFound("no such account")
        return await self._history.sums(span, starts_us, by, rows_max)

    async def scope(self, whose: Whose) -> Scope:
        """See `History.scope`."""
        if self._account_id() is not None:
            self._no_cardholder()
        return await self._history.scope(await self._own(whose))

    async def decisions(self, scope: Scope, after: int, until: int) -> Page:
        """See `History.decisions`. The scope is one that `scope` has narrowed."""
        return await self._history.decisions(scope, after, until)

    async def last_id(self) -> int:
        """See `History.last_id`."""
        return await self._history.last_id()

    async def turnstile(self) -> Turnstile:
        """See `History.turnstile`."""
        return await self._history.turnstile()

    async def oldest(self) -> int:
        """See `History.oldest`."""
        return await self._history.oldest()

    def _account_id(self) -> int | None:
        caller = self._calling()
        return None if caller is None else caller.account_id

    def _cardholder_id(self) -> int | None:
        caller = self._calling()
        return caller.user_id if caller is not None and caller.role == USER else None

    def _no_cardholder(self) -> None:
        if self._cardholder_id() is not None:
            raise PermissionDenied("the role user may list and explain transactions of the own cards only")

    async def _own(self, whose: Whose) -> Whose:
        """The same question about the caller's account. A token may have been another account's before."""
        own_id = self._account_id()
        if own_id is None:
            return whose
        named_id = whose.account_id
        if whose.account_token:
            holder = await self._history.holder(None, whose.account_token)
            named_id = 0 if holder is None else holder.account_id
        if named_id not in (None, own_id):
            raise NotFound("no such account")
        return whose._replace(account_id=own_id, account_token="")
