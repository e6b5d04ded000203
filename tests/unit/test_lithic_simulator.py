"""Lithic simulated: shapes that its SDK accepts, numbers that add up, the same from the same seed, and what is sent."""

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import lithic
import orjson
import pytest
from lithic.types import CardAuthorizationApprovalRequestWebhookEvent, CardTransactionUpdatedWebhookEvent
from pydantic import BaseModel

from authsvc.bridge import asa, events
from authsvc.bridge.signature import key_of
from authsvc.cli.lithic import SAMPLE_CARDS
from authsvc.clock import Clock, SystemClock
from authsvc.lithic_simulator.lives import Answer, Life, Step, life_of, tell
from authsvc.lithic_simulator.run import ASA_PATH, EVENTS_PATH, Lithic, Plan, simulate
from authsvc.lithic_simulator.shapes import Figures, asa_request
from authsvc.lithic_simulator.swipes import Swipe, swipe_of
from authsvc.lithic_simulator.tally import NO_ANSWER, Tally
from authsvc.seed import PURPOSES
from rules.lifecycle import Event, EventKind, state_of
from tests.case_files import unix_us
from tests.lithic import OTHER_SECRET, SECRET

AT = datetime(2026, 5, 20, 17, 42, 9, 12, tzinfo=UTC)
APPROVED = Answer("APPROVED")
COUNT = 600


def swipe(number: int, seed: int = 1, run: str = "run") -> Swipe:
    return swipe_of(seed, run, number, SAMPLE_CARDS, AT)


