"""What is changed through the management services is obeyed by the very next decision."""

from typing import Any, Final, NamedTuple

import pytest
import pytest_asyncio

from authsvc.v1 import management_pb2 as pb
from authsvc.v1 import types_pb2 as types
from tests.desk import Desk, account, user
from tests.network import Network
from tests.serving import request

pytestmark = pytest.mark.asyncio(loop_scope="module")

FINE: Final = types.REASON_APPROVED
RESTAURANT: Final = "5812"


class Live(NamedTuple):
    """A card that works, everything behind it, and the desk that changes it."""

    network: Network
    desk: Desk
    account: pb.Account
    user: pb.User
    profile: pb.SpendingProfile
    card: pb.Card

    async def reason(self, card: pb.Card | None = None, amount_minor: int = 1_000) -> Any:
        asked = request((card or self.card).lithic_card_token, amount_minor)
        return (await self.network.running.authorize(asked)).reason

    async def change(self, message: Any, path: str, value: Any) -> None:
        await self.desk.update(type(message)(id=message.id, **{path: value}), path)


@pytest_asyncio.fixture(loop_scope="module")
async def live(network: Network) -> Live:
    desk = Desk(network.running.channel)
    made = await desk.create(account())
    holder = await desk.create(user(made.id))
    profile = await desk.create(pb.SpendingProfile(account_id=made.id, name="Any"))
    card = await desk.create(
        pb.Card(
            account_id=made.id,
            user_id=holder.id,
            spending_profile_id=profile.id,
            card_type=pb.CARD_TYPE_DEBIT,
            lithic_card_token=f"card-live-{made.id}",
            status=pb.CARD_STATUS_ACTIVE,
        )
    )
    await network.running.database.execute("UPDATE accounts SET balance = 500 WHERE id = $1", made.id)
    made_live = Live(network, desk, made, holder, profile, card)
    assert await made_live.reason() == FINE
    return made_live


async def test_an_account_that_is_suspended_deleted_or_restored(live: Live) -> None:
    await live.change(live.account, "status", pb.STATUS_SUSPENDED)
    assert await live.reason() == types.REASON_ACCOUNT_NOT_ACTIVE
    await live.change(live.account, "status", pb.STATUS_ACTIVE)
    assert await live.reason() == FINE
    await live.desk.delete("Account", live.account.id)
    assert await live.reason() == types.REASON_ACCOUNT_NOT_ACTIVE
    await live.desk.restore("Account", live.account.id)
    assert await live.reason() == FINE


async def test_a_user_who_is_made_inactive_or_deleted(live: Live) -> None:
    await live.change(live.user, "status", pb.STATUS_INACTIVE)
    assert await live.reason() == types.REASON_USER_NOT_ACTIVE
    await live.change(live.user, "status", pb.STATUS_ACTIVE)
    await live.desk.delete("User", live.user.id)
    assert await live.reason() == types.REASON_USER_NOT_ACTIVE


async def test_a_profile_that_blocks_or_limits(live: Live) -> None:
    await live.desk.update(
        pb.SpendingProfile(id=live.profile.id, blocked_categories=[RESTAURANT]), "blocked_categories"
    )
    assert await live.reason() == types.REASON_MCC_BLOCKED
    limited = pb.SpendingProfile(
        id=live.profile.id, spend_limit_minor=500, spend_limit_duration=types.WINDOW_TRANSACTION
    )
    await live.desk.update(limited, "blocked_categories", "spend_limit_minor", "spend_limit_duration")
    assert await live.reason() == types.REASON_PROFILE_LIMIT_EXCEEDED
    assert await live.reason(amount_minor=500) == FINE


async def test_a_card_that_is_limited_held_back_or_closed(live: Live) -> None:
    limited = pb.Card(id=live.card.id, spend_limit_minor=900, spend_limit_duration=types.WINDOW_TRANSACTION)
    await live.desk.update(limited, "spend_limit_minor", "spend_limit_duration")
    assert await live.reason() == types.REASON_CARD_LIMIT_EXCEEDED
    await live.change(live.card, "status", pb.CARD_STATUS_INACTIVE)
    assert await live.reason() == types.REASON_CARD_INACTIVE
    await live.change(live.card, "status", pb.CARD_STATUS_CLOSED)
    assert await live.reason() == types.REASON_CARD_CLOSED
    await live.desk.delete("Card", live.card.id)
    assert await live.reason() == types.REASON_UNKNOWN_CARD


async def test_a_card_made_from_a_product_has_its_limit_from_the_first_swipe_on(live: Live) -> None:
    product = await live.desk.create(
        pb.CardProduct(
            account_id=live.account.id,
            name="Coffee",
            card_type=pb.CARD_TYPE_VIRTUAL,
            default_spend_limit_minor=700,
            default_spend_limit_duration=types.WINDOW_DAILY,
            default_spending_profile_id=live.profile.id,
        )
    )
    token = f"card-product-{product.id}"
    assert await live.reason(pb.Card(lithic_card_token=token)) == types.REASON_UNKNOWN_CARD
    card = await live.desk.create(
        pb.Card(
            account_id=live.account.id,
            user_id=live.user.id,
            card_product_id=product.id,
            lithic_card_token=token,
            status=pb.CARD_STATUS_ACTIVE,
        )
    )
    assert await live.reason(card) == types.REASON_CARD_LIMIT_EXCEEDED
    assert await live.reason(card, 700) == FINE
    assert await live.reason(card, 1) == types.REASON_CARD_LIMIT_EXCEEDED


async def test_a_setting_that_lets_the_balance_go_unchecked(live: Live) -> None:
    assert await live.reason(amount_minor=60_000) == types.REASON_INSUFFICIENT_FUNDS
    setting = await live.desk.create(pb.Setting(account_id=live.account.id, key="balance_check", value='"off"'))
    assert await live.reason(amount_minor=60_000) == FINE
    await live.desk.delete("Setting", setting.id)
    assert await live.reason(amount_minor=60_000) == types.REASON_INSUFFICIENT_FUNDS


async def test_a_rule_about_a_group_and_a_category_that_joins_the_group(live: Live) -> None:
    rule = await live.desk.create(
        pb.CategoryRule(spending_profile_id=live.profile.id, category_group="Slow food", rule_type=pb.RULE_TYPE_BLOCKED)
    )
    assert await live.reason() == FINE
    known = await live.desk.page("Category", "Categories", mcc_code=RESTAURANT)
    category = (
        known.categories[0]
        if known.categories
        else await live.desk.create(pb.Category(mcc_code=RESTAURANT, category_name="Restaurants"))
    )
    await live.change(category, "category_group", "Slow food")
    assert await live.reason() == types.REASON_MCC_BLOCKED
    await live.desk.delete("CategoryRule", rule.id)
    assert await live.reason() == FINE


async def test_an_address_is_no_decision_s_business(live: Live) -> None:
    before = (await live.desk.get("Account", live.account.id)).config_version
    await live.desk.create(
        pb.Address(
            account_id=live.account.id,
            addressable_type=pb.OWNER_TYPE_ACCOUNT,
            addressable_id=live.account.id,
            address_type=pb.ADDRESS_TYPE_BUSINESS,
            street_line1="1 Mill Lane",
            city="Leeds",
            country="GB",
            postal_code="LS1 4AP",
        )
    )
    assert (await live.desk.get("Account", live.account.id)).config_version == before
