"""The service as a login that is no superuser: row-level security holds for it, and it must do its work all the same."""

import asyncio
import itertools
from collections.abc import Iterator
from typing import Final

import asyncpg
import pytest

from authsvc.embedded import Servers
from authsvc.ledger.migrate import upgrade
from authsvc.v1 import management_pb2 as pb
from authsvc.v1 import management_pb2_grpc, types_pb2
from tests.serving import WAIT_S, request, serving

ROLES: Final = "authsvc_engine, authsvc_management, authsvc_reporting, authsvc_migration"
_numbers = itertools.count(1)


def login_url(servers: Servers, name: str) -> str:
    """The database of a name, as the login of the same name."""
    return servers.postgres.url(name).replace("//postgres@", f"//{name}@")


@pytest.fixture
def plain_url(servers: Servers, template: str) -> Iterator[str]:
    """A database that belongs to a login without any right of its own but those of the roles."""
    assert template  # the roles exist: they belong to the server
    name = f"plain_{next(_numbers)}"
    servers.postgres.execute(f"CREATE ROLE {name} LOGIN NOSUPERUSER NOCREATEROLE NOBYPASSRLS")
    servers.postgres.execute(f"GRANT {ROLES} TO {name}")
    servers.postgres.execute(f"CREATE DATABASE {name} OWNER {name}")
    yield login_url(servers, name)
    servers.postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")
    servers.postgres.execute(f"DROP ROLE {name}")


async def test_a_plain_login_migrates_decides_and_manages(plain_url: str, redis_url: str) -> None:
    await upgrade(plain_url)
    async with serving(plain_url, redis_url) as running:
        assert not await running.database.fetchval("SELECT rolsuper OR rolbypassrls FROM pg_roles WHERE rolname = user")
        card = await running.database.fetchrow(
            "SELECT id, lithic_card_token FROM cards WHERE status = 'active' AND spending_profile_id IS NULL LIMIT 1"
        )
        asked = request(card_token=card["lithic_card_token"], amount_minor=100)
        assert (await running.authorize(asked)).decision == types_pb2.DECISION_APPROVED
        stub = management_pb2_grpc.CardServiceStub(running.channel)
        change = pb.UpdateCardRequest(card=pb.Card(id=card["id"], status=pb.CARD_STATUS_INACTIVE))
        change.update_mask.paths.append("status")
        await stub.UpdateCard(change, timeout=WAIT_S)
        declined = await running.authorize(request(card_token=card["lithic_card_token"], amount_minor=100))
        assert (declined.decision, declined.reason) == (types_pb2.DECISION_DECLINED, types_pb2.REASON_CARD_INACTIVE)


async def test_without_the_roles_a_migration_says_what_is_missing(servers: Servers, template: str) -> None:
    assert template
    name = f"stranger_{next(_numbers)}"
    servers.postgres.execute(f"CREATE ROLE {name} LOGIN")
    servers.postgres.execute(f"CREATE DATABASE {name} OWNER {name}")
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError, match="authsvc_engine"):
            await upgrade(login_url(servers, name))
    finally:
        await asyncio.to_thread(servers.postgres.execute, f"DROP DATABASE {name} WITH (FORCE)")
        servers.postgres.execute(f"DROP ROLE {name}")
