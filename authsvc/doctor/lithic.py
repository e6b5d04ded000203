"""Does Lithic know the cards and rules that we know, and the other way round? Bounded in calls and in time.

Nothing is certain from one look: news of a card travels by webhook. So a few of what differs are looked at again.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from authsvc.bridge.events import STATUS_OF_STATE
from authsvc.doctor.facts import HeldCard, HeldRule
from authsvc.doctor.finding import Finding, some
from authsvc.doctor.program import CardThere, LithicTrouble, Page, Program, RuleThere, StreamThere, T

_AGAIN_MAX: Final = 20
_TOKEN_SHOWN: Final = 8
_CARDS, _STATES, _STRANGERS = "tokens at lithic", "card states at lithic", "cards only at lithic"
_RULES, _STREAM = "auth rules at lithic", "auth stream at lithic"
_FURTHER: Final = "Raise --lithic-calls or --lithic-seconds."


class HeldTokens(Protocol):
    """What we hold, as the ledger reads it. Cards that were deleted do not count."""

    async def lithic_cards(self, tokens: Sequence[str]) -> list[HeldCard]:
        """Those of ours with these tokens, closed ones as well."""
        ...

    async def lithic_cards_beside(self, ids: Sequence[int], count_max: int) -> tuple[int, list[HeldCard]]:
        """Those that are not closed and not among these: how many, and some of them, drawn by lot."""
        ...

    async def lithic_unknown(self, card_tokens: Sequence[str], account_tokens: Sequence[str]) -> set[str]:
        """Which of these are none of ours."""
        ...

    async def lithic_rules(self) -> list[HeldRule]:
        """Profiles that stand for an auth rule."""
        ...


class Ask(NamedTuple):
    """Whom to ask, and how much: calls for each list, which may each be repeated, and seconds for each list."""

    program: Program
    calls_max: int
    seconds_max: float


@dataclass(slots=True)
class _Cards:
    """What came of going through Lithic's cards. `missing` counts what `missed` are some of."""

    there: int = 0
    is_whole: bool = False
    known_ids: list[int] = field(default_factory=list)
    accounts: set[str] = field(default_factory=set)
    differing: list[tuple[HeldCard, str]] = field(default_factory=list)
    strangers: list[str] = field(default_factory=list)
    missing: int = 0
    missed: list[HeldCard] = field(default_factory=list)


async def ask(one: Ask, held: HeldTokens) -> list[Finding]:
    """What Lithic says. Trouble with one question leaves the others, unless it would be the same trouble again."""
    findings: list[Finding] = []
    cards = _Cards()
    try:
        cards.is_whole = await _walk(one.program.cards(), one, lambda page: _compare(page, held, cards))
        await _look_again(one, held, cards)
        findings += [tokens(cards), states(cards), strangers(cards)]
    except LithicTrouble as trouble:
        return [Finding(_CARDS, trouble.state, str(trouble), trouble.advice)]
    try:
        findings.append(await _rules(one, held, cards))
    except LithicTrouble as trouble:
        findings.append(Finding(_RULES, trouble.state, str(trouble), trouble.advice))
    try:
        findings.append(stream(await one.program.stream()))
    except LithicTrouble as trouble:
        findings.append(Finding(_STREAM, trouble.state, str(trouble), trouble.advice))
    return findings


def agree(status: str, state: str) -> bool:
    """Is ours what the bridge makes of Lithic's? A pending one leaves ours as it is."""
    wanted = STATUS_OF_STATE.get(state)
    if wanted is None:  # a word that came after this release, which the bridge leaves alone
        return True
    return status != "closed" if wanted == "pending" else status == wanted


async def _walk(pages: AsyncIterator[Page[T]], one: Ask, take: Callable[[list[T]], Awaitable[None]]) -> bool:
    """Whether it came to the end of the list."""
    calls = 0
    with suppress(TimeoutError):
        async with asyncio.timeout(one.seconds_max):
            async for page in pages:
                await take(page.items)
                calls += 1
                if page.is_last or calls >= one.calls_max:
                    return page.is_last
    return False


async def _compare(page: Sequence[CardThere], held: HeldTokens, cards: _Cards) -> None:
    ours = {card.token: card for card in await held.lithic_cards([card.token for card in page])}
    for there in page:
        cards.there += 1
        card = ours.get(there.token)
        if card is not None:
            cards.known_ids.append(card.id)
            cards.accounts.add(there.account_token)
            if not agree(card.status, there.state):
                cards.differing.append((card, there.state))
        elif there.state != "CLOSED":
            cards.strangers.append(there.token)


async def _look_again(one: Ask, held: HeldTokens, cards: _Cards) -> None:
    """At a few, which may have changed since. Where the list was not read to its end, nothing else is certain."""
    try:
        async with asyncio.timeout(one.seconds_max):
            await _ask_for_the_missing(one.program, held, cards)
            await _ask_for_the_differing(one.program, held, cards)
    except TimeoutError as error:
        raise LithicTrouble("Lithic answers too slowly to ask for single cards", _FURTHER) from error
    came = await held.lithic_cards(cards.strangers[:_AGAIN_MAX])
    cards.strangers = [token for token in cards.strangers if token not in {card.token for card in came}]


