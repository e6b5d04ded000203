"""The lives of tests/cases/lifecycle_*.json: what a transaction counts after every message, in the order of arrival.

Each step says when it happened (`at`), what it said, and what counts `then`. `balance_minor` is what the balance has gained
since before the transaction. A message's `id` is given only where it matters.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from rules.lifecycle import Event, EventKind, State, Status, state_of
from tests.case_files import CASES_DIR, unix_us

PAGE = Path(__file__).parents[2] / "docs" / "lifecycle.md"
CASES_PAGE = PAGE.with_name("lifecycle-cases.md")
DECISIONS_FROM = EventKind.AUTHORIZATION


@dataclass(frozen=True)
class Step:
    """A message as it arrives, and the whole transaction after it."""

    event: Event
    at: datetime
    state: State
    spend_minor: int
    balance_minor: int


@dataclass(frozen=True)
class Life:
    """One transaction. `id` is "file: name"."""

    id: str
    steps: tuple[Step, ...]

    def events(self) -> list[Event]:
        return [step.event for step in self.steps]


def load_lives(directory: Path = CASES_DIR) -> list[Life]:
    """Every life of every file. An unknown or a missing field is a TypeError or a KeyError."""
    return [
        Life(
            f"{path.stem}: {raw['name']}",
            tuple(_step(place, **step) for place, step in enumerate(raw["steps"], start=1)),
        )
        for path in sorted(directory.glob("lifecycle_*.json"))
        for raw in json.loads(path.read_text(encoding="utf-8"))
    ]


def _step(
    place: int,
    *,
    at: str,
    kind: str,
    amount_minor: int | None,
    then: Mapping[str, Any],
    id: str | None = None,  # noqa: A002 - the name of the field
    settled_minor: int = 0,
    is_final: bool = False,
) -> Step:
    happened, event_kind = datetime.fromisoformat(at), EventKind[kind]
    # As the ledger does: a decision is known by the id of its row, a message by what the network calls it.
    identity = f"{place:020}" if event_kind >= DECISIONS_FROM else id or f"message-{place}"
    event = Event(event_kind, unix_us(happened), identity, amount_minor, is_final, settled_minor)
    state = State(then["held_minor"], then["settled_minor"], then["credited_minor"], Status[then["status"]])
    return Step(event, happened, state, then["spend_minor"], then["balance_minor"])


LIVES = load_lives()
lives = pytest.mark.parametrize("life", LIVES, ids=[life.id for life in LIVES])


def kept(arrivals: Iterable[Event]) -> list[Event]:
    """Each identity once, the first of it, as the ledger keeps them."""
    first: dict[str, Event] = {}
    for event in arrivals:
        first.setdefault(event.identity, event)
    return list(first.values())


def other_arrivals(events: list[Event]) -> Iterator[list[Event]]:
    for start in range(1, len(events)):
        yield events[start:] + events[:start]
    yield events[::-1]
    yield [event for event in events for _ in range(2)]
    yield events + events[::-1]


def test_there_are_lives_enough_and_each_has_a_name_of_its_own() -> None:
    assert len(LIVES) >= 60
    assert len({life.id for life in LIVES}) == len(LIVES)


def test_every_kind_of_message_and_every_status_is_met() -> None:
    assert {event.kind for life in LIVES for event in life.events()} == set(EventKind)
    assert {step.state.status for life in LIVES for step in life.steps} == set(Status)


@lives
def test_after_every_message_the_transaction_counts_what_the_case_says(life: Life) -> None:
    told = [state_of(life.events()[: place + 1]) for place in range(len(life.steps))]
    assert told == [step.state for step in life.steps]
    assert [state.held_minor + state.settled_minor for state in told] == [step.spend_minor for step in life.steps]
    assert [state.credited_minor - state.settled_minor for state in told] == [step.balance_minor for step in life.steps]


@lives
def test_every_rotation_the_reverse_and_duplicates_end_in_the_same_state(life: Life) -> None:
    for arrivals in other_arrivals(life.events()):
        assert state_of(kept(arrivals)) == life.steps[-1].state


# --- the page that shows some of them ---------------------------------------------------------------------------------


def test_every_worked_example_of_the_lifecycle_page_is_a_case() -> None:
    by_name = dict(_examples(CASES_PAGE))
    examples = list(_examples(PAGE))
    assert len(examples) >= 6
    for name, rows in examples:
        assert rows == by_name[name], name


def test_the_page_of_all_cases_is_up_to_date() -> None:
    """If not: `make docs`."""
    names = [life.id.partition(": ")[2] for life in LIVES]
    assert [name[0].lower() + name[1:] for name, _ in _examples(CASES_PAGE)] == names
    made = subprocess.run(
        [sys.executable, "-c", "import make_cases; print(make_cases.page(), end='')"],
        cwd=CASES_PAGE.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert made.stdout == CASES_PAGE.read_text(encoding="utf-8")


def _examples(page: Path) -> list[tuple[str, str]]:
    """The tables of a page by their titles."""
    return re.findall(r"\*\*(.+?)\.\*\*\n\n\|.*\n\|.*\n((?:\|.*\n)+)", page.read_text(encoding="utf-8"))


def _short_lives() -> Iterator[list[Event]]:
    """Every sequence of up to three messages, in the order in which they happened; those that move money move some."""
    said: list[tuple[EventKind, int | None, int]] = [
        (kind, 5, 0) for kind in EventKind if kind not in (EventKind.EXPIRY, EventKind.REVERSAL)
    ]
    said += [(EventKind.EXPIRY, None, 0), (EventKind.REVERSAL, None, 0), (EventKind.REVERSAL, 2, 0)]
    said += [(EventKind.AUTHORIZATION, 0, 0), (EventKind.ADVICE, 0, 0), (EventKind.SNAPSHOT, 0, 0)]
    said += [(EventKind.SNAPSHOT, 5, 5), (EventKind.SNAPSHOT, 0, -5)]
    for length in (1, 2, 3):
        for life in product(said, repeat=length):
            yield [
                Event(kind, at, str(at), amount, settled_minor=settled)
                for at, (kind, amount, settled) in enumerate(life)
            ]


def test_the_state_diagram_shows_every_move_and_no_other() -> None:
    told = set(re.findall(r"^    (\S+) --> (\S+) :", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    moves = set()
    for events in _short_lives():
        if any(event.kind >= DECISIONS_FROM for event in events) and events[0].kind < DECISIONS_FROM:
            continue  # Nothing happens before the first decision.
        before = state_of(events[:-1]).status.value if len(events) > 1 else "[*]"
        moves.add((before, state_of(events).status.value))
    assert told == {(before, after) for before, after in moves if before != after}
