"""What a history is drawn from: small card programs, what is asked of them, and what happens to them meanwhile."""

import itertools
from typing import Any, NamedTuple

from hypothesis import strategies as st

from rules.reasons import Kind, Window
from tests.behaviour.places import Program
from tests.simulation.postgres import AccountRow, CardRow, ProfileRow, UserRow

_numbers = itertools.count(1_000)


class Send(NamedTuple):
    """Requests that are sent at once: each to one worker, some of them also to the other. One is a request by itself."""

    requests: list[tuple[int, Kind, int, int, bool]]
    twice: bool


class Again(NamedTuple):
    """An earlier request once more, with its own body or another one."""

    which: int
    same_body: bool


class Change(NamedTuple):
    table: str
    which: int
    values: dict[str, Any]


class Wipe(NamedTuple):
    """Redis loses everything."""


amounts = st.sampled_from([0, 1, 10, 20, 20, 30, 50])
# Mostly limits that two or three requests exhaust, so that what a counter says decides.
windows = st.sampled_from([None, Window.DAILY, Window.DAILY, *list(Window)[1:]])
limits = st.sampled_from([None, 0, 40, 40, 60, 100])
zones = st.sampled_from(["UTC", "Asia/Tokyo", "America/New_York"])
lists = st.sampled_from([(), (), (), (), (), (), ("5812",), ("3000-3299", "5411"), ("5000-5999",)])
kinds = st.sampled_from([Kind.AUTHORIZATION] * 8 + [Kind.FINANCIAL_AUTHORIZATION] * 4 + list(Kind)[2:])
one_request = st.tuples(st.integers(0, 2), kinds, amounts, st.sampled_from([-400, -13, -13, -1, 0, 0]), st.booleans())
changes = st.one_of(
    st.builds(Change, st.just("cards"), st.integers(0, 2), st.fixed_dictionaries({"limit_minor": limits})),
    st.builds(Change, st.just("cards"), st.integers(0, 2), st.fixed_dictionaries({"window": windows})),
    st.builds(
        Change,
        st.just("cards"),
        st.integers(0, 2),
        st.fixed_dictionaries({"status": st.sampled_from(["active", "inactive"])}),
    ),
    st.builds(
        Change,
        st.just("spending_profiles"),
        st.just(0),
        st.fixed_dictionaries({"limit_minor": limits, "window": windows}),
    ),
    st.builds(Change, st.just("spending_profiles"), st.just(0), st.fixed_dictionaries({"shared": st.booleans()})),
    st.builds(
        Change, st.just("spending_profiles"), st.just(0), st.fixed_dictionaries({"allowed": lists, "blocked": lists})
    ),
    st.builds(
        Change,
        st.just("users"),
        st.just(0),
        st.fixed_dictionaries({"status": st.sampled_from(["active", "active", "suspended"])}),
    ),
    st.builds(Change, st.just("accounts"), st.just(0), st.fixed_dictionaries({"timezone": zones})),
    st.builds(Change, st.just("accounts"), st.just(0), st.fixed_dictionaries({"balance_check": st.booleans()})),
    st.builds(
        Change, st.just("accounts"), st.just(0), st.fixed_dictionaries({"balance_minor": st.sampled_from([0, 70, 500])})
    ),
)
steps = st.lists(
    st.one_of(
        st.builds(Send, st.lists(one_request, min_size=1, max_size=1), st.booleans()),
        st.builds(Send, st.lists(one_request, min_size=1, max_size=1), st.booleans()),
        st.builds(Send, st.lists(one_request, min_size=2, max_size=6), st.booleans()),
        st.builds(Again, st.integers(0, 30), st.booleans()),
        changes,
        st.builds(Wipe),
    ),
    min_size=8,
    max_size=20,
)


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """One business with a cardholder, a profile and three cards, the last of them without a profile."""
    number = next(_numbers)
    account = AccountRow(number, "active", "UTC", True, draw(st.sampled_from([60, 1_000, 1_000])))
    profile = ProfileRow(number, number, draw(limits), draw(windows), draw(st.booleans()), draw(lists), draw(lists))
    cards = [
        CardRow(
            number * 10 + i,
            number,
            number,
            number if i < 2 else None,
            f"card-{number}-{i}",
            "active",
            draw(limits),
            draw(windows),
        )
        for i in range(3)
    ]
    return Program([account], [UserRow(number, number, "active")], [profile], cards)
