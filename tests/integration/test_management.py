"""The management services as an operator on loopback uses them, over gRPC, on real servers."""

import itertools
import re
from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc
import pytest
import pytest_asyncio

from authsvc.management.codec import snake
from authsvc.management.resources import ADDRESS, RESOURCES, Resource
from authsvc.v1 import management_pb2 as pb
from authsvc.v1 import types_pb2
from tests.desk import CARD_NUMBER, Desk, Program, account, example, made_program, user
from tests.network import Network

pytestmark = pytest.mark.asyncio(loop_scope="module")

CODE: Final = grpc.StatusCode
_numbers = itertools.count(1)


@pytest.fixture
def desk(network: Network) -> Desk:
    return Desk(network.running.channel)


@pytest_asyncio.fixture(loop_scope="module")
async def program(desk: Desk) -> Program:
    return await made_program(desk)


async def refused(call: Callable[[], Awaitable[Any]]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call()
    return error.value.code(), str(error.value.details())


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda one: one.name)
async def test_a_record_is_made_told_listed_changed_deleted_and_restored(
    desk: Desk, program: Program, resource: Resource
) -> None:
    message, change = example(resource, program)
    name = resource.name
    made = await desk.create(message)
    assert await desk.get(name, made.id) == made
    (path, value), *_ = change.items()
    changed = await desk.update(type(made)(id=made.id, etag=made.etag, **change), path)
    assert getattr(changed, path) == value and int(changed.etag) > int(made.etag)
    listed = await desk.page(name, resource.plural, order_by="created_at desc", page_size=1)
    assert [one.id for one in getattr(listed, snake(resource.plural))] == [made.id]
    assert await refused(lambda: desk.delete(name, made.id, made.etag)) == (
        CODE.ABORTED,
        "Somebody else changed it meanwhile: read it again.",
    )
    deleted = await desk.delete(name, made.id, changed.etag)
    assert deleted.HasField("deleted_at")
    assert (await refused(lambda: desk.get(name, made.id)))[0] is CODE.NOT_FOUND
    assert (await desk.get(name, made.id, show_deleted=True)).id == made.id
    restored = await desk.restore(name, made.id)
    assert not restored.HasField("deleted_at") and getattr(restored, path) == value
    assert (await refused(lambda: desk.restore(name, made.id)))[0] is CODE.FAILED_PRECONDITION


BAD: Final = [
    (pb.Account(business_name="X", owner_email="nobody"), "owner_email"),
    (pb.Account(owner_email="a@example.com"), "business_name"),
    (pb.Account(business_name="X" * 256, owner_email="a@example.com"), "business_name"),
    (pb.Account(business_name=" ".join(re.findall("....", CARD_NUMBER)), owner_email="a@example.com"), "business_name"),
    (pb.User(email="a@example.com", first_name="A\x07", last_name="B"), "first_name"),
    (pb.User(email="a@example.com", first_name="A", last_name="B", role=9), "role"),
    (pb.SpendingProfile(name="X", allowed_categories=["5812", "58"]), "allowed_categories[1]"),
    (pb.SpendingProfile(name="X", blocked_categories=["4000-3000"]), "blocked_categories[0]"),
    (pb.SpendingProfile(name="X", spend_limit_minor=100), "spend_limit_duration"),
    (pb.SpendingProfile(name="X", spend_limit_minor=-1, spend_limit_duration=2), "spend_limit_minor"),
    (pb.SpendingProfile(name="X", spend_limit_minor=10**10, spend_limit_duration=2), "spend_limit_minor"),
    (pb.CardProduct(name="X"), "card_type"),
    (pb.CardProduct(name="X", card_type=1, default_spending_profile_id=10**8), "default_spending_profile_id"),
    (pb.Card(card_type=1), "user_id"),
    (pb.Card(card_type=1, user_id=10**8), "user_id"),
    (pb.Card(user_id=-1, card_type=1), "user_id"),
    (pb.Card(user_id=1, card_type=1, last_four="42424"), "last_four"),
    (pb.Card(user_id=1, card_type=1, last_four=CARD_NUMBER), "last_four"),
    (pb.Card(user_id=1, card_product_id=10**8), "card_product_id"),
    (pb.Address(addressable_type=2, addressable_id=1, address_type=1, street_line1="S", city="C"), "state"),
    (
        pb.Address(
            addressable_type=2,
            addressable_id=1,
            address_type=1,
            street_line1="S",
            city="C",
            state="WA",
            postal_code="1",
        ),
        "postal_code",
    ),
    (
        pb.Address(addressable_type=2, addressable_id=1, address_type=1, street_line1="S", city="C", country="Germany"),
        "country",
    ),
    (pb.Setting(key="hold_day", value="3"), "key"),
    (pb.Setting(key="hold_days", value="31"), "value"),
    (pb.Setting(key="hold_days", value='"3"'), "value"),
    (pb.Setting(key="hold_days", value="true"), "value"),
    (pb.Setting(key="timezone", value='"Berlin"'), "value"),
    (pb.Setting(key="timezone", value="Berlin"), "value"),
    (pb.Category(mcc_code="12", category_name="X"), "mcc_code"),
    (pb.CategoryRule(rule_type=1, category_group="X", spending_category_id=1), "spending_category_id"),
    (pb.CategoryRule(rule_type=1), "spending_category_id"),
]


