"""What the doctor found, as a file for node_exporter's textfile collector: a visit is over before anybody asks."""

from collections.abc import Iterable
from pathlib import Path
from typing import Final, get_args

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile

from authsvc.doctor.finding import EXIT_CODES, Finding, State

_STATES: Final[tuple[State, ...]] = get_args(State)


class DoctorMetrics:
    """One visit."""

    def __init__(self) -> None:
        """Of no check yet."""
        self.registry = CollectorRegistry()
        self._check = Gauge(
            "authsvc_doctor_check", "1 in the state that a check ended in.", ["check", "state"], registry=self.registry
        )
        self._last_run = Gauge(
            "authsvc_doctor_last_run_timestamp_seconds", "When the doctor ran last.", registry=self.registry
        )

    def record(self, findings: Iterable[Finding], at_us: int) -> None:
        """A check with several findings has the worst state of them."""
        worst: dict[str, State] = {}
        for one in findings:
            known = worst.setdefault(one.check, one.state)
            if EXIT_CODES[one.state] > EXIT_CODES[known]:
                worst[one.check] = one.state
        for check, found in worst.items():
            for state in _STATES:
                self._check.labels(check, state).set(state == found)
        self._last_run.set(at_us / 1_000_000)

    def write(self, path: Path) -> None:
        """Whole or not at all: whoever reads meanwhile sees the last visit's. Raises OSError."""
        write_to_textfile(str(path), self.registry)
