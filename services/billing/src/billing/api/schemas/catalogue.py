"""Plans, their prices and features, payment methods."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from common.web import Answer, Body
from pydantic import Field, StrictBool, StrictInt

from billing.domain.catalogue import FEATURE_LABELS
from billing.domain.money import Money
from billing.domain.plan import FEATURES, BillingCycle, PaymentMethod, Plan


class PriceOut(Answer):
    currency: str
    billing_cycle: str
    amount: str


class PlanOut(Answer):
    id: int
    name: str
    display_name: str
    description: str
    monthly_price: str
    yearly_price: str
    currency: str
    prices: list[PriceOut]
    max_esxi_servers: int
    max_vms: int
    max_backups_per_month: int
    max_storage_gb: int
    max_users: int
    has_replication: bool
    has_surebackup: bool
    has_email_notifications: bool
    has_advanced_monitoring: bool
    has_api_access: bool
    has_priority_support: bool
    snapshot_retention_days: int
    backup_retention_days: int
    trial_days: int

    @classmethod
    def of(cls, plan: Plan, language: str, currency: str) -> "PlanOut":
        monthly = plan.prices[BillingCycle.MONTHLY, currency]
        yearly = plan.prices[BillingCycle.YEARLY, currency]
        return cls(
            id=plan.id,
            name=plan.name,
            display_name=plan.display_name,
            description=plan.description if language == "fr" else plan.description_en,
            monthly_price=monthly.decimal(),
            yearly_price=yearly.decimal(),
            currency=currency,
            prices=[
                PriceOut(currency=price.currency, billing_cycle=cycle, amount=price.decimal())
                for (cycle, _), price in plan.prices.items()
            ],
            trial_days=plan.trial_days,
            **plan.quotas,
            **plan.features,
            **plan.retention,
        )


class FeatureOut(Answer):
    name: str
    enabled: bool
    label: str


def features_of(plan: Plan, language: str) -> list[FeatureOut]:
    """Return a plan's switches with what people read for each."""
    return [
        FeatureOut(name=name, enabled=plan.features[name], label=FEATURE_LABELS[name][language != "fr"])
        for name in FEATURES
    ]


class MethodOut(Answer):
    id: int
    name: str
    display_name: str
    description: str
    is_active: bool
    is_automatic: bool
    currencies: list[str] = Field(description="Of the orders that it pays")
    max_amount: str | None = Field(None, description="Most that one payment may be; hide the method above it")
    max_currency: str | None = Field(None, description="Currency of max_amount, in which it charges")

    @classmethod
    def of(cls, method: PaymentMethod, language: str, currencies: list[str], most: Money | None = None) -> "MethodOut":
        return cls(
            id=method.id,
            name=method.name,
            display_name=method.display_name,
            description=method.description if language == "fr" else method.description_en,
            is_active=method.is_active,
            is_automatic=method.is_automatic,
            currencies=currencies,
            max_amount=most.decimal() if most else None,
            max_currency=most.currency if most else None,
        )


Count = Annotated[StrictInt, Field(ge=0, le=2**31 - 1)]


class PriceIn(Body):
    billing_cycle: BillingCycle
    currency: Literal["XAF", "EUR", "USD"]
    amount: str = Field(max_length=30)


class ChangePlanIn(Body):
    """What changes of a plan; what is not named stays."""

    prices: list[PriceIn] = Field([], max_length=6)
    quotas: dict[
        Literal["max_esxi_servers", "max_vms", "max_backups_per_month", "max_storage_gb", "max_users"], Count
    ] = Field({})
    trial_days: Annotated[StrictInt, Field(ge=0, le=366)] | None = Field(
        None, description="Free days before the first paid period of a new organization"
    )
    is_active: StrictBool | None = Field(None, description="Whether it is on sale")
    also_renewals: StrictBool = Field(
        default=False, description="Renewals get the new terms too; otherwise each is renewed as it was bought"
    )
    reason: str = Field(min_length=3, max_length=500, description="Why, for the audit log")


class PlanVersionOut(Answer):
    version: int
    terms: dict[str, Any]
    changed_by: UUID | None
    reason: str
    created_at: datetime
