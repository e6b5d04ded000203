"""Users sign in, stay signed in and choose passwords, over the wire and on a real database."""

import asyncio
import hashlib
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import bcrypt
import grpc
import jwt
import pytest
import pytest_asyncio

from authsvc.embedded import Servers
from authsvc.identity.passwords import HashedPasswords, Verdict
from authsvc.identity.ports import LockPolicy, Origin, Reset
from authsvc.identity.signin import NoDelivery
from authsvc.identity.signing_keys import read, rotate
from authsvc.ledger.identity import PostgresIdentities
from authsvc.ledger.queries import IDENTITY_SQL
from authsvc.v1 import identity_pb2 as pb
from tests.identity import ADDRESS_TRIES, EMAIL_TRIES, PASSWORD, UNAUTHENTICATED, Entrance, open_entrance
from tests.privacy import UNDER_KEYS
from tests.serving import WAIT_S, refusal, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
REFUSED = (UNAUTHENTICATED, "the e-mail address or the password is not right")
ENDED = (UNAUTHENTICATED, "the session is over: sign in again")
ANOTHER = "a heron waits by the lock"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(servers: Servers, template: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Entrance]:
    async with open_entrance(servers, template, tmp_path_factory.mktemp("identity")) as entrance:
        yield entrance


@pytest.fixture
def entrance(opened: Entrance) -> Entrance:
    """Nobody has tried to sign in for a minute, and nothing is remembered of any credentials."""
    opened.clock.pass_s(61)
    return opened


@pytest.fixture
def resets(monkeypatch: pytest.MonkeyPatch) -> list[Reset]:
    """What was delivered."""
    delivered: list[Reset] = []

    async def deliver(_: NoDelivery, reset: Reset) -> None:
        delivered.append(reset)

    monkeypatch.setattr(NoDelivery, "deliver", deliver)
    return delivered


# --- signing in -------------------------------------------------------------------------------------------------------


async def test_whoever_signs_in_is_known_by_the_access_token(entrance: Entrance) -> None:
    person = await entrance.person("admin")
    session = await entrance.sign_in(person)
    who = await entrance.who(session.access_token)
    assert (who.actor, who.role, who.account_id, who.user_id, list(who.scopes)) == (
        f"user:{person.id}", "admin", person.account_id, person.id, [],
    )  # fmt: skip
    now_s = entrance.clock.now_us() // 1_000_000
    assert session.access_token_expire_time.seconds == now_s + 600
    assert int((await entrance.row(person))["last_login_at"].timestamp()) == now_s


async def test_an_email_address_is_taken_in_upper_and_lower_case(entrance: Entrance) -> None:
    person = await entrance.person()
    assert (await entrance.sign_in(person.email.upper())).refresh_token


async def test_unknown_wrong_locked_and_suspended_are_answered_alike(entrance: Entrance) -> None:
    wrong, locked, suspended, of_suspended, deleted = [await entrance.person() for _ in range(5)]
    no_password = await entrance.person(password_hash=None)
    await entrance.database.execute(
        "UPDATE users SET locked_until = now() + interval '10 years' WHERE id = $1", locked.id
    )
    await entrance.database.execute("UPDATE users SET status = 'suspended' WHERE id = $1", suspended.id)
    await entrance.database.execute("UPDATE accounts SET status = 'suspended' WHERE id = $1", of_suspended.account_id)
    await entrance.database.execute("UPDATE users SET deleted_at = now() WHERE id = $1", deleted.id)
    assert await refusal(entrance.sign_in(wrong, "not the right password")) == REFUSED
    for person in (locked, suspended, of_suspended, deleted, no_password, "nobody@identity.example"):
        assert await refusal(entrance.sign_in(person)) == REFUSED


async def test_a_hash_is_verified_whoever_asks(entrance: Entrance, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str | None] = []
    verify = HashedPasswords._verify

    def counted(passwords: HashedPasswords, password_hash: str | None, password: str) -> Verdict:
        checked.append(password_hash)
        return verify(passwords, password_hash, password)

    monkeypatch.setattr(HashedPasswords, "_verify", counted)
    person = await entrance.person()
    await refusal(entrance.sign_in("nobody@identity.example"))
    await refusal(entrance.sign_in(person, "not the right password"))
    assert checked == [None, (await entrance.row(person))["password_hash"]]


async def test_an_attempt_costs_the_same_statements_for_an_unknown_user(entrance: Entrance) -> None:
    person = await entrance.person()
    identities = PostgresIdentities(_Lent(entrance.database), UNDER_KEYS)
    asked: list[list[str]] = [[], []]
    for queries, email in zip(asked, (person.email, "nobody@identity.example"), strict=True):
        with entrance.database.query_logger(lambda record, to=queries: to.append(record.query)):
            await identities.attempt(email, LockPolicy(5), entrance.clock.now_us(), Origin())
            # The logger is told a moment later.
            await until(lambda to=queries: to[-1:] == ["COMMIT;"])
    assert asked[0] == asked[1]
    assert IDENTITY_SQL["count_attempt"] in asked[0]


