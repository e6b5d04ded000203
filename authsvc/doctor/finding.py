"""What a check says."""

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

State = Literal["ok", "warning", "failed", "skipped"]
EXIT_CODES: Final[dict[State, int]] = {"ok": 0, "skipped": 0, "warning": 1, "failed": 2}
_SHOWN_MAX: Final = 5


class Finding(NamedTuple):
    """One line of the report. `advice` says what to do, and is empty where there is nothing to do."""

    check: str
    state: State
    finding: str
    advice: str = ""


def exit_code(findings: Iterable[Finding]) -> int:
    """For a scheduler: 0 all is well or was skipped, 1 something should be looked at, 2 something is broken."""
    return max((EXIT_CODES[one.state] for one in findings), default=0)


def some(names: Iterable[object]) -> str:
    """The first few of them in words."""
    listed = [str(name) for name in names]
    more = len(listed) - _SHOWN_MAX
    return ", ".join(listed[:_SHOWN_MAX]) + (f" and {more} more" if more > 0 else "")
