"""The wire contract of the history on one side, its shapes on the other."""

import hashlib
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from authsvc import codec
from authsvc.errors import InvalidRequest
from authsvc.history.explain import answer_of
from authsvc.history.pages import SEAL_BYTES, PageToken, read_token, write_token
from authsvc.history.shapes import Filter, Grouping, Holder, Page, Place, Recorded, Remembered, Sums, Whose
from authsvc.v1 import history_pb2 as pb
from authsvc.v1 import transactions_pb2, types_pb2
from rules.lifecycle import Status
from rules.reasons import Decision, Kind, Reason, Window
from rules.windows import window_bounds

PAGE_SIZE: Final = 50
PAGE_SIZE_MAX: Final = 1_000
SUMS_MAX: Final = 10_000
_SPAN_US: Final = 31 * 86_400 * 1_000_000
_NUMBER_MAX: Final = 2**31 - 1
_TOKEN_MAX: Final = 255
_STATUSES: Final = {
    status: transactions_pb2.TransactionStatus.Value(f"TRANSACTION_STATUS_{status}") for status in Status
}
_STATUS_OF: Final = {int(number): status for status, number in _STATUSES.items()}
_WINDOWS: Final = {pb.BUCKET_DAY: Window.DAILY, pb.BUCKET_MONTH: Window.MONTHLY}
_GROUPINGS: Final[dict[int, Grouping]] = {
    pb.GROUP_BY_UNSPECIFIED: "nothing",
    pb.GROUP_BY_CATEGORY_GROUP: "category_group",
    pb.GROUP_BY_CARD: "card",
    pb.GROUP_BY_USER: "user",
    pb.GROUP_BY_MERCHANT: "merchant",
}
_Targeted = pb.ListTransactionsRequest | pb.SpendSummaryRequest | pb.WatchTransactionsRequest


class Listing(NamedTuple):
    """A page that is asked for; `after` is the last row of the page before."""

    wanted: Filter
    after: Place | None
    size: int
    seal: bytes


class Summing(NamedTuple):
    """A summary that is asked for. Buckets are cut once the account's time zone is known."""

    account_id: int | None
    account_token: str
    start_us: int
    end_us: int
    window: Window
    by: Grouping


# --- questions --------------------------------------------------------------------------------------------------


def listing_of(message: pb.ListTransactionsRequest, now_us: int) -> Listing:
    """A valid question. Raises `InvalidRequest` with the first field that is wrong."""
    whose = whose_of(message)
    user_id = _number("user_id", message.user_id)
    if message.mcc and not codec.is_mcc(message.mcc):
        raise InvalidRequest("mcc", "must be four digits")
    group = codec.identifier("category_group", message.category_group, _TOKEN_MAX) if message.category_group else ""
    if message.status and message.status not in _STATUS_OF:
        raise InvalidRequest("status", "must be one of the known values")
    if message.reason and message.reason not in types_pb2.Reason.values():
        raise InvalidRequest("reason", "must be one of the known values")
    start_us, end_us = _span_us(message, now_us)
    if not 0 <= message.page_size <= PAGE_SIZE_MAX:
        raise InvalidRequest("page_size", f"must be 1 to {PAGE_SIZE_MAX:,}, or 0")
    seal, after = _seal(message), None
    if message.page_token:
        token = read_token(message.page_token, seal)
        start_us, after = token.start_us, token.place
    status = _STATUS_OF.get(message.status)
    reason = Reason(message.reason).name if message.reason else ""
    wanted = Filter(whose, user_id, message.mcc, group, status, reason, start_us, end_us)
    return Listing(wanted, after, message.page_size or PAGE_SIZE, seal)


def summing_of(message: pb.SpendSummaryRequest, now_us: int) -> Summing:
    """A valid question. Raises `InvalidRequest` with the first field that is wrong."""
    whose = whose_of(message)
    if whose.account_id is None and not whose.account_token:
        raise InvalidRequest("account_id", "is required, or account_token")
    if not message.HasField("start_time"):
        raise InvalidRequest("start_time", "is required")
    window = _WINDOWS.get(message.bucket)
    if window is None:
        raise InvalidRequest("bucket", "must be one of the known values" if message.bucket else "is required")
    by = _GROUPINGS.get(message.group_by)
    if by is None:
        raise InvalidRequest("group_by", "must be one of the known values")
    return Summing(whose.account_id, whose.account_token, *_span_us(message, now_us), window, by)


def buckets_of(asked: Summing, timezone: str) -> list[int]:
    """When each bucket begins: the same days and months as those of limits. The first may begin before the span."""
    first_us, next_us = window_bounds(asked.window, asked.start_us, timezone)
    assert first_us is not None
    starts = [first_us]
    while next_us is not None and next_us < asked.end_us:
        if len(starts) == SUMS_MAX:
            raise InvalidRequest("start_time", f"is more than {SUMS_MAX:,} buckets before the end")
        starts.append(next_us)
        _, next_us = window_bounds(asked.window, next_us, timezone)
    return starts


def decision_of(message: pb.ExplainTransactionRequest) -> tuple[int, str]:
    """The row's id, or 0 and the request's id."""
    if message.transaction_id < 0:
        raise InvalidRequest("transaction_id", "must not be negative")
    if message.transaction_id and message.request_id:
        raise InvalidRequest("request_id", "must be empty when transaction_id is given")
    if message.transaction_id:
        return message.transaction_id, ""
    return 0, codec.identifier("request_id", message.request_id)