async def test_wrong_passwords_lock_a_user_out_for_longer_each_time(entrance: Entrance) -> None:
    person = await entrance.person()
    locks_s = []
    for attempt in range(1, 8):
        entrance.clock.pass_s(1_000)
        now_us = entrance.clock.now_us()
        assert await refusal(entrance.sign_in(person, "not the right password")) == REFUSED
        row = await entrance.row(person)
        assert row["login_attempts"] == attempt
        locks_s.append(0 if row["locked_until"] is None else round(row["locked_until"].timestamp() - now_us / 1e6))
    assert locks_s == [0, 0, 0, 0, 30, 60, 120]
    assert await refusal(entrance.sign_in(person)) == REFUSED
    assert (await entrance.row(person))["login_attempts"] == 7
    entrance.clock.pass_s(120)
    await entrance.sign_in(person)
    row = await entrance.row(person)
    assert (row["login_attempts"], row["locked_until"]) == (0, None)


async def test_guesses_at_once_get_no_more_tries_than_guesses_in_turn(entrance: Entrance) -> None:
    person = await entrance.person()
    identities = PostgresIdentities(entrance.running.service.ledger, UNDER_KEYS)
    now_us = entrance.clock.now_us()
    found = await asyncio.gather(
        *(identities.attempt(person.email, LockPolicy(5), now_us, Origin()) for _ in range(20))
    )
    assert sum(user is not None and user.may_enter for user in found) == 5
    assert (await entrance.row(person))["login_attempts"] == 5


async def test_a_bcrypt_hash_of_an_older_system_is_replaced_when_its_user_signs_in(entrance: Entrance) -> None:
    old_hash = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    person = await entrance.person(password_hash=old_hash)
    assert await refusal(entrance.sign_in(person, "not the right password")) == REFUSED
    assert (await entrance.row(person))["password_hash"] == old_hash
    await entrance.sign_in(person)
    assert (await entrance.row(person))["password_hash"].startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    await entrance.sign_in(person)


async def test_too_many_tries_for_one_address_or_one_email_are_refused_for_a_while(entrance: Entrance) -> None:
    tries = [refusal(entrance.sign_in("often@identity.example")) for _ in range(EMAIL_TRIES + 1)]
    assert sorted(code.name for code, _ in await asyncio.gather(*tries)) == [
        "RESOURCE_EXHAUSTED", *["UNAUTHENTICATED"] * EMAIL_TRIES,
    ]  # fmt: skip
    entrance.clock.pass_s(6)
    assert await refusal(entrance.sign_in("often@identity.example")) == REFUSED
    entrance.clock.pass_s(61)
    codes = [(await refusal(entrance.refresh("no token")))[0].name for _ in range(ADDRESS_TRIES + 1)]
    assert codes == [*["UNAUTHENTICATED"] * ADDRESS_TRIES, "RESOURCE_EXHAUSTED"]


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (pb.SignInRequest(password=PASSWORD), "email"),
        (pb.SignInRequest(email="a@b.example"), "password"),
        (pb.SignInRequest(email="a@b.example", password="x" * 1_025), "password"),
        (pb.SignInRequest(email="a\0@b.example", password=PASSWORD), "email"),
    ],
)
async def test_what_no_user_could_have_is_refused_by_field(
    entrance: Entrance, message: pb.SignInRequest, field: str
) -> None:
    code, text = await refusal(entrance.stub.SignIn(message, timeout=WAIT_S))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert text.startswith(f"{field}: must be 1 to ")


# --- sessions ---------------------------------------------------------------------------------------------------------


async def test_a_session_goes_on_with_each_refresh_and_ends_after_30_days(entrance: Entrance) -> None:
    person = await entrance.person()
    session = await entrance.sign_in(person)
    for _ in range(2):
        entrance.clock.pass_s(14 * 86_400)
        following = await entrance.refresh(session.refresh_token)
        assert following.refresh_token != session.refresh_token
        assert (await entrance.who(following.access_token)).user_id == person.id
        session = following
    entrance.clock.pass_s(2 * 86_400)
    assert await refusal(entrance.refresh(session.refresh_token)) == ENDED


