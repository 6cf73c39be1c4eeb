"""Refusals are read by people: a state is named in their words, in both languages, and stays a field for programs."""

from enum import StrEnum

import pytest
from billing import errors
from billing.domain.dispute import DisputeStatus
from billing.domain.order import OrderStatus
from billing.domain.payment import PaymentStatus
from billing.domain.refund import RefundStatus
from billing.domain.statement import LineStatus
from common.errors import DomainError

pytestmark = pytest.mark.unit

STATES: dict[type[DomainError], type[StrEnum]] = {
    errors.OrderNotPayable: OrderStatus,
    errors.OrderNotCancellable: OrderStatus,
    errors.PaymentNotSubmitted: PaymentStatus,
    errors.PaymentNotRefundable: PaymentStatus,
    errors.ReceiptNotWanted: PaymentStatus,
    errors.RefundStateForbids: RefundStatus,
    errors.StatementLineDecided: LineStatus,
    errors.DisputeStateForbids: DisputeStatus,
}


@pytest.mark.parametrize("kind", STATES, ids=lambda kind: kind.__name__)
def test_every_state_has_words_in_both_languages(kind: type[DomainError]) -> None:
    assert set(kind.words["state"]) == set(STATES[kind])
    for state, (english, french) in kind.words["state"].items():
        refusal = kind(state=state)
        assert refusal.fields["state"] == state
        if "{state}" in kind.en and not (kind is errors.OrderNotPayable and english in {"paid", "completed"}):
            assert english in refusal.text("en")
            assert french in refusal.text("fr")
        assert "_" not in refusal.text("en") + refusal.text("fr")


def test_no_refusal_that_names_a_state_is_without_words() -> None:
    naming = {kind for name in errors.__all__ if "{state}" in (kind := getattr(errors, name)).en + kind.fr}
    assert naming == set(STATES)
