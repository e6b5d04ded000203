"""Many records at once: all or nothing, told as it goes, every bad line named."""

from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
import orjson
import pytest
import pytest_asyncio

from authsvc.v1 import management_pb2 as pb
from authsvc.v1 import management_pb2_grpc, types_pb2
from tests.desk import CARD_NUMBER, Desk, account, user
from tests.network import Network
from tests.serving import WAIT_S, request

pytestmark = pytest.mark.asyncio(loop_scope="module")

INVALID: Final = grpc.StatusCode.INVALID_ARGUMENT


class Shop:
    """An account with a user and a product; the settings allow many cards."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.desk = Desk(network.running.channel)
        self.bulk: Any = management_pb2_grpc.BulkServiceStub(network.running.channel)

    async def open(self) -> "Shop":
        self.account = await self.desk.create(account())
        self.user = await self.desk.create(user(self.account.id))
        self.profile = await self.desk.create(pb.SpendingProfile(account_id=self.account.id, name="Team"))
        self.product = await self.desk.create(
            pb.CardProduct(
                account_id=self.account.id,
                name="Team card",
                card_type=pb.CARD_TYPE_VIRTUAL,
                default_spend_limit_minor=2_000,
                default_spend_limit_duration=types_pb2.WINDOW_DAILY,
                default_spending_profile_id=self.profile.id,
            )
        )
        await self.desk.create(pb.Setting(account_id=self.account.id, key="max_cards_per_user", value="2000"))
        return self

    async def create(self, cards: list[pb.NewCard], **more: Any) -> list[pb.CreateCardsProgress]:
        asked = pb.CreateCardsRequest(card_product_id=self.product.id, cards=cards, **more)
        return [told async for told in self.bulk.CreateCards(asked, timeout=WAIT_S)]

    async def import_lines(self, resource: str, lines: list[str], **how: Any) -> list[pb.ImportRecordsProgress]:
        async def messages() -> AsyncIterator[pb.ImportRecordsRequest]:
            yield pb.ImportRecordsRequest(resource=resource, **how)
            for start in range(0, len(lines), 3):
                yield pb.ImportRecordsRequest(lines=lines[start : start + 3])

        return [told async for told in self.bulk.ImportRecords(messages(), timeout=WAIT_S)]

    async def count(self, table: str) -> int:
        return int(
            await self.network.running.database.fetchval(
                f"SELECT count(*) FROM {table} WHERE account_id = $1", self.account.id
            )
        )


@pytest_asyncio.fixture(loop_scope="module")
async def shop(network: Network) -> Shop:
    return await Shop(network).open()


async def refusal_of(call: Any) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    return error.value.code(), str(error.value.details())


async def test_a_thousand_cards_of_a_product_are_made_in_chunks_and_work_at_once(shop: Shop) -> None:
    wanted = [pb.NewCard(user_id=shop.user.id, lithic_card_token=f"bulk-{shop.user.id}-{n}") for n in range(1_200)]
    told = await shop.create(wanted, status=pb.CARD_STATUS_ACTIVE)
    assert [(one.made, one.total, one.is_committed) for one in told] == [
        (500, 1_200, False),
        (1_000, 1_200, False),
        (1_200, 1_200, False),
        (1_200, 1_200, True),
    ]
    ids = [card_id for one in told for card_id in one.card_ids]
    assert len(set(ids)) == 1_200 == await shop.count("cards")
    last = await shop.desk.get("Card", ids[-1])
    assert last.lithic_card_token == wanted[-1].lithic_card_token
    assert (last.spend_limit_minor, last.spending_profile_id) == (2_000, shop.profile.id)
    await shop.network.running.database.execute("UPDATE accounts SET balance = 100 WHERE id = $1", shop.account.id)
    decided = await shop.network.running.authorize(request(last.lithic_card_token, 1_500))
    assert decided.decision == types_pb2.DECISION_APPROVED


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        ({"user_id": 10**8}, "cards[2].user_id"),
        ({}, "cards[2].user_id"),
        ({"last_four": "123"}, "cards[2].last_four"),
        ({"lithic_card_token": CARD_NUMBER}, "cards[2].lithic_card_token"),
    ],
)
async def test_one_bad_card_is_named_and_none_is_made(shop: Shop, bad: dict[str, Any], field: str) -> None:
    good = pb.NewCard(user_id=shop.user.id)
    third = pb.NewCard(**({"user_id": shop.user.id} | bad if bad else {}))
    code, text = await refusal_of(shop.create([good, good, third]))
    assert code is INVALID and text.startswith(f"{field}: ")
    assert await shop.count("cards") == 0


async def test_a_token_that_is_taken_undoes_the_chunks_before_it(shop: Shop) -> None:
    taken = f"taken-{shop.user.id}"
    cards = [pb.NewCard(user_id=shop.user.id) for _ in range(600)]
    cards += [pb.NewCard(user_id=shop.user.id, lithic_card_token=taken) for _ in range(2)]
    code, _ = await refusal_of(shop.create(cards))
    assert code is grpc.StatusCode.ALREADY_EXISTS and await shop.count("cards") == 0


async def test_a_caller_who_hangs_up_midway_leaves_no_card(shop: Shop) -> None:
    asked = pb.CreateCardsRequest(
        card_product_id=shop.product.id, cards=[pb.NewCard(user_id=shop.user.id) for _ in range(1_500)]
    )
    call = shop.bulk.CreateCards(asked, timeout=WAIT_S)
    assert (await call.read()).made == 500
    call.cancel()
    # The next change of the same rows waits for the transaction to end.
    await shop.create([pb.NewCard(user_id=shop.user.id)])
    assert await shop.count("cards") in (1, 1_501)


async def test_cards_move_between_profiles_together_or_not_at_all(shop: Shop) -> None:
    ids = [card for one in await shop.create([pb.NewCard(user_id=shop.user.id)] * 4) for card in one.card_ids]
    other = await shop.desk.create(pb.SpendingProfile(account_id=shop.account.id, name="Others"))
    code, text = await refusal_of(
        shop.bulk.MoveCards(pb.MoveCardsRequest(card_ids=[*ids, 10**8], to_profile_id=other.id))
    )
    assert code is INVALID and text.startswith("card_ids: names 100000000")
    assert (await shop.desk.get("Card", ids[0])).spending_profile_id == shop.profile.id
    moved = await shop.bulk.MoveCards(pb.MoveCardsRequest(card_ids=ids[:1], to_profile_id=other.id))
    assert moved.moved == 1
    first = await shop.desk.get("Card", ids[0])
    assert first.spending_profile_id == other.id and list(first.overridden_fields) == ["spending_profile_id"]
    moved = await shop.bulk.MoveCards(pb.MoveCardsRequest(from_profile_id=shop.profile.id))
    assert moved.moved == 3
    assert not (await shop.desk.get("Card", ids[1])).HasField("spending_profile_id")
    code, text = await refusal_of(shop.bulk.MoveCards(pb.MoveCardsRequest(to_profile_id=other.id)))
    assert code is INVALID and text.startswith("card_ids: ")


def people(shop: Shop, *names: str) -> list[str]:
    return [
        orjson.dumps(
            {
                "account_id": shop.account.id,
                "email": f"{name}-{shop.user.id}@example.com",
                "first_name": name,
                "last_name": "X",
            }
        ).decode()
        for name in names
    ]


async def test_an_import_makes_every_line(shop: Shop) -> None:
    told = await shop.import_lines("User", people(shop, *"abcdefg"))
    assert (told[-1].read, told[-1].good, told[-1].is_committed) == (7, 7, True)
    assert await shop.count("users") == 8


@pytest.mark.parametrize(("how", "made"), [({}, 0), ({"skip_bad": True}, 3), ({"check_only": True}, 0)])
async def test_an_import_names_every_bad_line_and_makes_the_others_only_when_asked_to(
    shop: Shop, how: dict[str, bool], made: int
) -> None:
    good = people(shop, "a", "b", "c")
    lines = [good[0], "{", good[1], good[0], '{"email": 7}', good[2], '{"account_id": 1, "nothing": 2}']
    told = await shop.import_lines("User", lines, **how)
    bad = {(one.line, one.problem.field) for report in told for one in report.bad_lines}
    assert bad == {(2, "line"), (4, "email"), (5, "line"), (7, "line")}
    assert (told[-1].read, told[-1].good, told[-1].is_committed) == (7, 3, bool(made))
    assert await shop.count("users") == 1 + made


async def test_an_import_of_nothing_known_is_refused(shop: Shop) -> None:
    code, text = await refusal_of(shop.import_lines("Cow", []))
    assert code is INVALID and text.startswith("resource: must be one of Account, User")
