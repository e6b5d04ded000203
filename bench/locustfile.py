"""Locust users for the service: one user class calls Authorize, the other keeps a stream.

Headless: `locust -f bench/locustfile.py --headless -u 20 -r 10 -t 10s --host 127.0.0.1:50051`. Without `--headless`,
locust's own page is at http://127.0.0.1:8089. `--tags unary` or `--tags stream` picks one kind; `--cards-file` names a
file with one card token a line (by default the cards of `authsvc seed`).
"""

import itertools
import queue
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import gevent  # type: ignore[import-untyped]
import grpc
import grpc.experimental.gevent as grpc_gevent
from locust import User, between, events, tag, task
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment

from authsvc.clock import SystemClock
from authsvc.seed import PURPOSES
from authsvc.v1 import authorization_pb2 as pb
from authsvc.v1 import authorization_pb2_grpc
from bench import traffic

grpc_gevent.init_gevent()

DEADLINE_S: Final = 2.0
_numbers = itertools.count()
_run = uuid.uuid4().hex[:8]
_traffic: Iterator[traffic.Swipe] = iter(())


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def _arguments(parser: LocustArgumentParser) -> None:
    parser.add_argument("--cards-file", default="", help="One card token a line; else the seed's cards.")
    parser.add_argument("--seed", type=int, default=1, help="The same seed gives the same traffic.")


@events.test_start.add_listener  # type: ignore[untyped-decorator]
def _start(environment: Environment, **_: object) -> None:
    global _traffic  # noqa: PLW0603  (locust makes the users; this is the one place they share)
    options = environment.parsed_options
    file = options.cards_file if options is not None else ""
    cards = Path(file).read_text(encoding="utf-8").split() if file else list(PURPOSES)
    _traffic = traffic.swipes(cards, options.seed if options is not None else 1)


def _next_request() -> pb.AuthorizeRequest:
    return traffic.request(next(_traffic), f"locust-{_run}-{next(_numbers):08}", SystemClock().now_us())


class _Caller(User):
    """One caller with a connection of its own. `--host` is an address such as 127.0.0.1:50051."""

    abstract = True
    wait_time = between(0.0, 0.02)

    def on_start(self) -> None:
        """Connects."""
        address = (self.host or "127.0.0.1:50051").removeprefix("http://").rstrip("/")
        # Without a pool of its own, every user of this process would share one connection.
        self.channel = grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)])
        self.stub = authorization_pb2_grpc.AuthorizationServiceStub(self.channel)  # type: ignore[no-untyped-call]

    def on_stop(self) -> None:
        """Disconnects."""
        self.channel.close()

    def report(self, name: str, started: float, size: int, error: Exception | None) -> None:
        """One line of locust's statistics. A decline is an answer, not a failure."""
        self.environment.events.request.fire(
            request_type="grpc",
            name=name,
            response_time=(time.perf_counter() - started) * 1e3,
            response_length=size,
            exception=error,
            context={},
        )


class UnaryUser(_Caller):
    """Calls Authorize, now and then explained or repeated, and GetSpendingPower."""

    weight = 3

    def call(self, name: str, method: Any, request: Any) -> None:
        """One call, reported under `name`."""
        started, size = time.perf_counter(), 0
        failure: Exception | None = None
        try:
            size = method(request, timeout=DEADLINE_S).ByteSize()
        except grpc.RpcError as error:
            failure = error
        self.report(name, started, size, failure)

    @tag("unary")
    @task(20)
    def authorize(self) -> None:
        """An ordinary authorization."""
        self.call("Authorize", self.stub.Authorize, _next_request())

    @tag("unary", "explain")
    @task(2)
    def authorize_explained(self) -> None:
        """With every check listed."""
        request = _next_request()
        request.explain = True
        self.call("Authorize (explained)", self.stub.Authorize, request)

    @tag("unary", "repeat")
    @task(1)
    def authorize_twice(self) -> None:
        """The same request again, as after a lost answer."""
        request = _next_request()
        self.call("Authorize", self.stub.Authorize, request)
        self.call("Authorize (repeated)", self.stub.Authorize, request)

    @tag("unary", "power")
    @task(1)
    def spending_power(self) -> None:
        """What the next card may still spend."""
        request = pb.GetSpendingPowerRequest(card_token=next(_traffic).card_token)
        self.call("GetSpendingPower", self.stub.GetSpendingPower, request)


class StreamUser(_Caller):
    """Keeps one stream and has one request on it at a time; many users make many streams."""

    weight = 1

    def on_start(self) -> None:
        """Connects and opens the stream."""
        super().on_start()
        self.questions: queue.Queue[pb.AuthorizeRequest | None] = queue.Queue()
        self.answers = self.stub.AuthorizeStream(iter(self.questions.get, None))

    def on_stop(self) -> None:
        """Ends the stream."""
        self.questions.put(None)
        super().on_stop()

    @tag("stream")
    @task
    def authorize(self) -> None:
        """One request and its answer. After a failure the stream is opened anew."""
        request = _next_request()
        started, size = time.perf_counter(), 0
        failure: Exception | None = None
        self.questions.put(request)
        try:
            with gevent.Timeout(DEADLINE_S, TimeoutError("no answer on the stream")):
                (answer,) = next(self.answers).results
            size = answer.ByteSize()
            if answer.request_id != request.request_id:
                failure = LookupError(f"an answer to {answer.request_id!r}")
            elif answer.WhichOneof("outcome") == "error":
                failure = RuntimeError(f"{answer.error.code}: {answer.error.message}")
        except (grpc.RpcError, TimeoutError, StopIteration) as error:
            failure = RuntimeError(f"the stream broke: {error}")
            self.on_stop()
            self.on_start()
        self.report("AuthorizeStream", started, size, failure)
