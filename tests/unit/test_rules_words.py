"""Texts that the decision cases do not reach."""

import pytest

from rules.reasons import CHECK_OF_REASON, CheckName, CheckResult, Decision, Kind, Reason, Window
from rules.types import Check, Request, Verdict
from rules.words import Scene, cardholder_message, check_text, explanation, scene_of_stored

INSTANT_US = 1_763_658_000_000_000  # 20 Nov 2025 12:00 in New York
DECEMBER_US = 1_764_565_200_000_000  # 1 Dec 2025 00:00 in New York
SCENE = Scene(Kind.AUTHORIZATION, 5000, "7995", INSTANT_US, "USD", "America/New_York", "active", "active", "active")


def test_a_passed_limit_tells_its_figures() -> None:
    check = Check(CheckName.CARD_LIMIT, CheckResult.PASSED, Window.MONTHLY, 100_000, 96_000, 0, DECEMBER_US)
    expected = "the card may spend 1,000.00 a month, 960.00 is used, 40.00 is left until 1 Dec 00:00 America/New_York"
    assert check_text(check, SCENE) == expected


def test_a_reset_in_another_year_tells_the_year() -> None:
    check = Check(CheckName.CARD_LIMIT, CheckResult.PASSED, Window.MONTHLY, 100_000, 0, 0, DECEMBER_US)
    assert check_text(check, SCENE._replace(instant_us=0)).endswith("until 1 Dec 2025 00:00 America/New_York")


def test_a_balance_that_is_not_checked_says_so() -> None:
    check = Check(CheckName.FUNDS, CheckResult.SKIPPED, Window.UNSPECIFIED, 500_000, 490_000)
    assert check_text(check, SCENE) == "the account has 5,000.00, 4,900.00 is held, 100.00 is available (not checked)"


@pytest.mark.parametrize("name", CheckName)
def test_a_skipped_check_without_figures_is_not_checked(name: CheckName) -> None:
    assert check_text(Check(name, CheckResult.SKIPPED), SCENE).endswith(": not checked")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (CheckName.CARD_KNOWN, "the card is known"),
        (CheckName.ACCOUNT_ACTIVE, "the account is active"),
        (CheckName.USER_ACTIVE, "the cardholder is active"),
        (CheckName.CARD_ACTIVE, "the card is active"),
        (CheckName.MCC_NOT_BLOCKED, "merchant category 7995 is not blocked by the profile"),
        (CheckName.MCC_ALLOWED, "merchant category 7995 is allowed by the profile"),
    ],
)
def test_a_passed_check_says_what_holds(name: CheckName, text: str) -> None:
    assert check_text(Check(name, CheckResult.PASSED), SCENE) == text


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (Reason.CARD_PENDING, "declined: the card has not been activated"),
        (Reason.CARD_INACTIVE, "declined: the card is inactive"),
        (Reason.CARD_CLOSED, "declined: the card is closed"),
        (Reason.ACCOUNT_NOT_ACTIVE, "declined: the account is not active"),
        (Reason.USER_NOT_ACTIVE, "declined: the cardholder is not active"),
    ],
)
def test_a_stored_decision_is_explained_without_its_card(reason: Reason, text: str) -> None:
    request = Request(Kind.AUTHORIZATION, 5000, "5812", INSTANT_US, partial_approval_capable=False)
    scene = scene_of_stored(request, "USD", "UTC", reason)
    assert explanation(Verdict(Decision.DECLINED, reason, 0, ()), scene) == text


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_one_plain_sentence_for_the_cardholder(reason: Reason) -> None:
    decision = Decision.APPROVED if reason is Reason.APPROVED else Decision.DECLINED
    message = cardholder_message(decision, reason)
    assert message.endswith(".")
    assert message.count(".") == 1
    assert not any(character.isdigit() for character in message)


def test_the_cardholder_is_not_told_whose_account_or_which_list_failed() -> None:
    def told(reason: Reason) -> str:
        return cardholder_message(Decision.DECLINED, reason)

    assert told(Reason.ACCOUNT_NOT_ACTIVE) == told(Reason.USER_NOT_ACTIVE)
    assert told(Reason.MCC_BLOCKED) == told(Reason.MCC_NOT_ALLOWED)


@pytest.mark.parametrize("reason", CHECK_OF_REASON)
def test_a_part_is_told_to_the_cardholder_whatever_capped_it(reason: Reason) -> None:
    assert cardholder_message(Decision.PARTIALLY_APPROVED, reason).startswith("Part of this purchase was approved")
