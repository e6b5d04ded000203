"""Errors: a default message each, a gRPC status each, and nothing that a caller must not see."""

import grpc
import pytest

from authsvc import errors
from authsvc.clock import SystemClock

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.AuthsvcError)]


def test_without_a_message_the_docstring_is_the_message() -> None:
    assert str(errors.Overloaded()) == "Too many requests are in flight; try again shortly."
    assert str(errors.Overloaded("64 streams are open")) == "64 streams are open"


def test_an_invalid_request_names_its_field() -> None:
    error = errors.InvalidRequest("merchant.mcc", "must be four digits")
    assert (str(error), error.field, error.problem) == (
        "merchant.mcc: must be four digits",
        "merchant.mcc",
        "must be four digits",
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_has_a_status_that_grpc_knows(kind: type[errors.AuthsvcError]) -> None:
    assert hasattr(grpc.StatusCode, errors.status_name(kind.__new__(kind)))


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_one_sentence_without_arguments(kind: type[errors.AuthsvcError]) -> None:
    assert kind.__doc__ is not None
    assert kind.__doc__.endswith(".")
    assert "\n" not in kind.__doc__


def test_a_subclass_has_the_status_of_its_parent() -> None:
    class ListenerDown(errors.Unavailable):
        """The listener is down."""

    assert errors.status_name(ListenerDown("listener")) == "UNAVAILABLE"


def test_what_is_not_ours_is_internal() -> None:
    assert errors.status_name(KeyError("password")) == "INTERNAL"


def test_the_system_clock_counts_microseconds_of_the_epoch_and_never_goes_back() -> None:
    clock = SystemClock()
    assert 2**50 < clock.now_us() < 2**53
    readings = [clock.monotonic_s() for _ in range(100)]
    assert readings == sorted(readings)
