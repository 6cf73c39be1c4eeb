"""Plans, their prices and features, payment methods."""

from common.web import Answer

from billing.domain.catalogue import CATALOGUE_CURRENCY, FEATURE_LABELS
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

    @classmethod
    def of(cls, plan: Plan, language: str) -> "PlanOut":
        monthly = plan.prices[BillingCycle.MONTHLY, CATALOGUE_CURRENCY]
        yearly = plan.prices[BillingCycle.YEARLY, CATALOGUE_CURRENCY]
        return cls(
            id=plan.id,
            name=plan.name,
            display_name=plan.display_name,
            description=plan.description if language == "fr" else plan.description_en,
            monthly_price=monthly.decimal(),
            yearly_price=yearly.decimal(),
            currency=CATALOGUE_CURRENCY,
            prices=[
                PriceOut(currency=currency, billing_cycle=cycle, amount=price.decimal())
                for (cycle, currency), price in plan.prices.items()
            ],
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

    @classmethod
    def of(cls, method: PaymentMethod, language: str) -> "MethodOut":
        return cls(
            id=method.id,
            name=method.name,
            display_name=method.display_name,
            description=method.description if language == "fr" else method.description_en,
            is_active=method.is_active,
            is_automatic=method.is_automatic,
        )
