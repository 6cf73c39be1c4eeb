"""Plans: what is sold, at which price per currency and cycle, and the copy of it that an order keeps.

Not here: the catalogue's rows (``domain.catalogue``) and how a total comes about (``domain.pricing``).
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from billing.domain.money import Money

QUOTAS = ("max_esxi_servers", "max_vms", "max_backups_per_month", "max_storage_gb", "max_users")
"""Names of the limits, in the order in which they are shown."""

FEATURES = (
    "has_replication",
    "has_surebackup",
    "has_email_notifications",
    "has_advanced_monitoring",
    "has_api_access",
    "has_priority_support",
)
"""Names of the switches, in the order in which they are shown."""

RETENTION = ("snapshot_retention_days", "backup_retention_days")
"""Names of the retention limits, in days."""


class BillingCycle(StrEnum):
    """How long one paid period lasts."""

    MONTHLY = "monthly"
    YEARLY = "yearly"

    @property
    def months(self) -> int:
        """Calendar months of one period."""
        return 12 if self is BillingCycle.YEARLY else 1


@dataclass(frozen=True, slots=True)
class BoughtPlan:
    """A plan as it was when it was ordered; later changes of the catalogue leave it alone."""

    id: int
    name: str
    display_name: str
    quotas: dict[str, int]
    features: dict[str, bool]
    retention: dict[str, int]
    version: int = 1
    trial_days: int = 0

    def document(self) -> dict[str, Any]:
        """Return it as JSON, for a row or an event."""
        return {
            "id": self.id,
            "name": self.name,
            "display_name": self.display_name,
            "quotas": self.quotas,
            "features": self.features,
            "retention": self.retention,
            "version": self.version,
            "trial_days": self.trial_days,
        }

    @classmethod
    def of(cls, document: dict[str, Any]) -> "BoughtPlan":
        """Read what `document` wrote, now or before there were versions; keys of a later one are left out."""
        return cls(**{name: document[name] for name in cls.__slots__ if name in document})


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan on sale. ``prices`` maps (cycle, currency) to the price before discount and tax.

    Each change makes a new ``version``; what was bought keeps its own. ``renewals_from`` is the oldest version that is
    still renewed as it was bought. ``trial_days`` are free and come before the first paid period.
    """

    id: int
    name: str
    display_name: str
    description: str
    description_en: str
    quotas: dict[str, int]
    features: dict[str, bool]
    retention: dict[str, int]
    prices: dict[tuple[BillingCycle, str], Money]
    is_active: bool = True
    version: int = 1
    renewals_from: int = 1
    trial_days: int = 0

    def price(self, cycle: BillingCycle, currency: str) -> Money | None:
        """Return the price, or ``None`` where the plan is not sold in that currency."""
        return self.prices.get((cycle, currency))

    def currencies(self, cycle: BillingCycle) -> list[str]:
        """Return the currencies that it has a price in."""
        return sorted(currency for priced, currency in self.prices if priced is cycle)

    def bought(self) -> BoughtPlan:
        """Return the copy that an order keeps."""
        return BoughtPlan(
            self.id,
            self.name,
            self.display_name,
            self.quotas,
            self.features,
            self.retention,
            self.version,
            self.trial_days,
        )

    def terms(self) -> dict[str, Any]:
        """Return what a version of the plan consists of, as JSON for its row."""
        return {
            "display_name": self.display_name,
            "description": self.description,
            "description_en": self.description_en,
            "quotas": self.quotas,
            "features": self.features,
            "retention": self.retention,
            "trial_days": self.trial_days,
            "is_active": self.is_active,
            "prices": [
                {"billing_cycle": cycle.value, "currency": currency, "amount_minor": price.amount_minor}
                for (cycle, currency), price in sorted(self.prices.items())
            ],
        }

    def at(self, version: int, terms: dict[str, Any]) -> "Plan":
        """Return the plan as an older version's `terms` say."""
        prices = {
            (BillingCycle(price["billing_cycle"]), price["currency"]): Money(price["amount_minor"], price["currency"])
            for price in terms["prices"]
        }
        return replace(self, **(terms | {"prices": prices, "version": version}))


@dataclass(frozen=True, slots=True)
class PaymentMethod:
    """A way to pay. ``is_automatic`` says that no person has to approve it."""

    id: int
    name: str
    display_name: str
    description: str
    description_en: str
    is_active: bool
    is_automatic: bool


class Method(StrEnum):
    """Names of the ways to pay."""

    PAYPAL = "paypal"
    MTN_MOMO = "mtn_momo"
    BANK_TRANSFER = "bank_transfer"


METHOD_LABELS = {
    Method.PAYPAL: "PayPal",
    Method.MTN_MOMO: "MTN Mobile Money",
    Method.BANK_TRANSFER: "Virement bancaire",
}
"""Names of the ways to pay, as people know them."""
