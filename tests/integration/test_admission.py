"""Where credentials are required: who gets in, what for, and that nobody reads the history of another account."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple

import grpc
import pytest
import pytest_asyncio
from google.protobuf.timestamp_pb2 import Timestamp
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from authsvc.embedded import Servers
from authsvc.identity.signing_keys import rotate
from authsvc.ledger.identity import revoke_key
from authsvc.v1 import authorization_pb2 as pb
from authsvc.v1 import history_pb2, management_pb2, management_pb2_grpc
from authsvc.v1 import transactions_pb2 as tx
from authsvc.v1.history_pb2_grpc import HistoryServiceStub
from authsvc.v1.transactions_pb2_grpc import TransactionServiceStub
from tests.identity import UNAUTHENTICATED, Entrance, MovedClock, bearing
from tests.serving import NOON, WAIT_S, Running, refusal, request, serving_module

pytestmark = pytest.mark.asyncio(loop_scope="module")
DENIED = grpc.StatusCode.PERMISSION_DENIED
NOT_FOUND = grpc.StatusCode.NOT_FOUND
NEEDED = (UNAUTHENTICATED, "credentials are needed: authorization: Bearer …")
REMEMBERED_MS = 200
CALLS_PER_S = 5


class Gate(NamedTuple):
    """A service that asks everybody who they are."""

    running: Running
    entrance: Entrance
    transactions: Any
    history: Any


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gate(servers: Servers, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Gate]:
    keys = tmp_path_factory.mktemp("identity") / "keys.json"
    clock = MovedClock()
    rotate(keys, now_s=0, signs_in_s=0, keep=1, chance=os.urandom)
    asked = {
        "require_credentials": "always",
        "credentials_ttl_ms": REMEMBERED_MS,
        "signing_keys_file": keys,
        "management_calls_per_s": CALLS_PER_S,
    }
    async with serving_module(servers, template, clock=clock, **asked) as running:
        yield Gate(
            running,
            Entrance(running, clock, keys),
            TransactionServiceStub(running.channel),
            HistoryServiceStub(running.channel),
        )


Call = Callable[[Gate, tuple[tuple[str, str], ...]], Awaitable[object]]


def _listed(gate: Gate, metadata: tuple[tuple[str, str], ...], **asked: Any) -> Awaitable[Any]:
    message = history_pb2.ListTransactionsRequest(start_time=stamp(), **asked)
    return gate.history.ListTransactions(message, metadata=metadata, timeout=WAIT_S)


async def _streamed(gate: Gate, metadata: tuple[tuple[str, str], ...]) -> object:
    return await gate.running.stub.AuthorizeStream(iter([request()]), metadata=metadata, timeout=WAIT_S).read()


async def _watched(gate: Gate, metadata: tuple[tuple[str, str], ...], *, messages: int = 1, **asked: Any) -> Any:
    """The last of so many messages; the first tells where the stream begins."""
    call = gate.history.WatchTransactions(
        history_pb2.WatchTransactionsRequest(cursor=0, **asked), metadata=metadata, timeout=WAIT_S
    )
    try:
        return [await call.read() for _ in range(messages)][-1]
    finally:
        call.cancel()


CALLS: dict[str, Call] = {
    "Authorize": lambda gate, metadata: gate.running.stub.Authorize(request(), metadata=metadata, timeout=WAIT_S),
    "BatchAuthorize": lambda gate, metadata: gate.running.stub.BatchAuthorize(
        pb.BatchAuthorizeRequest(requests=[request()]), metadata=metadata, timeout=WAIT_S
    ),
    "AuthorizeStream": _streamed,
    "Simulate": lambda gate, metadata: gate.running.stub.Simulate(request(), metadata=metadata, timeout=WAIT_S),
    "GetSpendingPower": lambda gate, metadata: gate.running.stub.GetSpendingPower(
        pb.GetSpendingPowerRequest(card_token="card_demo_open"), metadata=metadata, timeout=WAIT_S
    ),
    "GetTransaction": lambda gate, metadata: gate.transactions.GetTransaction(
        tx.GetTransactionRequest(transaction_id=1), metadata=metadata, timeout=WAIT_S
    ),
    "AdjustBalance": lambda gate, metadata: gate.transactions.AdjustBalance(
        tx.AdjustBalanceRequest(), metadata=metadata, timeout=WAIT_S
    ),
    "ListTransactions": _listed,
    "WatchTransactions": _watched,
    "ListAccounts": lambda gate, metadata: management_pb2_grpc.AccountServiceStub(gate.running.channel).ListAccounts(
        management_pb2.ListAccountsRequest(), metadata=metadata, timeout=WAIT_S
    ),
}
# What each scope opens; everything else is PERMISSION_DENIED.
OPENS = {
    "authorize": {"Authorize", "BatchAuthorize", "AuthorizeStream", "Simulate", "GetSpendingPower"},
    "events": {"GetTransaction"},
    "history": {"ListTransactions", "WatchTransactions"},
    "manage": {"AdjustBalance", "ListAccounts"},
}


def stamp() -> Timestamp:
    told = Timestamp()
    told.FromDatetime(NOON.replace(year=2020))
    return told


async def outcome(call: Awaitable[object]) -> str:
    """The name of a call's status."""
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return error.code().name
    return "OK"