@pytest.mark.parametrize(
    ("message", "field"), BAD, ids=lambda one: one if isinstance(one, str) else one.DESCRIPTOR.name
)
async def test_bad_input_is_refused_with_the_field_named_and_its_value_is_not_repeated(
    desk: Desk, program: Program, message: Any, field: str
) -> None:
    complete = type(message)()
    complete.CopyFrom(message)
    if "account_id" in message.DESCRIPTOR.fields_by_name:
        complete.account_id = program.account.id
    if message.DESCRIPTOR.name == "CategoryRule":
        complete.spending_profile_id = program.profile.id
    code, text = await refused(lambda: desk.create(complete))
    assert code is CODE.INVALID_ARGUMENT and text.startswith(f"{field}: ")
    assert CARD_NUMBER not in text and CARD_NUMBER[:4] not in text


async def test_what_is_taken_is_told_and_free_again_once_deleted(desk: Desk, program: Program) -> None:
    taken = user(program.account.id)
    made = await desk.create(taken)
    same = user(program.account.id, email=taken.email.upper())
    assert await refused(lambda: desk.create(same)) == (CODE.ALREADY_EXISTS, "email: is taken")
    await desk.delete("User", made.id)
    again = await desk.create(same)
    assert (await refused(lambda: desk.restore("User", made.id)))[0] is CODE.ALREADY_EXISTS
    await desk.delete("User", again.id)
    assert (await desk.restore("User", made.id)).email == taken.email


async def test_a_card_takes_its_product_s_defaults_and_shows_what_it_has_otherwise(
    desk: Desk, program: Program
) -> None:
    plain = await desk.create(pb.Card(card_product_id=program.product.id, user_id=program.user.id))
    assert plain.account_id == program.account.id and plain.card_type == pb.CARD_TYPE_VIRTUAL
    assert (plain.spend_limit_minor, plain.spend_limit_duration) == (100_000, types_pb2.WINDOW_MONTHLY)
    assert plain.spending_profile_id == program.profile.id and not plain.overridden_fields
    other = await desk.create(
        pb.Card(card_product_id=program.product.id, user_id=program.user.id, spend_limit_minor=5_000)
    )
    assert list(other.overridden_fields) == ["spend_limit"]
    more = await desk.update(
        pb.Card(id=other.id, spend_limit_minor=100_000), "spend_limit_minor", "spending_profile_id"
    )
    assert list(more.overridden_fields) == ["spending_profile_id"]
    changed = pb.CardProduct(id=program.product.id, default_spend_limit_minor=1)
    await desk.update(changed, "default_spend_limit_minor")
    assert (await desk.get("Card", plain.id)).spend_limit_minor == 100_000


async def test_what_is_read_only_is_ignored_in_something_new(desk: Desk, program: Program) -> None:
    card = await desk.create(
        pb.Card(
            account_id=program.account.id,
            user_id=program.user.id,
            card_type=pb.CARD_TYPE_DEBIT,
            overridden_fields=["card_type"],
        )
    )
    assert not card.overridden_fields
    rich = account()
    rich.balance_minor, rich.config_version, rich.id = 10_000_000, 77, 1
    made = await desk.create(rich)
    assert (made.balance_minor, made.config_version) == (0, 1) and made.id != 1


