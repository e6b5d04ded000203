"""The commands of the command line against a running service: what they print, and their exit codes for scripts."""

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from authsvc.settings import PREFIX
from tests.commands import Done, command


@pytest.fixture
def call(
    service: Any, seeded_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Done]:
    """Runs a command in this process, where the environment names the module's service and database."""
    monkeypatch.setenv(f"{PREFIX}PORT", str(service.port))
    monkeypatch.setenv(f"{PREFIX}METRICS_PORT", "0")
    monkeypatch.setenv(f"{PREFIX}DATABASE_URL", seeded_url)
    monkeypatch.setenv(f"{PREFIX}REDIS_URL", service.environment[f"{PREFIX}REDIS_URL"])
    monkeypatch.setenv(f"{PREFIX}DATA_DIR", str(tmp_path))

    def call_it(*arguments: str, stdin: str = "") -> Done:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        return command(monkeypatch, capsys, *arguments)

    return call_it


def test_health_is_zero_while_the_service_serves(call: Callable[..., Done]) -> None:
    assert call("health").code == 0
    assert json.loads(call("health", "--json").out)["status"] == "SERVING"


def test_an_approval_exits_with_0_and_lists_every_check_in_words(call: Callable[..., Done]) -> None:
    done = call("authorize", "card_demo_travel", "12.50", "--mcc", "5812")
    assert done.code == 0
    assert done.out.startswith("APPROVED")
    assert "the card may spend 1,000.00 a month" in " ".join(done.out.split())
    assert "approved 12.50 USD" in done.out


def test_a_decline_exits_with_3_and_says_why(call: Callable[..., Done]) -> None:
    done = call("authorize", "card_demo_zero", "5")
    assert done.code == 3
    assert done.out.splitlines()[0] == "DECLINED  CARD_LIMIT_EXCEEDED at the level of the card"
    assert done.out.splitlines()[1].startswith("the card may spend 0.00 in its lifetime")


def test_a_request_as_json_is_answered_as_json(call: Callable[..., Done]) -> None:
    request = {
        "request_id": "from-json",
        "card_token": "card_demo_open",
        "amount_minor": 1250,
        "transacted_at": "2026-03-01T12:00:00Z",
        "merchant": {"mcc": "5812"},
    }
    done = call("authorize", "--json-file", "-", "--json", stdin=json.dumps(request))
    answer = json.loads(done.out)
    assert (done.code, answer["decision"], answer["approved_minor"]) == (0, "DECISION_APPROVED", "1250")
    again = json.loads(call("authorize", "--json-file", "-", "--json", stdin=json.dumps(request)).out)
    assert (again["request_id"], again["replayed"]) == ("from-json", True)
    other = call("authorize", "--json-file", "-", stdin=json.dumps(request | {"amount_minor": 1}))
    assert (other.code, other.out) == (1, "")
    assert "ALREADY_EXISTS" in other.err


def test_simulating_says_so_and_records_nothing(call: Callable[..., Done]) -> None:
    done = call("authorize", "card_demo_travel", "100000", "--simulate")
    assert done.code == 3
    assert "(simulated)" in done.out
    assert "transaction" not in done.out.splitlines()[-1]


def test_a_request_that_is_wrong_exits_with_1_and_names_the_field(call: Callable[..., Done]) -> None:
    done = call("authorize", "card_demo_open", "1", "--mcc", "58")
    assert (done.code, done.out) == (1, "")
    assert "merchant.mcc: must be four digits" in done.err


def test_card_shows_the_holder_the_profile_and_each_limit_with_its_reset_in_the_accounts_zone(
    call: Callable[..., Done],
) -> None:
    call("authorize", "card_demo_new_york", "400")
    done = call("card", "limits", "card_demo_new_york")
    text = " ".join(done.out.replace("│", " ").split())
    assert done.code == 0
    assert "Harper Hudson <harper@hudson.example>, owner, active" in text
    assert "card, monthly: 1,000.00 400.00 " in text
    assert "█" in text
    assert "00:00 America/New_York" in text
    assert "at most 600.00 in one purchase now" in text


