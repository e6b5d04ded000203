"""From the bytes of a call to the bytes of its answer: verify, read, ask the engine, tell."""

import logging
import traceback
from collections.abc import Mapping
from typing import Any, Final

from authsvc.bridge import answers, asa, signature
from authsvc.bridge.keys import Keys
from authsvc.bridge.late import LateDecisions
from authsvc.bridge.metrics import BridgeMetrics
from authsvc.client import AuthorizationClient, ClientError
from authsvc.clock import Clock
from authsvc.settings import Settings
from rules.reasons import Decision, Reason

# The engine said for certain that it made no decision. After anything else it may have made one.
_UNDECIDED: Final = frozenset({"ALREADY_EXISTS", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "UNIMPLEMENTED"})
_DECISIONS: Final = {int(decision): decision for decision in Decision}
_REASONS: Final = {int(reason): reason for reason in Reason}
_log = logging.getLogger(__name__)


class Responder:
    """Answers Lithic's authorization requests."""

    def __init__(self, client: AuthorizationClient, settings: Settings, clock: Clock, metrics: BridgeMetrics) -> None:
        """`client` stays the caller's, who opens and closes it."""
        self._client = client
        self._secrets = settings.asa_keys()
        self._allow_unsigned = settings.bridge_allow_unsigned
        self._deadline_s = settings.bridge_deadline_ms / 1000
        self._fallback_result = settings.bridge_fallback_result
        self._clock = clock
        self._metrics = metrics
        self._keys = Keys(clock)
        self.late = LateDecisions(client, clock, metrics)

    async def answer(self, body: bytes, headers: Mapping[str, str]) -> bytes:
        """The answer to a call. Raises `Refused` when it is no authorization request of Lithic's, and nothing else."""
        started_s = self._clock.monotonic_s()
        self._check_signature(body, headers)
        request = asa.parse(body)
        key = self._keys.key_of(request, headers.get(signature.ID_HEADER, ""), body)
        if self.late.is_given_up(key, started_s):
            return answers.fallback_body(request.token, self._fallback_result)
        message: Any = None
        try:
            message = self._message(request, key)
            outcome = await self._ask(message)
            answer = answers.body_of(request, outcome)
        except ClientError as error:
            return self._fall_back(request, key, message, error.code, started_s)
        except Exception as error:  # noqa: BLE001 - an error page would be no decision, and Lithic would ask again
            # Where it happened, and not its text, which may hold a part of the body.
            where = traceback.format_tb(error.__traceback__)
            _log.error("a step failed", extra={"request_id": key, "error": type(error).__name__, "where": where})
            return self._fall_back(request, key, message, "INTERNAL", started_s)
        result = answers.result_of(request, outcome)
        self._metrics.answered(result, outcome.reason.name, self._clock.monotonic_s() - started_s)
        return answer

    def _check_signature(self, body: bytes, headers: Mapping[str, str]) -> None:
        if not self._allow_unsigned:
            signature.verify(body, headers, self._secrets, self._clock.now_us() // 1_000_000)

    def _message(self, request: asa.AsaRequest, key: str) -> Any:
        at_us = request.transacted_us
        return self._client.request(**request.fields(key, self._keys.time_us_of(key) if at_us is None else at_us))

    async def _ask(self, message: Any) -> answers.Outcome:
        said = await self._client.authorize(message, timeout_s=self._deadline_s)
        return answers.Outcome(
            _DECISIONS[said.decision],
            _REASONS[said.reason],
            said.approved_minor,
            said.balance_minor if said.HasField("balance_minor") else None,
            said.available_balance_minor if said.HasField("available_balance_minor") else None,
        )

    def _fall_back(self, request: asa.AsaRequest, key: str, message: Any, status: str, started_s: float) -> bytes:
        uncertain = status not in _UNDECIDED and message is not None
        if uncertain:
            self.late.give_up(key, message)
        self._metrics.fell_back(status, self._clock.monotonic_s() - started_s, uncertain=uncertain)
        # The key finds the decision in the engine's own log and tables, should it have made one.
        _log.warning(
            "answered without a decision",
            extra={
                "event": "fallback",
                "request_id": key,
                "status": status,
                "result": self._fallback_result,
                "uncertain": uncertain,
            },
        )
        return answers.fallback_body(request.token, self._fallback_result)