async def test_the_account_s_settings_say_which_cards_may_be_made_and_how_many(desk: Desk, program: Program) -> None:
    async def card() -> Any:
        return await desk.create(
            pb.Card(account_id=program.account.id, user_id=program.user.id, card_type=pb.CARD_TYPE_VIRTUAL)
        )

    cards = [await card() for _ in range(5)]
    code, text = await refused(card)
    assert code is CODE.INVALID_ARGUMENT and text == "user_id: has 5 cards already (setting max_cards_per_user)"
    await desk.update(pb.Card(id=cards[0].id, status=pb.CARD_STATUS_CLOSED), "status")
    await card()
    await desk.create(pb.Setting(account_id=program.account.id, key="max_cards_per_user", value="50"))
    await card()
    await desk.create(pb.Setting(account_id=program.account.id, key="enable_virtual_cards", value="false"))
    code, text = await refused(card)
    assert text == "card_type: is turned off by the account's setting enable_virtual_cards"


async def test_a_card_lives_as_the_documents_say_and_closed_is_final(desk: Desk, program: Program) -> None:
    card = await desk.create(
        pb.Card(account_id=program.account.id, user_id=program.user.id, card_type=pb.CARD_TYPE_DEBIT)
    )
    assert card.status == pb.CARD_STATUS_PENDING

    async def become(status: Any) -> Any:
        return await desk.update(pb.Card(id=card.id, status=status), "status")

    for status in (pb.CARD_STATUS_ACTIVE, pb.CARD_STATUS_INACTIVE, pb.CARD_STATUS_ACTIVE, pb.CARD_STATUS_CLOSED):
        assert (await become(status)).status == status
    for status in (pb.CARD_STATUS_ACTIVE, pb.CARD_STATUS_INACTIVE, pb.CARD_STATUS_PENDING):
        code, text = await refused(lambda status=status: become(status))
        assert code is CODE.FAILED_PRECONDITION and "is closed and cannot become" in text


async def test_what_is_in_use_cannot_vanish(desk: Desk, program: Program) -> None:
    code, text = await refused(lambda: desk.delete("SpendingProfile", program.profile.id))
    assert (code, "default of a card product" in text) == (CODE.FAILED_PRECONDITION, True)
    await desk.delete("CardProduct", program.product.id)
    await desk.create(
        pb.Card(
            account_id=program.account.id,
            user_id=program.user.id,
            spending_profile_id=program.profile.id,
            card_type=pb.CARD_TYPE_DEBIT,
        )
    )
    code, text = await refused(lambda: desk.delete("SpendingProfile", program.profile.id))
    assert (code, text.endswith("is used by 1 card(s)")) == (CODE.FAILED_PRECONDITION, True)
    await desk.delete("User", program.user.id)
    assert (await refused(lambda: desk.purge("User", program.user.id)))[0] is CODE.FAILED_PRECONDITION


async def test_only_what_is_deleted_can_be_purged_and_then_it_is_gone(desk: Desk, program: Program) -> None:
    spare = await desk.create(user(program.account.id))
    code, text = await refused(lambda: desk.purge("User", spare.id))
    assert (code, text) == (CODE.FAILED_PRECONDITION, "only what is deleted can be purged")
    await desk.delete("User", spare.id)
    await desk.purge("User", spare.id)
    assert (await refused(lambda: desk.get("User", spare.id, show_deleted=True)))[0] is CODE.NOT_FOUND


async def test_warnings_tell_what_is_allowed_but_in_vain(desk: Desk, program: Program) -> None:
    odd = await desk.create(
        pb.SpendingProfile(
            account_id=program.account.id,
            name="Odd",
            allowed_categories=["5812", "3000-3299"],
            blocked_categories=["3005", "5812"],
            spend_limit_minor=0,
            spend_limit_duration=types_pb2.WINDOW_DAILY,
        )
    )
    assert [one.field for one in odd.warnings] == ["allowed_categories", "spend_limit_minor"]
    assert "3005, 5812" in odd.warnings[0].problem
    card = await desk.create(
        pb.Card(
            account_id=program.account.id,
            user_id=program.user.id,
            spending_profile_id=program.profile.id,
            card_type=pb.CARD_TYPE_DEBIT,
            spend_limit_minor=300_000,
            spend_limit_duration=types_pb2.WINDOW_MONTHLY,
        )
    )
    assert [(one.field, one.problem) for one in card.warnings] == [
        ("spend_limit_minor", "is above the profile's, which holds first")
    ]