async def test_a_refresh_token_that_comes_twice_ends_its_session_and_no_other(
    entrance: Entrance, caplog: pytest.LogCaptureFixture
) -> None:
    person = await entrance.person()
    stolen, other = await entrance.sign_in(person), await entrance.sign_in(person)
    following = await entrance.refresh(stolen.refresh_token)
    with caplog.at_level(logging.WARNING, "authsvc.identity.signin"):
        assert await refusal(entrance.refresh(stolen.refresh_token)) == ENDED
    assert [record.message for record in caplog.records] == ["a refresh token was used twice; its session is revoked"]
    assert stolen.refresh_token not in caplog.text
    assert await refusal(entrance.refresh(following.refresh_token)) == ENDED
    entrance.clock.pass_s(6)
    assert await refusal(entrance.who(following.access_token)) == ENDED
    assert (await entrance.refresh(other.refresh_token)).refresh_token


async def test_of_two_who_bring_one_refresh_token_at_once_at_most_one_goes_on(entrance: Entrance) -> None:
    session = await entrance.sign_in(await entrance.person())
    answers = await asyncio.gather(*(entrance.refresh(session.refresh_token) for _ in range(8)), return_exceptions=True)
    given = [answer for answer in answers if isinstance(answer, pb.SessionTokens)]
    assert len(given) == 1
    assert await refusal(entrance.refresh(given[0].refresh_token)) == ENDED


async def test_whoever_signs_out_is_signed_out_and_may_say_so_again(entrance: Entrance) -> None:
    session = await entrance.sign_in(await entrance.person())
    await entrance.sign_out(session.refresh_token)
    await entrance.sign_out(session.refresh_token)
    await entrance.sign_out("never was one")
    assert await refusal(entrance.refresh(session.refresh_token)) == ENDED
    assert await refusal(entrance.who(session.access_token)) == ENDED


async def test_a_suspended_user_is_refused_with_tokens_that_were_good(entrance: Entrance) -> None:
    person = await entrance.person()
    session = await entrance.sign_in(person)
    await entrance.who(session.access_token)
    await entrance.database.execute("UPDATE users SET status = 'suspended' WHERE id = $1", person.id)
    entrance.clock.pass_s(6)
    assert await refusal(entrance.who(session.access_token)) == ENDED
    assert await refusal(entrance.refresh(session.refresh_token)) == ENDED


async def test_an_access_token_ends_after_ten_minutes(entrance: Entrance) -> None:
    session = await entrance.sign_in(await entrance.person())
    entrance.clock.pass_s(599)
    assert (await entrance.who(session.access_token)).actor
    entrance.clock.pass_s(1)
    assert await refusal(entrance.who(session.access_token)) == (UNAUTHENTICATED, "the access token has expired")


async def test_a_new_signing_key_signs_at_once_and_the_old_one_verifies_until_it_is_dropped(
    entrance: Entrance,
) -> None:
    person = await entrance.person()
    before = await entrance.sign_in(person)
    now_s = entrance.clock.now_us() // 1_000_000
    rotate(entrance.keys, now_s=now_s, signs_in_s=0, keep=1, chance=os.urandom)
    after = await entrance.sign_in(person)
    kids = [jwt.get_unverified_header(session.access_token)["kid"] for session in (before, after)]
    assert kids == [key.kid for key in read(entrance.keys)]
    assert (await entrance.who(before.access_token)).user_id == person.id
    rotate(entrance.keys, now_s=now_s, signs_in_s=3_600, keep=1, chance=os.urandom)
    assert (await refusal(entrance.who(before.access_token)))[0] == UNAUTHENTICATED
    # The newest key does not sign yet.
    assert jwt.get_unverified_header((await entrance.sign_in(person)).access_token)["kid"] == kids[1]
    assert (await entrance.who(after.access_token)).user_id == person.id


# --- passwords --------------------------------------------------------------------------------------------------------


async def test_a_changed_password_ends_every_other_session(entrance: Entrance) -> None:
    person = await entrance.person()
    here, there = await entrance.sign_in(person), await entrance.sign_in(person)
    await entrance.change(here.access_token, PASSWORD, ANOTHER)
    assert await refusal(entrance.refresh(there.refresh_token)) == ENDED
    assert await refusal(entrance.sign_in(person)) == REFUSED
    assert (await entrance.refresh(here.refresh_token)).refresh_token
    await entrance.sign_in(person, ANOTHER)


async def test_a_password_is_changed_only_by_whoever_knows_it_and_is_signed_in(entrance: Entrance) -> None:
    person = await entrance.person()
    session = await entrance.sign_in(person)
    assert await refusal(entrance.change(session.access_token, "not the right password", ANOTHER)) == (
        grpc.StatusCode.INVALID_ARGUMENT, "current_password: is not right",
    )  # fmt: skip
    code, text = await refusal(entrance.change(session.access_token, PASSWORD, person.email))
    assert (code, text) == (grpc.StatusCode.INVALID_ARGUMENT, "new_password: must not be the e-mail address")
    key = await entrance.key("all")
    assert (await refusal(entrance.change(key, PASSWORD, ANOTHER)))[0] == UNAUTHENTICATED
    assert (await entrance.row(person))["login_attempts"] == 1
    await entrance.sign_in(person)


