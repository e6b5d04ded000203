"""Values under keys: what opens where, what does not, and the file that the keys are in."""

import base64
import os
import stat
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.errors import NotPossible, StartupRefused
from authsvc.management.resources import RESOURCES, Shape
from authsvc.privacy.columns import SEALED
from authsvc.privacy.keys import Privacy, add, parse, read, use
from authsvc.privacy.sealing import Keys, Place, Sealer
from tests.privacy import keys_text

KEYS: Final = Keys(2, {1: bytes(range(32)), 2: bytes(range(32, 64))}, bytes(range(64, 96)))
PLACE: Final = Place("users", "first_name", 12)
SEALER: Final = Sealer(KEYS, os.urandom)
places = st.builds(
    Place, st.sampled_from(["users", "accounts"]), st.sampled_from(["tax_id", "email"]), st.integers(1, 10**9)
)


@given(st.text(), places)
def test_what_was_sealed_opens_in_its_place_and_shows_nothing(value: str, place: Place) -> None:
    kept = SEALER.seal(place, value)
    assert kept.startswith("sealed:2:") and SEALER.open(place, kept) == value
    assert len(value) < 4 or value not in kept
    assert SEALER.seal(place, value) != kept


@given(places, places)
def test_it_opens_in_no_other_place(one: Place, other: Place) -> None:
    kept = SEALER.seal(one, "Ada")
    if one != other:
        with pytest.raises(NotPossible, match=f"{other.column} of {other.table} {other.row_id} cannot be opened"):
            SEALER.open(other, kept)


@given(st.integers(0, 8 * (12 + 3 + 16) - 1))
def test_no_bit_of_it_can_be_changed(bit: int) -> None:
    prefix, version, text = SEALER.seal(PLACE, "Ada").split(":")
    raw = bytearray(base64.urlsafe_b64decode(text))
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(NotPossible, match="first_name of users 12 cannot be opened"):
        SEALER.open(PLACE, f"{prefix}:{version}:{base64.urlsafe_b64encode(raw).decode()}")


@pytest.mark.parametrize(
    "kept", ["sealed:", "sealed:2", "sealed:2:", "sealed:2:???", "sealed:2:AAAA", "sealed:x:AAAA", "sealed:²:AAAA"]
)
def test_what_was_never_sealed_so_does_not_open(kept: str) -> None:
    with pytest.raises(NotPossible, match="cannot be opened"):
        SEALER.open(PLACE, kept)


def test_values_of_today_open_for_ever() -> None:
    sealed = Sealer(KEYS, bytes).seal(PLACE, "Ada")
    assert sealed == "sealed:2:AAAAAAAAAAAAAAAAokqA8t3gjivCa3OVSGU1XI59CA=="
    assert Sealer(KEYS, os.urandom).open(PLACE, sealed) == "Ada"


def test_older_keys_open_and_missing_ones_are_named() -> None:
    old = Sealer(KEYS._replace(current=1), os.urandom).seal(PLACE, "Ada")
    assert old.startswith("sealed:1:") and SEALER.open(PLACE, old) == "Ada"
    with pytest.raises(NotPossible, match="privacy key 1 is not here"):
        Sealer(Keys(2, {2: KEYS.by_version[2]}, KEYS.index_key), os.urandom).open(PLACE, old)


def test_a_blind_index_is_of_a_column_and_a_key_and_the_same_however_it_is_written() -> None:
    index = SEALER.index("users", "email", "ada@example.com")
    assert len(index) == 32 and SEALER.index("users", "email", " Ada@Example.COM ") == index
    others = [
        SEALER.index("accounts", "email", "ada@example.com"),
        SEALER.index("users", "email", "adam@example.com"),
        Sealer(KEYS._replace(index_key=bytes(32)), os.urandom).index("users", "email", "ada@example.com"),
    ]
    assert len({index, *others}) == 4
    rotated = Sealer(KEYS._replace(current=1), os.urandom)
    assert rotated.index("users", "email", "ada@example.com") == index


