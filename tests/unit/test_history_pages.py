"""Tokens of pages, and the words of the contract that the history translates."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.errors import InvalidRequest
from authsvc.history import codec
from authsvc.history.pages import SEAL_BYTES, PageToken, read_token, write_token
from authsvc.history.shapes import Place
from authsvc.v1 import history_pb2 as pb
from authsvc.v1 import transactions_pb2 as tx
from rules.lifecycle import Status
from rules.reasons import Window

SEAL = b"12345678"
instants = st.integers(0, 253_370_678_399_999_999)


@given(start_us=instants, at_us=instants, number=st.integers(1, 2**63 - 1), seal=st.binary(min_size=8, max_size=8))
def test_a_token_is_read_as_it_was_written(start_us: int, at_us: int, number: int, seal: bytes) -> None:
    token = PageToken(start_us, Place(at_us, number))
    text = write_token(token, seal)
    assert read_token(text, seal) == token
    assert text.replace("-", "").replace("_", "").isalnum()


@given(text=st.text(max_size=60))
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_token(text, SEAL)
    assert refused.value.field == "page_token"


def test_a_changed_token_never_reads_as_the_same_place() -> None:
    token = PageToken(1, Place(2, 3))
    text = write_token(token, SEAL)
    for at, letter in enumerate(text):
        changed = text[:at] + ("A" if letter != "A" else "B") + text[at + 1 :]
        with suppress(InvalidRequest):
            assert read_token(changed, SEAL) != token


def test_a_token_cannot_name_an_instant_that_the_database_does_not_know() -> None:
    beyond = write_token(PageToken(2**63, Place(2**64 - 1, 2**64 - 1)), SEAL)
    with pytest.raises(InvalidRequest):
        read_token(beyond, SEAL)


def test_a_seal_has_its_size_and_tells_any_two_lists_apart() -> None:
    questions = [
        pb.ListTransactionsRequest(),
        pb.ListTransactionsRequest(card_token="a"),
        pb.ListTransactionsRequest(account_token="a"),
        pb.ListTransactionsRequest(mcc="5812"),
        pb.ListTransactionsRequest(status=tx.TRANSACTION_STATUS_APPROVED),
    ]
    seals = [codec.listing_of(question, 10**15).seal for question in questions]
    assert {len(seal) for seal in seals} == {SEAL_BYTES}
    assert len(set(seals)) == len(seals)
    sized = pb.ListTransactionsRequest(page_size=7)
    assert codec.listing_of(sized, 10**15).seal == seals[0]


def test_every_status_bucket_and_grouping_of_the_contract_is_known() -> None:
    statuses = [
        codec.listing_of(pb.ListTransactionsRequest(status=number), 10**15).wanted.status
        for number in tx.TransactionStatus.values()
    ]
    assert statuses == [None, *Status]
    for bucket, window in ((pb.BUCKET_DAY, Window.DAILY), (pb.BUCKET_MONTH, Window.MONTHLY)):
        asked = pb.SpendSummaryRequest(account_id=1, bucket=bucket)
        asked.start_time.seconds = 1
        assert codec.summing_of(asked, 10**15).window is window
    groupings = set()
    for number in pb.GroupBy.values():
        asked.group_by = number
        groupings.add(codec.summing_of(asked, 10**15).by)
    assert len(groupings) == len(pb.GroupBy.values())


def test_buckets_are_the_windows_of_limits_and_the_first_may_begin_before_the_span() -> None:
    day_us = 86_400_000_000
    asked = codec.Summing(1, "", day_us + 5, 3 * day_us, Window.DAILY, "nothing")
    assert codec.buckets_of(asked, "UTC") == [day_us, 2 * day_us]
    assert codec.buckets_of(asked._replace(end_us=3 * day_us + 1), "UTC") == [day_us, 2 * day_us, 3 * day_us]
    # On 30 December 2011 there was no day in Apia.
    apia = asked._replace(start_us=1_325_152_800_000_000, end_us=1_325_152_800_000_000 + 2 * day_us)
    assert len(codec.buckets_of(apia, "Pacific/Apia")) == 2