# --- credentials and scopes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CALLS)
async def test_a_call_without_credentials_or_with_bad_ones_is_unauthenticated(gate: Gate, name: str) -> None:
    assert (await refusal(CALLS[name](gate, ())))[0] == UNAUTHENTICATED
    for bad in ("authsvc_nobody_knows_this", "no.such.token"):
        assert (await refusal(CALLS[name](gate, bearing(bad))))[0] == UNAUTHENTICATED


async def test_a_refused_decision_is_told_in_fixed_words_and_counted(gate: Gate) -> None:
    sample = ("authsvc_errors_total", {"status": "UNAUTHENTICATED"})
    before = gate.running.service.metrics.registry.get_sample_value(*sample) or 0
    assert await refusal(CALLS["Authorize"](gate, ())) == NEEDED
    assert await refusal(CALLS["AuthorizeStream"](gate, ())) == NEEDED
    assert gate.running.service.metrics.registry.get_sample_value(*sample) == before + 2


@pytest.mark.parametrize("scope", OPENS)
async def test_a_key_opens_what_its_scope_says_and_nothing_else(gate: Gate, scope: str) -> None:
    key = bearing(await gate.entrance.key(scope))
    opened = {name for name, call in CALLS.items() if await outcome(call(gate, key)) != DENIED.name}
    assert opened == OPENS[scope]


async def test_a_key_of_an_account_neither_authorizes_nor_tells_what_the_network_said(gate: Gate) -> None:
    person = await gate.entrance.person()
    key = bearing(await gate.entrance.key("all", account_id=person.account_id))
    refused = {name for name, call in CALLS.items() if await outcome(call(gate, key)) == DENIED.name}
    assert refused == OPENS["authorize"] | OPENS["events"] | {"AdjustBalance"}


async def test_health_and_reflection_need_no_credentials(gate: Gate) -> None:
    channel = gate.running.channel
    health = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=WAIT_S)
    assert health.status == health_pb2.HealthCheckResponse.SERVING
    asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(asked, timeout=WAIT_S)
    assert (await call.read()).list_services_response.service


async def test_decisions_do_not_ask_the_database_who_calls_each_time(gate: Gate) -> None:
    key = bearing(await gate.entrance.key("authorize"))
    await CALLS["Authorize"](gate, key)
    async with gate.running.database.transaction():
        await gate.running.database.execute("LOCK TABLE api_keys")
        answers = [await outcome(CALLS["Authorize"](gate, key)) for _ in range(5)]
    assert answers == 5 * ["OK"]


