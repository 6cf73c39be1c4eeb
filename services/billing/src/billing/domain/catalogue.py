"""The catalogue as `create_plans` seeds it: three plans with their prices in XAF, EUR and USD, three ways to pay.

Ids are small integers in this order and never change: clients name them. EUR prices follow from XAF by the
fixed parity of the CFA franc (1 EUR = 655.957 XAF, Banque de France), half-up to the cent. USD has no parity: its
prices are a list of their own.
"""

from billing.domain.money import Money, xaf_to_eur
from billing.domain.plan import FEATURES, QUOTAS, RETENTION, BillingCycle, Method, PaymentMethod, Plan

CATALOGUE_CURRENCY = "XAF"
"""Currency that the catalogue is written in."""

CURRENCIES = ("XAF", "EUR", "USD")
"""Currencies that a plan can have a price in."""


MONTHS_CHARGED = {BillingCycle.MONTHLY: 1, BillingCycle.YEARLY: 10}
"""A year costs ten months."""


def _prices(francs: int, dollars: int) -> dict[tuple[BillingCycle, str], Money]:
    prices: dict[tuple[BillingCycle, str], Money] = {}
    for cycle, months in MONTHS_CHARGED.items():
        price = Money(francs * months, CATALOGUE_CURRENCY)
        prices[cycle, CATALOGUE_CURRENCY] = price
        prices[cycle, "EUR"] = xaf_to_eur(price)
        prices[cycle, "USD"] = Money(dollars * 100 * months, "USD")
    return prices


def _plan(
    number: int,
    name: str,
    description: tuple[str, str],
    price: tuple[int, int],
    quotas: tuple[int, int, int, int, int],
    features: tuple[bool, bool, bool, bool, bool, bool],
    retention: tuple[int, int],
) -> Plan:
    return Plan(
        id=number,
        name=name,
        display_name=name.capitalize(),
        description=description[0],
        description_en=description[1],
        quotas=dict(zip(QUOTAS, quotas, strict=True)),
        features=dict(zip(FEATURES, features, strict=True)),
        retention=dict(zip(RETENTION, retention, strict=True)),
        prices=_prices(*price),
    )


PLANS = (
    _plan(
        1,
        "bronze",
        ("Idéal pour les petites entreprises", "Ideal for small companies"),
        (25_000, 45),
        (2, 10, 100, 100, 2),
        (False, False, True, False, False, False),
        (7, 30),
    ),
    _plan(
        2,
        "silver",
        ("Pour les moyennes entreprises", "For medium-sized companies"),
        (50_000, 90),
        (5, 50, 500, 500, 5),
        (True, True, True, True, False, False),
        (14, 60),
    ),
    _plan(
        3,
        "gold",
        ("Pour les grandes entreprises", "For large companies"),
        (100_000, 180),
        (20, 200, 2_000, 2_000, 20),
        (True, True, True, True, True, True),
        (30, 90),
    ),
)

METHODS = (
    PaymentMethod(
        1,
        Method.PAYPAL,
        "PayPal",
        "Paiement sécurisé via PayPal",
        "Secure payment by PayPal",
        is_active=True,
        is_automatic=True,
    ),
    PaymentMethod(
        2,
        Method.MTN_MOMO,
        "MTN Mobile Money",
        "Paiement via MTN Mobile Money",
        "Payment by MTN Mobile Money",
        is_active=True,
        is_automatic=True,
    ),
    PaymentMethod(
        3,
        Method.BANK_TRANSFER,
        "Virement Bancaire",
        "Virement bancaire (vérification manuelle)",
        "Bank transfer (checked by a person)",
        is_active=True,
        is_automatic=False,
    ),
)

FEATURE_LABELS = {
    "has_replication": ("Réplication de machines virtuelles", "Replication of virtual machines"),
    "has_surebackup": ("Vérification des sauvegardes par restauration", "Verification of backups by restoring them"),
    "has_email_notifications": ("Notifications par e-mail", "E-mail notifications"),
    "has_advanced_monitoring": ("Supervision avancée", "Advanced monitoring"),
    "has_api_access": ("Accès à l'API", "API access"),
    "has_priority_support": ("Assistance prioritaire", "Priority support"),
}
"""What people read for each feature: French, English."""
