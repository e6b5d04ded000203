"""The wire contract on one side, the engine's shapes on the other. Only here are the fields of a message checked."""

import hashlib
import re
from collections.abc import Callable
from typing import Any, Final, NoReturn

from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp

from authsvc.answers import Answer
from authsvc.errors import InvalidRequest
from authsvc.ports import AuthorizationRequest
from authsvc.spending import SpendingPower
from authsvc.v1 import authorization_pb2 as pb
from authsvc.v1 import types_pb2 as types
from rules.evaluate import deciding_check
from rules.money import EXPONENT, fits_decimal_10_2
from rules.reasons import LEVEL_OF_CHECK, LEVEL_OF_REASON, Kind
from rules.types import Check
from rules.words import Scene, cardholder_message, check_text, scene_of_stored

AHEAD_MAX_US: Final = 5 * 60 * 1_000_000
BATCH_MAX: Final = 1_000
_ID_MAX: Final = 128
_CARD_TOKEN_MAX: Final = 255
_FINGERPRINT_BYTES: Final = 16
_KINDS: Final = {kind.value: kind for kind in Kind}
_ENTRY_MODES: Final = {
    number: name.removeprefix("ENTRY_MODE_") if number else "" for name, number in types.EntryMode.items()
}
_NETWORKS: Final = {number: name.removeprefix("NETWORK_") if number else "" for name, number in types.Network.items()}
# A look into a set costs a third of a pattern, or of a computation; these are made for every request.
_MCCS: Final = frozenset(f"{code:04}" for code in range(10_000))
_WHOLE_HUNDREDTHS: Final = frozenset(currency for currency, exponent in EXPONENT.items() if exponent <= 2)  # noqa: PLR2004
_ALWAYS_FITS_MINOR: Final = 99_999_999
_CODE: Final = re.compile(r"[A-Z]{3}")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
# From 1970 to 30 December 9998: on the next day it is 9999 somewhere, a year whose end the calendar cannot tell.
_SECONDS_MIN, _SECONDS_MAX = 0, 253_370_678_399
_NANOS_MAX: Final = 999_999_999


class Malformed:
    """Takes the place of a message whose bytes could not be read, until somebody can answer it."""

    request_id: Final = ""

    def __init__(self, kind: str) -> None:
        """`kind` is the message's name in the contract."""
        self._kind = kind

    def refuse(self) -> NoReturn:
        """Raises what its sender is told."""
        raise InvalidRequest("message", f"is not a readable {self._kind}")


def reader(kind: type[Message]) -> Callable[[bytes], Message | Malformed]:
    """Reads messages of a kind. An exception here would end a stream as if all were well, or show the parser's text."""
    malformed = Malformed(kind.DESCRIPTOR.name)

    def read(data: bytes) -> Message | Malformed:
        try:
            return kind.FromString(data)
        except DecodeError:
            return malformed

    return read


def request_of(message: pb.AuthorizeRequest, now_us: int) -> AuthorizationRequest:
    """A valid request. Raises `InvalidRequest` with the first field that is wrong."""
    currency = message.currency
    if currency not in EXPONENT:
        raise InvalidRequest("currency", "must be the ISO 4217 code of an active currency, like USD")
    kind = _KINDS.get(message.kind)
    if kind is None:
        raise InvalidRequest("kind", "must be one of the known kinds" if message.kind else "is required")
    if not message.HasField("amount_minor"):
        raise InvalidRequest("amount_minor", "is required (0 is an account verification)")
    asked = amount("amount_minor", message.amount_minor, currency)
    hold = message.hold_minor
    if hold:
        hold = amount("hold_minor", hold, currency)
    if not message.HasField("merchant"):
        raise InvalidRequest("merchant", "is required")
    merchant = message.merchant
    mcc = merchant.mcc
    if mcc not in _MCCS:
        raise InvalidRequest("merchant.mcc", "must be four digits")
    merchant_currency = merchant.currency
    if merchant_currency and not _CODE.fullmatch(merchant_currency):
        raise InvalidRequest("merchant.currency", "must be empty or three capital letters")
    if merchant.country and not _CODE.fullmatch(merchant.country):
        raise InvalidRequest("merchant.country", "must be empty or three capital letters (ISO 3166-1 alpha-3)")
    merchant_amount = merchant.amount_minor if merchant.HasField("amount_minor") else None
    if merchant_amount is not None and merchant_amount < 0:
        raise InvalidRequest("merchant.amount_minor", "must not be negative")
    return AuthorizationRequest(
        kind,
        max(asked, hold),
        mcc,
        past_us("transacted_at", message.transacted_at if message.HasField("transacted_at") else None, now_us),
        message.partial_approval_capable,
        identifier("request_id", message.request_id, _ID_MAX),
        _fingerprint(message),
        card_token(message.card_token),
        currency,
        asked,
        identifier("transaction_token", message.transaction_token, _ID_MAX) if message.transaction_token else "",
        text("merchant.acceptor_id", merchant.acceptor_id, 64),
        text("merchant.descriptor", merchant.descriptor, 255),
        text("merchant.city", merchant.city, 64),
        text("merchant.state", merchant.state, 64),
        merchant.country,
        merchant_amount,
        merchant_currency,
        _known("entry_mode", _ENTRY_MODES, message.entry_mode),
        _known("network", _NETWORKS, message.network),
        message.explain,
    )


