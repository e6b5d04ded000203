"""Signatures: the published vector, Lithic's SDK and standardwebhooks as counterparts, and every way to be refused."""

import base64
from datetime import UTC, datetime

import lithic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from authsvc.bridge.refusal import Refused
from authsvc.bridge.signature import TOLERANCE_S, key_of, sign, verify
from authsvc.clock import SystemClock
from tests.lithic import KEY, OTHER_SECRET, SECRET, asa_request, encoded

NOW_S = 1_614_265_330
PUBLISHED_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
PUBLISHED_BODY = b'{"test": 2432232314}'
PUBLISHED = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": str(NOW_S),
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
BODY = b'{"a": 1}'
GOOD = sign(KEY, "msg_1", NOW_S, BODY)
V1 = GOOD["webhook-signature"]


def now_s() -> int:
    """Their verifiers read the real clock."""
    return SystemClock().now_us() // 1_000_000


def why(headers: dict[str, str], *, body: bytes = BODY, keys: list[bytes] | None = None, at_s: int = NOW_S) -> str:
    with pytest.raises(Refused) as caught:
        verify(body, headers, [KEY] if keys is None else keys, at_s)
    assert caught.value.status == 401
    return caught.value.why


def test_the_published_vector_is_accepted_and_made() -> None:
    verify(PUBLISHED_BODY, PUBLISHED, [key_of(PUBLISHED_SECRET)], NOW_S)
    assert sign(key_of(PUBLISHED_SECRET), PUBLISHED["webhook-id"], NOW_S, PUBLISHED_BODY) == PUBLISHED


def test_standardwebhooks_and_lithics_sdk_accept_what_is_signed_here() -> None:
    body = encoded(asa_request())
    headers = sign(KEY, "msg_1", now_s(), body)
    Webhook(SECRET).verify(body, headers)
    client = lithic.Lithic(api_key="not a key")
    client.webhooks.verify_signature(body, headers, secret=SECRET)
    event = client.webhooks.parse(body.decode(), headers=headers, secret=SECRET)
    assert isinstance(event, lithic.types.CardAuthorizationApprovalRequestWebhookEvent)


def test_what_standardwebhooks_signs_is_accepted_here() -> None:
    at = datetime.fromtimestamp(NOW_S, UTC)
    signature = Webhook(SECRET).sign("msg_1", at, BODY.decode())
    verify(BODY, GOOD | {"webhook-signature": signature}, [KEY], NOW_S)


@given(st.binary(max_size=300), st.text("abcdef_0123456789.", min_size=1), st.integers(0, 10**11))
def test_whatever_is_signed_is_accepted_and_a_changed_body_is_not(body: bytes, message_id: str, at_s: int) -> None:
    headers = sign(KEY, message_id, at_s, body)
    verify(body, headers, [KEY], at_s)
    assert why(headers, body=body + b" ", at_s=at_s) == "wrong"


@pytest.mark.parametrize("name", list(GOOD))
def test_a_missing_or_empty_header_is_refused(name: str) -> None:
    assert why({other: value for other, value in GOOD.items() if other != name}) == "missing"
    assert why(GOOD | {name: ""}) == "missing"


@pytest.mark.parametrize("timestamp", ["soon", "1.5", "-1", "+5", " 1", "²", "9" * 13, "0x10"])
def test_a_timestamp_that_is_no_number_of_seconds_is_refused(timestamp: str) -> None:
    assert why(GOOD | {"webhook-timestamp": timestamp}) == "malformed"


def test_a_timestamp_may_be_five_minutes_off_either_way_and_no_more() -> None:
    for at_s in (NOW_S - TOLERANCE_S, NOW_S + TOLERANCE_S):
        verify(BODY, GOOD, [KEY], at_s)
    for at_s in (NOW_S - TOLERANCE_S - 1, NOW_S + TOLERANCE_S + 1):
        assert why(GOOD, at_s=at_s) == "stale"


@pytest.mark.parametrize("signature", ["x", "v2,abc", "v1", V1.removeprefix("v1,"), " ", "v1a,"])
def test_a_signature_without_an_entry_of_version_1_is_malformed(signature: str) -> None:
    assert why(GOOD | {"webhook-signature": signature}) == "malformed"


@pytest.mark.parametrize("signature", ["v1,", "v1,é", "v1,%%%", V1[:-1], V1 + "=", f"{V1},{V1}", "v1,," + V1])
def test_a_signature_that_does_not_match_is_wrong(signature: str) -> None:
    assert why(GOOD | {"webhook-signature": signature}) == "wrong"


@pytest.mark.parametrize(
    "changed", [{"webhook-id": "msg_2"}, {"webhook-timestamp": str(NOW_S + 1)}, {"webhook-id": "é"}]
)
def test_the_id_and_the_timestamp_are_signed_too(changed: dict[str, str]) -> None:
    assert why(GOOD | changed) == "wrong"


def test_another_secret_is_wrong_and_no_secret_at_all_accepts_nothing() -> None:
    assert why(GOOD, keys=[key_of(OTHER_SECRET)]) == "wrong"
    assert why(GOOD, keys=[]) == "wrong"


def test_while_rotating_either_secret_and_any_entry_will_do() -> None:
    old, new = KEY, key_of(OTHER_SECRET)
    verify(BODY, GOOD, [new, old], NOW_S)
    both = f"v2,abc {sign(new, 'msg_1', NOW_S, BODY)['webhook-signature']} {V1}"
    for keys in ([old], [new], [old, new]):
        verify(BODY, GOOD | {"webhook-signature": both}, keys, NOW_S)


def test_a_secret_may_come_without_prefix_and_without_padding() -> None:
    bare = base64.b64encode(KEY).decode()
    assert {key_of(SECRET), key_of(bare), key_of(bare.rstrip("=")), key_of(f" {SECRET} ")} == {KEY}


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_c2hvcnQ=", "whsec_no base64 at all!", "whsec_ä"])
def test_what_is_no_secret_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="base64"):
        key_of(secret)
