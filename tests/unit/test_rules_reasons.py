"""The vocabulary is the same in the rules and on the wire: names, numbers, order."""

import re
from enum import IntEnum
from pathlib import Path

import pytest

from rules.reasons import (
    CHECK_OF_REASON,
    LEVEL_OF_REASON,
    REASON_OF_LIMIT_CHECK,
    CheckName,
    CheckResult,
    Decision,
    Kind,
    Level,
    Reason,
    Window,
)

PROTO = (Path(__file__).parents[2] / "protos/authsvc/v1/types.proto").read_text(encoding="utf-8")


def wire_values(enum: type[IntEnum]) -> list[tuple[str, int]]:
    prefix = re.sub(r"(?<!^)(?=[A-Z])", "_", enum.__name__).upper()
    body = re.search(rf"^enum {enum.__name__} {{(.*?)^}}", PROTO, re.DOTALL | re.MULTILINE)
    assert body is not None
    values = re.findall(rf"^\s*{prefix}_(\w+) = (\d+);", body[1], re.MULTILINE)
    return [(name, int(number)) for name, number in values]


@pytest.mark.parametrize("enum", [Kind, Decision, Reason, Level, Window, CheckName, CheckResult])
def test_an_enumeration_is_the_one_of_the_wire(enum: type[IntEnum]) -> None:
    spoken = [(member.name, member.value) for member in enum]
    unspecified = [] if "UNSPECIFIED" in enum.__members__ else [("UNSPECIFIED", 0)]
    assert unspecified + spoken == wire_values(enum)


def test_the_wire_gives_no_name_twice() -> None:
    bodies = re.findall(r"^enum \w+ {(.*?)^}", PROTO, re.DOTALL | re.MULTILINE)
    names = [name for body in bodies for name in re.findall(r"^\s*(\w+) = \d+;", body, re.MULTILINE)]
    assert len(names) == len(set(names))


def test_reasons_are_in_the_order_of_their_checks() -> None:
    checks = [CHECK_OF_REASON[reason] for reason in Reason if reason is not Reason.APPROVED]
    assert checks == sorted(checks)
    assert set(checks) == set(CheckName)


def test_every_reason_has_a_level_and_only_an_approval_has_none() -> None:
    assert [reason for reason in Reason if LEVEL_OF_REASON[reason] is Level.UNSPECIFIED] == [Reason.APPROVED]


def test_a_limit_check_and_its_reason_name_each_other() -> None:
    assert {CHECK_OF_REASON[reason]: reason for reason in REASON_OF_LIMIT_CHECK.values()} == REASON_OF_LIMIT_CHECK
