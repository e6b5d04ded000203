"""A client generated from the protos, in a process that has nothing else of this project, against the running service."""

import json
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(__file__).with_name("generated_client.py")
SERVICE = "authsvc.v1.AuthorizationService"


@pytest.fixture(scope="module")
def said(service: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the generated client saw. `-S` leaves out the .pth file by which an editable install finds the checkout."""
    generated = tmp_path_factory.mktemp("generated")
    protos = sorted(str(path) for path in (ROOT / "protos").rglob("*.proto"))
    outputs = [f"--python_out={generated}", f"--grpc_python_out={generated}"]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", "-I", ROOT / "protos", *outputs, *protos], check=True)
    packages = sysconfig.get_paths()["purelib"]
    done = subprocess.run(
        [sys.executable, "-I", "-S", SCRIPT, packages, str(generated), service.target],
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
        cwd=generated,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_client_generated_from_the_protos_needs_nothing_else_of_this_project(said: dict[str, Any]) -> None:
    of_the_checkout = [
        file for file in said["files"] if Path(file).is_relative_to(ROOT) and ".venv" not in Path(file).parts
    ]
    assert of_the_checkout == [str(SCRIPT)]
    assert any(file.endswith("authorization_pb2.py") for file in said["files"])


def test_it_is_answered_on_every_kind_of_call(said: dict[str, Any]) -> None:
    assert said["unary"] == ["generated-unary", 100]
    assert said["stream"] == {f"generated-stream-{number}": 100 + number for number in range(20)}
    assert said["batch"] == [[f"generated-batch-{number}", 200 + number] for number in range(20)]


def test_it_is_told_which_field_was_wrong(said: dict[str, Any]) -> None:
    code, text = said["refusal"]
    assert code == "INVALID_ARGUMENT"
    assert text.startswith("request_id: ")


def test_health_and_reflection_speak_of_the_service(said: dict[str, Any]) -> None:
    assert said["health"] == "SERVING"
    assert {SERVICE, "grpc.health.v1.Health"} <= set(said["services"])
    assert said["methods"] == ["Authorize", "AuthorizeStream", "BatchAuthorize", "Simulate", "GetSpendingPower"]
