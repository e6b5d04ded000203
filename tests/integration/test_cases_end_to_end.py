"""The decision cases of tests/cases against the whole service: what goes over the wire, and what stands in the database."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import asyncpg
import grpc
import orjson
import pytest
import pytest_asyncio

from authsvc.embedded import Servers
from authsvc.v1 import authorization_pb2 as pb
from authsvc.v1 import types_pb2 as types
from authsvc.v1.authorization_pb2_grpc import AuthorizationServiceStub
from rules.money import divisor
from rules.reasons import CheckName, Decision, Kind, Reason
from tests.case_files import Case, CheckCase, load_cases, unix_us
from tests.serving import WAIT_S, NewYear, own_database, started

CASES = load_cases()
NUMBER = {case.id: number for number, case in enumerate(CASES, start=1)}
LETTER = {types.CHECK_RESULT_PASSED: "P", types.CHECK_RESULT_FAILED: "F", types.CHECK_RESULT_SKIPPED: "S"}
LONG_AGO = datetime(2010, 1, 1, tzinfo=UTC)
POSTING = ("FINANCIAL_AUTHORIZATION", "FINANCIAL_CREDIT_AUTHORIZATION")
# Statuses are configuration and may change; a stored answer keeps no more than what its reason says.
STATELESS = {
    "ACCOUNT_NOT_ACTIVE": "the account is not active",
    "USER_NOT_ACTIVE": "the cardholder is not active",
}


def money(minor: int | None, currency: str) -> Decimal | None:
    return None if minor is None else Decimal(minor) / divisor(currency)


def accounts(case: Case, number: int) -> tuple[Any, ...]:
    balance = money(case.account.balance_minor, case.account.currency)
    owner = f"owner{number}@cases.example"
    return number, f"Case {number}", owner, balance, balance < 0, case.account.currency, case.account.status


def settings(case: Case, number: int) -> list[tuple[Any, ...]]:
    checked = "on" if case.account.balance_check else "off"
    values = {"timezone": case.account.timezone, "balance_check": checked}
    return [(number, key, orjson.dumps(value).decode(), "string") for key, value in values.items()]


def profiles(case: Case, number: int) -> list[tuple[Any, ...]]:
    raw = case.profile
    if raw is None:
        return []
    lists = [orjson.dumps(codes).decode() for codes in (raw.allowed, raw.blocked)]
    limit = money(raw.limit_minor, case.account.currency)
    return [(number, number, "Profile", limit, raw.duration, raw.scope, *lists)]


def cards(case: Case, number: int) -> list[tuple[Any, ...]]:
    """The case's card, and another one of the same profile for the history that is not its own."""
    profile_id = number if case.profile is not None else None
    shared = (number, number, profile_id)
    limit = money(case.card.limit_minor, case.account.currency)
    closed_at = LONG_AGO if case.card.status == "closed" else None
    mine = (2 * number, *shared, token(number), "virtual", case.card.status, limit, case.card.duration, closed_at)
    other = (2 * number + 1, *shared, f"other-{number}", "virtual", "active", None, None, None)
    return [mine, other] if case.card.known else [other]


def history(case: Case, number: int) -> list[tuple[Any, ...]]:
    return [
        (
            number,
            2 * number + (row.card == "other"),
            number,
            number if case.profile is not None else None,
            f"history-{number}-{position}",
            "AUTHORIZATION",
            "AUTHORIZATION",
            "APPROVED",
            money(row.held_minor + row.settled_minor, case.account.currency),
            case.account.currency,
            row.held_minor + row.settled_minor,
            row.held_minor,
            row.settled_minor,
            1,
            "{}",
            row.transacted_at,
        )
        for position, row in enumerate(case.history)
    ]