async def _ask_for_the_missing(program: Program, held: HeldTokens, cards: _Cards) -> None:
    cards.missing, some_missing = await held.lithic_cards_beside(cards.known_ids, _AGAIN_MAX)
    for card in some_missing:
        there = await program.card(card.token)
        if there is None:
            cards.missed.append(card)
        elif not agree(card.status, there.state):
            cards.differing.append((card, there.state))
    found = len(some_missing) - len(cards.missed)
    cards.missing = cards.missing - found if cards.is_whole else len(cards.missed)


async def _ask_for_the_differing(program: Program, held: HeldTokens, cards: _Cards) -> None:
    first, rest = cards.differing[:_AGAIN_MAX], cards.differing[_AGAIN_MAX:]
    # In this order: ours follows Lithic's.
    there_again = [await program.card(card.token) for card, _ in first]
    ours = {card.token: card for card in await held.lithic_cards([card.token for card, _ in first])}
    again = [(ours.get(card.token), there) for (card, _), there in zip(first, there_again, strict=True)]
    still = [(card, there.state) for card, there in again if card and there and not agree(card.status, there.state)]
    cards.differing = still + rest


def tokens(cards: _Cards) -> Finding:
    """Do the tokens of our cards exist there?"""
    checked = len(cards.known_ids)
    if cards.missing:
        said = f"{cards.missing} cards that Lithic does not know: id {some(card.id for card in cards.missed)}"
        if not cards.is_whole:
            said += "; there may be more, since Lithic's cards were not all looked at"
        advice = (
            "Correct the token, or close the card. If it is all of them: is it the right AUTHSVC_LITHIC_ENVIRONMENT?"
        )
        return Finding(_CARDS, "failed", said, advice)
    if not cards.is_whole:
        said = f"only {cards.there} of Lithic's cards were looked at, {checked} of them ours, and a few of the rest"
        return Finding(_CARDS, "warning", said, _FURTHER)
    return Finding(_CARDS, "ok", f"Lithic has every card that is not closed; {checked} of its {cards.there} are ours")


def states(cards: _Cards) -> Finding:
    """Are they there what they are here, as the bridge reads states?"""
    if not cards.differing:
        return Finding(_STATES, "ok", f"{len(cards.known_ids)} cards agree")
    listed = some(f"id {card.id} is {card.status}, {state} at Lithic" for card, state in cards.differing)
    advice = (
        "See whether webhooks failed; set the one that is wrong. What is paused here only is paused better at Lithic."
    )
    return Finding(_STATES, "warning", f"{len(cards.differing)} cards differ: {listed}", advice)


def strangers(cards: _Cards) -> Finding:
    """Cards of the program that are none of ours: each swipe of them is declined."""
    if not cards.strangers:
        said = "none that is not closed" if cards.is_whole else f"none that is not closed among {cards.there}"
        return Finding(_STRANGERS, "ok", said)
    said = f"{len(cards.strangers)} that are not closed: {some(map(_shown, cards.strangers))}"
    return Finding(_STRANGERS, "warning", said, "Import them, or close them at Lithic; their swipes are declined.")


async def _rules(one: Ask, held: HeldTokens, cards: _Cards) -> Finding:
    ours: list[HeldRule] = await held.lithic_rules()
    there: list[RuleThere] = []

    async def take(page: list[RuleThere]) -> None:
        there.extend(page)

    is_whole = await _walk(one.program.rules(), one, take)
    known = {rule.token for rule in there}
    lost = [rule.profile_id for rule in ours if rule.token not in known] if is_whole else []
    active = [rule for rule in there if rule.is_active and not rule.is_lithics]
    named_cards = {token for rule in active for token in rule.card_tokens}
    # Not every account there is one here: a cardholder may have one of their own, which is told by their card.
    named_accounts = {token for rule in active for token in rule.account_tokens} - cards.accounts
    unknown = await held.lithic_unknown(sorted(named_cards), sorted(named_accounts) if cards.is_whole else [])
    named = [(rule.token, unknown.intersection({*rule.card_tokens, *rule.account_tokens})) for rule in active]
    strange = [f"{_shown(token)} names {some(map(_shown, sorted(what)))}" for token, what in named if what]
    return rules(len(there), lost, strange, is_whole=is_whole)


def rules(count: int, lost: Sequence[int], strange: Sequence[str], *, is_whole: bool) -> Finding:
    """`lost`: profiles whose rule is not there. `strange`: rules in force that name what is not ours."""
    said = [f"{len(lost)} profiles whose rule Lithic does not have: id {some(lost)}"] if lost else []
    if strange:
        said.append(f"{len(strange)} active rules of cards or accounts that are not ours: {'; '.join(strange[:3])}")
    if said:
        advice = "Take the token from the profile; take what is gone out of the rule, or import it."
        return Finding(_RULES, "failed" if lost else "warning", "; ".join(said), advice)
    if not is_whole:
        return Finding(_RULES, "warning", f"only the first {count} were looked at", _FURTHER)
    return Finding(_RULES, "ok", f"{count} there, and each names what is ours")


def stream(told: StreamThere) -> Finding:
    """Is anybody asked before a card is authorized?"""
    if not told.is_enrolled:
        advice = "Enrol the bridge (docs/lithic.md); until then Lithic decides without this service."
        return Finding(_STREAM, "failed", "no endpoint is enrolled for the auth stream", advice)
    return Finding(_STREAM, "ok", f"enrolled: {told.host or 'an endpoint'} is asked")


def _shown(token: str) -> str:
    """Enough of a token to find it; a whole one is nobody's business who reads a report."""
    return token if len(token) <= _TOKEN_SHOWN else f"{token[:_TOKEN_SHOWN]}…"
