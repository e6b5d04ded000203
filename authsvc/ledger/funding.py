"""The `FundingLedger` port on PostgreSQL: balances that move by somebody's word."""

from decimal import Decimal

from authsvc.errors import InvalidRequest, NotCovered, NotFound, OutcomeUnknown, RequestIdReused, RowRefused
from authsvc.ledger.queries import FUNDING_SQL
from authsvc.ledger.store import Connection, PostgresLedger
from authsvc.lifecycle.funding import Adjusted, Adjustment, AdjustmentKind
from rules.money import divisor


class PostgresFundingLedger:
    """Keeps what was paid in and out."""

    def __init__(self, ledger: PostgresLedger) -> None:
        """On the connections of the ledger of decisions."""
        self._ledger = ledger

    async def adjust(self, adjustment: Adjustment) -> Adjusted:
        """See `FundingLedger.adjust`."""
        try:
            return await self._adjust(adjustment)
        except OutcomeUnknown:
            # The same again: if it was committed, that is found.
            return await self._adjust(adjustment)
        except RowRefused as error:
            raise InvalidRequest("amount_minor", "is more than a balance can hold") from error

    async def _adjust(self, adjustment: Adjustment) -> Adjusted:
        async with self._ledger.posting() as connection, connection.transaction():
            account_id = await connection.fetchval(
                FUNDING_SQL["lock_account"], adjustment.account_id, adjustment.account_token
            )
            if account_id is None:
                raise NotFound("no such account")
            known = await connection.fetchrow(FUNDING_SQL["adjusted"], adjustment.adjustment_id)
            if known is not None:
                if known["fingerprint"] != adjustment.fingerprint:
                    raise RequestIdReused("this adjustment_id was already used with a different body")
                return Adjusted(known["account_id"], known["balance_after_minor"], known["held_after_minor"], True)
            return await _commit(connection, account_id, adjustment)


async def _commit(connection: Connection, account_id: int, adjustment: Adjustment) -> Adjusted:
    funds = await connection.fetchrow(FUNDING_SQL["funds"], account_id)
    if funds["currency"] != adjustment.currency:
        raise InvalidRequest("currency", "is not the account's")
    unit = divisor(adjustment.currency)
    is_withdrawal = adjustment.kind is AdjustmentKind.WITHDRAWAL
    balance_minor = int(funds["balance"] * unit)
    if is_withdrawal and balance_minor - funds["held_minor"] < adjustment.amount_minor:
        raise NotCovered
    balance_minor += -adjustment.amount_minor if is_withdrawal else adjustment.amount_minor
    # A change of balance that is no posting of ours raises the epoch: counters are loaded with it.
    await connection.execute(FUNDING_SQL["set_balance"], account_id, Decimal(balance_minor) / unit)
    await connection.execute(
        FUNDING_SQL["insert_adjustment"],
        adjustment.adjustment_id,
        adjustment.fingerprint,
        account_id,
        adjustment.kind.name,
        adjustment.amount_minor,
        adjustment.currency,
        adjustment.reason,
        balance_minor,
        funds["held_minor"],
    )
    return Adjusted(account_id, balance_minor, funds["held_minor"], False)
