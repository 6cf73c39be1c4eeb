"""Billing's tables. Table objects never leave ``persistence``.

Amounts are integers in the currency's minor unit. Keys of tenant tables begin with ``tenant_id``; the unique indexes
that do not (callback token, references of providers, numbers of invoices and credit notes) guard facts that are unique
beyond one tenant and hold nothing that a tenant chooses.
"""

from billing.persistence.tables.books import (
    credit_notes,
    invoice_counters,
    invoice_lines,
    invoices,
    ledger_entries,
    ledger_postings,
)
from billing.persistence.tables.catalogue import (
    coupon_tries,
    coupon_uses,
    coupons,
    payment_methods,
    plan_prices,
    plan_versions,
    plans,
)
from billing.persistence.tables.columns import metadata
from billing.persistence.tables.orders import coupon_redemptions, orders, payment_allocations, payments, receipts
from billing.persistence.tables.providers import payment_prompts, provider_budgets, webhook_events
from billing.persistence.tables.returns import cases, disputes, refunds
from billing.persistence.tables.statements import (
    bank_statement_lines,
    bank_statements,
    reconciliations,
    unmatched_movements,
)
from billing.persistence.tables.subscriptions import (
    organization_particulars,
    organizations,
    subscription_periods,
    subscriptions,
    usage_figures,
)

__all__ = [
    "bank_statement_lines",
    "bank_statements",
    "cases",
    "coupon_redemptions",
    "coupon_tries",
    "coupon_uses",
    "coupons",
    "credit_notes",
    "disputes",
    "invoice_counters",
    "invoice_lines",
    "invoices",
    "ledger_entries",
    "ledger_postings",
    "metadata",
    "orders",
    "organization_particulars",
    "organizations",
    "payment_allocations",
    "payment_methods",
    "payment_prompts",
    "payments",
    "plan_prices",
    "plan_versions",
    "plans",
    "provider_budgets",
    "receipts",
    "reconciliations",
    "refunds",
    "subscription_periods",
    "subscriptions",
    "unmatched_movements",
    "usage_figures",
    "webhook_events",
]
