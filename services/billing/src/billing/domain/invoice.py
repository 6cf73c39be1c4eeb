"""An invoice: what an order's customer receives once it is paid. It never changes after it has its number."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from billing.domain.money import Money
from billing.domain.order import Customer, Order
from billing.domain.period import Period
from billing.domain.plan import BillingCycle
from billing.domain.pricing import Amounts, TaxRate


@dataclass(frozen=True, slots=True)
class Issuer:
    """Who issues invoices. ``code`` keys the counter; ``tax_rates`` is empty where no VAT is charged.

    ``legal`` is its form and capital, ``tax_regime`` and ``tax_office`` are what Cameroonian invoices name besides.
    """

    code: str
    name: str
    address: str
    email: str
    rccm: str
    niu: str
    tax_rates: tuple[TaxRate, ...]
    legal: str = ""
    phone: str = ""
    tax_regime: str = ""
    tax_office: str = ""

    def document(self) -> dict[str, str]:
        """Return what is frozen on the invoice."""
        return {
            "code": self.code,
            "name": self.name,
            "address": self.address,
            "email": self.email,
            "rccm": self.rccm,
            "niu": self.niu,
            "legal": self.legal,
            "phone": self.phone,
            "tax_regime": self.tax_regime,
            "tax_office": self.tax_office,
        }


@dataclass(frozen=True, slots=True)
class Settlement:
    """The payment that covered an invoice: its method, our reference for it, and when its money was ours."""

    method: str
    reference: str
    paid_at: datetime


@dataclass(frozen=True, slots=True)
class InvoiceLine:
    """One line; ``kind`` is item, discount, credit or tax. Discounts and credits are negative."""

    kind: str
    label: str
    label_en: str
    quantity: int
    unit: Money
    total: Money


@dataclass(frozen=True, slots=True, kw_only=True)
class Invoice:
    """One invoice, as its rows."""

    tenant_id: UUID
    id: UUID
    order_id: UUID
    order_number: str
    issuer: dict[str, str]
    year: int
    sequence: int
    number: str
    issued_at: datetime
    customer: Customer
    language: str
    amounts: Amounts
    lines: tuple[InvoiceLine, ...]
    period: Period
    settlement: Settlement | None = None


CYCLE_LABELS = {BillingCycle.MONTHLY: ("1 mois", "1 month"), BillingCycle.YEARLY: ("1 an", "1 year")}


def number_of(issuer_code: str, year: int, sequence: int) -> str:
    """Return the printed number; it sorts as it counts."""
    return f"{issuer_code}-{year}-{sequence:06d}"


def invoice_lines(order: Order) -> tuple[InvoiceLine, ...]:
    """Return the lines of an order's invoice; with their taxes they sum to the order's total."""
    amounts = order.amounts
    french, english = CYCLE_LABELS[order.cycle]
    plan = order.plan.display_name
    lines = [
        InvoiceLine(
            "item",
            f"Abonnement ESXi Backup Manager {plan}, {french}",
            f"ESXi Backup Manager subscription {plan}, {english}",
            1,
            amounts.subtotal,
            amounts.subtotal,
        )
    ]
    if amounts.discount:
        code = order.coupon_code or ""
        lines.append(
            InvoiceLine("discount", f"Remise {code}", f"Discount {code}", 1, -amounts.discount, -amounts.discount)
        )
    if amounts.credit:
        lines.append(
            InvoiceLine(
                "credit",
                "Avoir sur la période en cours",
                "Credit for the running period",
                1,
                -amounts.credit,
                -amounts.credit,
            )
        )
    lines += [
        InvoiceLine("tax", line.rate.label, line.rate.label_en, 1, line.amount, line.amount) for line in amounts.taxes
    ]
    return tuple(lines)
