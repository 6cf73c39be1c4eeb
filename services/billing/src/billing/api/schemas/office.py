"""What finance reads across organizations."""

from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from common.web import Answer, Body
from pydantic import Field

from billing.api.schemas.orders import OrderOut
from billing.api.schemas.refunds import Reason
from billing.domain.coupon import Coupon
from billing.domain.dispute import Dispute
from billing.domain.money import Money
from billing.domain.order import Order
from billing.domain.plan import BillingCycle
from billing.domain.reconciliation import Run
from billing.domain.revenue import Revenue
from billing.persistence.cases import Case
from billing.workflows.ordering import PlanWanted


class PlanWantedIn(Body):
    """The plan that a customer asked finance for."""

    plan_id: int = Field(ge=1, le=2**31 - 1, strict=True)
    billing_cycle: BillingCycle
    effective: Literal["now", "period_end"] | None = Field(None, description="As in an order of the customer's own")
    coupon_code: str | None = Field(None, max_length=60)
    reason: Reason

    @property
    def wanted(self) -> PlanWanted:
        """Return the wish."""
        return PlanWanted(
            plan_id=self.plan_id,
            billing_cycle=self.billing_cycle,
            effective_now=self.effective == "now",
            coupon_code=self.coupon_code or None,
            reason=self.reason,
        )


class OfficeOrderOut(OrderOut):
    organization_id: UUID
    refunded_amount: str

    @classmethod
    def of_tenant(cls, order: Order) -> "OfficeOrderOut":
        return cls(
            **OrderOut.of(order, None).model_dump(),
            organization_id=order.tenant_id,
            refunded_amount=Money(order.refunded_minor, order.amounts.currency).decimal(),
        )


class OfficeCouponOut(Answer):
    id: UUID
    code: str
    percent: str | None
    amounts: dict[str, str]
    minimum: dict[str, str]
    plan_ids: list[int]
    valid_from: datetime | None
    valid_until: datetime | None
    redemptions: int
    max_redemptions: int | None
    max_per_customer: int | None
    is_active: bool

    @classmethod
    def of(cls, coupon: Coupon) -> "OfficeCouponOut":
        percent = coupon.percent_hundredths
        return cls(
            id=coupon.id,
            code=coupon.code,
            percent=None if percent is None else f"{percent // 100}.{percent % 100:02d}",
            amounts={currency: Money(minor, currency).decimal() for currency, minor in coupon.fixed.items()},
            minimum={currency: Money(minor, currency).decimal() for currency, minor in coupon.minimum.items()},
            plan_ids=list(coupon.plan_ids),
            valid_from=coupon.valid_from,
            valid_until=coupon.valid_until,
            redemptions=coupon.redemptions,
            max_redemptions=coupon.max_redemptions,
            max_per_customer=coupon.max_per_customer,
            is_active=coupon.is_active,
        )


class CaseOut(Answer):
    id: UUID
    organization_id: UUID
    kind: str
    payment_id: UUID
    reference: str
    details: dict[str, Any]
    opened_at: datetime
    closed_at: datetime | None
    closed_by: UUID | None
    note: str | None

    @classmethod
    def of(cls, case: Case) -> "CaseOut":
        return cls(
            id=case.id,
            organization_id=case.tenant_id,
            kind=case.kind,
            payment_id=case.payment_id,
            reference=case.reference,
            details=case.details,
            opened_at=case.opened_at,
            closed_at=case.closed_at,
            closed_by=case.closed_by,
            note=case.note,
        )


class DisputeOut(Answer):
    id: UUID
    organization_id: UUID
    payment_id: UUID
    kind: str
    reference: str
    status: str
    reason: str
    amount: str | None
    currency: str | None
    opened_at: datetime
    resolved_at: datetime | None
    lifted_at: datetime | None
    lifted_by: UUID | None

    @classmethod
    def of(cls, dispute: Dispute) -> "DisputeOut":
        return cls(
            id=dispute.id,
            organization_id=dispute.tenant_id,
            payment_id=dispute.payment_id,
            kind=dispute.kind,
            reference=dispute.reference,
            status=dispute.status,
            reason=dispute.reason,
            amount=dispute.amount.decimal() if dispute.amount else None,
            currency=dispute.amount.currency if dispute.amount else None,
            opened_at=dispute.opened_at,
            resolved_at=dispute.resolved_at,
            lifted_at=dispute.lifted_at,
            lifted_by=dispute.lifted_by,
        )


class RunOut(Answer):
    provider: str
    day: date
    finished_at: datetime | None
    checked: int
    differences: int
    is_listed: bool

    @classmethod
    def of(cls, run: Run) -> "RunOut":
        return cls(
            provider=run.provider,
            day=run.day,
            finished_at=run.finished_at,
            checked=run.checked,
            differences=run.differences,
            is_listed=run.is_listed,
        )


class MovementOut(Answer):
    provider: str
    reference: str
    amount: str | None
    currency: str | None
    occurred_at: datetime
    found_on: date


class MoneyOut(Answer):
    amount: str
    currency: str

    @classmethod
    def of(cls, money: Money) -> "MoneyOut":
        return cls(amount=money.decimal(), currency=money.currency)


class FlowOut(Answer):
    payment_method: str
    currency: str
    received: str
    refunded: str


class RevenueOut(Answer):
    since: datetime
    until: datetime
    mrr: list[MoneyOut] = Field(description="At the window's end, or now; a month of each running subscription")
    mrr_at_start: list[MoneyOut]
    mrr_churned: list[MoneyOut] = Field(description="Of that, what does not run at the end")
    active_subscriptions: int
    active_at_start: int
    ended: int
    churn_percent: str
    invoiced: list[MoneyOut]
    by_method: list[FlowOut]

    @classmethod
    def of(cls, revenue: Revenue) -> "RevenueOut":
        return cls(
            since=revenue.since,
            until=revenue.until,
            mrr=[MoneyOut.of(money) for money in revenue.mrr],
            mrr_at_start=[MoneyOut.of(money) for money in revenue.mrr_at_start],
            mrr_churned=[MoneyOut.of(money) for money in revenue.mrr_churned],
            active_subscriptions=revenue.active,
            active_at_start=revenue.active_at_start,
            ended=revenue.ended,
            churn_percent=revenue.churn_percent,
            invoiced=[MoneyOut.of(money) for money in revenue.invoiced],
            by_method=[
                FlowOut(
                    payment_method=flow.method,
                    currency=flow.received.currency,
                    received=flow.received.decimal(),
                    refunded=flow.refunded.decimal(),
                )
                for flow in revenue.flows
            ],
        )
