"""The promises, checked while a simulation runs and when it has come to rest."""

import orjson

from authsvc.answers import Answer
from authsvc.errors import AuthsvcError
from authsvc.flight import Flight
from authsvc.lifecycle.messages import Applied, Message
from authsvc.ports import Ask, Row
from rules.reasons import CheckName, Decision, Kind, Reason
from rules.types import Counter
from tests.simulation.model import Spending, contribution, is_free, judge, spendings, static_reason
from tests.simulation.postgres import PostgresServer, TransactionRow
from tests.simulation.redis import Hash, RedisServer

_LIMIT_REASON = {
    CheckName.PROFILE_LIMIT: Reason.PROFILE_LIMIT_EXCEEDED,
    CheckName.CARD_LIMIT: Reason.CARD_LIMIT_EXCEEDED,
}


class Checks:
    """Watches both servers and every answer; collects what breaks a promise."""

    def __init__(self, postgres: PostgresServer, redis: RedisServer) -> None:
        self._postgres = postgres
        self._redis = redis
        self.violations: list[str] = []
        self.quiet = False
        self.answers: dict[tuple[str, bytes], tuple[object, ...]] = {}
        self._versions_at_start: dict[int, int] = {}
        # Every counter that was asked for, and the last configuration version that it was asked under.
        self._counters: dict[tuple[int, str], tuple[Counter, int]] = {}
        postgres.on_commit = self.committed
        postgres.serial_of = self._serial_of
        redis.on_reserve = self.reserving

    def _broken(self, promise: str, detail: object) -> None:
        self.violations.append(f"{promise}: {detail}")

    # --- at every commit --------------------------------------------------------------------------------------------

    def _serial_of(self, row: Row) -> int | None:
        """Which reservation the committer of a row owns, if the server still has it."""
        if row.counter_epoch is None or row.approved_minor == 0:
            return None
        flight = Flight(row.request, 0.0, lambda _: None, 0.0, config_version=row.config_version)
        name = f"{row.counter_epoch}:{flight.reservation_name()}"
        counters = self._redis.hash_of(row.card.account.id, self._redis.run)
        if counters is None or counters.epoch != row.counter_epoch or name not in counters.moves:
            return None
        return counters.moves[name].serial

    def committed(self, row: TransactionRow) -> None:
        server, request = self._postgres, row.row.request
        said = orjson.loads(row.row.explanation)
        card = server.cards[request.card_token]
        if (row.account_id, row.card_id, row.profile_id) != (card.account_id, card.id, card.profile_id):
            self._broken("stale configuration", f"{request.request_id} is filed under another profile or card")
        truth = spendings(server, card, request.transacted_at_us, without_id=row.id)
        funds, limits = self._said(said["checks"], truth)
        before = server.funds(row.account_id)
        before = (before[0] + row.row.posted_minor, before[1] - row.held_minor) if self.quiet else before
        counted = not is_free(request) and static_reason(server, request) is Reason.APPROVED
        if counted and (funds is None or limits is None):
            self._broken("stale configuration", f"{request.request_id} was judged by other limits: {said['checks']}")
            return
        judgement = judge(server, request, funds or (0, 0), limits or [])
        made = (Decision(said["decision"]), Reason(said["reason"]), said["approved"])
        if made != (judgement.decision, judgement.reason, judgement.approved_minor):
            self._broken("stale configuration", f"{request.request_id} is {made}, should be {judgement}")
        if (Reason[row.row.reason], row.row.approved_minor) != made[1:]:
            self._broken("explanation", f"{request.request_id} is recorded as {row.row.reason}, told as {made}")
        self._money(row)
        if self.quiet and counted and (funds, limits) != (before, truth):
            self._broken("drift", f"{request.request_id} saw {funds} {limits}, true are {before} {truth}")

    @staticmethod
    def _said(checks: list[list[int]], truth: list[Spending]) -> tuple[tuple[int, int] | None, list[Spending] | None]:
        """Balance, holds and limits as the decision saw them; None where they are not those of the configuration."""
        funds = next(((check[3], check[4]) for check in checks if check[0] == CheckName.FUNDS), None)
        limits = [
            Spending(_LIMIT_REASON[CheckName(check[0])], check[3], check[4])
            for check in checks
            if check[0] != CheckName.FUNDS
        ]
        expected = [(spending.reason, spending.limit_minor) for spending in truth]
        seen = [(spending.reason, spending.limit_minor) for spending in limits]
        inquiry = not limits
        return funds, limits if seen == expected else (truth if inquiry else None)

    def _money(self, row: TransactionRow) -> None:
        server, request, approved = self._postgres, row.row.request, row.row.approved_minor
        kind = request.kind
        expected = {Kind.AUTHORIZATION: (approved, 0, 0), Kind.FINANCIAL_AUTHORIZATION: (0, approved, approved)}
        expected[Kind.FINANCIAL_CREDIT_AUTHORIZATION] = (0, 0, -approved)
        if (row.held_minor, row.settled_minor, row.row.posted_minor) != expected.get(kind, (0, 0, 0)):
            self._broken("money", f"{request.request_id} holds {row.held_minor}, settles {row.settled_minor}")
        if contribution(row) == 0:
            return
        card = server.cards[request.card_token]
        for spending in spendings(server, card, request.transacted_at_us):
            if spending.used_minor > spending.limit_minor:
                self._broken("overspend", f"{request.request_id}: {spending}")
        balance, held = server.funds(row.account_id)
        if server.accounts[row.account_id].balance_check and balance < held:
            self._broken("overspend", f"{request.request_id}: balance {balance}, holds {held}")

    # --- at every reservation ---------------------------------------------------------------------------------------

    def reserving(self, ask: Ask, run: str, counters: Hash) -> None:
        """Counters that may still become decisions are the committed spending and the reservations in flight, exactly."""
        account = self._postgres.accounts[ask.account_id]
        if (run, counters.epoch, _version(ask)) != (self._redis.run, account.counter_epoch, account.config_version):
            # Refused at commit. A counter that only an old plan knows may be loaded, and missed by others: nobody uses it.
            return
        for counter in ask.plan.counters:
            self._counters[ask.account_id, counter.name] = (counter, account.config_version)
        self._compare(ask.account_id, counters, {"b", "h"} | {counter.name for counter in ask.plan.counters})

    def _compare(self, account_id: int, counters: Hash, names: set[str]) -> None:
        recorded = {row.serial for row in self._postgres.transactions.values() if row.account_id == account_id}
        pending = self._redis.pending_of(account_id, self._redis.run)
        in_flight = [move for name, move in counters.moves.items() if name in pending and move.serial not in recorded]
        balance, held = self._postgres.funds(account_id)
        for name in sorted(names):
            true = {"b": balance, "h": held}.get(name)
            if true is None:
                true = self._postgres.used(self._counters[account_id, name][0])[0]
            reserved = sum(move.deltas.get(name, 0) for move in in_flight)
            if counters.used[name] != true + reserved:
                detail = f"{name} of account {account_id} is {counters.used[name]}, true is {true} + {reserved}"
                self._broken("drift", detail)

    # --- at every answer --------------------------------------------------------------------------------------------

    def boarded(self, flight: Flight) -> None:
        self._versions_at_start[id(flight)] = self._versions(flight)

    def _versions(self, flight: Flight) -> int:
        card = self._postgres.cards.get(flight.request.card_token)
        if card is None:
            return 0
        account = self._postgres.accounts[card.account_id]
        return account.config_version + account.counter_epoch

    def landed(self, flight: Flight) -> None:
        request, answer = flight.request, flight.answer
        changes = self._versions(flight) - self._versions_at_start.get(id(flight), 0)
        if flight.attempts > changes + 2:
            # Each refusal tells what is current; only a change since then excuses the next one.
            self._broken("tried in vain", f"{request.request_id}: {flight.attempts} times in {changes} changes")
        if answer is None:
            if not isinstance(flight.error, AuthsvcError):
                self._broken("unplanned error", repr(flight.error))
            return
        told = _told(answer)
        known = self.answers.setdefault((request.request_id, request.fingerprint), told)
        if known != told:
            self._broken("two answers", f"{request.request_id}: {known} and {told}")
        if self._postgres.keys.get(request.request_id) != (request.fingerprint, answer.transaction_id):
            self._broken("lost answer", f"{request.request_id} was told {told}, recorded is another body or nothing")
        elif answer.transaction_id is not None:
            row = self._postgres.transactions[answer.transaction_id].row
            if (row.reason, row.approved_minor) != (answer.reason.name, answer.approved_minor):
                self._broken("lost answer", f"{request.request_id} was told {told}, recorded is {row.reason}")

    # --- at every message that was applied --------------------------------------------------------------------------

    def applied(self, message: Message, applied: Applied) -> None:
        """Whoever sent it, and however often, hears what was first said."""
        told = self.answers.setdefault((message.event.identity, message.fingerprint), applied[:2])
        if told != applied[:2]:
            self._broken("two answers", f"{message.event.identity}: {told} and {applied}")

    # --- at rest ----------------------------------------------------------------------------------------------------

    def at_rest(self) -> None:
        """Nothing is in flight any more and the reaper has been everywhere."""
        for account_id, account in self._postgres.accounts.items():
            run = self._redis.run
            counters = self._redis.hash_of(account_id, run)
            if counters is None:
                continue
            if counters.epoch != account.counter_epoch:
                self._broken("not healed", f"account {account_id}: {counters} at epoch {account.counter_epoch}")
                continue
            known = {
                name
                for (owner, name), (_, version) in self._counters.items()
                if (owner, version) == (account_id, account.config_version)
            }
            self._compare(account_id, counters, set(counters.used) & (known | {"b", "h"}))

    def nothing_pending(self) -> None:
        """The reaper has been everywhere since the last reservation."""
        for (account_id, run), left in self._redis.contents.pending.items():
            if left and run == self._redis.run and self._redis.hash_of(account_id, run) is not None:
                self._broken("not healed", f"account {account_id} still has pending {sorted(left)}")

    # --- Observer ---------------------------------------------------------------------------------------------------

    def failed(self, error: BaseException) -> None:
        if not isinstance(error, AuthsvcError):
            self._broken("unplanned error", repr(error))

    def batch(self, size: int, reserve_s: float, record_s: float) -> None: ...

    def fenced(self, count: int) -> None: ...

    def rebuilt(self) -> None: ...

    def loaded(self, count: int) -> None: ...

    def reaped(self, count: int) -> None: ...


def _version(ask: Ask) -> int:
    """The configuration version that a reservation's name tells."""
    return int(ask.name.split("/", 2)[1])


def _told(answer: Answer) -> tuple[object, ...]:
    return (
        answer.decision,
        answer.reason,
        answer.approved_minor,
        answer.transaction_id,
        answer.balance_minor,
        answer.available_minor,
        answer.screen,
        answer.checks,
        answer.timezone,
        answer.config_version,
    )