def test_card_without_a_database_still_shows_the_figures(
    call: Callable[..., Done], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(f"{PREFIX}DATABASE_URL")
    monkeypatch.delenv(f"{PREFIX}REDIS_URL")
    done = call("card", "limits", "card_demo_closed", "--json")
    said = json.loads(done.out)
    assert said["holding"] is None
    assert said["spending_power"]["card_state"] == "REASON_CARD_CLOSED"


def test_card_of_an_unknown_token_exits_with_1(call: Callable[..., Done]) -> None:
    done = call("card", "limits", "card_demo_nobody_knows")
    assert done.code == 1
    assert "no card has the token card_demo_nobody_knows" in done.err


def test_the_database_is_as_this_release_wants_it(call: Callable[..., Done]) -> None:
    assert "nothing to do" in call("db", "migrate").out
    revisions = json.loads(call("db", "status", "--json").out)
    assert [revision for revision in revisions if not revision["applied"]] == []
    assert call("db", "status").code == 0


def test_partitions_are_made_ahead_once(call: Callable[..., Done]) -> None:
    assert json.loads(call("db", "partitions", "--months", "14", "--json").out)["created"]
    assert json.loads(call("db", "partitions", "--months", "14", "--json").out)["created"] == []


def test_seeding_again_changes_nothing_and_lists_the_cards(call: Callable[..., Done]) -> None:
    report = json.loads(call("seed", "--json").out)
    assert report["created"] == 0
    assert {card["status"] for card in report["cards"]} == {"active", "pending", "inactive", "closed"}
    assert "card_demo_travel" in call("seed").out


def test_an_empty_database_lacks_every_revision(
    call: Callable[..., Done], empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}DATABASE_URL", empty_database_url)
    done = call("db", "status", "--json")
    assert done.code == 1
    assert {revision["applied"] for revision in json.loads(done.out)} == {False}


def test_a_database_that_is_not_there_is_said_in_one_line(
    call: Callable[..., Done], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(f"{PREFIX}DATABASE_URL", f"postgresql://postgres@/none?host={tmp_path}")
    done = call("db", "status")
    assert (done.code, done.err) == (1, "error: database is unavailable\n")


def test_a_message_about_a_transaction_moves_it_and_tx_show_tells_its_story(call: Callable[..., Done]) -> None:
    decided = json.loads(call("authorize", "card_demo_open", "20", "--json").out)["transaction_id"]
    cleared = call("event", "clearing", decided, "12.50", "--id", "cli-clearing", "--at", "2026-03-01T12:00:00")
    assert (cleared.code, cleared.out.split()) == (
        0,
        ["transaction", decided, "SETTLED", "held", "7.50", "settled", "12.50", "credited", "0.00", "USD"],
    )
    again = call("event", "clearing", decided, "12.50", "--id", "cli-clearing", "--at", "2026-03-01T12:00:00")
    assert again.out.strip().endswith("(was applied before)")
    shown = call("tx", "show", decided)
    assert shown.out.splitlines()[0].split() == ["transaction", decided, "SETTLED"]
    assert "clearing" in shown.out
    assert "cli-clearing" in shown.out
    told = json.loads(call("tx", "show", decided, "--json").out)
    assert (told["held_minor"], told["settled_minor"], told["card_token"]) == ("750", "1250", "card_demo_open")


def test_a_message_that_cannot_be_applied_exits_with_1_and_says_why(call: Callable[..., Done]) -> None:
    assert call("tx", "show", "999999").err.strip() == "error: there is no transaction 999999"
    unknown = call("event", "clearing", "txn-unheard-of", "1")
    assert (unknown.code, unknown.out) == (1, "")
    assert "NOT_FOUND: no such transaction" in unknown.err
    assert call("event", "clearing", "1", "1.234").code == 2


def test_tx_list_shows_what_a_card_was_asked_and_finds_what_was_declined(call: Callable[..., Done]) -> None:
    call("authorize", "card_demo_lifetime", "12.50", "--merchant", "Corner [Bistro]")
    call("authorize", "card_demo_lifetime", "900", "--mcc", "3001", "--merchant", "An airline")
    shown = call("tx", "list", "--card", "card_demo_lifetime")
    assert shown.code == 0
    lines = [" ".join(line.split()) for line in shown.out.splitlines() if "card_demo_lifetime" in line]
    assert lines[0].endswith("An airline 3001 900.00 USD 0.00 DECLINED CARD_LIMIT_EXCEEDED")
    assert lines[1].endswith("Corner [Bistro] 5812 12.50 USD 12.50 APPROVED")
    found = json.loads(call("tx", "list", "--card", "card_demo_lifetime", "--status", "declined", "--json").out)
    assert [row["reason"] for row in found] == ["REASON_CARD_LIMIT_EXCEEDED"]
    by_reason = ("--reason", "card-limit-exceeded", "--group", "Airlines", "--json")
    assert json.loads(call("tx", "list", "--card", "card_demo_lifetime", *by_reason).out) == found
    assert "more with --limit" in call("tx", "list", "--card", "card_demo_lifetime", "--limit", "1").out
    assert call("tx", "list", "--card", "card_demo_nobody_knows").out == "no transactions\n"
    assert call("tx", "list", "--reason", "boredom").code == 2
    wrong = call("tx", "list", "--mcc", "58")
    assert (wrong.code, wrong.out) == (1, "")
    assert "mcc: must be four digits" in wrong.err


def test_tx_explain_tells_a_decision_of_then_by_its_number_or_its_request(call: Callable[..., Done]) -> None:
    first = call("authorize", "card_demo_zero", "5", "--id", "cli-explained")
    told = call("tx", "explain", "cli-explained")
    assert told.code == 0
    # The same words, without how long it took; before them what was asked, after them who decided.
    assert told.out.splitlines()[1:-2] == first.out.splitlines()[:-1]
    assert "with card_demo_zero" in told.out.splitlines()[0]
    assert told.out.splitlines()[-1].startswith("configuration ")
    number = json.loads(call("tx", "explain", "cli-explained", "--json").out)["transaction"]["transaction_id"]
    assert call("tx", "explain", number).out == told.out
    assert call("tx", "explain", "never-asked").err == "error: never-asked: no such transaction\n"


def test_tx_summary_adds_up_an_account_by_its_number_or_its_token(call: Callable[..., Done]) -> None:
    row = json.loads(call("authorize", "card_demo_driver", "40", "--mcc", "5541", "--json").out)
    explained = json.loads(call("tx", "explain", row["transaction_id"], "--json").out)
    account = explained["transaction"]["account_id"]
    done = call("tx", "summary", account, "--by", "card", "--bucket", "day")
    assert "days in America/New_York" in done.out
    assert any(line.split()[1:3] == ["card_demo_driver", "1"] for line in done.out.splitlines())
    by_token = json.loads(call("tx", "summary", "account_demo_hudson", "--by", "category-group", "--json").out)
    assert (by_token["account_id"], "Fuel" in {row.get("key") for row in by_token["rows"]}) == (account, True)
    assert call("tx", "summary", "99999").err == "error: there is no account 99999\n"


def test_tx_watch_prints_decisions_until_it_is_interrupted(call: Callable[..., Done], service: Any) -> None:
    first = json.loads(call("authorize", "card_demo_yearly", "1", "--json").out)["transaction_id"]
    command = [
        sys.executable,
        "-m",
        "authsvc",
        "tx",
        "watch",
        "--since",
        str(int(first) - 1),
        "--card",
        "card_demo_yearly",
    ]
    watching = subprocess.Popen(
        [*command, "--json", "--address", service.target], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    try:
        assert watching.stdout is not None
        assert json.loads(watching.stdout.readline())["transaction_id"] == first
        second = json.loads(call("authorize", "card_demo_yearly", "2", "--json").out)["transaction_id"]
        assert json.loads(watching.stdout.readline())["transaction_id"] == second
        watching.send_signal(signal.SIGINT)
        assert watching.wait(30) == 130
    finally:
        watching.kill()
        watching.wait()
        watching.stdout.close()