TABLES = {
    "accounts": "id business_name owner_email balance overdrawn currency status",
    "users": "id account_id email first_name last_name status",
    "account_settings": "account_id key value value_type",
    "spending_profiles": (
        "id account_id name spend_limit spend_limit_duration limit_scope allowed_categories blocked_categories"
    ),
    "cards": (
        "id account_id user_id spending_profile_id lithic_card_token card_type status spend_limit "
        "spend_limit_duration closed_at"
    ),
    "transactions": (
        "account_id card_id user_id spending_profile_id request_id kind transaction_type status amount currency "
        "approved_minor held_minor settled_minor config_version explanation transaction_date"
    ),
}


async def fill(connection: asyncpg.Connection) -> None:
    """One account a case, whose id is the case's number. Triggers are off: looking up a time zone's name takes its time."""
    await connection.execute("SET session_replication_role = replica")
    rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in TABLES}
    for number, case in enumerate(CASES, start=1):
        rows["accounts"].append(accounts(case, number))
        rows["users"].append((number, number, f"user{number}@cases.example", "U", "X", case.user_status))
        rows["account_settings"] += settings(case, number)
        rows["spending_profiles"] += profiles(case, number)
        rows["cards"] += cards(case, number)
        rows["transactions"] += history(case, number)
    for table, columns in TABLES.items():
        await connection.copy_records_to_table(table, records=rows[table], columns=columns.split())


def token(number: int) -> str:
    return f"card-{number}"


def request_of(case: Case, number: int) -> pb.AuthorizeRequest:
    raw = case.request
    return pb.AuthorizeRequest(
        request_id=f"case-{number}",
        card_token=token(number),
        kind=Kind[raw.kind],
        amount_minor=raw.amount_minor,
        hold_minor=raw.hold_minor,
        currency=case.account.currency,
        transacted_at=raw.transacted_at.astimezone(UTC),
        merchant=types.Merchant(mcc=raw.mcc),
        partial_approval_capable=raw.partial,
        explain=True,
    )


class Outcome:
    """What the service said to every case, and what it wrote."""

    def __init__(self, answers: dict[str, pb.AuthorizeResponse], rows: dict[str, asyncpg.Record]) -> None:
        self.answers = answers
        self.rows = rows


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def outcome(servers: Servers, template: str) -> AsyncIterator[Outcome]:
    async with own_database(servers, template) as (database_url, redis_url):
        connection = await asyncpg.connect(database_url)
        await fill(connection)
        asked = [request_of(case, number) for number, case in enumerate(CASES, start=1)]
        async with (
            started(database_url, redis_url, clock=NewYear()) as (service, _, _),
            grpc.aio.insecure_channel(f"127.0.0.1:{service.port}") as channel,
        ):
            call = AuthorizationServiceStub(channel).AuthorizeStream(iter(asked), timeout=WAIT_S)
            answers = {result.request_id: result async for message in call for result in message.results}
        assert not [answer for answer in answers.values() if answer.HasField("error")]
        records = await connection.fetch("SELECT * FROM transactions WHERE request_id LIKE 'case-%'")
        await connection.close()
        yield Outcome(
            {request_id: answer.response for request_id, answer in answers.items()},
            {record["request_id"]: record for record in records},
        )


def deciding_text(case: Case) -> str:
    """The clause of the check that decided, taken from the case's explanation of the whole decision."""
    expect = case.expect
    if expect.reason in STATELESS:
        return STATELESS[expect.reason]
    return expect.explanation.split(": ", 1)[1].split("; ")[0]


