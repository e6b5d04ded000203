"""Access tokens, the keys that sign them, API keys: nothing that was tampered with is taken."""

import json
import logging
import os
import stat
from pathlib import Path
from uuid import UUID

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from authsvc.errors import NotPossible, StartupRefused, Unauthenticated
from authsvc.identity.signing_keys import SigningKeys, read, rotate
from authsvc.identity.tokens import API_KEY_SCHEME, AccessTokens, Claims, api_key, hash_of

NOW_S = 1_800_000_000
NOW_US = NOW_S * 1_000_000
CLAIMS = Claims(12, 3, "admin", UUID(int=7))


@pytest.fixture(scope="module")
def keys_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    rotate(path, now_s=NOW_S - 100, signs_in_s=0, keep=1, chance=os.urandom)
    return path


@pytest.fixture(scope="module")
def tokens(keys_file: Path) -> AccessTokens:
    return AccessTokens(SigningKeys(keys_file), os.urandom)


def _forged(keys_file: Path, header: dict[str, object], **changes: object) -> str:
    """Signed with the right key, whatever it says."""
    [key] = read(keys_file)
    payload = {
        "iss": "authsvc", "sub": "12", "account": 3, "role": "admin", "sid": str(UUID(int=7)), "iat": NOW_S,
        "exp": NOW_S + 600, "jti": "x",
    }  # fmt: skip
    payload |= changes
    payload = {name: value for name, value in payload.items() if value is not None}
    return jwt.encode(payload, key.private, "EdDSA", {"kid": key.kid, "typ": "at+jwt", **header})


def test_a_token_says_what_it_was_made_of_and_carries_what_is_documented(tokens: AccessTokens, keys_file: Path) -> None:
    token, expires_s = tokens.issue(CLAIMS, NOW_US)
    assert tokens.read(token, NOW_US) == CLAIMS
    header, payload = jwt.get_unverified_header(token), jwt.decode(token, options={"verify_signature": False})
    assert header == {"alg": "EdDSA", "kid": read(keys_file)[0].kid, "typ": "at+jwt"}
    assert payload.keys() == {"iss", "sub", "account", "role", "sid", "iat", "exp", "jti"}
    assert (payload["sub"], payload["exp"], expires_s) == ("12", NOW_S + 600, NOW_S + 600)
    assert tokens.issue(CLAIMS, NOW_US)[0] != token


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_token_with_one_changed_byte_is_taken(tokens: AccessTokens, data: st.DataObject) -> None:
    token, _ = tokens.issue(CLAIMS, NOW_US)
    at = data.draw(st.integers(0, len(token) - 1))
    byte = data.draw(st.integers(0, 127).filter(lambda code: chr(code) != token[at]))
    with pytest.raises(Unauthenticated):
        tokens.read(token[:at] + chr(byte) + token[at + 1 :], NOW_US)


def test_the_bits_that_a_signature_does_not_use_count_as_well(tokens: AccessTokens) -> None:
    token, _ = tokens.issue(CLAIMS, NOW_US)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    taken = []
    for letter in alphabet:
        try:
            tokens.read(token[:-1] + letter, NOW_US)
        except Unauthenticated:
            continue
        taken.append(letter)
    assert taken == [token[-1]]


@given(text=st.text(max_size=300))
@settings(max_examples=200, deadline=None)
def test_any_text_is_refused_and_breaks_nothing(text: str) -> None:
    with pytest.raises(Unauthenticated):
        AccessTokens(SigningKeys(None), os.urandom).read(text, NOW_US)


def test_a_token_counts_from_its_making_to_its_end(tokens: AccessTokens) -> None:
    token, _ = tokens.issue(CLAIMS, NOW_US)
    for second, counts in ((-61, False), (-60, True), (0, True), (599, True), (600, False), (10**6, False)):
        if counts:
            assert tokens.read(token, NOW_US + second * 1_000_000) == CLAIMS
        else:
            with pytest.raises(Unauthenticated, match="expired"):
                tokens.read(token, NOW_US + second * 1_000_000)


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "somebody"}, {"iss": None}, {"exp": None}, {"iat": None}, {"jti": None}, {"sub": None}, {"sub": "me"},
        {"account": None}, {"account": "x"}, {"role": None}, {"role": "root"}, {"role": ["admin"]}, {"sid": "x"}, {"sid": None},
        {"exp": "tomorrow"}, {"iat": "now"},
    ],
)  # fmt: skip
def test_a_token_that_does_not_say_what_it_must_is_refused(
    tokens: AccessTokens, keys_file: Path, changes: dict[str, object]
) -> None:
    assert tokens.read(_forged(keys_file, {}), NOW_US) == CLAIMS
    with pytest.raises(Unauthenticated):
        tokens.read(_forged(keys_file, {}, **changes), NOW_US)