async def test_a_profile_is_described_in_words(desk: Desk, program: Program) -> None:
    await desk.create(pb.Setting(account_id=program.account.id, key="timezone", value='"Europe/Berlin"'))
    await desk.create(pb.CategoryRule(spending_profile_id=program.profile.id, category_group="Gambling", rule_type=2))
    told = await desk.stub("SpendingProfile").DescribeProfile(pb.GetResourceRequest(id=program.profile.id))
    assert list(told.sentences) == [
        "Each card may spend up to 2,500.00 USD a month (Europe/Berlin time).",
        "Only these merchants are allowed: 3000 to 3299, 5812.",
        "These are blocked, whatever else is said: Gambling.",
    ]


async def test_pages_follow_each_other_without_gap_or_repetition_and_fit_one_list_only(
    desk: Desk, program: Program
) -> None:
    names = [f"Profile {number:02}" for number in range(7)]
    for name in reversed(names):
        await desk.create(pb.SpendingProfile(account_id=program.account.id, name=name))
    for order, expected in (("name", [*names, "Travel"]), ("name desc", ["Travel", *reversed(names)])):
        asked = {"account_id": program.account.id, "order_by": order, "page_size": 3}
        seen, token = [], ""
        while True:
            page = await desk.page("SpendingProfile", "SpendingProfiles", page_token=token, **asked)
            seen += [one.name for one in page.spending_profiles]
            token = page.next_page_token
            if not token:
                break
            last = token
        assert seen == expected
    elsewhere = {"account_id": program.account.id, "order_by": "id"}
    for token in (last, "!", "AAAA"):
        code, text = await refused(
            lambda token=token: desk.page("SpendingProfile", "SpendingProfiles", page_token=token, **elsewhere)
        )
        assert code is CODE.INVALID_ARGUMENT and text.startswith("page_token: ")


async def test_money_is_in_minor_units_of_the_account_s_currency(desk: Desk) -> None:
    yen = account()
    yen.currency = "JPY"
    made = await desk.create(yen)
    profile = await desk.create(
        pb.SpendingProfile(account_id=made.id, name="Yen", spend_limit_minor=12_345, spend_limit_duration=2)
    )
    assert (await desk.get("SpendingProfile", profile.id)).spend_limit_minor == 12_345
    assert (await refused(lambda: desk.update(pb.Account(id=made.id, currency="USD"), "currency")))[
        0
    ] is CODE.INVALID_ARGUMENT


@pytest.mark.parametrize("paths", [[], ["nothing"], ["id"], ["account_id"], ["created_at"], ["warnings"], ["name.x"]])
async def test_a_mask_that_names_nothing_that_can_change_is_refused(
    desk: Desk, program: Program, paths: list[str]
) -> None:
    code, text = await refused(lambda: desk.update(pb.SpendingProfile(id=program.profile.id, name="New"), *paths))
    assert code is CODE.INVALID_ARGUMENT and text.startswith("update_mask: ")


async def test_the_registry_of_settings_is_told_with_types_ranges_and_defaults(desk: Desk) -> None:
    told = await desk.stub("Setting").ListSettingKeys(pb.ListSettingKeysRequest())
    known = {one.key: one for one in told.setting_keys}
    assert {"timezone", "refund_policy", "balance_check", "hold_days", "max_cards_per_user"} <= set(known)
    assert (known["hold_days"].minimum, known["hold_days"].maximum, known["hold_days"].default_value) == (1, 30, "7")
    assert list(known["balance_check"].choices) == ["on", "off"]


async def test_a_second_primary_address_of_a_kind_is_refused_by_its_field(desk: Desk, program: Program) -> None:
    address = example(ADDRESS, program)[0]
    address.is_primary = True
    first = await desk.create(address)
    code, said = await refused(lambda: desk.create(address))
    assert (code, said) == (CODE.ALREADY_EXISTS, "is_primary: is taken")
    await desk.update(pb.Address(id=first.id, is_primary=False), "is_primary")
    assert (await desk.create(address)).is_primary