async def test_many_first_calls_at_once_with_one_key_are_all_answered(gate: Gate) -> None:
    key = bearing(await gate.entrance.key("authorize"))
    assert await asyncio.gather(*(outcome(CALLS["Authorize"](gate, key)) for _ in range(50))) == 50 * ["OK"]
    bad = bearing("authsvc_nobody_knows_this_either")
    answers = await asyncio.gather(*(outcome(CALLS["Authorize"](gate, bad)) for _ in range(20)))
    assert answers == 20 * [UNAUTHENTICATED.name]


@pytest.mark.parametrize("scope", ["authorize", "history"])
async def test_a_stream_ends_when_the_key_that_opened_it_is_revoked(gate: Gate, scope: str) -> None:
    key = bearing(await gate.entrance.key(scope, name=f"stream-{scope}"))
    if scope == "authorize":
        call = gate.running.stub.AuthorizeStream(metadata=key, timeout=WAIT_S)
        await call.write(request())
    else:
        call = gate.history.WatchTransactions(history_pb2.WatchTransactionsRequest(), metadata=key, timeout=WAIT_S)
    await call.read()
    await revoke_key(gate.running.database, f"stream-{scope}", gate.entrance.clock.now_us())
    gate.entrance.clock.pass_s(6)

    async def read_on() -> None:
        while await call.read() is not grpc.aio.EOF:
            pass

    assert await refusal(read_on()) == (UNAUTHENTICATED, "the credentials are not valid")


async def test_sign_in_needs_no_other_credentials(gate: Gate) -> None:
    person = await gate.entrance.person()
    session = await gate.entrance.sign_in(person)
    assert (await gate.entrance.who(session.access_token)).user_id == person.id


async def test_a_caller_who_manages_too_fast_is_told_so_and_others_are_not(gate: Gate) -> None:
    hasty, calm = bearing(await gate.entrance.key("manage")), bearing(await gate.entrance.key("manage"))
    statuses = [await outcome(CALLS["ListAccounts"](gate, hasty)) for _ in range(CALLS_PER_S + 1)]
    assert statuses == CALLS_PER_S * ["OK"] + ["RESOURCE_EXHAUSTED"]
    assert await outcome(CALLS["ListAccounts"](gate, calm)) == "OK"
    gate.entrance.clock.pass_s(1)
    assert await outcome(CALLS["ListAccounts"](gate, hasty)) == "OK"


# --- the own history --------------------------------------------------------------------------------------------------


class Holder(NamedTuple):
    """A cardholder of the sample program, a decision on their card, and callers of two accounts."""

    account_id: int
    account_token: str
    user_id: int
    transaction_id: int
    request_id: str
    owner: tuple[tuple[str, str], ...]
    cardholder: tuple[tuple[str, str], ...]
    colleague: tuple[tuple[str, str], ...]
    stranger: tuple[tuple[str, str], ...]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def holder(gate: Gate) -> Holder:
    entrance = gate.entrance
    row = await gate.running.database.fetchrow(
        "SELECT account_id, user_id, a.lithic_account_token FROM cards c JOIN accounts a ON a.id = account_id"
        " WHERE lithic_card_token = 'card_demo_open'"
    )
    account_id, user_id, token = row

    async def of_account(role: str, email: str) -> tuple[tuple[str, str], ...]:
        model = await entrance.person()
        await gate.running.database.execute(
            "INSERT INTO users (account_id, email, first_name, last_name, role, password_hash)"
            " SELECT $1, $2, 'A', 'Person', $3, password_hash FROM users WHERE id = $4",
            account_id, email, role, model.id,
        )  # fmt: skip
        return bearing((await entrance.sign_in(email)).access_token)

    model = await entrance.person()
    email = await gate.running.database.fetchval(
        "UPDATE users SET role = 'user', password_hash = (SELECT password_hash FROM users WHERE id = $2)"
        " WHERE id = $1 RETURNING email",
        user_id, model.id,
    )  # fmt: skip
    asked = request()
    answer = await gate.running.stub.Authorize(asked, metadata=bearing(await entrance.key("all")), timeout=WAIT_S)
    return Holder(
        account_id, token, user_id, answer.transaction_id, asked.request_id,
        owner=await of_account("owner", "owner@admission.example"),
        cardholder=bearing((await entrance.sign_in(email)).access_token),
        colleague=await of_account("user", "colleague@admission.example"),
        stranger=bearing((await entrance.sign_in(await entrance.person("owner"))).access_token),
    )  # fmt: skip