def card_token(value: str) -> str:
    """Raises `InvalidRequest` for a token that cannot be one."""
    return identifier("card_token", value, _CARD_TOKEN_MAX)


def is_mcc(text: str) -> bool:
    """True for four digits."""
    return text in _MCCS


def check_merchant(merchant: types.Merchant) -> None:
    """Raises `InvalidRequest` for a merchant that cannot be recorded."""
    if merchant.country and not _CODE.fullmatch(merchant.country):
        raise InvalidRequest("merchant.country", "must be empty or three capital letters (ISO 3166-1 alpha-3)")
    for field, value, length_max in (
        ("acceptor_id", merchant.acceptor_id, 64),
        ("descriptor", merchant.descriptor, 255),
        ("city", merchant.city, 64),
        ("state", merchant.state, 64),
    ):
        text(f"merchant.{field}", value, length_max)


def instant_us_of(field: str, at: Timestamp) -> int:
    """Microseconds since the Unix epoch; nanoseconds beyond are dropped."""
    if not (_SECONDS_MIN <= at.seconds <= _SECONDS_MAX and 0 <= at.nanos <= _NANOS_MAX):
        raise InvalidRequest(field, "must be a valid timestamp from 1970 on")
    return at.seconds * 1_000_000 + at.nanos // 1_000


def past_us(field: str, at: Timestamp | None, now_us: int) -> int:
    """An instant that is required and has happened, as far as clocks agree."""
    if at is None:
        raise InvalidRequest(field, "is required")
    at_us = instant_us_of(field, at)
    if at_us > now_us + AHEAD_MAX_US:
        raise InvalidRequest(field, "is more than five minutes ahead of the server's clock")
    return at_us


def amount(field: str, amount_minor: int, currency: str) -> int:
    """An amount that the tables can hold, 0 or more, minor units."""
    if 0 <= amount_minor <= _ALWAYS_FITS_MINOR and currency in _WHOLE_HUNDREDTHS:
        return amount_minor
    if amount_minor < 0:
        raise InvalidRequest(field, "must not be negative")
    if not fits_decimal_10_2(amount_minor, currency):
        raise InvalidRequest(field, "does not fit: at most 99,999,999.99 in whole hundredths")
    return amount_minor


def identifier(field: str, value: str, length_max: int = _ID_MAX) -> str:
    """What names something: printable ASCII."""
    if 0 < len(value) <= length_max and value.isascii() and value.isprintable():
        return value
    raise InvalidRequest(field, f"must be 1 to {length_max} printable ASCII characters")


def text(field: str, value: str, length_max: int) -> str:
    """Text that people read: no control characters."""
    if not value:
        return value
    if len(value) > length_max:
        raise InvalidRequest(field, f"must be at most {length_max} characters")
    if _CONTROL.search(value):
        raise InvalidRequest(field, "must not hold control characters")
    return value


def _known(field: str, names: dict[int, str], number: int) -> str:
    name = names.get(number)
    if name is None:
        raise InvalidRequest(field, "must be one of the known values")
    return name


