"""MTN MoMo Disbursement: a collection goes back to its payer, then its status is asked for.

The refund's reference is a UUID v4 of ours, stored before the first call and never replaced: sent twice it moves money
once. There is no callback: the janitor asks until MTN says a final word. Here we are the payer, so that codes about the
payer speak of our own account.
"""

import json

import httpx

from billing.adapters.circuit import Circuit
from billing.adapters.mtn_wire import (
    OURS,
    PAYERS,
    STATES,
    MtnAccount,
    MtnProduct,
    answer_object,
    external_id,
    money_of,
    plain_text,
    reason_of,
    reference_of,
    refusal_of,
)
from billing.adapters.provider_http import Clock, unexpected
from billing.ports import AttemptView, ProviderMisconfigured, ProviderRefused, ProviderStatus, RefundState, RefundView

PAYEES = frozenset({"PAYEE_NOT_FOUND", "PAYEE_LIMIT_REACHED", "PAYEE_NOT_ALLOWED_TO_RECEIVE"})
"""Codes that speak of the customer's wallet: he has to be paid otherwise."""


class MtnDisbursement:
    """The `RefundingProvider` for MTN MoMo."""

    name = "mtn_momo"

    def __init__(self, account: MtnAccount, http: httpx.AsyncClient, clock: Clock) -> None:
        self._product = MtnProduct("disbursement", account, http, clock, Circuit("mtn_momo_disbursement", clock))

    async def refund(self, attempt: AttemptView, refund: RefundView) -> RefundState:
        """Send money of a collection back; a reference that MTN knows already counts as sent.

        Raises:
            ProviderUnavailable, ProviderRefused, ProviderMisconfigured: as the port says.
        """
        reference = reference_of(refund.provider_reference)
        body = {
            "amount": self._product.whole(refund.amount),
            "currency": refund.amount.currency,
            "externalId": str(refund.refund_id),
            "payerMessage": plain_text(attempt.reference),
            "payeeNote": plain_text(refund.note or f"Remboursement {attempt.reference}"),
            "referenceIdToRefund": reference_of(refund.capture_reference),
        }
        answer = await self._product.post("/v1_0/refund", reference, json.dumps(body).encode())
        if answer.status_code in (httpx.codes.ACCEPTED, httpx.codes.CONFLICT):
            return RefundState(status=ProviderStatus.PENDING, provider_status="accepted", refund_id=refund.refund_id)
        problem = refusal_of(answer)
        if isinstance(problem, ProviderMisconfigured) and problem.code in PAYEES:
            raise ProviderRefused(problem.code, problem.detail)
        if isinstance(problem, ProviderRefused) and problem.code in PAYERS:
            raise ProviderMisconfigured(problem.code, problem.detail)
        raise problem

    async def observe_refund(self, _attempt: AttemptView, refund: RefundView) -> RefundState:
        """Read the status of a refund.

        Raises:
            ProviderUnavailable, ProviderMisconfigured: as the port says.
        """
        reference = reference_of(refund.provider_reference)
        answer = await self._product.get(f"/v1_0/refund/{reference}")
        body = answer_object(answer)
        if answer.is_success:
            reason = reason_of(body.get("reason"))
            number = body.get("financialTransactionId")
            return RefundState(
                status=STATES.get(str(body.get("status")), ProviderStatus.UNKNOWN),
                provider_status=str(body.get("status")),
                refund_reference=None if number is None else str(number),
                amount=money_of(body),
                refund_id=external_id(body),
                reason_code=reason,
                needs_operator=reason in (OURS - PAYEES) | PAYERS,
            )
        if answer.status_code == httpx.codes.NOT_FOUND and body.get("code") == "RESOURCE_NOT_FOUND":
            return RefundState(
                status=ProviderStatus.UNKNOWN,
                provider_status="404",
                reason_code="RESOURCE_NOT_FOUND",
                not_received=True,
            )
        problem = refusal_of(answer)
        raise unexpected(problem) if isinstance(problem, ProviderRefused) else problem