def explained(gate: Gate, metadata: tuple[tuple[str, str], ...], **asked: Any) -> Awaitable[Any]:
    message = history_pb2.ExplainTransactionRequest(**asked)
    return gate.history.ExplainTransaction(message, metadata=metadata, timeout=WAIT_S)


def summed(gate: Gate, metadata: tuple[tuple[str, str], ...], **asked: Any) -> Awaitable[Any]:
    message = history_pb2.SpendSummaryRequest(bucket=history_pb2.BUCKET_MONTH, start_time=stamp(), **asked)
    return gate.history.SpendSummary(message, metadata=metadata, timeout=WAIT_S)


async def test_a_list_holds_the_own_account_or_the_own_cards_and_never_more(gate: Gate, holder: Holder) -> None:
    for metadata, is_there in ((holder.owner, True), (holder.cardholder, True), (holder.colleague, False)):
        for asked in ({}, {"account_id": holder.account_id}, {"account_token": holder.account_token}):
            page = await _listed(gate, metadata, **asked)
            assert any(one.transaction_id == holder.transaction_id for one in page.transactions) == is_there
            assert {one.account_id for one in page.transactions} <= {holder.account_id}
    assert not (await _listed(gate, holder.stranger)).transactions
    assert not (await _listed(gate, holder.stranger, card_token="card_demo_open")).transactions
    assert not (await _listed(gate, holder.stranger, user_id=holder.user_id)).transactions


async def test_another_account_is_not_found_by_its_number_or_its_token(gate: Gate, holder: Holder) -> None:
    for asked in ({"account_id": holder.account_id}, {"account_token": holder.account_token}):
        for call in (_listed, summed, _watched):
            assert (await refusal(call(gate, holder.stranger, **asked)))[0] == NOT_FOUND
    for asked in ({"account_id": 999_999}, {"account_token": "nobody"}):
        assert await refusal(_listed(gate, holder.stranger, **asked)) == (NOT_FOUND, "no such account")


async def test_a_decision_of_another_account_or_another_cardholder_is_as_if_it_were_not_there(
    gate: Gate, holder: Holder
) -> None:
    unknown = await refusal(explained(gate, holder.stranger, transaction_id=999_999))
    for asked in ({"transaction_id": holder.transaction_id}, {"request_id": holder.request_id}):
        for metadata in (holder.owner, holder.cardholder):
            assert (await explained(gate, metadata, **asked)).transaction.account_id == holder.account_id
        for metadata in (holder.stranger, holder.colleague):
            assert await refusal(explained(gate, metadata, **asked)) == unknown


async def test_summaries_and_watching_are_of_the_own_account_and_not_for_cardholders(
    gate: Gate, holder: Holder
) -> None:
    assert (await summed(gate, holder.owner, account_id=holder.account_id)).rows
    told = await _watched(gate, holder.owner, messages=2)
    assert {one.account_id for one in told.transactions} == {holder.account_id}
    for call in (summed(gate, holder.cardholder, account_id=holder.account_id), _watched(gate, holder.cardholder)):
        assert (await refusal(call))[0] == DENIED


async def test_a_program_of_no_account_reads_the_history_of_all(gate: Gate, holder: Holder) -> None:
    key = bearing(await gate.entrance.key("history"))
    assert (await explained(gate, key, transaction_id=holder.transaction_id)).answer.transaction_id
    assert (await _listed(gate, key, account_id=holder.account_id)).transactions