def _fingerprint(message: pb.AuthorizeRequest) -> bytes:
    """Tells two bodies apart. Asking for an explanation or not is no part of the body."""
    if message.explain:
        bare = pb.AuthorizeRequest()
        bare.CopyFrom(message)
        bare.explain = False
        message = bare
    return fingerprint_of(message)


def fingerprint_of(message: Message) -> bytes:
    """Tells two bodies apart."""
    return hashlib.blake2b(message.SerializeToString(), digest_size=_FINGERPRINT_BYTES).digest()


# --- answers ----------------------------------------------------------------------------------------------------


def response_of(answer: Answer, elapsed_us: int, *, list_checks: bool) -> pb.AuthorizeResponse:
    """The answer on the wire."""
    response = pb.AuthorizeResponse()
    write_response(response, answer, elapsed_us, list_checks=list_checks)
    return response


def write_response(response: pb.AuthorizeResponse, answer: Answer, elapsed_us: int, *, list_checks: bool) -> None:
    """Write the answer into an empty message, which may be part of another: nothing is built twice."""
    request, reason = answer.request, answer.reason
    # The numbers of the engine's words are those of the contract: a test holds them equal, the type checker cannot.
    said: Any = answer
    level: Any = LEVEL_OF_REASON[reason]
    response.request_id = request.request_id
    response.decision, response.reason, response.level = said.decision, said.reason, level
    response.approved_minor = answer.approved_minor
    if answer.transaction_id is not None:
        response.transaction_id = answer.transaction_id
    if answer.available_minor is not None and answer.balance_minor is not None:
        response.available_balance_minor = answer.available_minor
        response.balance_minor = answer.balance_minor
    response.message = cardholder_message(answer.decision, reason)
    response.replayed = answer.replayed
    response.config_version = answer.config_version
    response.elapsed_us = elapsed_us
    deciding = deciding_check(reason, answer.checks)
    if deciding is not None or list_checks:
        scene = scene_of_stored(request, request.currency, answer.timezone, reason)
        if deciding is not None:
            _fill(response.deciding_check, deciding, scene)
        if list_checks:
            for check in answer.every_check():
                _fill(response.checks.add(), check, scene)


def _fill(message: types.Check, check: Check, scene: Scene) -> None:
    made: Any = check  # as in write_response
    message.name, message.result, message.window = made.name, made.result, made.window
    level: Any = LEVEL_OF_CHECK[check.name]
    message.level = level
    message.shared = check.shared
    message.text = check_text(check, scene)
    if check.limit_minor is not None and check.used_minor is not None:
        message.limit_minor = check.limit_minor
        message.used_minor = check.used_minor
        message.remaining_minor = check.limit_minor - check.used_minor
    if check.start_us is not None and check.end_us is not None:
        set_timestamp(message.window_start, check.start_us)
        set_timestamp(message.reset_time, check.end_us)


def set_timestamp(timestamp: Timestamp, instant_us: int) -> None:
    """Write an instant into a message's field."""
    timestamp.seconds, micros = divmod(instant_us, 1_000_000)
    timestamp.nanos = micros * 1_000


def spending_power_of(power: SpendingPower) -> pb.GetSpendingPowerResponse:
    """What a card may still spend, on the wire."""
    account = power.card.account
    state: Any = power.card_state  # as in write_response
    response = pb.GetSpendingPowerResponse(
        card_token=power.card.token,
        currency=account.currency,
        balance_minor=power.balance_minor,
        held_minor=power.held_minor,
        available_balance_minor=power.available_minor,
        spendable_minor=power.spendable_minor,
        card_state=state,
        timezone=account.timezone,
        config_version=account.config_version,
    )
    for limit in power.limits:
        bound = limit.bound
        line = response.limits.add(
            level=limit.level,
            window=bound.limit.window,
            limit_minor=bound.limit.amount_minor,
            used_minor=limit.used_minor,
            held_minor=limit.held_minor,
            remaining_minor=limit.remaining_minor,
            shared=bound.shared,
        )
        if bound.start_us is not None and bound.end_us is not None:
            set_timestamp(line.window_start, bound.start_us)
            set_timestamp(line.reset_time, bound.end_us)
    return response
