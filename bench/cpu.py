"""CPU time of groups of processes, children included, between two moments."""

from collections.abc import Mapping, Sequence

import psutil

Groups = Mapping[str, Sequence[int]]
Sample = dict[str, dict[int, float]]


def sample(groups: Groups) -> Sample:
    """CPU seconds (user and system) of every process of each group and of its descendants, by process id."""
    return {name: _times(pids) for name, pids in groups.items()}


def used_s(before: Sample, after: Sample) -> dict[str, float]:
    """CPU seconds each group used between two samples. A process that ended in between is not counted."""
    return {
        name: sum(seconds - before.get(name, {}).get(pid, 0.0) for pid, seconds in times.items())
        for name, times in after.items()
    }


def _times(pids: Sequence[int]) -> dict[int, float]:
    times: dict[int, float] = {}
    for root in filter(None, pids):
        try:
            for process in [psutil.Process(root), *psutil.Process(root).children(recursive=True)]:
                spent = process.cpu_times()
                times[process.pid] = spent.user + spent.system
        except psutil.NoSuchProcess:
            continue
    return times
