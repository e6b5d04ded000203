"""The commands that edit records, against a running service."""

import io
import itertools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from authsvc.cli.records import COMMANDS
from authsvc.settings import PREFIX
from tests.commands import Done, command

_numbers = itertools.count(1)


@pytest.fixture
def call(
    service: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> Callable[..., Done]:
    """Runs a command in this process, where the environment names the module's service."""
    monkeypatch.setenv(f"{PREFIX}PORT", str(service.port))
    monkeypatch.setenv(f"{PREFIX}DATA_DIR", str(tmp_path))

    def call_it(*arguments: str, stdin: str = "") -> Done:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        return command(monkeypatch, capsys, *arguments)

    return call_it


@pytest.fixture
def account(call: Callable[..., Done]) -> str:
    email = f"owner-{next(_numbers)}@example.com"
    done = call("account", "create", "business_name=Mill", f"owner_email={email}", "currency=EUR", "--json")
    return str(done.record["id"])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_resource_lists_itself_as_a_table_and_as_json(call: Callable[..., Done], name: str) -> None:
    assert call(name, "list", "--limit", "3").code == 0
    assert isinstance(json.loads(call(name, "list", "--limit", "3", "--json").out), list)


def test_a_profile_is_made_with_money_as_people_write_it_shown_described_changed_and_deleted(
    call: Callable[..., Done], account: str
) -> None:
    made = call(
        "profile",
        "create",
        f"account_id={account}",
        "name=Lunch",
        "spend_limit=12.50",
        "spend_limit_duration=daily",
        "allowed_categories=5812,5814",
    )
    assert made.code == 0 and "12.50 EUR" in made.out and "5812, 5814" in made.out
    profile = call("profile", "list", f"account_id={account}", "--json").out
    number = str(json.loads(profile)[0]["id"])
    assert "Each card may spend up to 12.50 EUR a day" in call("profile", "describe", number).out
    changed = call("profile", "update", number, "spend_limit=", "spend_limit_duration=", "--json").record
    assert "spend_limit_minor" not in changed
    assert call("profile", "delete", number).code == 0
    assert "Lunch" not in call("profile", "list", f"account_id={account}").out
    assert "Lunch" in call("profile", "list", f"account_id={account}", "--deleted").out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("card", "create", "colour=blue"), "colour is not a field"),
        (("card", "create", "card_type"), "card_type is not NAME=VALUE"),
        (("card", "create", "card_type=gold"), "must be one of debit, reloadable, virtual, physical"),
        (("card", "show", "999999"), "no such Card"),
        (("setting", "create", "account_id=1", "key=hold_dayz", "value=3"), "did you mean hold_days?"),
        (("card", "list", "--order-by", "colour"), "order_by: must be one of"),
    ],
)
def test_what_is_wrong_is_said_in_words(call: Callable[..., Done], arguments: tuple[str, ...], said: str) -> None:
    done = call(*arguments)
    assert done.code != 0 and said in " ".join(done.err.split())


def test_what_cannot_be_undone_is_asked_about(call: Callable[..., Done], account: str) -> None:
    person = call(
        "user",
        "create",
        f"account_id={account}",
        f"email=p{account}@example.com",
        "first_name=P",
        "last_name=Q",
        "--json",
    ).record["id"]
    card = str(
        call("card", "create", f"account_id={account}", f"user_id={person}", "card_type=debit", "--json").record["id"]
    )
    assert call("card", "update", card, "status=closed", stdin="n\n").code != 0
    assert call("card", "show", card, "--json").record["status"] == "CARD_STATUS_PENDING"
    assert call("card", "update", card, "status=closed", "--yes", "--json").record["status"] == "CARD_STATUS_CLOSED"
    assert call("user", "purge", str(person), stdin="n\n").code != 0


def test_an_export_is_an_import_and_bad_records_are_named(
    call: Callable[..., Done], account: str, tmp_path: Path
) -> None:
    file = tmp_path / "products.csv"
    file.write_text(
        f"account_id,name,card_type,default_spend_limit_minor,default_spend_limit_duration\n"
        f"{account},Blue,virtual,5000,weekly\n{account},Red,debit,,\n",
        encoding="utf-8",
    )
    assert "2 made" in call("product", "import", str(file)).out
    exported = call("product", "export", "--account", account).out
    assert exported.splitlines()[1].split(",")[2:6] == ["Blue", "virtual", "5000", "weekly"]
    file.write_text(exported, encoding="utf-8")
    again = call("product", "import", str(file))
    assert again.code == 1 and "nothing made" in again.out and again.out.count("is taken") == 2
    lines = call("product", "export", "--account", account, "--format", "jsonl").out
    assert [json.loads(line)["name"] for line in lines.splitlines()] == ["Blue", "Red"]


def test_many_cards_are_made_and_moved(call: Callable[..., Done], account: str) -> None:
    person = call(
        "user",
        "create",
        f"account_id={account}",
        f"email=m{account}@example.com",
        "first_name=P",
        "last_name=Q",
        "--json",
    ).record["id"]
    product = call("product", "create", f"account_id={account}", "name=Green", "card_type=debit", "--json").record["id"]
    profile = call("profile", "create", f"account_id={account}", "name=Some", "--json").record["id"]
    made = json.loads(call("card", "create-many", str(product), str(person), "--each", "5", "--json").out)
    assert len(made) == 5
    assert "cards moved: 2" in call("card", "move", str(made[0]), str(made[1]), "--to-profile", str(profile)).out
    listed = json.loads(call("card", "list", f"spending_profile_id={profile}", "--json").out)
    assert [one["id"] for one in listed] == made[:2]
    refused = call("card", "create-many", str(product), str(person))
    assert refused.code == 1 and "cards[0].user_id: would have more than 5 cards" in refused.err