def cursor_of(message: pb.WatchTransactionsRequest) -> int | None:
    """Where to go on; None: from now on."""
    if not message.HasField("cursor"):
        return None
    if message.cursor < 0:
        raise InvalidRequest("cursor", "must not be negative")
    return message.cursor


def whose_of(message: _Targeted) -> Whose:
    """Whose transactions are meant."""
    account_id = _number("account_id", message.account_id)
    if account_id is not None and message.account_token:
        raise InvalidRequest("account_token", "must be empty when account_id is given")
    account_token = message.account_token
    if account_token:
        codec.identifier("account_token", account_token, _TOKEN_MAX)
    card_token = "" if isinstance(message, pb.SpendSummaryRequest) else message.card_token
    return Whose(account_id, account_token, codec.card_token(card_token) if card_token else "")


def _number(field: str, value: int) -> int | None:
    if not 0 <= value <= _NUMBER_MAX:
        raise InvalidRequest(field, "must be a number that this service gave out, or 0")
    return value or None


def _span_us(message: pb.ListTransactionsRequest | pb.SpendSummaryRequest, now_us: int) -> tuple[int, int]:
    """Without an end: what clocks ahead of ours have dated is recorded as well."""
    end_us = now_us + codec.AHEAD_MAX_US + 1
    if message.HasField("end_time"):
        end_us = codec.instant_us_of("end_time", message.end_time)
    start_us = max(0, end_us - _SPAN_US)
    if message.HasField("start_time"):
        start_us = codec.instant_us_of("start_time", message.start_time)
        if start_us >= end_us:
            raise InvalidRequest("start_time", "must be before end_time")
    return start_us, end_us


def _seal(message: pb.ListTransactionsRequest) -> bytes:
    asked = pb.ListTransactionsRequest()
    asked.CopyFrom(message)
    asked.ClearField("page_size")
    asked.ClearField("page_token")
    return hashlib.blake2b(asked.SerializeToString(deterministic=True), digest_size=SEAL_BYTES).digest()


# --- answers ----------------------------------------------------------------------------------------------------


def page_of(asked: Listing, rows: list[Recorded]) -> pb.ListTransactionsResponse:
    """A page. `rows` hold one more than asked for when there is another page."""
    told = rows[: asked.size]
    response = pb.ListTransactionsResponse(transactions=map(recorded_of, told))
    if len(rows) > asked.size:
        response.next_page_token = write_token(PageToken(asked.wanted.start_us, told[-1].place()), asked.seal)
    return response


def explanation_of(remembered: Remembered) -> pb.ExplainTransactionResponse:
    """A decision as it was answered, with every check."""
    response = pb.ExplainTransactionResponse(decided_by=remembered.node)
    codec.write_response(response.answer, answer_of(remembered), remembered.us, list_checks=True)
    if remembered.recorded is not None:
        response.transaction.CopyFrom(recorded_of(remembered.recorded))
    codec.set_timestamp(response.recorded_at, remembered.recorded_at_us)
    return response


def summary_of(holder: Holder, starts_us: list[int], sums: Iterable[Sums]) -> pb.SpendSummaryResponse:
    """A summary."""
    response = pb.SpendSummaryResponse(account_id=holder.account_id, currency=holder.currency, timezone=holder.timezone)
    for one in sums:
        row = response.rows.add(
            key=one.key,
            merchant_name=one.merchant_name,
            approved_count=one.approved_count,
            declined_count=one.declined_count,
            forced_count=one.forced_count,
            held_minor=one.held_minor,
            settled_minor=one.settled_minor,
            credited_minor=one.credited_minor,
            spend_minor=one.held_minor + one.settled_minor,
        )
        codec.set_timestamp(row.bucket_start, starts_us[one.bucket])
    return response


def told_of(page: Page) -> pb.WatchTransactionsResponse:
    """A message of a stream."""
    return pb.WatchTransactionsResponse(transactions=map(recorded_of, page.rows), cursor=page.reached)


def recorded_of(row: Recorded) -> pb.RecordedTransaction:
    """A row on the wire."""
    # The numbers of the engine's words are those of the contract: a test holds them equal, the type checker cannot.
    kind: Any = Kind[row.kind]
    status: Any = _STATUSES[row.status]
    message = pb.RecordedTransaction(
        transaction_id=row.transaction_id,
        request_id=row.request_id,
        transaction_token=row.transaction_token,
        account_id=row.account_id,
        card_token=row.card_token,
        user_id=row.user_id,
        kind=kind,
        status=status,
        currency=row.currency,
        amount_minor=row.amount_minor,
        approved_minor=row.approved_minor,
        held_minor=row.held_minor,
        settled_minor=row.settled_minor,
        credited_minor=row.credited_minor,
        merchant=types_pb2.Merchant(
            acceptor_id=row.merchant_id,
            descriptor=row.merchant_name,
            mcc=row.mcc,
            city=row.merchant_city,
            state=row.merchant_state,
            country=row.merchant_country,
            amount_minor=row.merchant_amount_minor,
            currency=row.merchant_currency,
        ),
    )
    if row.is_decided:
        reason = Reason[row.reason] if row.reason else Reason.APPROVED
        is_partial = reason is not Reason.APPROVED and row.approved_minor > 0
        decision = Decision.PARTIALLY_APPROVED if is_partial else Decision.DECLINED
        said: Any = (Decision.APPROVED if reason is Reason.APPROVED else decision, reason)
        message.decision, message.reason = said
    codec.set_timestamp(message.transacted_at, row.transacted_at_us)
    codec.set_timestamp(message.recorded_at, row.recorded_at_us)
    return message
