"""What is measured: the service and the echo, each a process of its own, on servers that the run owns."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

READY_MAX_S: Final = 120.0
STOP_MAX_S: Final = 30.0
SERVE: Final = ("-m", "authsvc", "serve")


@dataclass(frozen=True)
class Process:
    """A server that runs, and how long it took until it did."""

    pid: int
    port: int
    ready_s: float


@contextlib.contextmanager
def alone(*module: str) -> Iterator[Process]:
    """A server that prints its port: a module of this package, and its arguments."""
    started = time.perf_counter()
    with subprocess.Popen([sys.executable, "-m", *module], stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Process(process.pid, _port_told(process), time.perf_counter() - started)
        finally:
            _stop(process)


@contextlib.contextmanager
def bridge(service_port: int, secret: str, log: Path) -> Iterator[Process]:
    """`authsvc bridge` with default settings but for its service, its secret and its ports; its log goes to `log`."""
    given = {
        "AUTHSVC_BRIDGE_TARGET": f"127.0.0.1:{service_port}",
        "AUTHSVC_BRIDGE_ASA_SECRETS": secret,
        "AUTHSVC_BRIDGE_PORT": "0",
        "AUTHSVC_BRIDGE_METRICS_PORT": "0",
    }
    started = time.perf_counter()
    with (
        log.open("wb") as lines,
        subprocess.Popen(
            [sys.executable, "-m", "authsvc", "bridge"],
            env=_clean_environment() | given,
            stdout=subprocess.PIPE,
            stderr=lines,
            text=True,
        ) as process,
    ):
        try:
            yield Process(process.pid, _port_told(process), time.perf_counter() - started)
        finally:
            _stop(process)


def _port_told(process: "subprocess.Popen[str]") -> int:
    """The number at the end of its first line."""
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if not line:
        raise RuntimeError(f"{process.args} did not start")
    return int(line.rpartition(":")[2])


def _clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("AUTHSVC_")}


@contextlib.contextmanager
def service(database_url: str, redis_url: str, log: Path, **settings: str) -> Iterator[Process]:
    """`authsvc serve` with default settings but for its servers and its port; its log goes to `log`.

    Raises RuntimeError with the end of the log when it does not get ready.
    """
    port = _free_port()
    given = {"database_url": database_url, "redis_url": redis_url, "port": str(port), "metrics_port": "0"} | settings
    environment = _clean_environment() | {f"AUTHSVC_{name.upper()}": value for name, value in given.items()}
    started = time.perf_counter()
    with (
        log.open("wb") as lines,
        subprocess.Popen([sys.executable, *SERVE], env=environment, stdout=lines, stderr=subprocess.STDOUT) as process,
    ):
        try:
            _wait_until_serving(process, port, log)
            yield Process(process.pid, port, time.perf_counter() - started)
        finally:
            _stop(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_serving(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    """Asks grpc.health.v1 until it says SERVING."""
    deadline = time.perf_counter() + READY_MAX_S
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        health = health_pb2_grpc.HealthStub(channel)
        while time.perf_counter() < deadline and process.poll() is None:
            with contextlib.suppress(grpc.RpcError):
                request = health_pb2.HealthCheckRequest()
                answer = health.Check(request, timeout=1.0, wait_for_ready=True)  # type: ignore[attr-defined]
                if answer.status == health_pb2.HealthCheckResponse.SERVING:
                    return
            time.sleep(0.02)
    raise RuntimeError(f"the service did not get ready; the end of its log:\n{log.read_text()[-3_000:]}")


def _stop(process: "subprocess.Popen[bytes] | subprocess.Popen[str]") -> None:
    process.terminate()
    try:
        process.wait(STOP_MAX_S)
    except subprocess.TimeoutExpired:
        process.kill()