def test_neither_the_kind_nor_the_key_can_be_chosen_by_the_caller(tokens: AccessTokens, keys_file: Path) -> None:
    [key] = read(keys_file)
    payload = jwt.decode(_forged(keys_file, {}), options={"verify_signature": False})
    header = {"kid": key.kid, "typ": "at+jwt"}
    forged = [
        jwt.encode(payload, None, "none", header),
        jwt.encode(payload, "x" * 32, "HS256", header),
        jwt.encode(payload, Ed25519PrivateKey.generate(), "EdDSA", header),
        _forged(keys_file, {"kid": "unknown"}),
        _forged(keys_file, {"typ": "JWT"}),
    ]
    for token in forged:
        with pytest.raises(Unauthenticated):
            tokens.read(token, NOW_US)


def test_without_a_key_nobody_signs_in_and_no_token_counts(tokens: AccessTokens) -> None:
    keyless = AccessTokens(SigningKeys(None), os.urandom)
    with pytest.raises(NotPossible, match="no signing key"):
        keyless.issue(CLAIMS, NOW_US)
    with pytest.raises(Unauthenticated):
        keyless.read(tokens.issue(CLAIMS, NOW_US)[0], NOW_US)


# --- the file of keys -------------------------------------------------------------------------------------------------


def test_a_rotation_keeps_so_many_older_keys_and_the_newest_signs(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    for second in range(4):
        made = rotate(path, now_s=NOW_S + second, signs_in_s=0, keep=2, chance=os.urandom)
    held = SigningKeys(path)
    assert len(made) == 3
    assert [key.kid for key in read(path)] == [key.kid for key in made]
    assert held.signer(NOW_S + 10).kid == made[-1].kid
    assert all(held.verifier(key.kid) is not None for key in made)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_key_may_be_known_everywhere_before_it_signs(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    [first] = rotate(path, now_s=NOW_S, signs_in_s=0, keep=1, chance=os.urandom)
    _, second = rotate(path, now_s=NOW_S, signs_in_s=60, keep=1, chance=os.urandom)
    held = SigningKeys(path)
    assert [held.signer(NOW_S + second_s).kid for second_s in (0, 59, 60)] == [first.kid, first.kid, second.kid]
    assert held.verifier(second.kid) is not None


def test_a_rotation_that_would_leave_no_key_to_sign_with_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    rotate(path, now_s=NOW_S, signs_in_s=0, keep=1, chance=os.urandom)
    rotate(path, now_s=NOW_S, signs_in_s=60, keep=1, chance=os.urandom)
    before = path.read_bytes()
    for signs_in_s, keep in ((60, 1), (60, 0), (0, 1)):
        with pytest.raises(ValueError, match="no key would sign"):
            rotate(path, now_s=NOW_S, signs_in_s=signs_in_s, keep=keep, chance=os.urandom)
    assert path.read_bytes() == before
    [only] = rotate(path, now_s=NOW_S, signs_in_s=0, keep=0, chance=os.urandom)
    assert SigningKeys(path).signer(NOW_S).kid == only.kid


def test_a_file_that_breaks_later_leaves_what_it_held(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "keys.json"
    [key] = rotate(path, now_s=NOW_S, signs_in_s=0, keep=1, chance=os.urandom)
    held = SigningKeys(path)
    secret = json.loads(path.read_text())["keys"][0]["d"]
    path.write_text(f'{{"keys": ["{secret}"')
    with caplog.at_level(logging.ERROR):
        assert held.signer(NOW_S).kid == key.kid
        path.unlink()
        assert held.verifier(key.kid) is not None
    assert len(caplog.records) == 2
    assert secret not in str([vars(record) for record in caplog.records])


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"keys": []}', '{"keys": [{"kty": "RSA", "crv": "x"}]}', '{"keys": [{}]}', '{"keys": 1}']
)
def test_a_service_does_not_start_with_a_bad_file_of_keys(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.json"
    with pytest.raises(StartupRefused, match="signing keys"):
        SigningKeys(path)
    path.write_text(text)
    with pytest.raises(StartupRefused, match="signing keys"):
        SigningKeys(path)


def test_halves_of_different_keys_and_two_keys_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    for _ in range(2):
        rotate(path, now_s=NOW_S, signs_in_s=0, keep=1, chance=os.urandom)
    document = json.loads(path.read_text())
    first, second = document["keys"]
    for entries in ([first | {"x": second["x"]}], [first, second | {"kid": first["kid"]}], [first | {"d": "AAAA"}]):
        path.write_text(json.dumps({"keys": entries}))
        with pytest.raises(ValueError, match=r"key|kid"):
            read(path)


# --- opaque secrets ---------------------------------------------------------------------------------------------------


def test_a_key_begins_with_what_people_may_see_and_is_kept_as_its_sha_256() -> None:
    key, prefix = api_key(os.urandom)
    assert key.startswith(f"{prefix}_{''}") and prefix.startswith(API_KEY_SCHEME)
    assert len(prefix) <= 16
    assert len(key.removeprefix(f"{prefix}_")) == 43
    assert len({api_key(os.urandom)[0] for _ in range(100)}) == 100
    assert len(hash_of(key)) == 32