async def test_a_reset_is_delivered_used_once_and_lets_a_locked_user_in(
    entrance: Entrance, resets: list[Reset]
) -> None:
    person = await entrance.person()
    session = await entrance.sign_in(person)
    for _ in range(6):
        await refusal(entrance.sign_in(person, "not the right password"))
    entrance.clock.pass_s(61)
    await entrance.request_reset(person.email.upper())
    await until(lambda: bool(resets))
    token = resets[0].token
    assert resets[0].user_id == person.id
    assert (await entrance.row(person))["password_reset_token_hash"] == hashlib.sha256(token.encode()).digest()
    code, _ = await refusal(entrance.reset(token, "too short"))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    answers = await asyncio.gather(*(entrance.reset(token, ANOTHER) for _ in range(4)), return_exceptions=True)
    assert [answer for answer in answers if answer is None] == [None]
    assert (await refusal(entrance.reset(token, PASSWORD)))[0] == UNAUTHENTICATED
    assert await refusal(entrance.refresh(session.refresh_token)) == ENDED
    assert await refusal(entrance.sign_in(person)) == REFUSED
    await entrance.sign_in(person, ANOTHER)


async def test_a_reset_is_over_after_half_an_hour_and_when_another_is_asked_for(
    entrance: Entrance, resets: list[Reset]
) -> None:
    person = await entrance.person()
    for count in (1, 2):
        await entrance.request_reset(person.email)
        await until(lambda count=count: len(resets) == count)
    assert (await refusal(entrance.reset(resets[0].token, ANOTHER)))[0] == UNAUTHENTICATED
    entrance.clock.pass_s(1_800)
    assert (await refusal(entrance.reset(resets[1].token, ANOTHER)))[0] == UNAUTHENTICATED
    await entrance.sign_in(person)


async def test_a_reset_for_nobody_is_answered_alike_and_delivered_to_nobody(
    entrance: Entrance, resets: list[Reset]
) -> None:
    person, suspended = await entrance.person(), await entrance.person()
    await entrance.database.execute("UPDATE users SET status = 'suspended' WHERE id = $1", suspended.id)
    answers = [
        await entrance.request_reset(email) for email in ("nobody@identity.example", suspended.email, person.email)
    ]
    await until(lambda: bool(resets))
    assert len({answer.SerializeToString() for answer in answers}) == 1
    assert [reset.user_id for reset in resets] == [person.id]


async def test_by_default_a_reset_is_logged_without_its_token(
    entrance: Entrance, caplog: pytest.LogCaptureFixture
) -> None:
    person = await entrance.person()
    with caplog.at_level(logging.INFO, "authsvc.identity.signin"):
        await entrance.request_reset(person.email)
        await until(lambda: bool(caplog.records))
    [record] = caplog.records
    assert vars(record)["user_id"] == person.id
    kept = (await entrance.row(person))["password_reset_token_hash"]
    words = [str(value) for value in vars(record).values()]
    assert not any(hashlib.sha256(word.encode()).digest() == kept for word in words)
    assert person.email not in str(vars(record))


async def test_the_database_holds_no_password_and_no_token(entrance: Entrance) -> None:
    person = await entrance.person()
    session = await entrance.sign_in(person)
    rows = await entrance.database.fetch("SELECT t::text FROM refresh_tokens t UNION ALL SELECT u::text FROM users u")
    held = " ".join(row[0] for row in rows)
    assert hashlib.sha256(session.refresh_token.encode()).hexdigest() in held
    assert PASSWORD not in held and session.refresh_token not in held
    assert session.refresh_token.encode().hex() not in held


async def test_signing_in_is_no_edit_of_the_user_and_changes_no_decision(entrance: Entrance) -> None:
    person = await entrance.person()
    query = "SELECT u.row_version, a.config_version FROM users u JOIN accounts a ON a.id = u.account_id WHERE u.id = $1"
    before = await entrance.database.fetchrow(query, person.id)
    await refusal(entrance.sign_in(person, "not the right password"))
    await entrance.sign_in(person)
    await entrance.request_reset(person.email)
    assert await entrance.database.fetchrow(query, person.id) == before
    await entrance.database.execute("UPDATE users SET first_name = 'Other' WHERE id = $1", person.id)
    assert (await entrance.database.fetchrow(query, person.id))["row_version"] == before["row_version"] + 1


class _Lent:
    """A ledger of one connection."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    @asynccontextmanager
    async def posting(self) -> AsyncIterator[asyncpg.Connection]:
        yield self._connection
