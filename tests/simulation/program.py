"""A small card program, the requests that clients send to it, and what happens to it meanwhile: all drawn from a seed."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import blake2b

from authsvc.lifecycle.messages import Message
from authsvc.ports import AuthorizationRequest
from rules.lifecycle import Event, EventKind
from rules.reasons import Kind, Window
from rules.refunds import RefundPolicy
from tests.simulation.postgres import AccountRow, CardRow, ProfileRow, UserRow
from tests.simulation.world import DEADLINE_MAX_S, START_US, World

_WINDOWS = [Window.TRANSACTION, Window.DAILY, Window.DAILY, Window.WEEKLY, Window.MONTHLY, Window.LIFETIME]
_ZONES = ["UTC", "America/New_York", "Asia/Tokyo"]
_LISTS: list[tuple[str, ...]] = [(), (), ("5812",), ("5000-5999", "7995"), ("7995",)]
_MCCS = ["5812", "5812", "5411", "7995"]
_KINDS = (
    [Kind.AUTHORIZATION] * 6
    + [Kind.FINANCIAL_AUTHORIZATION] * 3
    + [
        Kind.CREDIT_AUTHORIZATION,
        Kind.FINANCIAL_CREDIT_AUTHORIZATION,
        Kind.BALANCE_INQUIRY,
    ]
)
_MESSAGES = [kind for kind in EventKind if kind < EventKind.AUTHORIZATION]
_HOUR_US = 3_600_000_000
# The morning after, the same day in one zone and another in the next; weeks and months apart.
_INSTANTS = [START_US + hours * _HOUR_US for hours in (-500, -14, -9, -1, -1, -1)]


def build(world: World) -> None:
    """One or two accounts, each with users, profiles and cards."""
    chance, server = world.chance, world.postgres
    for account_id in range(1, chance.choice([1, 1, 2]) + 1):
        balance_check = chance.random() < 0.8
        server.accounts[account_id] = AccountRow(
            account_id, "active", chance.choice(_ZONES), balance_check, chance.choice([60, 150, 1_000])
        )
        base = account_id * 100
        for number in (1, 2):
            server.users[base + number] = UserRow(base + number, account_id, "active")
            limit, window = _limit(chance)
            server.profiles[base + number] = ProfileRow(
                base + number, account_id, limit, window, chance.random() < 0.5, chance.choice(_LISTS[:4]), ()
            )
        for number in range(1, chance.choice([2, 3]) + 1):
            card = _card(chance, account_id, base + number)
            server.cards[card.token] = card


def _limit(chance: random.Random) -> tuple[int | None, Window | None]:
    return chance.choice([None, 0, 50, 80, 80, 120, 200]), chance.choice([None, *_WINDOWS])


def _card(chance: random.Random, account_id: int, card_id: int) -> CardRow:
    limit, window = _limit(chance)
    user_id, profile_id = (account_id * 100 + chance.choice([1, 2]) for _ in range(2))
    profile = profile_id if chance.random() < 0.8 else None
    return CardRow(card_id, account_id, user_id, profile, f"card-{card_id}", "active", limit, window)


def request(chance: random.Random, request_id: str, token: str, **fixed: object) -> AuthorizationRequest:
    """One request; `fixed` names fields that are not drawn."""
    made = AuthorizationRequest(
        kind=chance.choice(_KINDS),
        amount_minor=chance.choice([0, 10, 20, 30, 50, 50]),
        mcc=chance.choice(_MCCS),
        transacted_at_us=chance.choice(_INSTANTS),
        partial_approval_capable=chance.random() < 0.3,
        request_id=request_id,
        fingerprint=b"",
        card_token=token,
        currency="USD",
        asked_minor=0,
        transaction_token="",
        merchant_id="",
        merchant_name="",
        merchant_city="",
        merchant_state="",
        merchant_country="",
        merchant_amount_minor=None,
        merchant_currency="",
        entry_mode="",
        network="",
        explain=chance.random() < 0.2,
    )
    made = replace(made, **fixed)  # type: ignore[arg-type]
    body = f"{made.kind} {made.amount_minor} {made.mcc} {made.transacted_at_us} {made.card_token}"
    body += f" {made.partial_approval_capable}"
    return replace(made, asked_minor=made.amount_minor, fingerprint=blake2b(body.encode(), digest_size=6).digest())


def requests(world: World, theme: "Theme") -> list[AuthorizationRequest]:
    """What clients ask, each once; some ids come with a second body."""
    chance = world.chance
    tokens = [*world.postgres.cards, *world.postgres.cards, "card-new"]
    tokens = tokens[:1] if theme.one_card else tokens
    instant_us = chance.choice(_INSTANTS)
    made = []
    for number in range(chance.randint(5, 20)):
        fixed = {"transacted_at_us": instant_us} if chance.random() < 0.7 else {}
        one = request(chance, f"r{number}", chance.choice(tokens), **fixed)
        made.append(one)
        if chance.random() < 0.08:
            made.append(request(chance, one.request_id, one.card_token, transacted_at_us=one.transacted_at_us))
    return made


def send_all(world: World, theme: "Theme", asked: list[AuthorizationRequest]) -> None:
    """Each request once to three times, to either worker, some of them long after."""
    chance = world.chance
    span_s = chance.choice(theme.spans_s)
    repeats = chance.choice(theme.repeats)
    for one in asked:
        first_s = chance.random() * span_s
        for _ in range(chance.choice(repeats)):
            later_s = chance.choice([0.0, 0.0, 0.02, 0.6]) * chance.random()
            patience_s = chance.choice(theme.patience_s)
            world.loop.call_later(first_s + later_s, world.send, chance.choice([0, 1]), one, patience_s)


# --- what happens meanwhile -----------------------------------------------------------------------------------------------


def _change_card(world: World) -> None:
    chance, server = world.chance, world.postgres
    token = chance.choice(sorted(server.cards))
    account_id, status = server.cards[token].account_id, server.cards[token].status
    limit, window = _limit(chance)
    profile_id = chance.choice([None, account_id * 100 + 1, account_id * 100 + 2])
    statuses = ["closed"] if status == "closed" else ["active", "active", "inactive", "closed"]
    change: dict[str, object] = chance.choice(
        [{"status": chance.choice(statuses)}, {"limit_minor": limit}, {"window": window}, {"profile_id": profile_id}]
    )
    server.change_card(token, **change)


def _change_profile(world: World) -> None:
    chance, server = world.chance, world.postgres
    limit, window = _limit(chance)
    changes: list[dict[str, object]] = [
        {"limit_minor": limit},
        {"window": window},
        {"shared": chance.random() < 0.5},
        {"allowed": chance.choice(_LISTS)},
        {"blocked": chance.choice(_LISTS)},
    ]
    server.change_profile(chance.choice(sorted(server.profiles)), **chance.choice(changes))


def _change_and_back(world: World) -> None:
    """Durations back and forth: a counter leaves the plan and comes back."""
    chance, server = world.chance, world.postgres
    token = chance.choice(sorted(server.cards))
    before, back_s = server.cards[token].window, chance.random() * 0.3
    server.change_card(token, window=chance.choice([None, *_WINDOWS]))
    world.loop.call_later(back_s, lambda: server.change_card(token, window=before))


def _change_user(world: World) -> None:
    users = world.postgres.users
    world.postgres.change_user(
        world.chance.choice(sorted(users)), world.chance.choice(["active", "active", "suspended"])
    )


def _change_account(world: World) -> None:
    chance = world.chance
    changes: list[dict[str, object]] = [
        {"status": chance.choice(["active", "active", "suspended"])},
        {"timezone": chance.choice(_ZONES)},
        {"balance_check": chance.random() < 0.7},
        {"refund_policy": chance.choice(list(RefundPolicy))},
    ]
    world.postgres.change_account(chance.choice(sorted(world.postgres.accounts)), **chance.choice(changes))


def _fund(world: World) -> None:
    world.postgres.change_account(
        world.chance.choice(sorted(world.postgres.accounts)), balance_minor=world.chance.choice([0, 40, 100, 500])
    )


def _new_card(world: World) -> None:
    if "card-new" not in world.postgres.cards:
        account_id = world.chance.choice(sorted(world.postgres.accounts))
        world.postgres.add_card(replace(_card(world.chance, account_id, 999), token="card-new"))


def _redis_errors(world: World) -> None:
    weather = world.redis_weather
    weather.refused, weather.lost, weather.late = (world.chance.choice([0.0, 0.2, 0.5]) for _ in range(3))
    weather.refused, weather.lost, weather.late = weather.refused / 3, weather.lost / 3, weather.late / 3
    world.loop.call_later(0.2 * world.chance.random(), weather.clear)


def _postgres_errors(world: World) -> None:
    weather = world.postgres_weather
    weather.refused, weather.lost, weather.late = (world.chance.choice([0.0, 0.2, 0.5]) / 3 for _ in range(3))
    world.loop.call_later(0.2 * world.chance.random(), weather.clear)


def _postgres_refuses(world: World) -> None:
    world.postgres_weather.refused = 0.5
    world.loop.call_later(0.1, world.postgres_weather.clear)


def _restart_old(world: World) -> None:
    """A copy from now on; the server comes back with it later."""
    old = world.redis.snapshot()
    world.loop.call_later(world.chance.random() * 0.3, world.redis.restart, old)


def _message(world: World) -> Message | None:
    """What the network may say about a transaction; now and then it repeats itself."""
    chance, rows = world.chance, world.postgres.transactions
    if not rows or (world.told and chance.random() < 0.2):
        return chance.choice(world.told) if world.told else None
    kind = chance.choice(_MESSAGES)
    amount = None if kind is EventKind.EXPIRY else chance.choice([0, 5, 10, 30, 60])
    settled = chance.choice([0, 0, 10, -10]) if kind is EventKind.SNAPSHOT else 0
    identity = f"message-{len(world.told)}"
    final = kind is EventKind.CLEARING and chance.random() < 0.5
    event = Event(kind, START_US + chance.randint(0, 1_000), identity, amount, final, settled)
    return Message(event, identity.encode(), chance.choice(sorted(rows)), "", "USD", None)


def _tell(world: World) -> None:
    message = _message(world)
    if message is not None:
        for _ in range(world.chance.choice([1, 1, 2])):
            world.tell(world.chance.choice([0, 1]), message)


def _abandon(world: World) -> None:
    if world.sent:
        world.chance.choice(world.sent).flight.abandoned = True


def _wipe(world: World) -> None:
    world.redis.wipe()


def _crash(world: World) -> None:
    world.crash(world.chance.choice([0, 1]))


def _reap(world: World) -> None:
    world.reap(world.chance.choice([0, 1]))


def _lose_listener(world: World) -> None:
    world.lose_listener(world.chance.choice([0, 1]))


Happening = Callable[[World], None]
_CHANGES: list[Happening] = [
    _change_card,
    _change_card,
    _change_profile,
    _change_and_back,
    _change_user,
    _change_account,
    _fund,
]
_FAULTS: list[Happening] = [
    _redis_errors,
    _postgres_errors,
    _restart_old,
    _abandon,
    _wipe,
    lambda world: world.redis.restart(None),
    _crash,
    _crash,
    _lose_listener,
    _reap,
    _reap,
]


@dataclass(frozen=True)
class Theme:
    """What may happen in a run and about how often, and what its traffic is like."""

    events: list[Happening]
    often: int
    spans_s: tuple[float, ...] = (0.0, 0.05, 0.3, 1.5)
    repeats: tuple[tuple[int, ...], ...] = ((1,), (1, 1, 2, 3), (2, 4))
    patience_s: tuple[float, ...] = (0.02, 0.1, DEADLINE_MAX_S, DEADLINE_MAX_S)
    one_card: bool = False
    late_fault: float = 0.3


THEMES = {
    "calm": Theme([_abandon], 0),
    "mixed": Theme(_CHANGES + _FAULTS + [_new_card, _tell, _tell, _tell], 8),
    "messages": Theme([_tell], 30, repeats=((1,), (1, 1, 2, 3))),
    "storms": Theme([*[_tell] * 8, _change_account, _fund, _redis_errors, _postgres_errors, _wipe, _crash, _reap], 30),
    "changes": Theme([*_CHANGES, _new_card, _lose_listener], 20),
    "shapes": Theme([_change_and_back, _change_and_back, _change_card], 8, spans_s=(0.8,), one_card=True),
    "faults": Theme(_FAULTS, 10),
    "restarts": Theme([_restart_old, _restart_old, _reap], 5, spans_s=(0.8,), repeats=((1,),)),
    "rebuilds": Theme([_fund, _fund, _wipe, _crash], 12, spans_s=(0.5,), repeats=((2, 4),), one_card=True),
    "commits": Theme([_postgres_errors, _postgres_errors, _redis_errors, _crash, _reap], 8, repeats=((1, 2), (2, 4))),
    "releases": Theme([_postgres_refuses], 4, spans_s=(0.3,), patience_s=(0.06, 0.4), one_card=True, late_fault=0.7),
}


def script(world: World, theme: Theme) -> list[tuple[int, Happening]]:
    """What happens at which step: between any two, and some things close together."""
    chance = world.chance
    made: list[tuple[int, Happening]] = []
    while len(made) < theme.often:
        step = chance.randint(1, 500)
        made += [(step + chance.randint(0, 20), chance.choice(theme.events)) for _ in range(chance.choice([1, 1, 3]))]
    return sorted(made, key=lambda happening: happening[0])