def figures(check: types.Check) -> CheckCase | None:
    if not check.HasField("limit_minor"):
        return None
    start, reset = (
        instant.ToDatetime(UTC) if check.HasField(name) else None
        for name, instant in (("window_start", check.window_start), ("reset_time", check.reset_time))
    )
    return CheckCase(check.limit_minor, check.used_minor, check.remaining_minor, start, reset)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_service_answers_as_the_case_expects(outcome: Outcome, case: Case) -> None:
    answer, expect = outcome.answers[f"case-{NUMBER[case.id]}"], case.expect
    assert (Decision(answer.decision).name, Reason(answer.reason).name) == (expect.decision, expect.reason)
    assert types.Level.Name(answer.level) == f"LEVEL_{expect.level}"
    assert answer.approved_minor == expect.approved_minor
    if expect.reason == "APPROVED":
        assert not answer.HasField("deciding_check")
    else:
        assert answer.deciding_check.text == deciding_text(case)
        assert figures(answer.deciding_check) == expect.check


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_the_service_lists_the_checks_that_the_case_expects(outcome: Outcome, case: Case) -> None:
    answer, expect = outcome.answers[f"case-{NUMBER[case.id]}"], case.expect
    assert [check.name for check in answer.checks] == list(CheckName)
    letters = "".join(LETTER[check.result] for check in answer.checks)
    # Beyond a check that needs no counter, the service goes on where the rules alone stop: it can show more.
    made = expect.checks.index("F") + 1 if answer.reason <= Reason.MCC_NOT_ALLOWED and "F" in expect.checks else 9
    assert letters[:made] == expect.checks[:made]


@pytest.mark.parametrize("case", [case for case in CASES if case.card.known], ids=lambda case: case.id)
def test_the_database_holds_the_decision_of_the_case(outcome: Outcome, case: Case) -> None:
    answer, expect, kind = outcome.answers[f"case-{NUMBER[case.id]}"], case.expect, case.request.kind
    row = outcome.rows[f"case-{NUMBER[case.id]}"]
    approved = expect.approved_minor
    declined = expect.decision == "DECLINED"
    assert row["status"] == ("DECLINED" if declined else "SETTLED" if kind in POSTING else "APPROVED")
    assert row["declined_reason"] == (None if expect.reason == "APPROVED" else expect.reason)
    assert row["held_minor"] == (approved if kind == "AUTHORIZATION" else 0)
    assert row["settled_minor"] == (approved if kind == "FINANCIAL_AUTHORIZATION" else 0)
    assert row["approved_minor"] == approved
    assert row["amount"] == money(case.request.amount_minor, case.account.currency)
    assert row["id"] == answer.transaction_id
    assert unix_us(row["transaction_date"]) == unix_us(case.request.transacted_at)
    assert (row["kind"], row["merchant_category_code"]) == (kind, case.request.mcc)


@pytest.mark.parametrize("case", [case for case in CASES if case.card.known], ids=lambda case: case.id)
def test_the_stored_explanation_is_the_answers(outcome: Outcome, case: Case) -> None:
    answer = outcome.answers[f"case-{NUMBER[case.id]}"]
    stored = orjson.loads(outcome.rows[f"case-{NUMBER[case.id]}"]["explanation"])
    assert (stored["decision"], stored["reason"], stored["approved"]) == (
        answer.decision,
        answer.reason,
        answer.approved_minor,
    )
    assert stored["timezone"] == case.account.timezone
    last = [check for check in answer.checks if check.name >= CheckName.FUNDS]
    made = {check[0]: check for check in stored["checks"]}
    for check in last:
        if check.HasField("limit_minor"):
            assert made[check.name][1:5] == [check.result, check.window, check.limit_minor, check.used_minor]


def test_nothing_is_recorded_of_an_unknown_card_but_its_request(outcome: Outcome) -> None:
    unknown = [f"case-{NUMBER[case.id]}" for case in CASES if not case.card.known]
    assert unknown
    assert not set(unknown) & set(outcome.rows)
    assert {outcome.answers[request_id].transaction_id for request_id in unknown} == {0}


def test_every_case_is_older_than_the_clock_it_runs_under() -> None:
    assert max(unix_us(case.request.transacted_at) for case in CASES) <= NewYear().now_us()
    assert min(case.request.transacted_at for case in CASES) > datetime(1970, 1, 2, tzinfo=UTC)