def test_without_keys_nothing_is_sealed_and_nothing_found() -> None:
    none = Privacy(None, "", os.urandom).sealer()
    with pytest.raises(NotPossible, match="AUTHSVC_PRIVACY_KEYS_FILE"):
        none.seal(PLACE, "Ada")
    assert none.index("users", "email", "ada@example.com") == b""
    assert none.open(PLACE, "Ada") == "Ada"
    with pytest.raises(NotPossible, match="privacy key 2 is not here"):
        none.open(PLACE, SEALER.seal(PLACE, "Ada"))


def test_a_file_gets_keys_one_by_one_and_seals_with_the_one_that_is_chosen(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    first = add(path, os.urandom)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert (first.current, list(first.by_version)) == (1, [1])
    second = add(path, os.urandom)
    assert (second.current, sorted(second.by_version)) == (1, [1, 2])
    assert second.by_version[1] == first.by_version[1] and second.index_key == first.index_key
    assert use(path, 2) == read(path) == second._replace(current=2)
    with pytest.raises(ValueError, match="there is no key 3: 1, 2"):
        use(path, 3)
    assert read(path).current == 2


def test_a_changed_file_is_read_again_and_a_bad_one_is_not(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "keys.json"
    add(path, os.urandom)
    privacy = Privacy(path, "", os.urandom)
    kept = privacy.sealer().seal(PLACE, "Ada")
    add(path, os.urandom)
    use(path, 2)
    assert privacy.sealer().version == 2 and privacy.sealer().open(PLACE, kept) == "Ada"
    path.write_text("{")
    assert privacy.sealer().version == 2
    path.unlink()
    assert privacy.sealer().open(PLACE, kept) == "Ada"
    assert [record.message for record in caplog.records if record.levelname == "ERROR"] == [
        "the privacy keys cannot be read; those read before stay"
    ] * 2


SECRET: Final = base64.b64encode(bytes(range(100, 132))).decode()
OTHER: Final = base64.b64encode(bytes(range(132, 164))).decode()


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "no set of privacy keys"),
        ("[]", "no set of privacy keys"),
        ('{"current": 1, "keys": [], "index": ""}', "no set of privacy keys"),
        (f'{{"current": 1, "keys": {{"1": "{SECRET}"}}}}', "no set of privacy keys"),
        (f'{{"current": 1, "keys": {{"1": "{SECRET[:-8]}"}}, "index": "{OTHER}"}}', "no set of privacy keys"),
        (f'{{"current": 1, "keys": {{"x": "{SECRET}"}}, "index": "{OTHER}"}}', "no set of privacy keys"),
        (f'{{"current": 2, "keys": {{"1": "{SECRET}"}}, "index": "{OTHER}"}}', "current key is not among"),
        (f'{{"current": 0, "keys": {{"0": "{SECRET}"}}, "index": "{OTHER}"}}', "numbered from 1 on"),
        (f'{{"current": 1, "keys": {{"1": "{SECRET}"}}, "index": "{SECRET}"}}', "two of its keys are the same"),
    ],
)
def test_keys_that_are_none_are_refused_and_not_told(text: str, why: str) -> None:
    with pytest.raises(StartupRefused, match=why) as refused:
        Privacy(None, text, os.urandom)
    assert SECRET[:8] not in str(refused.value) and SECRET[:8] not in str(refused.value.__cause__)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StartupRefused, match="No such file"):
        Privacy(tmp_path / "none.json", "", os.urandom)


def test_keys_may_stand_in_a_variable() -> None:
    assert parse(keys_text(1, 2).encode()).current == 2


def test_every_sealed_column_is_a_text_of_its_resource() -> None:
    texts = {
        resource.table: {one.column for one in resource.fields if one.shape is Shape.TEXT} for resource in RESOURCES
    }
    assert all(set(columns) <= texts[table] for table, columns in SEALED.items())