def answer_to(asked: Swipe, number: int) -> Answer | None:
    """Mostly yes; now and then a part, a no, or nothing."""
    if not asked.is_asked:
        return None
    if asked.kind in {"AUTHORIZATION", "FINANCIAL_AUTHORIZATION"} and asked.partial_approval_capable and number % 2:
        return Answer("APPROVED", 1 + asked.amount_minor // 2)
    declines = {3: "VELOCITY_EXCEEDED", 4: "CARD_PAUSED", 5: "", 6: "SOMETHING_NEW"}
    return Answer(declines.get(number % 20, "APPROVED"))


def life(number: int, run: str = "run") -> Life:
    one = swipe(number, run=run)
    return life_of(1, run, number, one, answer_to(one, number))


SWIPES = [swipe(number) for number in range(COUNT)]
ASKED = [one for one in SWIPES if one.is_asked]
LIVES = [life(number) for number in range(COUNT)]
BODIES = [webhook.body for one in LIVES for webhook in one.webhooks]


def unknown_keys(model: BaseModel, where: str = "") -> list[str]:
    """What Lithic's models have no name for, however deep."""
    found = [f"{where}.{name}" for name in model.model_extra or {}]
    for name in type(model).model_fields:
        values = getattr(model, name)
        for value in values if isinstance(values, list) else [values]:
            if isinstance(value, BaseModel):
                found += unknown_keys(value, f"{where}.{name}")
    return found


# --- shapes -----------------------------------------------------------------------------------------------------------


def test_every_question_is_one_of_lithics_model() -> None:
    for one in ASKED:
        event = CardAuthorizationApprovalRequestWebhookEvent.model_validate(asa_request(one))
        assert unknown_keys(event) == []
        assert event.created == one.created


def test_every_webhook_is_one_of_lithics_model() -> None:
    for body in BODIES:
        event = CardTransactionUpdatedWebhookEvent.model_validate(body)
        assert unknown_keys(event) == []
        assert event.updated == (event.events or [])[-1].created


def test_nothing_that_the_models_know_is_left_out() -> None:
    known = set(CardAuthorizationApprovalRequestWebhookEvent.model_fields)
    assert known - asa_request(ASKED[0]).keys() == set()
    assert set(CardTransactionUpdatedWebhookEvent.model_fields) - BODIES[0].keys() == set()


def test_a_question_is_read_by_the_bridge_as_it_was_meant() -> None:
    for one in ASKED:
        read = asa.parse(orjson.dumps(asa_request(one)))
        assert (read.token, read.event_token, read.card_token) == (one.token, one.event_token or "", one.card_token)
        assert (read.kind, read.amount_minor, read.currency) == (one.kind, one.amount_minor, "USD")
        assert max(read.hold_minor, read.amount_minor) == one.hold_minor
        assert (read.transacted_us, read.network) == (unix_us(one.created), one.network)
        assert read.entry_mode != "UNSPECIFIED"


def test_a_webhook_is_read_by_the_bridge_as_it_was_meant() -> None:
    for body in BODIES:
        read = events.effect_of(orjson.loads(orjson.dumps(body)))
        assert isinstance(read, events.Snapshot)
        assert (read.token, read.card_token, read.currency) == (body["token"], body["card_token"], "USD")
        amounts = body["amounts"]
        assert (read.hold_minor, read.settled_minor) == (amounts["hold"]["amount"], amounts["settlement"]["amount"])
        assert read.merchant["mcc"] == body["merchant"]["mcc"]


def test_the_cards_are_those_of_the_sample_program() -> None:
    assert set(SAMPLE_CARDS) <= PURPOSES.keys()
    assert {one.card_token for one in SWIPES} == set(SAMPLE_CARDS)


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_a_hold_and_what_settles_are_counted_as_lithic_documents_them() -> None:
    one = swipe(0)._replace(kind="AUTHORIZATION", amount_minor=1_000, hold_minor=1_000)
    steps = [
        Step("AUTHORIZATION", 1_000),
        Step("AUTHORIZATION_ADVICE", 1_500),
        Step("AUTHORIZATION_REVERSAL", 200),
        Step("CLEARING", 1_200),
    ]
    told = [webhook.body for webhook in tell("run", 0, one, steps, APPROVED).webhooks]
    figures = [
        (body["status"], body["amounts"]["hold"]["amount"], body["amounts"]["settlement"]["amount"]) for body in told
    ]
    assert figures == [("PENDING", 1_000, 0), ("PENDING", 1_500, 0), ("PENDING", 1_300, 0), ("SETTLED", 0, 1_200)]
    assert [len(body["events"]) for body in told] == [1, 2, 3, 4]


_RULES = {
    "AUTHORIZATION_ADVICE": EventKind.ADVICE,
    "AUTHORIZATION_REVERSAL": EventKind.REVERSAL,
    "RETURN": EventKind.REFUND,
    "RETURN_REVERSAL": EventKind.REFUND_REVERSAL,
}


def by_the_rules(body: dict[str, Any], steps_in_all: int) -> tuple[int, int]:
    """What the engine's own rules make of a transaction's events, one by one: held, settled less credited."""
    steps = []
    for place, event in enumerate(body["events"]):
        kind = _RULES[event["type"]] if event["type"] in _RULES else EventKind[event["type"].split("_EXPIRY")[0]]
        kind = EventKind.EXPIRY if event["type"].endswith("_EXPIRY") else kind
        kind = EventKind.DECLINE if event["result"] != "APPROVED" else kind
        amount = None if kind is EventKind.EXPIRY else abs(event["amount"])
        is_final = kind is EventKind.CLEARING and place + 1 == steps_in_all
        steps.append(Event(kind, place, event["token"], amount, is_final))
    state = state_of(steps)
    return state.held_minor, state.settled_minor - state.credited_minor


def test_every_webhook_agrees_with_the_engines_own_rules_about_its_events() -> None:
    steps_in_all = {body["token"]: len(body["events"]) for body in BODIES}
    for body in BODIES:
        figures = (body["amounts"]["hold"]["amount"], body["amounts"]["settlement"]["amount"])
        assert by_the_rules(body, steps_in_all[body["token"]]) == figures, body


def test_what_is_settled_is_the_sum_of_the_events_that_move_money() -> None:
    for body in BODIES:
        moved = [event["amounts"]["settlement"]["amount"] for event in body["events"] if event["amounts"]["settlement"]]
        assert body["settled_amount"] == body["amounts"]["settlement"]["amount"] == sum(moved)
        gave_back = [event for event in body["events"] if event["amount"] < 0]
        assert {event["effective_polarity"] for event in gave_back} <= {"CREDIT"}


def test_every_webhook_carries_everything_that_was_told_before_and_is_newer() -> None:
    told: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for body in BODIES:
        told[body["token"]].append(body)
    for bodies in told.values():
        for older, newer in itertools.pairwise(bodies):
            assert newer["events"][:-1] == older["events"]
            assert older["updated"] < newer["updated"]
            assert older["created"] == newer["created"]


def test_the_ends_are_what_the_last_webhooks_say() -> None:
    for one in LIVES:
        last = {webhook.body["token"]: webhook.body for webhook in one.webhooks}
        assert one.ends == {
            token: Figures(body["status"], body["amounts"]["hold"]["amount"], body["amounts"]["settlement"]["amount"])
            for token, body in last.items()
        }


def test_every_kind_of_life_happens() -> None:
    lives = Counter(
        " ".join([body["status"], *(event["type"] for event in body["events"])])
        for body in {body["token"]: body for body in BODIES}.values()
    )
    assert {
        "PENDING AUTHORIZATION",
        "DECLINED AUTHORIZATION",
        "SETTLED AUTHORIZATION CLEARING",
        "SETTLED AUTHORIZATION CLEARING CLEARING",
        "SETTLED AUTHORIZATION AUTHORIZATION_ADVICE CLEARING",
        "SETTLED AUTHORIZATION AUTHORIZATION_REVERSAL CLEARING",
        "VOIDED AUTHORIZATION AUTHORIZATION_REVERSAL",
        "EXPIRED AUTHORIZATION AUTHORIZATION_EXPIRY",
        "SETTLED FINANCIAL_AUTHORIZATION",
        "SETTLED CREDIT_AUTHORIZATION CLEARING",
        "SETTLED FINANCIAL_CREDIT_AUTHORIZATION",
        "SETTLED CLEARING",
        "SETTLED RETURN",
        "SETTLED RETURN RETURN_REVERSAL",
    } <= lives.keys()
    tips = [one for one in LIVES if any(end.settled_minor > _held_first(one) > 0 for end in one.ends.values())]
    assert len(tips) > 20


def _held_first(one: Life) -> int:
    return int(one.webhooks[0].body["amounts"]["hold"]["amount"])


def test_after_a_partial_approval_no_more_is_held_than_was_approved() -> None:
    one = swipe(0)._replace(kind="AUTHORIZATION", amount_minor=5_000, hold_minor=5_000)
    [first, *_] = life_of(1, "run", 0, one, Answer("APPROVED", 1_234)).webhooks
    assert first.body["amounts"]["hold"]["amount"] == 1_234


@pytest.mark.parametrize(
    ("said", "result", "detail"),
    [
        ("CARD_PAUSED", "CARD_PAUSED", "CARD_PAUSED"),
        ("VELOCITY_EXCEEDED", "USER_TRANSACTION_LIMIT", "CARD_SPEND_LIMIT_EXCEEDED"),
        ("SOMETHING_NEW", "DECLINED", "CUSTOM_ASA_RESULT"),
        ("", "UNKNOWN_HOST_TIMEOUT", "CUSTOMER_ASA_TIMEOUT"),
    ],
)
def test_a_decline_holds_nothing_and_says_why(said: str, result: str, detail: str) -> None:
    one = swipe(0)._replace(kind="AUTHORIZATION")
    [webhook] = life_of(1, "run", 0, one, Answer(said)).webhooks
    body = webhook.body
    assert (body["status"], body["result"], body["events"][0]["detailed_results"]) == ("DECLINED", result, [detail])
    assert body["amounts"]["hold"]["amount"] == body["amounts"]["settlement"]["amount"] == 0


# --- repeatable -------------------------------------------------------------------------------------------------------


def test_the_same_seed_run_and_time_make_the_same_lives() -> None:
    again = [life(number) for number in range(COUNT)]
    assert [webhook for one in again for webhook in one.webhooks] == [
        webhook for one in LIVES for webhook in one.webhooks
    ]


def test_another_run_buys_the_same_under_other_tokens() -> None:
    other = [swipe(number, run="other") for number in range(COUNT)]
    assert {one.token for one in other}.isdisjoint({one.token for one in SWIPES})
    tokenless = [one._replace(token="", event_token=None) for one in SWIPES]
    assert [one._replace(token="", event_token=None) for one in other] == tokenless
    assert [swipe(number, seed=2)._replace(token="", event_token=None) for number in range(COUNT)] != tokenless


def test_every_token_is_used_once() -> None:
    tokens = [event["token"] for one in LIVES for end in last_bodies(one) for event in end["events"]]
    tokens += [token for one in LIVES for token in one.ends]
    assert len(set(tokens)) == len(tokens)


def last_bodies(one: Life) -> list[dict[str, Any]]:
    return list({webhook.body["token"]: webhook.body for webhook in one.webhooks}.values())


# --- what is sent -----------------------------------------------------------------------------------------------------

Handler = Callable[[httpx.Request], httpx.Response]


def yes(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, json={"result": "APPROVED"})


async def sent(
    handler: Handler = yes, *, signed: bool = True, clock: Clock | None = None, **plan: Any
) -> tuple[list[httpx.Request], Tally]:
    """What reaches a listener that answers like this."""
    seen: list[httpx.Request] = []

    def listen(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return handler(request)

    tally, clock = Tally(), clock or SystemClock()
    chosen = Plan(**{"seed": 1, "run": "run", "card_tokens": SAMPLE_CARDS, "swipes": 60, "concurrency": 1} | plan)
    keys = (key_of(SECRET), key_of(OTHER_SECRET)) if signed else (None, None)
    async with httpx.AsyncClient(transport=httpx.MockTransport(listen), base_url="http://bridge") as http:
        await simulate(Lithic(http, clock, tally, *keys), chosen, clock, tally, lambda: None)
    return seen, tally


def to(path: str, requests: list[httpx.Request]) -> list[httpx.Request]:
    return [request for request in requests if request.url.path == path]


async def test_lithics_sdk_verifies_and_reads_everything_that_is_sent() -> None:
    seen, tally = await sent()
    client = lithic.Lithic(api_key="not a key")
    secrets = {ASA_PATH: SECRET, EVENTS_PATH: OTHER_SECRET}
    read = [
        client.webhooks.parse(request.content.decode(), headers=dict(request.headers), secret=secrets[request.url.path])
        for request in seen
    ]
    kinds = Counter(type(event) for event in read)
    assert kinds[CardAuthorizationApprovalRequestWebhookEvent] == tally.asked > 50
    assert kinds[CardTransactionUpdatedWebhookEvent] == sum(tally.events.values()) > 100
    assert len(kinds) == 2


async def test_without_a_secret_nothing_is_signed() -> None:
    seen, _ = await sent(signed=False)
    assert [request for request in seen if "webhook-signature" in request.headers] == []


async def test_duplicates_are_the_same_message_again_and_shuffling_loses_none() -> None:
    plain, _ = await sent()
    seen, tally = await sent(duplicates=1.0, shuffle=True)
    once, twice = (
        Counter(request.headers["webhook-id"] for request in to(EVENTS_PATH, requests)) for requests in (plain, seen)
    )
    assert set(once.values()) == {1}
    assert twice == once + once
    assert tally.duplicates == once.total() == sum(tally.events.values())
    assert list(dict.fromkeys(twice)) != list(once)


async def test_without_webhooks_only_questions_are_sent() -> None:
    seen, tally = await sent(webhooks=False)
    assert len(to(ASA_PATH, seen)) == len(seen) == tally.asked
    assert (tally.events.total(), tally.ends) == (0, {})


@pytest.mark.parametrize(("status", "attempts"), [(503, 2), (500, 2), (401, 1), (404, 1), (307, 1)], ids=str)
async def test_another_status_is_an_error_and_only_a_servers_own_is_tried_again(status: int, attempts: int) -> None:
    seen, tally = await sent(lambda _: httpx.Response(status), swipes=20)
    questions = to(ASA_PATH, seen)
    assert len(questions) == attempts * tally.asked
    assert tally.errors["asa", str(status)] == len(questions)
    assert tally.errors["event", str(status)] == len(to(EVENTS_PATH, seen))
    assert tally.results == {NO_ANSWER: tally.asked}
    assert {end.status for end in tally.ends.values()} <= {"DECLINED", "SETTLED"}


async def test_at_a_rate_each_swipe_waits_for_its_own_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    class StandingClock(SystemClock):
        def monotonic_s(self) -> float:
            return 100.0

    waited: list[float] = []

    async def wait(seconds: float) -> None:
        waited.append(seconds)

    monkeypatch.setattr("asyncio.sleep", wait)
    await sent(swipes=4, rate=10.0, clock=StandingClock())
    assert waited == pytest.approx([0.0, 0.1, 0.2, 0.3])


@pytest.mark.parametrize("body", [b"", b"no", b"[]", b"{}", b'{"result": 7}'])
async def test_an_answer_that_says_nothing_is_an_error_and_declines(body: bytes) -> None:
    _, tally = await sent(lambda _: httpx.Response(200, content=body), swipes=10)
    assert tally.errors == {("asa", "unreadable"): tally.asked}
    assert {end.hold_minor for end in tally.ends.values()} == {0}


@pytest.mark.parametrize(
    ("error", "counted", "attempts"),
    [(httpx.ConnectError, "no connection", 2), (httpx.ReadTimeout, "timeout", 1)],
)
async def test_who_does_not_answer_is_counted(error: type[httpx.TransportError], counted: str, attempts: int) -> None:
    def fails(request: httpx.Request) -> httpx.Response:
        raise error("gone", request=request)

    seen, tally = await sent(fails, swipes=10, webhooks=False)
    assert tally.errors == {("asa", counted): attempts * tally.asked}
    assert len(seen) == attempts * tally.asked
