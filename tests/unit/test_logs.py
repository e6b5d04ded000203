"""Log lines: one JSON object each, whole, without a card token."""

import io
import logging
import os
import select
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from authsvc.logs import DecisionLog, JsonFormatter, configure, mask_card

TOKEN = "card_0123456789abcdef"


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    root = logging.getLogger()
    before = (root.level, root.handlers[:])
    yield root
    root.setLevel(before[0])
    root.handlers[:] = before[1]


def formatted(**extra: object) -> dict[str, object]:
    record = logging.makeLogRecord(
        {"name": "authsvc.x", "levelname": "INFO", "msg": "hello %s", "args": ("you",), "created": 0.5, **extra}
    )
    return orjson.loads(JsonFormatter().format(record))


def test_a_record_becomes_one_object_with_its_time_in_utc() -> None:
    assert formatted(request_id="r1") == {
        "time": "1970-01-01T00:00:00.500+00:00",
        "level": "INFO",
        "logger": "authsvc.x",
        "message": "hello you",
        "request_id": "r1",
    }


def test_a_record_masks_the_card_token() -> None:
    assert formatted(card_token=TOKEN)["card_token"] == "…cdef"


def test_a_record_carries_the_traceback_of_its_exception() -> None:
    try:
        int("odd")
    except ValueError:
        text = formatted(exc_info=sys.exc_info())["exception"]
    assert str(text).endswith("base 10: 'odd'")


def test_configure_sends_everything_from_its_level_up_to_one_stream(root_logger: logging.Logger) -> None:
    stream = io.StringIO()
    configure("DEBUG", io.StringIO())
    configure("WARNING", stream)
    logging.getLogger("a").info("no")
    logging.getLogger("b").warning("two\nlines")
    [line] = stream.getvalue().splitlines()
    assert orjson.loads(line)["message"] == "two\nlines"
    assert len(root_logger.handlers) == 1


@pytest.mark.parametrize(("token", "shown"), [(TOKEN, "…cdef"), ("12345678", "…5678"), ("1234567", "…"), ("", "…")])
def test_a_masked_token_shows_four_characters_and_hides_at_least_four(token: str, shown: str) -> None:
    assert mask_card(token) == shown


def test_a_batch_of_decisions_is_one_line_each_with_the_token_masked(tmp_path: Path) -> None:
    decisions = [{"request_id": f"r{i}", "card_token": TOKEN, "reason": "APPROVED"} for i in range(3)]
    with (tmp_path / "log").open("w+b") as file:
        DecisionLog(file.fileno()).write(decisions)
    lines = [orjson.loads(line) for line in (tmp_path / "log").read_bytes().splitlines()]
    assert lines == [{**decision, "card_token": "…cdef"} for decision in decisions]
    assert decisions[0]["card_token"] == TOKEN


def test_a_decision_without_a_card_token_is_written_as_it_is(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w+b") as file:
        DecisionLog(file.fileno()).write([{"reason": "UNKNOWN_CARD"}])
        DecisionLog(file.fileno()).write([])
    assert (tmp_path / "log").read_bytes() == b'{"reason":"UNKNOWN_CARD"}\n'


@pytest.mark.parametrize("blocking", [True, False])
def test_two_writers_of_one_pipe_do_not_mix_their_lines(blocking: bool) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, blocking)
    batches = [[{"writer": name, "padding": name * 700}] * 200 for name in "ab"]
    threads = [threading.Thread(target=DecisionLog(writer).write, args=(batch,)) for batch in batches]
    for thread in threads:
        thread.start()
    received = bytearray()
    while received.count(b"\n") < 400:
        received += os.read(reader, 65_536)
    for thread in threads:
        thread.join()
    os.close(writer)
    os.close(reader)
    lines = [orjson.loads(line) for line in received.splitlines()]
    assert [line["padding"] for line in lines] == [line["writer"] * 700 for line in lines]
    assert {name: sum(line["writer"] == name for line in lines) for name in "ab"} == {"a": 200, "b": 200}


def test_a_pipe_is_written_in_chunks_that_the_kernel_keeps_together(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    sizes: list[int] = []
    real_write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: sizes.append(len(data)) or real_write(fd, data))
    line_bytes = len(b'{"padding":""}\n') + 1_000
    DecisionLog(writer).write([{"padding": "x" * 1_000}] * 9)
    os.close(writer)
    os.close(reader)
    assert sum(sizes) == 9 * line_bytes
    assert [size for size in sizes if size > max(select.PIPE_BUF, line_bytes)] == []
