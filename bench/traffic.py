"""Card traffic to replay: a seeded mix of cards, amounts and merchant categories. One seed, one sequence."""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from authsvc.v1 import authorization_pb2 as pb
from authsvc.v1 import types_pb2 as types

DIGITS: Final = 8

# Category, weight, median ticket (minor units), descriptor: what people use a card for most, invented figures.
MERCHANTS: Final = (
    ("5411", 22, 4_200, "GREEN VALLEY GROCERS"),
    ("5812", 16, 3_100, "TRATTORIA DEL PONTE"),
    ("5814", 15, 1_150, "QUICK BITE 0231"),
    ("5541", 10, 4_800, "HARBOUR FUEL"),
    ("5999", 8, 2_900, "NORTH STREET SHOP"),
    ("4121", 7, 1_900, "CITY TAXI"),
    ("5734", 6, 2_400, "CLOUD SOFTWARE"),
    ("5912", 5, 1_700, "CORNER PHARMACY"),
    ("5732", 3, 18_000, "ELECTRIC AVENUE"),
    ("3058", 2, 38_000, "AIRLINE TICKETS"),
    ("3501", 2, 21_000, "GRAND HOTEL"),
    ("4899", 2, 6_500, "CABLE AND SATELLITE"),
    ("7995", 1, 5_000, "LUCKY CASINO"),
    ("6011", 1, 10_000, "CASH MACHINE"),
)
_SPREAD: Final = 0.7  # sigma of the log-normal amounts: most tickets within half and double the median


@dataclass(frozen=True)
class Swipe:
    """One authorization, before it has an id and a time."""

    card_token: str
    amount_minor: int
    mcc: str
    descriptor: str


def swipes(cards: Sequence[str], seed: int) -> Iterator[Swipe]:
    """Endless traffic over `cards`, each as likely as the other."""
    chance = random.Random(seed)
    weights = [weight for _, weight, _, _ in MERCHANTS]
    while True:
        mcc, _, median_minor, descriptor = chance.choices(MERCHANTS, weights)[0]
        amount_minor = max(1, round(chance.lognormvariate(math.log(median_minor), _SPREAD)))
        yield Swipe(cards[chance.randrange(len(cards))], amount_minor, mcc, descriptor)


def once_each(cards: Sequence[str], seed: int) -> Iterator[Swipe]:
    """One authorization for each card, in their order."""
    for token, swipe in zip(cards, swipes(cards, seed), strict=False):
        yield replace(swipe, card_token=token)


def request(swipe: Swipe, request_id: str, transacted_at_us: int) -> pb.AuthorizeRequest:
    """The request as the bridge would send it."""
    message = pb.AuthorizeRequest(
        request_id=request_id,
        transaction_token=f"txn-{request_id}",
        card_token=swipe.card_token,
        kind=types.KIND_AUTHORIZATION,
        amount_minor=swipe.amount_minor,
        currency="USD",
        merchant=types.Merchant(
            acceptor_id="174030075991",
            descriptor=swipe.descriptor,
            mcc=swipe.mcc,
            city="SEATTLE",
            state="WA",
            country="USA",
            amount_minor=swipe.amount_minor,
            currency="USD",
        ),
        entry_mode=types.ENTRY_MODE_CHIP,
        network=types.NETWORK_VISA,
    )
    message.transacted_at.FromMicroseconds(transacted_at_us)
    return message


def serialised(traffic: Iterator[Swipe], count: int, run: str, transacted_at_us: int) -> list[bytes]:
    """At most `count` AuthorizeRequests; the ids are `run` and the place in the list, in DIGITS digits."""
    return [
        request(swipe, f"{run}-{at:0{DIGITS}}", transacted_at_us).SerializeToString()
        for at, swipe in zip(range(count), traffic, strict=False)
    ]


def batches(messages: Sequence[bytes], size: int) -> list[bytes]:
    """The messages as BatchAuthorizeRequests of `size` each; a rest that does not fill one is left out."""
    return [
        b"".join(b"\x0a" + _varint(len(one)) + one for one in messages[at : at + size])
        for at in range(0, len(messages) - size + 1, size)
    ]


def _varint(value: int) -> bytes:
    parts = []
    while value >= 0x80:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])
