"""How PayPal writes its resources: orders, captures, refunds, disputes."""

import datetime as dt
from collections.abc import Callable
from typing import Any

from simulators.paypal.amounts import money
from simulators.paypal.resources import Capture, Dispute, Order, Refund, stamp

Clock = Callable[[], dt.datetime]


class Bodies:
    """The JSON of one merchant's resources.

    Args:
        origin: Where links lead.
        merchant_id: Who is paid.
        clock: The time.
    """

    def __init__(self, *, origin: Callable[[], str], merchant_id: str, clock: Clock) -> None:
        self._origin = origin
        self._merchant_id = merchant_id
        self._clock = clock

    def dispute_body(self, dispute: Dispute) -> dict[str, Any]:
        """The dispute resource."""
        capture = dispute.capture
        order = capture.order
        disputed = {
            "seller_transaction_id": capture.id,
            "create_time": stamp(capture.created),
            "transaction_status": "COMPLETED",
            "gross_amount": money(capture.value, capture.currency),
            "seller": {"merchant_id": self._merchant_id},
        }
        disputed |= {"custom": order.unit["custom_id"]} if "custom_id" in order.unit else {}
        body: dict[str, Any] = {
            "dispute_id": dispute.id,
            "create_time": stamp(dispute.created),
            "update_time": stamp(self._clock()),
            "disputed_transactions": [disputed],
            "reason": dispute.reason,
            "status": dispute.status,
            "dispute_amount": money(capture.value, capture.currency),
            "dispute_life_cycle_stage": "CHARGEBACK",
            "links": [self._link(f"/v1/customer/disputes/{dispute.id}", "self", "GET")],
        }
        if dispute.outcome is not None:
            body["dispute_outcome"] = {"outcome_code": dispute.outcome}
        return body

    def _link(self, path: str, rel: str, method: str) -> dict[str, str]:
        return {"href": f"{self._origin()}{path}", "rel": rel, "method": method}

    def order_body(self, order: Order, *, full: bool = True) -> dict[str, Any]:
        """The order resource; minimal is id, status and links only."""
        path = f"/v2/checkout/orders/{order.id}"
        links = [self._link(path, "self", "GET")]
        if order.status in ("CREATED", "PAYER_ACTION_REQUIRED"):
            rel = "payer-action" if order.names_paypal else "approve"
            links.append(self._link(f"/checkoutnow?token={order.id}", rel, "GET"))
        if order.status == "APPROVED":
            links.append(self._link(f"{path}/capture", "capture", "POST"))
        body: dict[str, Any] = {"id": order.id, "status": order.status, "links": links}
        if not full:
            return body
        body |= {
            "intent": order.request["intent"],
            "purchase_units": [self._unit(order)],
            "create_time": stamp(order.created),
        }
        if order.payer_id is not None:
            body["payer"] = {"payer_id": order.payer_id, "email_address": "payer@client.example"}
            body["payment_source"] = {"paypal": {"account_id": order.payer_id, "account_status": "VERIFIED"}}
        return body

    def _unit(self, order: Order) -> dict[str, Any]:
        unit = {
            "reference_id": order.unit.get("reference_id", "default"),
            "amount": money(order.value, order.currency),
            "payee": {"merchant_id": self._merchant_id},
        }
        unit |= {name: order.unit[name] for name in ("custom_id", "invoice_id", "description") if name in order.unit}
        if order.capture is not None:
            payments: dict[str, Any] = {"captures": [self.capture_body(order.capture, full=False)]}
            if order.capture.refunds:
                payments["refunds"] = [
                    self.refund_body(refund, order.capture, full=True) for refund in order.capture.refunds
                ]
            unit["payments"] = payments
        return unit

    def capture_body(self, capture: Capture, *, full: bool) -> dict[str, Any]:
        """The capture resource; `full` adds payee and order, as GET and the events have them."""
        order = capture.order
        path = f"/v2/payments/captures/{capture.id}"
        body: dict[str, Any] = {
            "id": capture.id,
            "status": capture.status,
            "amount": money(capture.value, capture.currency),
            "final_capture": True,
            "create_time": stamp(capture.created),
            "update_time": stamp(capture.created),
            "links": [
                self._link(path, "self", "GET"),
                self._link(f"{path}/refund", "refund", "POST"),
                self._link(f"/v2/checkout/orders/{order.id}", "up", "GET"),
            ],
        }
        body |= {name: order.unit[name] for name in ("custom_id", "invoice_id") if name in order.unit}
        if capture.reason is not None:
            body["status_details"] = {"reason": capture.reason}
        if full:
            body["payee"] = {"merchant_id": self._merchant_id}
            body["supplementary_data"] = {"related_ids": {"order_id": order.id}}
        return body

    def refund_body(self, refund: Refund, capture: Capture, *, full: bool) -> dict[str, Any]:
        """The refund resource."""
        body: dict[str, Any] = {
            "id": refund.id,
            "status": refund.status,
            "links": [
                self._link(f"/v2/payments/refunds/{refund.id}", "self", "GET"),
                self._link(f"/v2/payments/captures/{capture.id}", "up", "GET"),
            ],
        }
        if full:
            body |= {"amount": money(refund.value, refund.currency), "create_time": stamp(refund.created)}
            body |= refund.fields
        return body
