"""GetSpendingPower: what a card may still spend, by what is committed."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import grpc
import pytest
import pytest_asyncio

from authsvc.embedded import Servers
from authsvc.v1 import authorization_pb2 as pb
from authsvc.v1 import types_pb2 as types
from tests.serving import NOON, WAIT_S, Running, refusal, request, serving_module, until

pytestmark = pytest.mark.asyncio(loop_scope="module")

# In the sample program: cards that cannot be used, and why.
UNUSABLE = {
    "card_demo_suspended_account": types.REASON_ACCOUNT_NOT_ACTIVE,
    "card_demo_suspended_user": types.REASON_USER_NOT_ACTIVE,
    "card_demo_pending": types.REASON_CARD_PENDING,
    "card_demo_inactive": types.REASON_CARD_INACTIVE,
    "card_demo_closed": types.REASON_CARD_CLOSED,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(servers: Servers, template: str) -> AsyncIterator[Running]:
    async with serving_module(servers, template) as one:
        yield one


async def power(running: Running, token: str, at: datetime = NOON) -> pb.GetSpendingPowerResponse:
    return await running.stub.GetSpendingPower(pb.GetSpendingPowerRequest(card_token=token, at=at), timeout=WAIT_S)


def figures(limit: pb.SpendingLimit) -> tuple[int, ...]:
    return limit.level, limit.window, limit.limit_minor, limit.used_minor, limit.held_minor, limit.remaining_minor


async def test_spending_power_tells_profile_and_card_limit_with_window_and_use(running: Running) -> None:
    await running.authorize(request("card_demo_travel", amount_minor=30_000))
    posted = request("card_demo_travel", amount_minor=5_000, kind=types.KIND_FINANCIAL_AUTHORIZATION)
    assert (await running.authorize(posted)).decision == types.DECISION_APPROVED
    told = await power(running, "card_demo_travel")
    assert [figures(limit) for limit in told.limits] == [
        (types.LEVEL_PROFILE, types.WINDOW_MONTHLY, 250_000, 35_000, 30_000, 215_000),
        (types.LEVEL_CARD, types.WINDOW_MONTHLY, 100_000, 35_000, 30_000, 65_000),
    ]
    assert told.limits[0].window_start.ToDatetime(UTC) == datetime(2025, 11, 1, tzinfo=UTC)
    assert told.limits[0].reset_time.ToDatetime(UTC) == datetime(2025, 12, 1, tzinfo=UTC)
    assert told.spendable_minor == 65_000
    assert told.available_balance_minor == told.balance_minor - told.held_minor
    assert (told.currency, told.timezone, told.card_state) == ("USD", "UTC", types.REASON_APPROVED)
    later = await power(running, "card_demo_travel", datetime(2025, 12, 1, tzinfo=UTC))
    assert {limit.used_minor for limit in later.limits} == {0}


async def test_a_shared_limit_is_used_by_every_card_of_the_profile(running: Running) -> None:
    await running.authorize(request("card_demo_lunch_uma", amount_minor=1_500))
    for token in ("card_demo_lunch_uma", "card_demo_lunch_anna"):
        (limit,) = (await power(running, token)).limits
        assert limit.shared
        assert figures(limit)[2:] == (40_000, 1_500, 1_500, 38_500)


async def test_windows_of_spending_power_are_in_the_accounts_time_zone(running: Running) -> None:
    (limit,) = (await power(running, "card_demo_new_york")).limits
    assert limit.window_start.ToDatetime(UTC) == datetime(2025, 11, 1, 4, tzinfo=UTC)
    assert limit.reset_time.ToDatetime(UTC) == datetime(2025, 12, 1, 5, tzinfo=UTC)


async def test_a_limit_on_each_transaction_has_no_use_and_no_reset(running: Running) -> None:
    await running.authorize(request("card_demo_office", merchant=types.Merchant(mcc="5111")))
    told = await power(running, "card_demo_office")
    (limit,) = told.limits
    assert figures(limit) == (types.LEVEL_PROFILE, types.WINDOW_TRANSACTION, 50_000, 0, 0, 50_000)
    assert not limit.HasField("window_start") and not limit.HasField("reset_time")
    assert told.spendable_minor == 50_000


async def test_a_card_without_limits_may_spend_what_is_available(running: Running) -> None:
    told = await power(running, "card_demo_small_balance")
    assert not told.limits
    assert told.spendable_minor == told.available_balance_minor


async def test_where_the_balance_is_not_checked_only_limits_count(running: Running) -> None:
    told = await power(running, "card_demo_lifetime")
    assert (told.balance_minor, told.spendable_minor) == (0, 50_000)
    assert not told.limits[0].HasField("reset_time")
    await running.database.execute("UPDATE cards SET spend_limit = NULL WHERE lithic_card_token = 'card_demo_lifetime'")
    await until(lambda: _unlimited(running, "card_demo_lifetime"))


async def _unlimited(running: Running, token: str) -> bool:
    return not (await power(running, token)).HasField("spendable_minor")


@pytest.mark.parametrize(("card", "reason"), UNUSABLE.items(), ids=UNUSABLE.keys())
async def test_a_card_that_cannot_be_used_has_no_spending_power(running: Running, card: str, reason: int) -> None:
    told = await power(running, card)
    assert told.card_state == reason
    assert told.spendable_minor == 0
    assert told.HasField("spendable_minor")


async def test_spending_power_is_what_an_authorization_gets(running: Running) -> None:
    spendable = (await power(running, "card_demo_driver")).spendable_minor
    fuel = types.Merchant(mcc="5541")
    over = await running.authorize(request("card_demo_driver", spendable + 1, merchant=fuel))
    exact = await running.authorize(request("card_demo_driver", spendable, merchant=fuel))
    assert (over.decision, exact.decision) == (types.DECISION_DECLINED, types.DECISION_APPROVED)
    assert (await power(running, "card_demo_driver")).spendable_minor == 0


async def test_the_spending_power_of_an_unknown_card_is_not_found(running: Running) -> None:
    asked = pb.GetSpendingPowerRequest(card_token="card_nobody")
    code, text = await refusal(running.stub.GetSpendingPower(asked))
    assert (code, text) == (grpc.StatusCode.NOT_FOUND, "no card has this token")


@pytest.mark.parametrize("token", ["", "x" * 256, "a\nb"])
async def test_spending_power_names_a_bad_card_token(running: Running, token: str) -> None:
    code, text = await refusal(running.stub.GetSpendingPower(pb.GetSpendingPowerRequest(card_token=token)))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert text.startswith("card_token: ")
