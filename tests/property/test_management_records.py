"""Records through the whole service and a real database: what is accepted is read back equal, what is refused is named."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
import orjson
import pytest
import pytest_asyncio
from google.protobuf.message import Message
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from authsvc.embedded import Servers
from authsvc.errors import InvalidRequest
from authsvc.management.resources import ACCOUNT, RESOURCES, SETTING, Field, Resource, Shape
from authsvc.management.settings import check_setting
from authsvc.management.shapes import SettingKey
from authsvc.v1 import management_pb2 as pb
from tests.desk import Desk, Program, account, example, user
from tests.property.odd_values import CURRENCIES, INTEGERS, MINOR, entries, grouped, json_values, texts, words_of
from tests.serving import Running, serving_module

pytestmark = pytest.mark.asyncio(loop_scope="module")

# That of the sample, without decimals, and with one more than the columns have.
MONIES: Final = ("USD", "JPY", "KWD")
GOOD: Final = {
    "email": st.integers(0, 10**6).map("person-{}@example.com".format),
    "owner_email": st.just("Owner@Example.com"),
    "country": st.sampled_from(["US", "CA", "DE", "AE", "ZZ"]),
    "state": st.sampled_from(["WA", "ON", "BY", "1"]),
    "postal_code": st.sampled_from(["98101", "K1A 0B1", "10115", "A1"]),
    "currency": CURRENCIES | st.sampled_from(["XXX", "usd", "US", "EURO"]),
    "last_four": st.integers(0, 9_999).map("{:04}".format),
    "mcc_code": st.integers(0, 9_999).map("{:04}".format),
    "phone": st.integers(10**6, 10**14).map("+{}".format),
    "date_of_birth": st.sampled_from(
        ["1984-05-06", "1984-W10-1", "19840506", "1899-12-31", "2999-01-01", "1984-02-30"]
    ),
    "tax_id": st.sampled_from(["12-3456789", "DE 123456789", "١٢٣٤"]),
}
# Of which "metadata" may be anything.
KEYS: Final = st.just("metadata") | st.sampled_from(["timezone", "hold_days", "balance_check", "hold_day", ""])
JSON_TEXTS: Final = st.sampled_from(
    [
        *("", "null", "[1", "1e400", "-0.0", "7.0", "1E+1", str(2**70), "-1e-400", '"\\u0000"', '{"\\u0000":1}', '"\\ud800"'),
        *('{"a":1,"a":2}', "[" * 30 + "]" * 30, "[" * 300 + "]" * 300, "[" * 2_000 + "]" * 2_000, '"' + "x" * 20_000 + '"'),
    ]
)  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(servers: Servers, template: str) -> AsyncIterator[Running]:
    async with serving_module(servers, template) as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(running: Running) -> Desk:
    return Desk(running.channel)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def programs(desk: Desk) -> list[Program]:
    """An account of each currency, with a user, a profile and a product."""
    made = []
    for currency in MONIES:
        own = account()
        own.currency = currency
        own = await desk.create(own)
        holder = await desk.create(user(own.id))
        profile = await desk.create(pb.SpendingProfile(account_id=own.id, name="Travel"))
        product = await desk.create(
            pb.CardProduct(account_id=own.id, name="Travel card", card_type=pb.CARD_TYPE_VIRTUAL)
        )
        await desk.create(pb.Setting(account_id=own.id, key="max_cards_per_user", value="100000"))
        made.append(Program(own, holder, profile, product))
    return made


def values_for(field: Field, resource: Resource, program: Program) -> st.SearchStrategy[Any]:
    """As they stand in a message."""
    if field.name == "key":
        return KEYS
    if field.shape is Shape.TEXT:
        return GOOD.get(field.name, st.nothing()) | texts(halves=False) | grouped()
    if field.shape is Shape.WORD:
        enum = getattr(pb, resource.name).DESCRIPTOR.fields_by_name[field.name].enum_type
        numbers = [enum.values_by_name[f"{field.prefix}{word.upper()}"].number for word in words_of(field, resource)]
        return st.sampled_from([*numbers, 0, 99])
    ids = program.account.id, program.user.id, program.profile.id, program.product.id, 10**8
    return {
        Shape.INTEGER: st.sampled_from(ids) | INTEGERS,
        Shape.MONEY: MINOR,
        Shape.BOOLEAN: st.booleans(),
        Shape.LIST: entries() | grouped().map(lambda number: [number]),
        Shape.JSON: JSON_TEXTS | (json_values() | grouped()).map(lambda value: orjson.dumps(value).decode()),
    }[field.shape]


def written(message: Any, field: Field, value: Any) -> None:
    """Raises ValueError for what a message cannot carry."""
    message.ClearField(field.name)
    if field.shape in (Shape.LIST, Shape.NAMES):
        getattr(message, field.name).extend(value)
    else:
        setattr(message, field.name, value)


def changed(data: Any, resource: Resource, program: Program, message: Any, fields: list[Field]) -> list[str]:
    """Up to three of the fields get other values. Their names, and those of what goes with them."""
    some = data.draw(st.lists(st.sampled_from(fields), max_size=3, unique_by=lambda field: field.name))
    names = {field.name for field in some}
    # Alone, a limit would be refused for want of a window, and a value for not being of the sample's key.
    for name in [name for name in names if name.endswith("spend_limit_minor")]:
        names.add(name.replace("_minor", "_duration"))
    if resource is SETTING and any(field.fixed for field in fields):
        names |= {"key", "value"}
    for field in (resource.by_name[name] for name in sorted(names)):
        value = data.draw(values_for(field, resource, program), label=field.name)
        try:
            written(message, field, value)
        except ValueError:
            assume(False)
    return sorted(names)


def assert_read_back(resource: Resource, sent: Any, got: Any, names: list[str]) -> None:
    for name in names:
        field, given_value, value = resource.by_name[name], getattr(sent, name), getattr(got, name)
        if field.shape is Shape.TEXT:
            given_value = given_value.strip() or field.default or ""
        if field.shape is Shape.JSON:
            # A figure may come back without its exponent: the same one, written otherwise.
            given_value, value = (json.loads(text, parse_int=float) for text in (given_value, value))
        if field.shape is Shape.WORD and not given_value and field.default:
            given_value = (
                got.DESCRIPTOR.fields_by_name[name]
                .enum_type.values_by_name[f"{field.prefix}{str(field.default).upper()}"]
                .number
            )
        if field.shape is Shape.BOOLEAN and field.default and not sent.HasField(name):
            given_value = field.default
        assert value == given_value, name


async def outcome(resource: Resource, call: Any, sent: Message) -> Any:
    """The answer, or None for a refusal, which names a field of the message and tells no card number again."""
    try:
        return await call
    except grpc.aio.AioRpcError as error:
        code, text = error.code(), str(error.details())
    named = re.match(r"(\w+)(\[[0-9]+\])?: ", text)
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        assert named is not None and named[1] in {*resource.by_name, "update_mask"}, (text, sent)
    else:
        assert code in (grpc.StatusCode.ALREADY_EXISTS, grpc.StatusCode.FAILED_PRECONDITION), (code, text, sent)
    assert not re.search(r"[0-9]{13}", re.sub(r"[\s.-]", "", text))
    return None


@pytest.mark.parametrize("resource", RESOURCES, ids=lambda one: one.name)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
async def test_what_is_accepted_is_read_back_equal_and_what_is_refused_is_named(
    desk: Desk, programs: list[Program], resource: Resource, data: Any
) -> None:
    program = data.draw(st.sampled_from(programs), label="program")
    if resource is SETTING:
        # A key may stand once in each account.
        program = program._replace(account=await desk.create(account()))
    message, _ = example(resource, program)
    writable = [field for field in resource.fields if not field.read_only]
    names = changed(data, resource, program, message, writable)
    # Drawn before anything is asked: what the database answers depends on what it has been told before.
    draft = type(message)()
    paths = changed(data, resource, program, draft, [field for field in writable if not field.fixed])
    made = await outcome(resource, desk.create(message), message)
    if made is not None:
        assert_read_back(resource, message, await desk.get(resource.name, made.id), names)
    plain, _ = example(resource, program)
    made = made or await outcome(resource, desk.create(plain), plain)
    assume(made is not None)
    draft.id = made.id
    if paths and await outcome(resource, desk.update(draft, *paths), draft) is not None:
        got = await desk.get(resource.name, made.id)
        if resource is not ACCOUNT or "currency" not in paths:
            assert_read_back(resource, draft, got, [name for name in paths if _is_given(draft, name, resource)])


def _is_given(draft: Any, name: str, resource: Resource) -> bool:
    """Not so when a change leaves nothing, where a new record would get what holds by itself."""
    field = resource.by_name[name]
    return field.shape not in (Shape.WORD, Shape.BOOLEAN) or bool(getattr(draft, name))


@settings(max_examples=40, deadline=None)
@given(data=st.data())
async def test_a_setting_that_is_taken_here_is_taken_by_the_database(running: Running, data: Any) -> None:
    rows = await running.database.fetch("SELECT * FROM setting_keys ORDER BY key")
    known = [
        SettingKey(row["key"], row["value_type"], None, row["minimum"], row["maximum"], row["choices"] or (), "")
        for row in rows
    ]
    key = data.draw(st.sampled_from(known))
    near = [
        1,
        0,
        -1,
        7.0,
        7.5,
        True,
        False,
        "UTC",
        "Europe/Berlin",
        "localtime",
        "posix/UTC",
        "right/UTC",
        "EST5EDT",
    ]
    near += [one for edge in (key.minimum, key.maximum) if edge is not None for one in (int(edge), int(edge) + 1)]
    value = data.draw(st.sampled_from([*near, *key.choices]) | json_values())
    try:
        check_setting(known, key.key, value)
    except InvalidRequest:
        is_taken = False
    else:
        is_taken = True
    text = orjson.dumps(value).decode()
    assume("\\u0000" not in text)
    problem = await running.database.fetchval("SELECT authsvc_setting_problem($1, $2::TEXT::JSONB)", key.key, text)
    assert (problem is None) == is_taken, problem
