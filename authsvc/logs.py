"""Log lines: JSON, one object a line, to stderr. No card numbers, no secrets, and of a card token its last four."""

import logging
import os
import select
import stat
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TextIO

import orjson

CARD_TOKEN_FIELD: Final = "card_token"  # noqa: S105 (the name of a field)
HIDDEN_CHARS_MIN: Final = 4
_STANDARD_FIELDS: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def mask_card(token: str) -> str:
    """A card token as it may be shown: its last four characters, and none of a token too short to hide the rest."""
    return f"…{token[-4:]}" if len(token) >= HIDDEN_CHARS_MIN + 4 else "…"


class JsonFormatter(logging.Formatter):
    """One JSON object a record; whatever was passed as `extra` becomes fields of it."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter.format."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _STANDARD_FIELDS}
        if CARD_TOKEN_FIELD in line:
            line[CARD_TOKEN_FIELD] = mask_card(str(line[CARD_TOKEN_FIELD]))
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str).decode()


def configure(level: str, stream: TextIO = sys.stderr) -> None:
    """Send every logger of this process to `stream` as JSON lines, from `level` up; a second call replaces it."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level, handlers=[handler], force=True)


class DecisionLog:
    """Writes one line for each decision, past the logging module, whose cost a decision would feel.

    Lines go out whole: workers that share one pipe would otherwise mix theirs, because the kernel keeps a write to a
    pipe together only up to PIPE_BUF bytes. A reader that stops reading stops the service, as with any log on stderr.
    """

    def __init__(self, fd: int = 2) -> None:
        """`fd` stays the caller's: it is neither duplicated nor closed."""
        self._fd = fd
        self._chunk_bytes_max = select.PIPE_BUF if stat.S_ISFIFO(os.fstat(fd).st_mode) else sys.maxsize

    def write(self, decisions: Sequence[Mapping[str, Any]]) -> None:
        """Write the batch, one line each; on a file it is a single system call."""
        chunk = bytearray()
        for decision in decisions:
            token = decision.get(CARD_TOKEN_FIELD)
            shown = {**decision, CARD_TOKEN_FIELD: mask_card(token)} if token else decision
            line = orjson.dumps(shown, default=str, option=orjson.OPT_APPEND_NEWLINE)
            if chunk and len(chunk) + len(line) > self._chunk_bytes_max:
                self._write_all(chunk)
                chunk.clear()
            chunk += line
        if chunk:
            self._write_all(chunk)

    def _write_all(self, chunk: bytearray) -> None:
        written = 0
        while written < len(chunk):
            try:
                written += os.write(self._fd, memoryview(chunk)[written:])
            except BlockingIOError:  # somebody made the shared stderr non-blocking: wait for room
                select.select([], [self._fd], [])
