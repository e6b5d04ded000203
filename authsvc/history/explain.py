"""A past decision as it was answered then."""

from authsvc import answers
from authsvc.answers import Answer
from authsvc.history.shapes import Recorded, Remembered
from authsvc.ports import AuthorizationRequest
from rules.reasons import Kind


def answer_of(remembered: Remembered) -> Answer:
    """What was answered, as far as its row tells: the screen of checks, figures and words come out the same."""
    answer = answers.from_stored(_request(remembered.request_id, remembered.recorded), remembered.stored)
    answer.replayed = False
    return answer


def _request(request_id: str, recorded: Recorded | None) -> AuthorizationRequest:
    """The request, as far as it is kept; of one on an unknown card, only its id is."""
    covered_minor = 0
    if recorded is not None:
        # What had to be covered may have been more than the amount; of what was approved it is known.
        covered_minor = max(recorded.amount_minor, recorded.approved_minor)
    return AuthorizationRequest(
        Kind.AUTHORIZATION if recorded is None else Kind[recorded.kind],
        covered_minor,
        "" if recorded is None else recorded.mcc,
        0 if recorded is None else recorded.transacted_at_us,
        partial_approval_capable=False,
        request_id=request_id,
        fingerprint=b"",
        card_token="" if recorded is None else recorded.card_token,
        currency="" if recorded is None else recorded.currency,
        asked_minor=0 if recorded is None else recorded.amount_minor,
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
        explain=True,
    )
