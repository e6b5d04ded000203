"""Who calls: what a call brings with it, scopes, and how often one may try."""

import pytest

from authsvc.errors import Overloaded, PermissionDenied, Unauthenticated
from authsvc.identity.authenticate import ALL, SCOPES, bearer_of, ip_address_of, origin_of, required
from authsvc.identity.rates import RateLimit, network_of
from authsvc.identity.shapes import ADMIN, ANALYST, OPERATOR, OWNER, USER, Caller


@pytest.mark.parametrize(
    ("metadata", "bearer"),
    [
        ([],                                                   None),
        ([("x-authorization", "Bearer a")],                    None),
        ([("authorization", "Bearer abc")],                    "abc"),
        ([("Authorization", "bearer abc")],                    "abc"),
    ],
)  # fmt: skip
def test_credentials_are_found(metadata: list[tuple[str, str | bytes]], bearer: str | None) -> None:
    assert bearer_of(metadata) == bearer


@pytest.mark.parametrize(
    "values", [["Basic YTpi"], ["Bearer"], ["Bearer "], ["abc"], [""], [b"Bearer abc"], ["Bearer é"], ["Bearer a"] * 2]
)
def test_other_kinds_of_credentials_are_refused(values: list[str | bytes]) -> None:
    with pytest.raises(Unauthenticated):
        bearer_of([("authorization", value) for value in values])


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.1:4711",           "192.0.2.1"),
        ("ipv6:[::1]:4711",               "::1"),
        ("ipv6:%5B2001:db8::7%5D:4711",   "2001:db8::7"),
        ("ipv6:%5Bfe80::1%25eth0%5D:1",   "fe80::1"),
        ("unix:/run/authsvc.sock",        ""),
        ("unknown",                       ""),
        ("",                              ""),
    ],
)  # fmt: skip
def test_the_address_of_a_peer_is_read(peer: str, address: str) -> None:
    assert ip_address_of(peer) == address


def test_what_a_caller_says_of_itself_is_short_and_printable() -> None:
    told = origin_of([("x-request-id", "a\nb\0c"), ("user-agent", "x" * 999), ("other-bin", b"\0")], "ipv4:192.0.2.1:1")
    assert told == ("abc", "192.0.2.1", "x" * 200)


def test_a_key_may_do_what_its_scopes_say_and_nothing_else() -> None:
    for held in SCOPES:
        caller = Caller("key:one", OPERATOR, scopes=frozenset({held}))
        for asked in SCOPES[:-1]:
            if held in (asked, ALL):
                required(caller, asked)
            else:
                with pytest.raises(PermissionDenied):
                    required(caller, asked)


@pytest.mark.parametrize("role", [OWNER, ADMIN, USER, ANALYST])
def test_users_manage_and_read_but_neither_swipe_nor_speak_for_the_network(role: str) -> None:
    caller = Caller("user:1", role, 1, 1)
    for scope in ("history", "manage"):
        required(caller, scope)
    for scope in ("authorize", "events"):
        with pytest.raises(PermissionDenied):
            required(caller, scope)
    required(Caller("loopback", OPERATOR), "authorize")


class Hands:
    """A clock moved by hand."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_a_bucket_empties_and_fills_again_at_its_rate_and_no_further() -> None:
    hands = Hands()
    limit = RateLimit(6, hands)
    for _ in range(6):
        limit.take("one")
    for _ in range(3):
        with pytest.raises(Overloaded):
            limit.take("one")
    limit.take("another")
    hands.now_s = 10
    limit.take("one")
    with pytest.raises(Overloaded):
        limit.take("one")
    hands.now_s = 10_000
    for _ in range(6):
        limit.take("one")
    with pytest.raises(Overloaded):
        limit.take("one")


def test_no_more_callers_are_remembered_than_there_is_room_for() -> None:
    limit = RateLimit(1, Hands(), callers_max=100)
    for number in range(1_000):
        limit.take(str(number))
    assert len(limit) == 100
    with pytest.raises(Overloaded):
        limit.take("999")


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1",            "192.0.2.1"),
        ("::ffff:192.0.2.1",     "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9",      "2001:db8:1:2::/64"),
        ("",                     ""),
    ],
)  # fmt: skip
def test_addresses_of_one_caller_count_together(address: str, network: str) -> None:
    assert network_of(address) == network
