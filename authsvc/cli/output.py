"""Where commands write: results to stdout, everything else to stderr. Colours only on a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, NoReturn

import orjson
from rich.console import Console
from rich.markup import escape

PIPE_COLUMNS: Final = 120


def console(*, stderr: bool = False) -> Console:
    """A console of the width of its terminal; in a pipe, wide enough for every table."""
    made = Console(stderr=stderr, highlight=False)
    if not made.is_terminal:
        made = Console(stderr=stderr, highlight=False, width=PIPE_COLUMNS)
    return made


@contextmanager
def progress_bar(what: str, total: int | None) -> Iterator[Callable[[int, int | None], None]]:
    """A bar on stderr while one waits; it is told how many are done, and of how many when that is known by now."""
    # Most commands wait for nothing, and one of them is called every few seconds.
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn  # noqa: PLC0415

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done, of: bar.update(task, completed=done, total=of)


def print_json(value: Any) -> None:
    """One JSON document on stdout, for scripts."""
    sys.stdout.write(orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode())
    sys.stdout.flush()


def fail(problem: str, code: int = 1) -> NoReturn:
    """Say what is wrong on stderr and end the process."""
    console(stderr=True).print(f"[bold red]error:[/bold red] {escape(problem)}", soft_wrap=True)
    sys.exit(code)
