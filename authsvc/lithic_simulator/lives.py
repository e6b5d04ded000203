"""What becomes of a swipe once it was answered: webhooks with the whole transaction each. Pure, drawn from a seed."""

from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Any, Final, NamedTuple

from authsvc.lithic_simulator.shapes import Event, Figures, transaction
from authsvc.lithic_simulator.swipes import Swipe, chance, token_of

# Weeks pass in no time, and nothing is dated ahead of the clock of whoever receives it.
STEP: Final = timedelta(milliseconds=1)
_RETURNED_SHARE: Final = 0.08
_RETURN_REVERSED_SHARE: Final = 0.25
_ENDS: Final = ("cleared", "tip", "twice", "part_reversed", "advised", "reversed", "expired", "open")
_END_WEIGHTS: Final = (44, 15, 12, 8, 5, 6, 5, 5)
_DIVISIBLE_MINOR: Final = 10
_MONEY: Final = frozenset(
    {"CLEARING", "FINANCIAL_AUTHORIZATION", "FINANCIAL_CREDIT_AUTHORIZATION", "RETURN", "RETURN_REVERSAL"}
)


class Answer(NamedTuple):
    """What we said; `result` is empty when nothing came. `approved_minor` is there for a partial approval only."""

    result: str
    approved_minor: int | None = None


class Step(NamedTuple):
    """A message of the network. After a clearing that `is_last` nothing is held any more."""

    type: str
    amount_minor: int
    is_last: bool = True


class Webhook(NamedTuple):
    """`number` counts the webhooks of a swipe; `kind` is the type of the event that caused it."""

    number: int
    kind: str
    body: dict[str, Any]


class Life(NamedTuple):
    """`webhooks` in the order in which they happened; `ends` has each transaction, by its token, after the last."""

    webhooks: list[Webhook]
    ends: dict[str, Figures]


def life_of(seed: int, run: str, number: int, swipe: Swipe, answer: Answer | None) -> Life:
    """The life of the swipe of this number. `answer` is None when nobody was asked."""
    dice = chance(seed, number, "life")
    steps = steps_of(dice, swipe, answer)
    life = tell(run, number, swipe, steps, answer)
    bought_minor = next((end.settled_minor for end in life.ends.values()), 0)
    if bought_minor <= 0 or dice.random() >= _RETURNED_SHARE:
        return life
    # It comes as a transaction of its own, without a link to the purchase.
    returned = swipe._replace(
        token=token_of(run, number, "return"),
        kind="FORCE_POST",
        created=swipe.created + STEP * (len(steps) + 1),
    )
    amount_minor = _part(dice, bought_minor)
    back = [Step("RETURN", amount_minor)]
    if dice.random() < _RETURN_REVERSED_SHARE:
        back.append(Step("RETURN_REVERSAL", amount_minor))
    after = tell(run, number, returned, back, None, len(steps))
    return Life([*life.webhooks, *after.webhooks], life.ends | after.ends)


def steps_of(dice: Random, swipe: Swipe, answer: Answer | None) -> list[Step]:
    """What the network says about it, in order. An inquiry is answered, and that is all."""
    amount, hold = swipe.amount_minor, swipe.hold_minor
    if answer is not None and answer.approved_minor is not None:
        amount = hold = answer.approved_minor
    if swipe.kind == "BALANCE_INQUIRY":
        return []
    if swipe.kind == "FORCE_POST":
        return [Step("CLEARING", amount)]
    steps = [Step(swipe.kind, hold)]
    if answer is None or answer.result != "APPROVED":
        return steps
    if swipe.kind == "AUTHORIZATION":
        steps += _after_approval(dice, amount, hold)
    elif swipe.kind == "CREDIT_AUTHORIZATION":
        steps += [Step("CLEARING", amount)]
    return steps


def _after_approval(dice: Random, amount: int, hold: int) -> list[Step]:
    """From an open hold to its end."""
    end = dice.choices(_ENDS, _END_WEIGHTS)[0]
    if hold > amount:
        # What was filled in is known only now.
        filled = _part(dice, hold)
        return [Step("AUTHORIZATION_ADVICE", filled), Step("CLEARING", filled)]
    if hold < _DIVISIBLE_MINOR:
        return [Step("CLEARING" if hold else "AUTHORIZATION_EXPIRY", hold)]
    part, advised = hold * dice.randint(20, 80) // 100, hold * dice.randint(80, 130) // 100
    steps = {
        "cleared": [Step("CLEARING", hold)],
        "tip": [Step("CLEARING", hold + hold * dice.randint(10, 20) // 100)],
        "twice": [Step("CLEARING", part, is_last=False), Step("CLEARING", hold - part)],
        "part_reversed": [Step("AUTHORIZATION_REVERSAL", part), Step("CLEARING", hold - part)],
        "advised": [Step("AUTHORIZATION_ADVICE", advised), Step("CLEARING", advised)],
        "reversed": [Step("AUTHORIZATION_REVERSAL", hold)],
        "expired": [Step("AUTHORIZATION_EXPIRY", hold)],
        "open": [],
    }
    return steps[end]


def _part(dice: Random, whole_minor: int) -> int:
    return max(1, whole_minor * dice.randint(20, 100) // 100)


def tell(run: str, number: int, swipe: Swipe, steps: Sequence[Step], answer: Answer | None, first: int = 0) -> Life:
    """A webhook for each step; `first` is the number of the first of them."""
    figures, events, webhooks = Figures("PENDING", 0, 0), [], []
    declined = answer is not None and answer.result != "APPROVED"
    for place, step in enumerate(steps, start=first):
        is_credit = _is_credit(swipe, step)
        figures = Figures("DECLINED", 0, 0) if declined else _after(figures, step, is_credit=is_credit)
        token = (place == 0 and swipe.event_token) or token_of(run, number, f"event {place}")
        at = swipe.created + STEP * (place - first + 1)
        moves_money = step.type in _MONEY and not declined
        events.append(Event(token, step.type, step.amount_minor, is_credit, moves_money, at))
        body = transaction(swipe, events, figures, answer.result if answer is not None else "")
        webhooks.append(Webhook(place, step.type, body))
    return Life(webhooks, {swipe.token: figures} if steps else {})


def _is_credit(swipe: Swipe, step: Step) -> bool:
    if step.type == "CLEARING":
        return swipe.kind == "CREDIT_AUTHORIZATION"
    return step.type not in {"AUTHORIZATION", "AUTHORIZATION_ADVICE", "FINANCIAL_AUTHORIZATION", "RETURN_REVERSAL"}


def _after(before: Figures, step: Step, *, is_credit: bool) -> Figures:
    """The arithmetic of holds and settlements. The first money that moves settles a transaction, for ever."""
    status, hold, settled = before
    match step.type:
        case "AUTHORIZATION" | "AUTHORIZATION_ADVICE":
            return Figures(status, step.amount_minor, settled)
        case "CREDIT_AUTHORIZATION":
            return before
        case "AUTHORIZATION_REVERSAL":
            left = max(0, hold - step.amount_minor)
            return Figures("VOIDED" if status == "PENDING" and not left else status, left, settled)
        case "AUTHORIZATION_EXPIRY":
            return Figures("EXPIRED" if status == "PENDING" else status, 0, settled)
    left = 0 if step.is_last else max(0, hold - step.amount_minor)
    return Figures("SETTLED", left, settled + (-step.amount_minor if is_credit else step.amount_minor))
