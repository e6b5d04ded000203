"""The bridge's settings: what is refused before it listens, and that no secret is shown."""

import asyncio

import pytest

from authsvc.bridge import process
from authsvc.errors import SettingsError, StartupRefused
from authsvc.settings import Settings, load
from tests.lithic import KEY, OTHER_SECRET, SECRET


def problems_of(**environ: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load({f"AUTHSVC_BRIDGE_{name}": value for name, value in environ.items()})
    return caught.value.problems


def test_several_secrets_are_taken_while_one_replaces_the_other() -> None:
    settings = load({"AUTHSVC_BRIDGE_ASA_SECRETS": f"{SECRET}, {OTHER_SECRET},"})
    assert settings.asa_keys() == [KEY, KEY[::-1]]


def test_no_secret_is_ever_shown() -> None:
    settings = load({"AUTHSVC_BRIDGE_ASA_SECRETS": f"{SECRET},{OTHER_SECRET}"})
    assert settings.effective()["bridge_asa_secrets"] == "***,***"
    [problem] = problems_of(ASA_SECRETS=f"{SECRET},whsec_c2hvcnQ=")
    assert problem == "AUTHSVC_BRIDGE_ASA_SECRETS: secret 2 must be at least 16 bytes in base64"
    for shown in (repr(settings), problem, str(settings.effective())):
        assert "whsec_" not in shown


@pytest.mark.parametrize("target", ["engine", "engine:", ":50051", "engine:0", "engine:port", "engine:70000"])
def test_a_target_is_a_host_and_a_port(target: str) -> None:
    assert problems_of(TARGET=target) == [f"AUTHSVC_BRIDGE_TARGET={target}: must be HOST:PORT"]


def test_a_fallback_that_approves_is_no_choice() -> None:
    [problem] = problems_of(FALLBACK_RESULT="APPROVED")
    assert problem.startswith("AUTHSVC_BRIDGE_FALLBACK_RESULT=APPROVED")


def test_a_deadline_leaves_lithic_time_to_hear_the_answer() -> None:
    [problem] = problems_of(DEADLINE_MS="6000")
    assert problem.startswith("AUTHSVC_BRIDGE_DEADLINE_MS=6000")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "bridge.example"])
def test_unsigned_calls_are_taken_on_loopback_only(host: str) -> None:
    [problem] = problems_of(ALLOW_UNSIGNED="true", HOST=host)
    assert "loopback" in problem


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_every_name_of_loopback_will_do(host: str) -> None:
    assert load({"AUTHSVC_BRIDGE_ALLOW_UNSIGNED": "true", "AUTHSVC_BRIDGE_HOST": host}).bridge_allow_unsigned


def test_secrets_and_unsigned_calls_exclude_each_other() -> None:
    [problem] = problems_of(ALLOW_UNSIGNED="true", ASA_SECRETS=SECRET)
    assert "exclude each other" in problem


def test_one_port_is_not_both_listeners() -> None:
    [problem] = problems_of(PORT="9463")
    assert "AUTHSVC_BRIDGE_METRICS_PORT" in problem
    assert load({"AUTHSVC_BRIDGE_PORT": "0", "AUTHSVC_BRIDGE_METRICS_PORT": "0"}).bridge_port == 0


def test_without_a_secret_the_bridge_does_not_start() -> None:
    with pytest.raises(StartupRefused, match="AUTHSVC_BRIDGE_ASA_SECRETS"):
        asyncio.run(process.serve(Settings(), asyncio.Event(), pytest.fail))
