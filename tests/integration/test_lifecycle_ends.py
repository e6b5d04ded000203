"""Messages that cannot be applied, and holds whose time runs out."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import asyncpg
import grpc
import pytest

from authsvc.v1 import transactions_pb2 as pb
from authsvc.v1 import types_pb2 as types
from tests.network import (
    ADVICE,
    APPROVED,
    CLEARING,
    EXPIRED,
    EXPIRY,
    PENDING,
    RESTAURANT,
    REVERSAL,
    SETTLED,
    SNAPSHOT,
    Network,
    counts,
    event,
    make_card,
)
from tests.programs import Card
from tests.serving import NOON, WAIT_S, refusal

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"event_id": ""}, "event_id"),
        ({"event_id": "x" * 129}, "event_id"),
        ({"kind": 77}, "kind"),
        ({"kind": pb.EVENT_KIND_UNSPECIFIED}, "kind"),
        ({"amount_minor": None}, "amount_minor"),
        ({"amount_minor": -1}, "amount_minor"),
        ({"amount_minor": 2**62}, "amount_minor"),
        ({"kind": EXPIRY}, "amount_minor"),
        ({"settled_minor": 5}, "settled_minor"),
        ({"kind": SNAPSHOT, "settled_minor": -(2**62)}, "settled_minor"),
        ({"kind": REVERSAL, "is_final": True}, "is_final"),
        ({"currency": ""}, "currency"),
        ({"currency": "XXX"}, "currency"),
        ({"occurred_at": None}, "occurred_at"),
        ({"occurred_at": datetime(2090, 1, 1)}, "occurred_at"),  # noqa: DTZ001 - as protobuf takes it: UTC
        ({"transaction_id": -1}, "transaction_id"),
        ({"transaction_id": 0}, "transaction_token"),
        ({"transaction_token": "txn"}, "transaction_token"),
        ({"card_token": "card", "merchant": types.Merchant(mcc="58")}, "merchant.mcc"),
        ({"card_token": "card", "merchant": types.Merchant(mcc="5812", country="us")}, "merchant.country"),
        ({"card_token": "card\n", "merchant": RESTAURANT}, "card_token"),
    ],
)
async def test_a_bad_message_is_refused_by_the_name_of_its_field(
    network: Network, changes: dict[str, Any], field: str
) -> None:
    before = await network.running.recorded()
    fields = {"transaction_id": 1} | changes
    status, text = await refusal(network.say(event(**{"kind": CLEARING, "of": None, "amount_minor": 100} | fields)))
    assert (status, text.partition(":")[0]) == (grpc.StatusCode.INVALID_ARGUMENT, field)
    assert await network.running.recorded() == before


async def test_what_is_not_known_is_not_found(network: Network, card: Card) -> None:
    unknown = event(CLEARING, None, 100, transaction_id=2**40)
    assert (await refusal(network.say(unknown)))[0] is grpc.StatusCode.NOT_FOUND
    nowhere = event(CLEARING, None, 100, transaction_token="t", card_token="card_nobody_has", merchant=RESTAURANT)
    assert (await refusal(network.say(nowhere)))[0] is grpc.StatusCode.NOT_FOUND
    asked = network.stub.GetTransaction(pb.GetTransactionRequest(transaction_token="txn-unheard-of"), timeout=WAIT_S)
    assert (await refusal(asked))[0] is grpc.StatusCode.NOT_FOUND


DAY_US = 86_400 * 1_000_000


async def set_hold_days(database: asyncpg.Connection, account_id: int, days: int) -> None:
    await database.execute(
        "INSERT INTO account_settings (account_id, key, value, value_type) VALUES ($1, 'hold_days', $2, 'number')",
        account_id,
        str(days),
    )


async def test_holds_end_after_the_accounts_days_and_not_before(network: Network) -> None:
    database, sweep = network.running.database, network.running.service.expiry.sweep
    noon_us = int(NOON.timestamp() * 1e6)
    await sweep(noon_us + 40 * DAY_US)  # what other tests left behind
    usual, patient, cleared = [await make_card(database) for _ in range(3)]
    await set_hold_days(database, patient.account_id, 30)
    swipes = [await network.swipe(card, 10_000) for card in (usual, patient, cleared)]
    await network.say(event(CLEARING, swipes[2], 10_000))
    assert await sweep(noon_us + 7 * DAY_US - 1) == 0
    assert await sweep(noon_us + 7 * DAY_US) == 1
    assert [counts(await network.known(swipe.transaction_id)) for swipe in swipes] == [
        (0, 0, 0, EXPIRED),
        (10_000, 0, 0, APPROVED),
        (0, 10_000, 0, SETTLED),
    ]
    assert (await network.swipe(usual, 10_000)).decision == types.DECISION_APPROVED
    assert (await network.swipe(patient, 1)).decision == types.DECISION_DECLINED
    assert await asyncio.gather(*(sweep(noon_us + 30 * DAY_US) for _ in range(3))) in ([2, 0, 0], [0, 2, 0], [0, 0, 2])
    assert await sweep(noon_us + 30 * DAY_US) == 0
    late = await network.say(event(CLEARING, swipes[0], 9_000, occurred_at=NOON + timedelta(days=9)))
    assert counts(late) == (0, 9_000, 0, SETTLED)
    assert await network.drift() == []


async def test_a_word_of_the_network_gives_a_hold_its_days_anew(network: Network, card: Card) -> None:
    sweep, noon_us = network.running.service.expiry.sweep, int(NOON.timestamp() * 1e6)
    await sweep(noon_us + 40 * DAY_US)
    swipe = await network.swipe(card, 5_000)
    await network.say(event(ADVICE, swipe, 6_000, occurred_at=NOON + timedelta(days=5)))
    second = await network.swipe(card, 1_000, transaction_token="txn-lasting")
    await network.say(event(ADVICE, second, 1_500, occurred_at=NOON + timedelta(days=5)))
    await network.swipe(card, 500, transaction_token="txn-lasting")
    assert await sweep(noon_us + 11 * DAY_US) == 0
    await network.say(event(REVERSAL, second, occurred_at=NOON + timedelta(days=11)))
    assert await sweep(noon_us + 12 * DAY_US) == 1
    again = await network.say(event(ADVICE, swipe, 6_000, occurred_at=NOON + timedelta(days=14)))
    assert counts(again) == (6_000, 0, 0, PENDING)
    assert await sweep(noon_us + 21 * DAY_US) == 1
