"""What comes back raises the balance, and gives room to limits as the account's refund policy says."""

import asyncpg
import pytest

from authsvc.v1 import authorization_pb2 as auth
from authsvc.v1 import transactions_pb2 as pb
from authsvc.v1 import types_pb2 as types
from tests.network import CLEARING, REFUND, RESTAURANT, SETTLED, Network, counts, event
from tests.programs import Card, add_account, add_card, add_profile, set_setting
from tests.serving import NOON

pytestmark = pytest.mark.asyncio(loop_scope="module")
POLICIES = ("restore_lifetime", "never", "restore_window")


async def make_card(database: asyncpg.Connection, policy: str | None, window: str) -> Card:
    account_id = await add_account(database, "1000.00")
    if policy is not None:
        await set_setting(database, account_id, "refund_policy", policy)
    profile_id = await add_profile(database, account_id, "100.00", window)
    return await add_card(database, account_id, profile_id=profile_id)


@pytest.mark.parametrize("window", ["daily", "monthly", "lifetime"])
@pytest.mark.parametrize("policy", [None, *POLICIES])
async def test_a_refund_gives_back_what_the_policy_says(network: Network, policy: str | None, window: str) -> None:
    card = await make_card(network.running.database, policy, window)
    swipe = await network.swipe(card, 10_000)
    await network.say(event(CLEARING, swipe, 10_000))
    assert counts(await network.say(event(REFUND, swipe, 3_000))) == (0, 10_000, 3_000, SETTLED)
    assert await network.balance_minor(card) == 93_000
    gives = policy == "restore_window" or (policy in (None, "restore_lifetime") and window == "lifetime")
    room = 3_000 if gives else 0
    assert (await network.swipe(card, room + 1)).reason == types.REASON_PROFILE_LIMIT_EXCEEDED
    if room:
        assert (await network.swipe(card, room)).decision == types.DECISION_APPROVED
    power = await network.running.stub.GetSpendingPower(auth.GetSpendingPowerRequest(card_token=card.token, at=NOON))
    assert power.limits[0].remaining_minor == 0
    assert await network.drift() == []


async def test_a_refund_of_its_own_belongs_to_its_own_window(network: Network) -> None:
    card = await make_card(network.running.database, "restore_window", "monthly")
    await network.swipe(card, 10_000)
    refund = event(REFUND, None, 2_500, transaction_token=f"refund-{card.token}")
    refund.card_token = card.token
    refund.merchant.CopyFrom(RESTAURANT)
    assert counts(await network.say(refund)) == (0, 0, 2_500, SETTLED)
    assert (await network.swipe(card, 2_501)).decision == types.DECISION_DECLINED
    assert (await network.swipe(card, 2_500)).decision == types.DECISION_APPROVED
    assert await network.drift() == []


async def test_a_refund_that_is_taken_back_takes_the_room_with_it(network: Network) -> None:
    card = await make_card(network.running.database, "restore_lifetime", "lifetime")
    swipe = await network.swipe(card, 10_000)
    await network.say(event(CLEARING, swipe, 10_000))
    await network.say(event(REFUND, swipe, 4_000))
    await network.say(event(pb.EVENT_KIND_REFUND_REVERSAL, swipe, 1_500))
    assert (await network.swipe(card, 2_501)).decision == types.DECISION_DECLINED
    assert (await network.swipe(card, 2_500)).decision == types.DECISION_APPROVED
    assert await network.drift() == []


async def test_another_policy_holds_from_the_next_decision_on(network: Network) -> None:
    card = await make_card(network.running.database, None, "monthly")
    swipe = await network.swipe(card, 10_000)
    await network.say(event(CLEARING, swipe, 10_000))
    await network.say(event(REFUND, swipe, 4_000))
    assert (await network.swipe(card, 1)).decision == types.DECISION_DECLINED
    await set_setting(network.running.database, card.account_id, "refund_policy", "restore_window")
    assert (await network.swipe(card, 4_000)).decision == types.DECISION_APPROVED
    await network.running.database.execute(
        "UPDATE account_settings SET value = '\"never\"' WHERE account_id = $1", card.account_id
    )
    assert (await network.swipe(card, 1)).decision == types.DECISION_DECLINED
    assert await network.drift() == []
