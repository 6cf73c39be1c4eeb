"""The requests to pay: their states, when they end, and the one unsigned callback each sends.

Not here: HTTP parsing and credentials.
"""

import asyncio
import json
import secrets
from dataclasses import dataclass
from typing import Any

import httpx

from simulators.faults import Faults
from simulators.mtn_momo.outcomes import Course, Status
from simulators.server import Background, UrlMap

CALLBACK_TIMEOUT_SECONDS = 2.0
"""The provider waits no longer for the answer to a callback, and does not care what it says."""


@dataclass
class RequestToPay:
    """One accepted request; `body` is what the caller sent, already checked."""

    reference: str
    body: dict[str, Any]
    callback_url: str | None
    status: Status = "PENDING"
    reason: str | None = None
    financial_transaction_id: str | None = None

    def result(self, *, reason_as_object: bool) -> dict[str, Any]:
        """The status body; the sandbox really sends a bare reason, the published schema wants an object."""
        answer: dict[str, Any] = {}
        if self.financial_transaction_id is not None:
            answer["financialTransactionId"] = self.financial_transaction_id
        answer |= {
            key: self.body[key] for key in ("externalId", "amount", "currency", "payer", "payerMessage", "payeeNote")
        }
        answer["status"] = self.status
        if self.reason is not None:
            answer["reason"] = reason_body(self.reason, as_object=reason_as_object)
        return answer


def reason_body(code: str, *, as_object: bool) -> object:
    """Why something failed, in one of the two shapes that MTN has for it."""
    return {"code": code, "message": code} if as_object else code


class AlreadyFinalError(Exception):
    """The request to pay has ended and cannot end otherwise."""


class Ledger:
    """All requests to pay of one simulator, and the balance that the successful ones made."""

    def __init__(
        self,
        *,
        faults: Faults,
        urls: UrlMap,
        background: Background,
        approval_delay: float,
        ongoing_delay: float,
        callback_method: str,
        reason_as_object: bool,
    ) -> None:
        self._faults = faults
        self._urls = urls
        self._background = background
        self._approval_delay = approval_delay
        self._ongoing_delay = ongoing_delay
        self._callback_method = callback_method
        self.reason_as_object = reason_as_object
        self._requests: dict[str, RequestToPay] = {}
        self._held: RequestToPay | None = None
        self.balance = 0

    def find(self, reference: str) -> RequestToPay | None:
        return self._requests.get(reference.lower())

    def accept(self, request: RequestToPay, course: Course) -> None:
        """Keep the request and let time take its course."""
        self._requests[request.reference.lower()] = request
        if course.ends is not None:
            delay = self._ongoing_delay if course.slow else self._approval_delay
            self._background.spawn(self._end_later(request, course, delay), f"momo {request.reference}")

    async def _end_later(self, request: RequestToPay, course: Course, delay: float) -> None:
        await asyncio.sleep(delay)
        if request.status == "PENDING" and course.ends is not None:
            self.decide(request, course.ends, course.reason)

    def decide(self, request: RequestToPay, status: Status, reason: str | None) -> None:
        """End a pending request and send its callback.

        Raises:
            AlreadyFinalError: it has ended before.
        """
        if request.status != "PENDING":
            raise AlreadyFinalError(request.reference)
        request.status = status
        if status == "SUCCESSFUL":
            request.financial_transaction_id = str(1_000_000_000 + secrets.randbelow(9_000_000_000))
            self.balance += int(request.body["amount"])
        elif status == "FAILED":
            request.reason = reason or "APPROVAL_REJECTED"
        if status != "PENDING" and request.callback_url is not None:
            self._background.spawn(self._call_back(request), f"momo callback {request.reference}")

    async def _call_back(self, request: RequestToPay) -> None:
        """Send the callback once, or lose, repeat or delay it where a rule says so."""
        assert request.callback_url is not None
        rule = self._faults.pick("delivery", event=request.status, url=request.callback_url)
        copies = 1
        if rule is not None:
            await asyncio.sleep(rule.delay)
            if rule.drop is not None:
                return
            if rule.reorder and self._held is None:
                self._held = request
                return
            copies += rule.duplicate
        for _ in range(copies):
            await self._send(request)
        held, self._held = self._held, None
        if held is not None:
            await self._send(held)

    async def _send(self, request: RequestToPay) -> None:
        assert request.callback_url is not None
        # The reference id is not part of the body: the receiver must know the payment by the address alone.
        content = json.dumps(request.result(reason_as_object=self.reason_as_object)).encode()
        async with httpx.AsyncClient(timeout=CALLBACK_TIMEOUT_SECONDS, trust_env=False) as client:
            try:
                await client.request(
                    self._callback_method,
                    self._urls.local(request.callback_url),
                    content=content,
                    headers={"Content-Type": "application/json"},
                )
            except httpx.HTTPError:
                return  # Sent once, whatever came of it.
