"""Commands as tests run them: in this process, with the environment that a fixture has made."""

import json
import sys
from typing import Any, NamedTuple

import pytest

from authsvc.cli import run
from authsvc.settings import PREFIX, Settings


class Done(NamedTuple):
    """What became of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def record(self) -> dict[str, Any]:
        assert self.code == 0, self.err
        return json.loads(self.out)


def forget_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the settings stands in the environment."""
    for name in Settings.model_fields:
        monkeypatch.delenv(PREFIX + name.upper(), raising=False)


def command(monkeypatch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[str], *arguments: object) -> Done:
    """Runs `authsvc` with these arguments to its end."""
    monkeypatch.setattr(sys, "argv", ["authsvc", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        run()
    said = capture.readouterr()
    return Done(int(ended.value.code or 0), said.out, said.err)
