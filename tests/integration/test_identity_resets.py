"""Resets of passwords reach a program by HTTP, signed, once or never; nobody else learns anything of them."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import orjson
import pytest
import pytest_asyncio
from standardwebhooks import Webhook, WebhookVerificationError

from authsvc.clock import SystemClock
from authsvc.embedded import Servers
from authsvc.errors import SettingsError, StartupRefused
from authsvc.identity.delivery import WebhookDelivery, http_client, signing_key_of
from authsvc.identity.ports import NotDelivered, Reset
from authsvc.settings import load
from tests.identity import Entrance, Person, open_entrance
from tests.lithic import KEY, OTHER_SECRET, SECRET
from tests.serving import until

module_loop = pytest.mark.asyncio(loop_scope="module")
ANOTHER = "a heron waits by the lock"
RESET = Reset(12, "ada@identity.example", "the-token-of-the-reset", 1_800_000_000_000_000)
PATH = "/hooks/reset"


class Told(NamedTuple):
    """A request as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    def data(self) -> dict[str, Any]:
        """What it says, if it is signed with SECRET. The signature's judge is the format's own library."""
        data: dict[str, Any] = Webhook(SECRET).verify(self.body, self.headers)["data"]
        return data


class Receiver:
    """Answers what it is told to, in order, then 204; nothing while `goes_on` is cleared."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.answers: list[int] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.told.append(Told(self.path, headers, body))
                receiver.goes_on.wait()
                status = receiver.answers.pop(0) if receiver.answers else 204
                if not status:
                    self.close_connection = True
                    return
                self.send_response(status)
                self.send_header("location", "/elsewhere")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}{PATH}"

    def serve(self) -> None:
        self._server.serve_forever(poll_interval=0.01)

    def close(self) -> None:
        self.goes_on.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(scope="module")
def listening() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.serve)
    thread.start()
    yield receiver
    receiver.close()
    thread.join()


@pytest.fixture
def receiver(listening: Receiver) -> Receiver:
    """It has been told nothing yet."""
    listening.told.clear()
    listening.answers.clear()
    return listening


async def deliver(url: str, pauses_s: Sequence[float] = (0, 0)) -> None:
    async with http_client() as http:
        numbers = iter(range(100))
        chance = lambda size: bytes([next(numbers)]) * size  # noqa: E731
        await WebhookDelivery(http, url, KEY, SystemClock(), chance, pauses_s=pauses_s).deliver(RESET)


# --- one delivery -----------------------------------------------------------------------------------------------------


async def test_a_reset_is_posted_as_json_and_signed_as_standard_webhooks_are(receiver: Receiver) -> None:
    await deliver(receiver.url)
    [told] = receiver.told
    assert told.path == PATH and told.headers["content-type"] == "application/json"
    assert told.data() == {
        "user_id": 12,
        "email": "ada@identity.example",
        "token": "the-token-of-the-reset",
        "expires_at": "2027-01-15T08:00:00Z",
    }
    assert orjson.loads(told.body)["type"] == "user.password_reset_requested"
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER_SECRET).verify(told.body, told.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(told.body.replace(b"ada@", b"eve@"), told.headers)


@pytest.mark.parametrize("answers", [[503, 200], [0, 202], [429, 500, 204]])
async def test_what_may_pass_is_tried_again_as_the_same_message(receiver: Receiver, answers: list[int]) -> None:
    receiver.answers += answers
    await deliver(receiver.url)
    assert len(receiver.told) == len(answers) and not receiver.answers
    assert len({told.headers["webhook-id"] for told in receiver.told}) == 1
    assert len({told.body for told in receiver.told}) == 1
    assert all(told.data()["user_id"] == 12 for told in receiver.told)


@pytest.mark.parametrize(
    ("answers", "tries", "why"),
    [
        ([400], 1, "the webhook answers 400"),
        ([401], 1, "the webhook answers 401"),
        ([308], 1, "the webhook answers 308"),
        ([500, 502, 503], 3, "the webhook answers 503"),
        ([0, 0, 0], 3, "the webhook does not answer"),
    ],
)
async def test_what_does_not_pass_ends_after_a_bounded_number_of_tries(
    receiver: Receiver, answers: list[int], tries: int, why: str
) -> None:
    receiver.answers += answers
    with pytest.raises(NotDelivered) as error:
        await deliver(receiver.url)
    assert str(error.value) == why
    assert [told.path for told in receiver.told] == tries * [PATH]


async def test_nobody_listening_is_no_answer() -> None:
    with pytest.raises(NotDelivered, match="does not answer"):
        await deliver("http://127.0.0.1:1/hook")


# --- from the question to the message ---------------------------------------------------------------------------------


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def opened(
    servers: Servers, template: str, tmp_path_factory: pytest.TempPathFactory, listening: Receiver
) -> AsyncIterator[Entrance]:
    given = {"reset_webhook_url": listening.url, "reset_webhook_secret": SECRET}
    async with open_entrance(servers, template, tmp_path_factory.mktemp("resets"), **given) as entrance:
        yield entrance


@pytest.fixture
def entrance(opened: Entrance) -> Entrance:
    opened.clock.pass_s(61)
    return opened


def counted(entrance: Entrance, event: str) -> float:
    registry = entrance.running.service.metrics.registry
    return registry.get_sample_value("authsvc_signin_events_total", {"event": event}) or 0


def data_of(told: Told) -> dict[str, Any]:
    """The clock of the service stands elsewhere than that of the format's library: what is signed was tested above."""
    data: dict[str, Any] = orjson.loads(told.body)["data"]
    return data


