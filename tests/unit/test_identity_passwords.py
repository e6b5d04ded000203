"""Passwords: which are good, how they are kept, and that only so many are looked at."""

import asyncio
import threading
import unicodedata
from collections.abc import Iterator

import bcrypt
import pytest

from authsvc.errors import InvalidRequest, Overloaded
from authsvc.identity.passwords import Cost, HashedPasswords, Verdict, check_strength
from authsvc.identity.ports import LockPolicy
from tests.serving import until

# Far below what settings allow: what is tested is not how slow it is.
CHEAP = Cost(memory_kib=64, iterations=1, parallelism=1)
GOOD = "seven gulls over the harbour"


@pytest.fixture
def passwords() -> Iterator[HashedPasswords]:
    made = HashedPasswords(CHEAP, threads=2, waiting_max=4)
    yield made
    made.close()


async def test_a_password_is_right_and_every_other_one_is_wrong(passwords: HashedPasswords) -> None:
    kept = await passwords.hash(GOOD)
    assert kept.startswith("$argon2id$v=19$m=64,t=1,p=1$")
    assert await passwords.verify(kept, GOOD) == Verdict(is_right=True)
    for wrong in (GOOD + " ", GOOD.upper(), GOOD[:-1], ""):
        assert await passwords.verify(kept, wrong) == Verdict(is_right=False)
    assert await passwords.hash(GOOD) != kept


async def test_a_password_is_the_same_however_its_letters_are_composed(passwords: HashedPasswords) -> None:
    typed = "Ängström über Köln ﬁnal"
    kept = await passwords.hash(unicodedata.normalize("NFD", typed))
    assert (await passwords.verify(kept, unicodedata.normalize("NFC", typed))).is_right


async def test_without_a_hash_no_password_is_right_not_even_that_of_nobody(passwords: HashedPasswords) -> None:
    for password in (GOOD, "", "nobody's password"):
        assert await passwords.verify(None, password) == Verdict(is_right=False)


@pytest.mark.parametrize("prefix", [b"2a", b"2b"])
async def test_bcrypt_of_an_older_system_is_right_and_outdated(passwords: HashedPasswords, prefix: bytes) -> None:
    long = "x" * 80
    for password in (GOOD, long):
        kept = bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4, prefix)).decode()
        assert await passwords.verify(kept, password) == Verdict(is_right=True, is_outdated=True)
        assert await passwords.verify(kept, "another password") == Verdict(is_right=False)


async def test_a_hash_that_cost_less_is_outdated_when_it_is_right(passwords: HashedPasswords) -> None:
    dearer = HashedPasswords(CHEAP._replace(iterations=2), threads=1, waiting_max=1)
    kept = await passwords.hash(GOOD)
    assert await dearer.verify(kept, GOOD) == Verdict(is_right=True, is_outdated=True)
    assert await dearer.verify(kept, "another password") == Verdict(is_right=False)
    dearer.close()


@pytest.mark.parametrize("kept", ["$2b$04$", "$2b$99$" + "a" * 53, "$argon2id$", "plain", ""])
async def test_a_broken_hash_makes_every_password_wrong(passwords: HashedPasswords, kept: str) -> None:
    assert not (await passwords.verify(kept, GOOD)).is_right


async def test_more_passwords_than_may_wait_are_refused_and_the_loop_goes_on(
    passwords: HashedPasswords, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()

    def held(*_: object) -> Verdict:
        gate.wait(20)
        return Verdict(is_right=True)

    monkeypatch.setattr(passwords, "_verify", held)
    under_way = [asyncio.ensure_future(passwords.verify(None, GOOD)) for _ in range(4)]
    # This runs although every thread is taken.
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await passwords.verify(None, GOOD)
    # A caller that is gone leaves its thread taken.
    under_way[0].cancel()
    with pytest.raises(Overloaded):
        await passwords.verify(None, GOOD)
    gate.set()
    assert await asyncio.gather(*under_way[1:]) == [Verdict(is_right=True)] * 3
    await until(lambda: passwords._waiting == 0)
    assert (await passwords.verify(None, GOOD)).is_right


@pytest.mark.parametrize(
    ("password", "problem"),
    [
        ("eleven char",            "must have 12 to 128 characters"),
        ("ﬁ" * 5,                  "must have 12 to 128 characters"),
        ("x1" * 64 + "!",          "must have 12 to 128 characters"),
        ("tab\tin the middle",     "must not hold control characters"),
        ("nul\0in the middle",     "must not hold control characters"),
        ("Ada.Lovelace@Bank.example", "must not be the e-mail address"),
        ("ADA.LOVELACE",           "must not be the e-mail address"),
        ("Password1234",           "is among the first that anybody would try"),
        ("ｐａｓｓｗｏｒｄ１２３４",   "is among the first that anybody would try"),
        ("qwertyuiop12",           "is among the first that anybody would try"),
        ("aaaaaaaaaaaaaaa",        "is among the first that anybody would try"),
        ("abcabcabcabcabc",        "is among the first that anybody would try"),
    ],
)  # fmt: skip
def test_a_bad_password_is_refused_with_the_reason(password: str, problem: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_strength("new_password", password, "ada.lovelace@bank.example")
    assert (caught.value.field, caught.value.problem) == ("new_password", problem)


@pytest.mark.parametrize("password", ["twelve chars", GOOD, "x1" * 60 + "unlike!!", "密码是一只会飞的小猫咪呀"])
def test_a_good_password_is_taken(password: str) -> None:
    check_strength("new_password", password, "ada.lovelace@bank.example")


def test_locks_double_from_30_seconds_to_15_minutes_and_no_further() -> None:
    policy = LockPolicy(5)
    assert [policy.until_us(attempts, 0) for attempts in (0, 4)] == [None, None]
    seconds = [(policy.until_us(attempts, 0) or 0) // 1_000_000 for attempts in range(5, 13)]
    assert seconds == [30, 60, 120, 240, 480, 900, 900, 900]
    assert policy.until_us(2**31 - 1, 7) == 900_000_007
