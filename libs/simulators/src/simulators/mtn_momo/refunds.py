"""Refunds of the Disbursement product: accepted, then ended; what cannot be refunded fails later, not at once.

The account that pays them is another than the one that collections fill. Not here: HTTP and credentials.
"""

import asyncio
import secrets
from dataclasses import dataclass
from typing import Any

from simulators.mtn_momo.outcomes import Status
from simulators.mtn_momo.payments import AlreadyFinalError, Ledger, reason_body
from simulators.server import Background


@dataclass
class Refund:
    """One accepted refund; `body` is what the caller sent, already checked."""

    reference: str
    body: dict[str, Any]
    payee: dict[str, str] | None
    status: Status = "PENDING"
    reason: str | None = None
    financial_transaction_id: str | None = None

    @property
    def amount(self) -> int:
        return int(self.body["amount"])

    def result(self, *, reason_as_object: bool) -> dict[str, Any]:
        """The status body; the reference is not part of it."""
        answer: dict[str, Any] = {}
        if self.financial_transaction_id is not None:
            answer["financialTransactionId"] = self.financial_transaction_id
        answer |= {key: self.body[key] for key in ("amount", "currency", "externalId", "payerMessage", "payeeNote")}
        if self.payee is not None:
            answer["payee"] = self.payee
        answer["status"] = self.status
        if self.reason is not None:
            answer["reason"] = reason_body(self.reason, as_object=reason_as_object)
        return answer


class Refunds:
    """All refunds of one simulator, and what is left to pay them from."""

    def __init__(self, ledger: Ledger, *, background: Background, delay: float, balance: int) -> None:
        self._ledger = ledger
        self._background = background
        self._delay = delay
        self._refunds: dict[str, Refund] = {}
        self.balance = balance

    def find(self, reference: str) -> Refund | None:
        return self._refunds.get(reference.lower())

    def listed(self) -> list[dict[str, str]]:
        """Every refund, oldest first, for whoever looks at the simulator."""
        return [
            {"reference": one.reference, "status": one.status, "amount": one.body["amount"]}
            for one in self._refunds.values()
        ]

    def accept(self, reference: str, body: dict[str, Any]) -> None:
        """Keep the refund and let time take its course."""
        paid = self._ledger.find(body["referenceIdToRefund"])
        refund = Refund(reference, body, paid.body["payer"] if paid else None)
        self._refunds[reference.lower()] = refund
        self._background.spawn(self._end_later(refund), f"momo refund {reference}")

    async def _end_later(self, refund: Refund) -> None:
        await asyncio.sleep(self._delay)
        if refund.status == "PENDING":
            reason = self._why_not(refund)
            self.decide(refund, "FAILED" if reason else "SUCCESSFUL", reason)

    def _why_not(self, refund: Refund) -> str | None:
        paid = self._ledger.find(refund.body["referenceIdToRefund"])
        if paid is None:
            return "TRANSACTION_NOT_FOUND"
        if paid.status != "SUCCESSFUL":
            return "TRANSACTION_NOT_COMPLETED"
        before = sum(
            one.amount
            for one in self._refunds.values()
            if one.status == "SUCCESSFUL" and one.body["referenceIdToRefund"] == refund.body["referenceIdToRefund"]
        )
        if before + refund.amount > int(paid.body["amount"]):
            return "COULD_NOT_PERFORM_TRANSACTION"
        return "NOT_ENOUGH_FUNDS" if refund.amount > self.balance else None

    def decide(self, refund: Refund, status: Status, reason: str | None) -> None:
        """End a pending refund.

        Raises:
            AlreadyFinalError: it has ended before.
        """
        if refund.status != "PENDING":
            raise AlreadyFinalError(refund.reference)
        refund.status = status
        if status == "SUCCESSFUL":
            refund.financial_transaction_id = str(1_000_000_000 + secrets.randbelow(9_000_000_000))
            self.balance -= refund.amount
        else:
            refund.reason = reason or "PAYEE_NOT_ALLOWED_TO_RECEIVE"