@module_loop
async def test_a_user_who_asks_gets_a_token_by_the_webhook_that_is_good_once(
    entrance: Entrance, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    person = await entrance.person()
    delivered = counted(entrance, "reset_delivered")
    with caplog.at_level(logging.DEBUG):
        await entrance.request_reset(person.email.upper())
        await until(lambda: counted(entrance, "reset_delivered") == delivered + 1)
        [told] = receiver.told
        said = data_of(told)
        assert (said["user_id"], said["email"]) == (person.id, person.email)
        await entrance.reset(said["token"], ANOTHER)
    assert said["token"] not in caplog.text and receiver.url not in caplog.text
    await entrance.sign_in(person, ANOTHER)


@module_loop
async def test_a_reset_goes_to_the_address_that_is_kept_not_to_one_that_only_looks_the_same(
    entrance: Entrance, receiver: Receiver
) -> None:
    person = await entrance.person()
    kelvin = person.email.replace("person", "\u212aperson")
    await entrance.database.execute(
        "UPDATE users SET email = $2 WHERE id = $1", person.id, kelvin.replace("\u212a", "k")
    )
    await entrance.request_reset(kelvin)
    # Whether that is the same address is for the database to say; this one is.
    found = int((await entrance.row(person))["password_reset_token_hash"] is not None)
    await entrance.request_reset(kelvin.replace("\u212a", "K"))
    await until(lambda: len(receiver.told) == found + 1)
    assert {data_of(told)["email"] for told in receiver.told} == {kelvin.replace("\u212a", "k")}


@module_loop
async def test_the_answer_waits_for_no_webhook_and_is_the_same_for_nobody(
    entrance: Entrance, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    person = await entrance.person()
    receiver.answers += [400]
    receiver.goes_on.clear()
    failed = counted(entrance, "reset_not_delivered")
    with caplog.at_level(logging.WARNING, "authsvc.identity.signin"):
        answers = [await entrance.request_reset(email) for email in (person.email, "nobody@identity.example")]
        await until(lambda: bool(receiver.told))
        assert counted(entrance, "reset_not_delivered") == failed
        receiver.goes_on.set()
        await until(lambda: counted(entrance, "reset_not_delivered") == failed + 1)
    assert len({answer.SerializeToString() for answer in answers}) == 1
    [record] = caplog.records
    assert (vars(record)["user_id"], vars(record)["why"]) == (person.id, "the webhook answers 400")
    token = data_of(receiver.told[0])["token"]
    assert token not in str(vars(record)) and person.email not in str(vars(record))
    await entrance.reset(token, ANOTHER)


@module_loop
async def test_many_at_once_are_all_delivered(entrance: Entrance, receiver: Receiver) -> None:
    people: list[Person] = [await entrance.person() for _ in range(20)]
    await asyncio.gather(*(entrance.request_reset(person.email) for person in people))
    await until(lambda: len(receiver.told) == len(people))
    assert {data_of(told)["user_id"] for told in receiver.told} == {person.id for person in people}


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example/reset",
        "http://192.0.2.1/reset",
        "ftp://hooks.example",
        "https://",
        "https://user:word@hooks.example",
        "https://hooks.example/#part",
        "https://hooks.example/\n",
    ],
)
def test_resets_go_nowhere_in_the_clear(url: str) -> None:
    with pytest.raises(SettingsError) as error:
        load({"AUTHSVC_RESET_WEBHOOK_URL": url, "AUTHSVC_RESET_WEBHOOK_SECRET": SECRET})
    [problem] = error.value.problems
    assert (
        problem.startswith("AUTHSVC_RESET_WEBHOOK_URL: must ") and "word" not in problem.removesuffix("fragment")[:40]
    )


@pytest.mark.parametrize(
    "url", ["https://hooks.example/a?b=c", "http://127.0.0.1:80/", "http://[::1]/", "http://localhost"]
)
def test_a_webhook_and_its_secret_belong_together(url: str, tmp_path: Path) -> None:
    given = {"AUTHSVC_RESET_WEBHOOK_URL": url}
    file = {"AUTHSVC_RESET_WEBHOOK_SECRET_FILE": str(tmp_path / "secret")}
    assert load({**given, **file}).reset_webhook_url == url
    settings = load({**given, "AUTHSVC_RESET_WEBHOOK_SECRET": SECRET})
    assert SECRET not in repr(settings) and SECRET not in str(settings.effective())
    for alone in (given, file):
        with pytest.raises(SettingsError, match="belong together"):
            load(alone)
    with pytest.raises(SettingsError, match="exclude each other"):
        load({**given, **file, "AUTHSVC_RESET_WEBHOOK_SECRET": SECRET})


def test_the_secret_of_a_file_is_read_at_the_start_or_refused_without_its_text(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    settings = load({"AUTHSVC_RESET_WEBHOOK_URL": "https://h.example", "AUTHSVC_RESET_WEBHOOK_SECRET_FILE": str(path)})
    with pytest.raises(StartupRefused, match="No such file"):
        signing_key_of(settings)
    path.write_text("whsec_short", encoding="ascii")
    with pytest.raises(StartupRefused) as error:
        signing_key_of(settings)
    assert "short" not in str(error.value)
    path.write_text(SECRET + "\n", encoding="ascii")
    assert signing_key_of(settings) == KEY
