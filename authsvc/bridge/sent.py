"""When Lithic made a webhook. Bodies of card events do not say it; every delivery has another timestamp. Pure."""

import re
from collections.abc import Mapping
from typing import Final

from authsvc.bridge.signature import ID_HEADER, TIMESTAMP_HEADER

# K-sortable ids, as Lithic's event tokens are: twenty bytes in base 62, of which the first four count seconds since
# this epoch, the fifth tells the part of the second, and the rest are random.
_KSUID: Final = re.compile(r"msg_([0-9A-Za-z]{27})")
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_KSUID_EPOCH_S: Final = 1_400_000_000
_RANDOM_BITS: Final = 15 * 8
_SECOND_US: Final = 1_000_000
_AHEAD_MAX_US: Final = 5 * 60 * _SECOND_US
_OLD_MAX_US: Final = 400 * 24 * 3_600 * _SECOND_US


def sent_us(headers: Mapping[str, str], received_us: int) -> int:
    """What the id says, else what the header says (that of the latest delivery), else when it came.

    An id that tells of the future or of long ago is a random text of the same form.
    """
    told_us = _of_id(headers.get(ID_HEADER, ""))
    if told_us is not None and received_us - _OLD_MAX_US <= told_us <= received_us + _AHEAD_MAX_US:
        return told_us
    timestamp = headers.get(TIMESTAMP_HEADER, "")
    if timestamp.isascii() and timestamp.isdigit() and abs(int(timestamp) * _SECOND_US - received_us) <= _AHEAD_MAX_US:
        return int(timestamp) * _SECOND_US
    return received_us


def _of_id(webhook_id: str) -> int | None:
    matched = _KSUID.fullmatch(webhook_id)
    if matched is None:
        return None
    number = 0
    for digit in matched[1]:
        number = number * len(_DIGITS) + _DIGITS.index(digit)
    seconds, fraction = divmod(number >> _RANDOM_BITS, 256)
    return (_KSUID_EPOCH_S + seconds) * _SECOND_US + fraction * _SECOND_US // 256
