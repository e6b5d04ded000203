"""What Lithic is told: the table of results, partial approvals, balances, and the words of the documentation."""

import re
from pathlib import Path
from typing import Any, get_args

import orjson
import pytest

from authsvc.bridge.answers import DOCUMENTED, RESULT_OF_REASON, Outcome, body_of, fallback_body
from authsvc.bridge.asa import parse
from authsvc.settings import Settings
from rules.reasons import Decision, Reason
from tests.lithic import TOKEN, asa_request, encoded

PAGE = Path(__file__).parents[2] / "docs" / "lithic.md"


def told(outcome: Outcome, **changes: Any) -> dict[str, Any]:
    return orjson.loads(body_of(parse(encoded(asa_request(**changes))), outcome))


def declined(reason: Reason) -> Outcome:
    return Outcome(Decision.DECLINED, reason, 0, 10_000, 10_000)


def partly(approved_minor: int, reason: Reason = Reason.CARD_LIMIT_EXCEEDED) -> Outcome:
    return Outcome(Decision.PARTIALLY_APPROVED, reason, approved_minor, 10_000, 10_000)


def test_every_reason_has_a_documented_result_and_only_an_approval_approves() -> None:
    assert list(RESULT_OF_REASON) == list(Reason)
    assert set(RESULT_OF_REASON.values()) <= DOCUMENTED
    assert [reason for reason, result in RESULT_OF_REASON.items() if result == "APPROVED"] == [Reason.APPROVED]


def test_every_choice_for_the_fallback_is_a_documented_decline() -> None:
    choices = set(get_args(Settings.model_fields["bridge_fallback_result"].annotation))
    assert choices < DOCUMENTED - {"APPROVED"}
    assert Settings().bridge_fallback_result in choices


def test_the_page_about_lithic_has_the_table_of_the_code() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)` \| `([A-Z_]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    shown = [(name, result) for name, result in rows if name in Reason.__members__]
    assert shown == [(reason.name, result) for reason, result in RESULT_OF_REASON.items()]


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason is not Reason.APPROVED])
def test_a_decline_tells_its_result_and_the_token_and_nothing_else(reason: Reason) -> None:
    for status in ("AUTHORIZATION", "BALANCE_INQUIRY"):
        assert told(declined(reason), status=status) == {"result": RESULT_OF_REASON[reason], "token": TOKEN}


def test_a_full_approval_names_no_amount() -> None:
    outcome = Outcome(Decision.APPROVED, Reason.APPROVED, 1_250, 10_000, 8_750)
    assert told(outcome, partial=True) == {"result": "APPROVED", "token": TOKEN}


def test_a_partial_approval_names_the_amount_when_the_terminal_can() -> None:
    assert told(partly(400), partial=True) == {"result": "APPROVED", "token": TOKEN, "approved_amount": 400}


def test_a_partial_approval_is_a_decline_when_the_terminal_cannot() -> None:
    assert told(partly(400), partial=False) == {"result": "VELOCITY_EXCEEDED", "token": TOKEN}


@pytest.mark.parametrize(("approved_minor", "amount"), [(1_000, 1_000), (1_300, 1_250)])
def test_a_partly_covered_hold_is_told_as_no_more_than_the_amount(approved_minor: int, amount: int) -> None:
    assert told(partly(approved_minor), partial=True, hold_minor=1_500)["approved_amount"] == amount


def test_of_a_hold_without_an_amount_the_covered_part_is_told() -> None:
    assert told(partly(700), amount_minor=0, partial=True, hold_minor=1_500)["approved_amount"] == 700


@pytest.mark.parametrize(("available_minor", "shown"), [(8_000, 8_000), (0, 0), (-1, 0)])
def test_a_balance_inquiry_is_told_the_balances(available_minor: int, shown: int) -> None:
    outcome = Outcome(Decision.APPROVED, Reason.APPROVED, 0, 10_000, available_minor)
    answer = told(outcome, amount_minor=0, status="BALANCE_INQUIRY")
    assert answer == {"result": "APPROVED", "token": TOKEN, "balance": {"amount": 10_000, "available": shown}}


def test_the_answer_without_a_decision_has_the_token_when_there_is_one() -> None:
    assert fallback_body("t", "CARD_PAUSED") == b'{"result":"CARD_PAUSED","token":"t"}'
    assert fallback_body("", "CARD_PAUSED") == b'{"result":"CARD_PAUSED"}'
