"""Orders, captures and refunds: their states, what moves them, and PayPal's idempotency keys.

Not here: how resources are written (`bodies`), HTTP, credentials, webhooks' delivery. Events are announced through the
`Announce` that the store is given.
"""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any, Protocol

from simulators.paypal.amounts import money, parsed
from simulators.paypal.bodies import Bodies, Clock
from simulators.paypal.issues import IssueError
from simulators.paypal.resources import Capture, Dispute, Order, Refund, new_id

ORDER_KEYS_KEPT = dt.timedelta(hours=6)
PAYMENT_KEYS_KEPT = dt.timedelta(days=45)
APPROVAL_WINDOW = dt.timedelta(hours=3)
"""From creation to approval, and again from approval to capture."""
REFUND_WINDOW = dt.timedelta(days=180)
REFUND_TEXTS: tuple[str, ...] = ("invoice_id", "custom_id", "note_to_payer")
MAX_PAYMENT_ATTEMPTS = 10


class Announce(Protocol):
    """Where facts go."""

    def __call__(self, event_type: str, resource_type: str, summary: str, resource: dict[str, Any]) -> object: ...


class Store(Bodies):
    """Everything of one merchant's account."""

    def __init__(self, *, origin: Callable[[], str], merchant_id: str, clock: Clock, announce: Announce) -> None:
        super().__init__(origin=origin, merchant_id=merchant_id, clock=clock)
        self._announce = announce
        self.orders: dict[str, Order] = {}
        self.captures: dict[str, tuple[Order, Capture]] = {}
        self.refunds: dict[str, tuple[Order, Capture, Refund]] = {}
        self.disputes: dict[str, Dispute] = {}
        self._keys: dict[tuple[str, str], tuple[dt.datetime, object]] = {}
        self._captured_invoices: set[str] = set()

    # --- idempotency -------------------------------------------------------------------------------------------

    def replayed(self, operation: str, key: str | None, kept: dt.timedelta) -> object | None:
        """What an earlier request with this key made, while PayPal still remembers the key."""
        if key is None or (operation, key) not in self._keys:
            return None
        when, made = self._keys[operation, key]
        return made if self._clock() - when < kept else None

    def _remember(self, operation: str, key: str | None, made: object) -> None:
        if key is not None:
            self._keys[operation, key] = (self._clock(), made)

    # --- orders ------------------------------------------------------------------------------------------------

    def create(self, request: dict[str, Any], key: str | None) -> tuple[Order, bool]:
        """The order, and whether it is new.

        Raises:
            IssueError: the request is refused.
        """
        earlier = self.replayed("create", key, ORDER_KEYS_KEPT)
        if isinstance(earlier, Order):
            return earlier, False
        units = request["purchase_units"]
        value, currency = parsed(units[0].get("amount"), "/purchase_units/0/amount")
        status = "PAYER_ACTION_REQUIRED" if "payment_source" in request else "CREATED"
        order = Order(new_id(), request, value, currency, self._clock(), status)
        self.orders[order.id] = order
        self._remember("create", key, order)
        return order, True

    def find(self, order_id: str) -> Order:
        """The order as it stands now.

        Raises:
            IssueError: 404; also for an order that nobody approved within the window.
        """
        order = self.orders.get(order_id)
        if order is None:
            raise IssueError(404, "INVALID_RESOURCE_ID")
        self._expire(order)
        if order.status in ("CREATED", "PAYER_ACTION_REQUIRED") and self._late(order.created):
            raise IssueError(404, "INVALID_RESOURCE_ID")
        return order

    def _late(self, since: dt.datetime) -> bool:
        return self._clock() - since > APPROVAL_WINDOW

    def _expire(self, order: Order) -> None:
        if order.status == "APPROVED" and order.approved is not None and self._late(order.approved):
            order.status = "VOIDED"
            self._announce(
                "CHECKOUT.PAYMENT-APPROVAL.REVERSED",
                "checkout-order",
                "A payment has been reversed after approval.",
                {"order_id": order.id, "purchase_units": [self._unit(order)]},
            )

    def approve(self, order: Order) -> str:
        """The payer agrees; returns his PayerID."""
        order.payer_id = order.payer_id or new_id(13)
        if order.status in ("CREATED", "PAYER_ACTION_REQUIRED"):
            order.status = "APPROVED"
            order.approved = self._clock()
            self._announce(
                "CHECKOUT.ORDER.APPROVED",
                "checkout-order",
                "An order has been approved by buyer",
                self.order_body(order),
            )
        return order.payer_id

    # --- captures ----------------------------------------------------------------------------------------------

    def capture(self, order: Order, key: str | None, effect: dict[str, Any]) -> tuple[Order, bool]:
        """Take the money, and whether this call did it; `effect` may say `capture`, `reason` or `issue`.

        Raises:
            IssueError: not approved, already captured, declined.
        """
        if self.replayed("capture", key, ORDER_KEYS_KEPT) is order:
            return order, False
        if order.capture is not None:
            raise IssueError(422, "ORDER_ALREADY_CAPTURED")
        if order.status != "APPROVED":
            raise IssueError(422, "ORDER_NOT_APPROVED")
        if "issue" in effect:
            raise self._declined(order, effect["issue"])
        invoice = order.unit.get("invoice_id")
        if invoice in self._captured_invoices:
            raise IssueError(422, "DUPLICATE_INVOICE_ID")
        if invoice is not None:
            self._captured_invoices.add(invoice)
        status = effect.get("capture", "COMPLETED")
        order.capture = Capture(
            new_id(), order, order.value, order.currency, self._clock(), status, effect.get("reason")
        )
        order.status = "COMPLETED"
        self.captures[order.capture.id] = (order, order.capture)
        self._remember("capture", key, order)
        self._announce_capture(order.capture)
        return order, True

    def _declined(self, order: Order, issue: str) -> IssueError:
        order.declined += 1
        if order.declined > MAX_PAYMENT_ATTEMPTS:
            return IssueError(422, "MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED")
        if issue != "INSTRUMENT_DECLINED":
            return IssueError(422, issue)
        # The payer has to choose another way to pay for the same order.
        order.status = "PAYER_ACTION_REQUIRED" if order.names_paypal else "CREATED"
        order.created = self._clock()
        link = {"href": f"{self._origin()}/checkoutnow?token={order.id}", "rel": "redirect", "method": "GET"}
        return IssueError(422, issue, links=[link])

    def settle(self, capture: Capture, status: str) -> None:
        """A pending capture ends."""
        capture.status = status
        capture.reason = None
        self._announce_capture(capture)

    def _announce_capture(self, capture: Capture) -> None:
        # A capture that ends without the money is DECLINED in the resource and DENIED or DECLINED in the event's name.
        word = "DENIED" if capture.status in ("DECLINED", "FAILED") else capture.status
        amount = money(capture.value, capture.currency)
        self._announce(
            f"PAYMENT.CAPTURE.{word}",
            "capture",
            f"Payment {word.lower()} for {amount['currency_code']} {amount['value']}",
            self.capture_body(capture, full=True),
        )

    # --- refunds -----------------------------------------------------------------------------------------------

    def refund(
        self, capture: Capture, request: dict[str, Any], key: str | None, effect: dict[str, Any] | None = None
    ) -> Refund:
        """The refund that this key made or makes; without an amount all that is left is refunded.

        `effect` may say `refund`: the status that it has at first (PENDING: paid by eCheck), or `issue`: why not.

        Raises:
            IssueError: nothing left, too much, wrong currency, too late, not captured yet.
        """
        earlier = self.replayed(f"refund {capture.id}", key, PAYMENT_KEYS_KEPT)
        if isinstance(earlier, Refund):
            return earlier
        left = capture.value - capture.refunded
        self._check_refundable(capture, left)
        if effect and "issue" in effect:
            raise IssueError(422, effect["issue"])
        value, currency = (left, capture.currency)
        if "amount" in request:
            value, currency = parsed(request["amount"], "/amount")
        if currency != capture.currency:
            raise IssueError(422, "REFUND_CAPTURE_CURRENCY_MISMATCH")
        if value > left:
            raise IssueError(422, "REFUND_AMOUNT_EXCEEDED")
        fields: dict[str, str] = {name: request[name] for name in REFUND_TEXTS if name in request}
        status = (effect or {}).get("refund", "COMPLETED")
        refund = Refund(new_id(), value, currency, self._clock(), fields, status)
        self._keep_refund(capture, refund, "REFUNDED")
        self._remember(f"refund {capture.id}", key, refund)
        return refund

    def settle_refund(self, capture: Capture, refund: Refund, status: str) -> None:
        """A pending refund ends."""
        refund.status = status
        capture.restate()
        if status == "COMPLETED":
            self._announce_refund(capture, refund, "REFUNDED")

    def reverse(self, capture: Capture, value: Decimal | None = None) -> Refund:
        """PayPal takes money back by itself: a chargeback, a dispute that the buyer won; its key is nobody's."""
        refund = Refund(new_id(), value or capture.value - capture.refunded, capture.currency, self._clock(), {})
        self._keep_refund(capture, refund, "REVERSED")
        return refund

    def _keep_refund(self, capture: Capture, refund: Refund, word: str) -> None:
        capture.refunds.append(refund)
        capture.restate()
        self.refunds[refund.id] = (self.captures[capture.id][0], capture, refund)
        self._announce_refund(capture, refund, word)

    def _announce_refund(self, capture: Capture, refund: Refund, word: str) -> None:
        if refund.status != "COMPLETED":
            return
        self._announce(
            f"PAYMENT.CAPTURE.{word}",
            "refund",
            f"A {refund.currency} {money(refund.value, refund.currency)['value']} capture payment was {word.lower()}",
            self.refund_body(refund, capture, full=True),
        )

    def _check_refundable(self, capture: Capture, left: Decimal) -> None:
        if capture.status == "PENDING":
            raise IssueError(422, "PENDING_CAPTURE")
        if capture.status not in ("COMPLETED", "PARTIALLY_REFUNDED") or left == 0:
            raise IssueError(422, "CAPTURE_FULLY_REFUNDED")
        if self._clock() - capture.created > REFUND_WINDOW:
            raise IssueError(422, "REFUND_TIME_LIMIT_EXCEEDED")

    # --- the account's own list --------------------------------------------------------------------------------

    def transactions(self, since: dt.datetime, until: dt.datetime) -> list[dict[str, Any]]:
        """What moved on the account, oldest first: payments, and what went back (negative)."""
        moved = [
            (capture.created, capture.id, "T0006", capture.value, capture.currency, order.unit.get("custom_id"))
            for order, capture in self.captures.values()
            if capture.status in ("COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED")
        ] + [
            (refund.created, refund.id, "T1107", -refund.value, refund.currency, refund.fields.get("custom_id"))
            for _, _, refund in self.refunds.values()
            if refund.status == "COMPLETED"
        ]
        return [
            {
                "transaction_info": {
                    "transaction_id": reference,
                    "transaction_event_code": code,
                    "transaction_initiation_date": created.strftime("%Y-%m-%dT%H:%M:%S+0000"),
                    "transaction_amount": money(value, currency),
                    "transaction_status": "S",
                }
                | ({} if custom is None else {"custom_field": custom})
            }
            for created, reference, code, value, currency, custom in sorted(moved, key=lambda each: each[:2])
            if since <= created <= until
        ]

    # --- disputes ----------------------------------------------------------------------------------------------

    def dispute(self, capture: Capture, reason: str) -> Dispute:
        """The payer asks PayPal for his money back."""
        opened = Dispute(f"PP-D-{new_id(6)}", capture, self._clock(), reason)
        self.disputes[opened.id] = opened
        self._announce_dispute(opened, "CREATED")
        return opened

    def resolve(self, dispute: Dispute, outcome: str) -> None:
        """PayPal decides; where the buyer is right the capture is reversed."""
        dispute.status = "RESOLVED"
        dispute.outcome = outcome
        self._announce_dispute(dispute, "RESOLVED")
        if outcome == "RESOLVED_BUYER_FAVOUR":
            self.reverse(dispute.capture)

    def _announce_dispute(self, dispute: Dispute, word: str) -> None:
        summary = f"Dispute {word.lower()}"
        self._announce(f"CUSTOMER.DISPUTE.{word}", "dispute", summary, self.dispute_body(dispute))
