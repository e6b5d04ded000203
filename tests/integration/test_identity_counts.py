"""What happens where callers come in is counted by what it was, and by nothing that tells who it was."""

from collections.abc import AsyncIterator
from typing import Final

import pytest
import pytest_asyncio

from authsvc.embedded import Servers
from authsvc.identity.shapes import Refusal, SignInEvent
from authsvc.v1 import history_pb2, management_pb2, management_pb2_grpc
from authsvc.v1.history_pb2_grpc import HistoryServiceStub
from tests.identity import EMAIL_TRIES, Entrance, bearing, open_entrance
from tests.serving import WAIT_S, refusal, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
ANOTHER: Final = "a heron waits by the lock"
SIGNIN: Final = "authsvc_signin_events_total"
TURNED_AWAY: Final = "authsvc_calls_turned_away_total"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def entrance(
    servers: Servers, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Entrance]:
    folder = tmp_path_factory.mktemp("counts")
    given = {"require_credentials": "always", "management_calls_per_s": 2}
    async with open_entrance(servers, template, folder, **given) as one:
        yield one


def counts(entrance: Entrance, name: str) -> dict[str, float]:
    """By the only label that there is."""
    families = entrance.running.service.metrics.registry.collect()
    samples = [sample for family in families for sample in family.samples if sample.name == name]
    assert all(len(sample.labels) == 1 for sample in samples)
    return {label: sample.value for sample in samples for label in sample.labels.values()}


def moved(entrance: Entrance, name: str, before: dict[str, float]) -> dict[str, float]:
    return {label: value - before[label] for label, value in counts(entrance, name).items() if value != before[label]}


async def test_every_count_is_there_from_the_start(entrance: Entrance) -> None:
    assert counts(entrance, SIGNIN).keys() == {*SignInEvent}
    assert counts(entrance, TURNED_AWAY).keys() == {*Refusal}


async def test_what_happens_at_sign_in_is_counted_once_each(entrance: Entrance) -> None:
    person, locked = await entrance.person(), await entrance.person()
    before = counts(entrance, SIGNIN)
    session = await entrance.sign_in(person)
    await refusal(entrance.sign_in(person, "not the right password"))
    await refusal(entrance.sign_in("nobody@identity.example"))
    await entrance.database.execute("UPDATE users SET status = 'suspended' WHERE id = $1", locked.id)
    await refusal(entrance.sign_in(locked))
    following = await entrance.refresh(session.refresh_token)
    await refusal(entrance.refresh(session.refresh_token))
    await refusal(entrance.refresh(following.refresh_token))
    await refusal(entrance.refresh("no token"))
    session = await entrance.sign_in(person)
    await entrance.change(session.access_token, "seven gulls over the harbour", ANOTHER)
    await entrance.sign_out(session.refresh_token)
    await entrance.request_reset(person.email)
    await entrance.request_reset("nobody@identity.example")
    await refusal(entrance.reset("no token", ANOTHER))
    await until(lambda: counts(entrance, SIGNIN)["reset_not_delivered"] > before["reset_not_delivered"])
    for _ in range(EMAIL_TRIES + 1):
        await refusal(entrance.sign_in("often@identity.example"))
    assert moved(entrance, SIGNIN, before) == {
        "signed_in": 2, "wrong_password": 2 + EMAIL_TRIES, "locked": 1, "limited": 1, "refreshed": 1,
        "refresh_reused": 1, "refresh_refused": 2, "signed_out": 1, "password_changed": 1, "reset_asked": 2,
        "reset_not_delivered": 1, "reset_refused": 1,
    }  # fmt: skip


async def test_calls_that_are_not_let_in_are_counted_by_why(entrance: Entrance) -> None:
    entrance.clock.pass_s(61)
    history = HistoryServiceStub(entrance.running.channel)
    accounts = management_pb2_grpc.AccountServiceStub(entrance.running.channel)
    session = await entrance.sign_in(await entrance.person())
    manager = await entrance.key("manage")
    before = counts(entrance, TURNED_AWAY)

    async def read(bearer: str | None) -> None:
        message = history_pb2.ListTransactionsRequest()
        await refusal(history.ListTransactions(message, metadata=bearing(bearer) if bearer else (), timeout=WAIT_S))

    async def manage(bearer: str | None) -> None:
        message = management_pb2.GetResourceRequest(id=10**8)
        await refusal(accounts.GetAccount(message, metadata=bearing(bearer) if bearer else (), timeout=WAIT_S))

    for call in (read, manage):
        await call(None)
        await call("authsvc_made_up")
        await call("no.such.token")
        await call(await entrance.key("authorize"))
    for _ in range(3):
        await manage(manager)
    entrance.clock.pass_s(600)
    await read(session.access_token)
    assert moved(entrance, TURNED_AWAY, before) == {
        "no_credentials": 2, "unknown_key": 2, "bad_credentials": 2, "scope": 2, "rate": 1, "expired_token": 1,
    }  # fmt: skip
