"""What is read before it is judged."""

from typing import NamedTuple


class PostgresFacts(NamedTuple):
    """`version` as the server tells it (180003), and in words."""

    version: int
    version_text: str
    in_recovery: bool


class Standby(NamedTuple):
    """A server that follows this one. Lags are None where nothing was reported yet."""

    name: str
    state: str
    replay_lag_ms: int | None
    behind_bytes: int | None


class IdleSlot(NamedTuple):
    """A replication slot that nobody reads, and the log that is kept for it."""

    name: str
    kept_bytes: int | None


class TableSize(NamedTuple):
    """A table with its indexes; partitions are counted with their table. Row counts are the server's estimates."""

    name: str
    rows: int
    dead_rows: int
    total_bytes: int


class IndexUse(NamedTuple):
    """An index, over all partitions, and how often it was used since the statistics began."""

    name: str
    is_valid: bool
    is_needed: bool
    scans: int
    total_bytes: int


class SlowStatement(NamedTuple):
    """A statement that joins tables."""

    text: str
    calls: int
    mean_ms: float


class LongTransaction(NamedTuple):
    """A transaction that has been open for long; `who` is the application's name of itself."""

    pid: int
    who: str
    state: str
    age_s: int


class TokenProblem(NamedTuple):
    """So many rows of a table have this problem; `ids` are a few of them."""

    table: str
    problem: str
    rows: int
    ids: list[int]


class HeldCard(NamedTuple):
    """A card of ours with the token by which Lithic knows it."""

    id: int
    token: str
    status: str


class HeldRule(NamedTuple):
    """A spending profile with the token of the auth rule that it stands for."""

    profile_id: int
    token: str


class SampledAccount(NamedTuple):
    """An account that was busy lately."""

    id: int
    timezone: str
