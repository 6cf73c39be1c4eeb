"""Billing's tables. Table objects never leave ``persistence``.

Amounts are integers in the currency's minor unit. Keys of tenant tables begin with ``tenant_id``; the three unique
constraints that do not (callback token, provider reference, invoice number) guard facts that are unique beyond one
tenant and hold nothing that a tenant chooses.
"""

from common.persistence.tables import at, metadata_for, tenant_id
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    SmallInteger,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = metadata_for()


def _minor(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


def _currency(name: str = "currency", *, nullable: bool = False) -> Column[str]:
    return Column(name, String(3), nullable=nullable)


def _to_order(column: str = "order_id") -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["tenant_id", column], ["orders.tenant_id", "orders.id"])


def _to_payment() -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["tenant_id", "payment_id"], ["payments.tenant_id", "payments.id"])


plans = Table(
    "plans",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", String(40), nullable=False, unique=True),
    Column("display_name", String(80), nullable=False),
    Column("description", Text, nullable=False),
    Column("description_en", Text, nullable=False),
    Column("quotas", JSONB, nullable=False),
    Column("features", JSONB, nullable=False),
    Column("retention", JSONB, nullable=False),
    Column("is_active", Boolean, nullable=False),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("renewals_from", Integer, nullable=False, server_default="1"),
    Column("trial_days", Integer, nullable=False, server_default="0"),
    CheckConstraint("renewals_from between 1 and version", name="renewals"),
    CheckConstraint("trial_days between 0 and 366", name="trial"),
)

plan_versions = Table(
    "plan_versions",
    metadata,
    Column("plan_id", Integer, nullable=False),
    Column("version", Integer, nullable=False),
    Column("terms", JSONB, nullable=False),
    Column("changed_by", Uuid),
    Column("reason", Text, nullable=False),
    at("created_at"),
    PrimaryKeyConstraint("plan_id", "version"),
    ForeignKeyConstraint(["plan_id"], ["plans.id"]),
)
"""What each version of a plan consists of; rows never change. ``changed_by`` is null for what `create_plans` wrote."""

plan_prices = Table(
    "plan_prices",
    metadata,
    Column("plan_id", Integer, nullable=False),
    Column("billing_cycle", String(10), nullable=False),
    _currency(),
    _minor("amount_minor"),
    PrimaryKeyConstraint("plan_id", "billing_cycle", "currency"),
    ForeignKeyConstraint(["plan_id"], ["plans.id"]),
    CheckConstraint("amount_minor > 0", name="positive"),
)

payment_methods = Table(
    "payment_methods",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", String(40), nullable=False, unique=True),
    Column("display_name", String(80), nullable=False),
    Column("description", Text, nullable=False),
    Column("description_en", Text, nullable=False),
    Column("is_active", Boolean, nullable=False),
    Column("is_automatic", Boolean, nullable=False),
)

coupons = Table(
    "coupons",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("code", String(60), nullable=False, unique=True),
    Column("percent_hundredths", Integer),
    Column("fixed", JSONB, nullable=False),
    Column("minimum", JSONB, nullable=False),
    Column("plan_ids", ARRAY(Integer), nullable=False),
    at("valid_from", nullable=True),
    at("valid_until", nullable=True),
    Column("max_redemptions", Integer),
    Column("max_per_customer", Integer),
    Column("redemptions", Integer, nullable=False),
    CheckConstraint("percent_hundredths between 0 and 10000", name="percent"),
    CheckConstraint("redemptions >= 0", name="not_negative"),
    CheckConstraint("max_redemptions is null or redemptions <= max_redemptions", name="within_limit"),
)

coupon_uses = Table(
    "coupon_uses",
    metadata,
    Column("coupon_id", Uuid, nullable=False),
    Column("customer_key", LargeBinary, nullable=False),
    Column("uses", Integer, nullable=False),
    PrimaryKeyConstraint("coupon_id", "customer_key"),
    ForeignKeyConstraint(["coupon_id"], ["coupons.id"]),
    CheckConstraint("uses >= 0", name="not_negative"),
)
"""Uses per customer across his organizations; the customer is a hash, so that the counter names nobody."""

orders = Table(
    "orders",
    metadata,
    tenant_id(),
    Column("id", Uuid, nullable=False),
    Column("user_id", Uuid, nullable=False),
    Column("order_number", String(40), nullable=False),
    Column("kind", String(10), nullable=False),
    Column("plan_id", Integer, nullable=False),
    Column("plan", JSONB, nullable=False),
    Column("billing_cycle", String(10), nullable=False),
    Column("customer_name", String(200), nullable=False),
    Column("customer_email", String(320), nullable=False),
    Column("customer_phone", String(40)),
    Column("customer_address", String(300)),
    Column("customer_rccm", String(60)),
    Column("customer_niu", String(60)),
    Column("language", String(2), nullable=False),
    _currency(),
    _minor("subtotal_minor"),
    _minor("discount_minor"),
    _minor("credit_minor"),
    _minor("total_minor"),
    Column("taxes", JSONB, nullable=False),
    Column("coupon_id", Uuid),
    Column("coupon_code", String(60)),
    Column("status", String(20), nullable=False),
    Column("payment_status", String(20), nullable=False),
    _minor("allocated_minor"),
    Column("refunded_minor", BigInteger, nullable=False, server_default="0"),
    Column("fingerprint", String(64), nullable=False),
    at("effective_at", nullable=True),
    at("expires_at", nullable=True),
    at("created_at"),
    at("updated_at"),
    PrimaryKeyConstraint("tenant_id", "id"),
    UniqueConstraint("tenant_id", "order_number"),
    Index("ix_orders_user", "user_id", "id"),
    Index("ix_orders_expiring", "expires_at", postgresql_where=text("expires_at is not null")),
    CheckConstraint("total_minor >= 0 and discount_minor between 0 and subtotal_minor", name="amounts"),
    CheckConstraint("allocated_minor between 0 and total_minor", name="allocated"),
    CheckConstraint("refunded_minor between 0 and allocated_minor", name="refunded"),
)

payments = Table(
    "payments",
    metadata,
    tenant_id(),
    Column("id", Uuid, nullable=False),
    Column("user_id", Uuid, nullable=False),
    Column("order_id", Uuid, nullable=False),
    Column("method", String(20), nullable=False),
    Column("status", String(20), nullable=False),
    _minor("amount_minor"),
    _currency(),
    _minor("charged_minor"),
    _currency("charged_currency"),
    Column("rate_numerator", BigInteger, nullable=False),
    Column("rate_denominator", BigInteger, nullable=False),
    _minor("settled_minor", nullable=True),
    _currency("settled_currency", nullable=True),
    Column("reference", String(60), nullable=False),
    Column("provider_reference", String(80)),
    Column("receipt_reference", String(80)),
    Column("create_request_id", String(108), nullable=False),
    Column("capture_request_id", String(108), nullable=False),
    Column("captures", Integer, nullable=False),
    Column("callback_token", String(64)),
    Column("phone_number", String(40)),
    Column("return_url", Text),
    Column("cancel_url", Text),
    Column("redirect_url", Text),
    Column("reason_code", String(80)),
    Column("submitted_by", Uuid),
    Column("approved_by", Uuid),
    Column("note", Text),
    Column("language", String(2), nullable=False),
    Column("trace", JSONB),  # where the customer's request was: every later answer of the provider goes on there
    Column("polls", Integer, nullable=False),
    at("next_poll_at", nullable=True),
    at("last_poll_at", nullable=True),
    at("created_at"),
    at("updated_at"),
    at("completed_at", nullable=True),
    PrimaryKeyConstraint("tenant_id", "id"),
    _to_order(),
    UniqueConstraint("tenant_id", "reference"),
    Index("uq_payments_callback_token", "callback_token", unique=True),
    Index("uq_payments_method_provider_reference", "method", "provider_reference", unique=True),
    Index("uq_payments_method_receipt_reference", "method", "receipt_reference", unique=True),
    Index("ix_payments_order", "tenant_id", "order_id"),
    Index("ix_payments_user", "user_id", "id"),
    Index("ix_payments_submitted", "reference", postgresql_where=text("status = 'submitted'")),
    Index("ix_payments_due", "next_poll_at", postgresql_where=text("next_poll_at is not null")),
    CheckConstraint("amount_minor > 0 and charged_minor > 0", name="positive"),
)

payment_allocations = Table(
    "payment_allocations",
    metadata,
    tenant_id(),
    Column("payment_id", Uuid, nullable=False),
    Column("order_id", Uuid, nullable=False),
    _minor("amount_minor"),
    _currency(),
    at("created_at"),
    PrimaryKeyConstraint("tenant_id", "payment_id", "order_id"),
    _to_order(),
    _to_payment(),
    CheckConstraint("amount_minor > 0", name="positive"),
)

receipts = Table(
    "receipts",
    metadata,
    tenant_id(),
    Column("id", Uuid, nullable=False),
    Column("payment_id", Uuid, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("content_type", String(40), nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("object_name", String(200), nullable=False),
    Column("uploaded_by", Uuid, nullable=False),
    at("created_at"),
    PrimaryKeyConstraint("tenant_id", "id"),
    UniqueConstraint("tenant_id", "sha256"),
    _to_payment(),
)

coupon_redemptions = Table(
    "coupon_redemptions",
    metadata,
    tenant_id(),
    Column("order_id", Uuid, nullable=False),
    Column("coupon_id", Uuid, nullable=False),
    _minor("amount_minor"),
    _currency(),
    Column("released", Boolean, nullable=False),
    at("created_at"),
    PrimaryKeyConstraint("tenant_id", "order_id"),
    _to_order(),
)

subscriptions = Table(
    "subscriptions",
    metadata,
    tenant_id(),
    Column("plan", JSONB, nullable=False),
    Column("billing_cycle", String(10), nullable=False),
    Column("status", String(10), nullable=False),
    Column("anchor_day", SmallInteger, nullable=False),
    at("started_at"),
    at("ends_at"),
    Column("version", Integer, nullable=False),
    Column("status_since", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Column("reason", String(20)),
    Column("cancel_at_period_end", Boolean, nullable=False, server_default=text("false")),
    Column("auto_renew", Boolean, nullable=False, server_default=text("false")),
    Column("auto_renew_phone", String(40)),
    at("charged_for", nullable=True),
    Column("told_days", SmallInteger),
    Column("stepped_at", DateTime(timezone=True), nullable=False, server_default=text("now()")),
    Column("next_step_at", DateTime(timezone=True), server_default=text("now()")),
    PrimaryKeyConstraint("tenant_id"),
    Index("ix_subscriptions_due", "next_step_at", postgresql_where=text("next_step_at is not null")),
)
"""``told_days`` is the last reminder or warning of this period and status, in days before its date; ``charged_for`` the
end for which Mobile Money was asked; ``next_step_at`` when `domain.lifecycle` wants to be asked again."""

subscription_periods = Table(
    "subscription_periods",
    metadata,
    tenant_id(),
    Column("order_id", Uuid, nullable=False),
    Column("plan", JSONB, nullable=False),
    Column("billing_cycle", String(10), nullable=False),
    _minor("paid_minor"),
    _currency(),
    at("starts_at"),
    at("ends_at"),
    Column("anchor_day", SmallInteger, nullable=False),
    at("replaced_at", nullable=True),
    PrimaryKeyConstraint("tenant_id", "order_id"),
    _to_order(),
    CheckConstraint("ends_at > starts_at", name="forwards"),
)

invoice_counters = Table(
    "invoice_counters",
    metadata,
    Column("issuer", String(20), nullable=False),
    Column("year", SmallInteger, nullable=False),
    Column("last_sequence", Integer, nullable=False),
    PrimaryKeyConstraint("issuer", "year"),
)

invoices = Table(
    "invoices",
    metadata,
    tenant_id(),
    Column("id", Uuid, nullable=False),
    Column("order_id", Uuid, nullable=False),
    Column("order_number", String(40), nullable=False),
    Column("issuer_code", String(20), nullable=False),
    Column("issuer", JSONB, nullable=False),
    Column("year", SmallInteger, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("number", String(40), nullable=False),
    Column("customer_name", String(200), nullable=False),
    Column("customer_email", String(320), nullable=False),
    Column("customer_phone", String(40)),
    Column("customer_address", String(300)),
    Column("customer_rccm", String(60)),
    Column("customer_niu", String(60)),
    Column("language", String(2), nullable=False),
    _currency(),
    _minor("subtotal_minor"),
    _minor("discount_minor"),
    _minor("credit_minor"),
    _minor("total_minor"),
    Column("taxes", JSONB, nullable=False),
    at("period_starts_at"),
    at("period_ends_at"),
    Column("anchor_day", SmallInteger, nullable=False),
    Column("settlement", JSONB),
    at("issued_at"),
    PrimaryKeyConstraint("tenant_id", "id"),
    UniqueConstraint("tenant_id", "order_id"),
    Index("uq_invoices_issuer_year_sequence", "issuer_code", "year", "sequence", unique=True),
    _to_order(),
)

invoice_lines = Table(
    "invoice_lines",
    metadata,
    tenant_id(),
    Column("invoice_id", Uuid, nullable=False),
    Column("position", SmallInteger, nullable=False),
    Column("kind", String(10), nullable=False),
    Column("label", Text, nullable=False),
    Column("label_en", Text, nullable=False),
    Column("quantity", Integer, nullable=False),
    _minor("unit_minor"),
    _minor("total_minor"),
    _currency(),
    PrimaryKeyConstraint("tenant_id", "invoice_id", "position"),
    ForeignKeyConstraint(["tenant_id", "invoice_id"], ["invoices.tenant_id", "invoices.id"]),
)

ledger_entries = Table(
    "ledger_entries",
    metadata,
    tenant_id(),
    Column("id", Uuid, nullable=False),
    Column("kind", String(20), nullable=False),
    Column("source_id", Uuid, nullable=False),
    at("booked_at"),
    PrimaryKeyConstraint("tenant_id", "id"),
    UniqueConstraint("tenant_id", "kind", "source_id"),
)

ledger_postings = Table(
    "ledger_postings",
    metadata,
    tenant_id(),
    Column("entry_id", Uuid, nullable=False),
    Column("position", SmallInteger, nullable=False),
    Column("account", String(40), nullable=False),
    _minor("amount_minor"),
    _currency(),
    PrimaryKeyConstraint("tenant_id", "entry_id", "position"),
    ForeignKeyConstraint(["tenant_id", "entry_id"], ["ledger_entries.tenant_id", "ledger_entries.id"]),
    Index("ix_ledger_postings_account", "tenant_id", "account", "currency"),
)

cases = Table(
    "cases",
    metadata,
    tenant_id(),
    Column("id", Uuid, nullable=False),
    Column("kind", String(30), nullable=False),
    Column("payment_id", Uuid, nullable=False),
    Column("reference", String(80), nullable=False, server_default=""),
    Column("details", JSONB, nullable=False),
    at("opened_at"),
    at("closed_at", nullable=True),
    Column("closed_by", Uuid),
    Column("note", Text),
    PrimaryKeyConstraint("tenant_id", "id"),
    UniqueConstraint("tenant_id", "kind", "payment_id", "reference"),
    _to_payment(),
)
"""What a person of finance has to look at: quarantined, surplus, over-long or misconfigured payments."""

refunds = Table(
    "refunds",
    metadata,
    tenant_id(),
    Column("id", Uuid, nullable=False),
    Column("payment_id", Uuid, nullable=False),
    Column("order_id", Uuid, nullable=False),
    Column("method", String(20), nullable=False),
    Column("channel", String(10), nullable=False),
    Column("status", String(12), nullable=False),
    _minor("amount_minor"),
    _currency(),
    _minor("from_order_minor"),
    _minor("from_credit_minor"),
    _currency("order_currency"),
    Column("request_id", String(108), nullable=False),
    Column("requests", Integer, nullable=False),
    Column("provider_reference", String(80)),
    Column("refund_reference", String(80)),
    Column("reason", Text, nullable=False),
    Column("reason_code", String(80)),
    Column("requested_by", Uuid),
    Column("decided_by", Uuid),
    Column("polls", Integer, nullable=False),
    at("next_poll_at", nullable=True),
    at("created_at"),
    at("updated_at"),
    at("sent_at", nullable=True),
    at("completed_at", nullable=True),
    PrimaryKeyConstraint("tenant_id", "id"),
    _to_payment(),
    _to_order(),
    Index("uq_refunds_method_refund_reference", "method", "refund_reference", unique=True),
    Index("ix_refunds_payment", "tenant_id", "payment_id"),
    Index("ix_refunds_due", "next_poll_at", postgresql_where=text("next_poll_at is not null")),
    CheckConstraint("amount_minor > 0 and from_order_minor >= 0 and from_credit_minor >= 0", name="positive"),
    CheckConstraint("requested_by <> decided_by", name="two_people"),
)
"""Money that goes back; each row is committed, with its keys, before its provider is called. ``requested_by`` is null
where the provider gave it back without us."""

credit_notes = Table(
    "credit_notes",
    metadata,
    tenant_id(),
    Column("id", Uuid, nullable=False),
    Column("invoice_id", Uuid, nullable=False),
    Column("invoice_number", String(40), nullable=False),
    Column("refund_id", Uuid, nullable=False),
    Column("series", String(20), nullable=False),
    Column("issuer", JSONB, nullable=False),
    Column("year", SmallInteger, nullable=False),
    Column("sequence", Integer, nullable=False),
    Column("number", String(40), nullable=False),
    Column("customer_name", String(200), nullable=False),
    Column("customer_email", String(320), nullable=False),
    Column("customer_phone", String(40)),
    Column("language", String(2), nullable=False),
    _currency(),
    _minor("net_minor"),
    _minor("total_minor"),
    Column("taxes", JSONB, nullable=False),
    Column("reason", Text, nullable=False),
    at("issued_at"),
    PrimaryKeyConstraint("tenant_id", "id"),
    UniqueConstraint("tenant_id", "refund_id"),
    ForeignKeyConstraint(["tenant_id", "invoice_id"], ["invoices.tenant_id", "invoices.id"]),
    ForeignKeyConstraint(["tenant_id", "refund_id"], ["refunds.tenant_id", "refunds.id"]),
    Index("uq_credit_notes_series_year_sequence", "series", "year", "sequence", unique=True),
    Index("ix_credit_notes_invoice", "tenant_id", "invoice_id"),
    CheckConstraint("total_minor > 0 and net_minor >= 0", name="positive"),
)


bank_statements = Table(
    "bank_statements",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("sha256", String(64), nullable=False, unique=True),
    Column("form", String(10), nullable=False),
    Column("imported_by", Uuid, nullable=False),
    at("imported_at"),
)

bank_statement_lines = Table(
    "bank_statement_lines",
    metadata,
    Column("id", Uuid, primary_key=True),
    Column("statement_id", Uuid, nullable=False),
    Column("fingerprint", String(64), nullable=False, unique=True),
    Column("booked_on", Date, nullable=False),
    _minor("amount_minor"),
    _currency(),
    Column("text", String(500), nullable=False),
    Column("counterparty", String(200), nullable=False),
    Column("bank_reference", String(100), nullable=False),
    Column("status", String(10), nullable=False),
    Column("organization_id", Uuid),
    Column("payment_id", Uuid),
    Column("payment_reference", String(60)),
    _minor("due_minor", nullable=True),
    Column("proposed_by", Uuid),
    Column("decided_by", Uuid),
    Column("note", Text),
    at("decided_at", nullable=True),
    ForeignKeyConstraint(["statement_id"], ["bank_statements.id"]),
    Index("ix_bank_statement_lines_status", "status", "id"),
    Index(
        "uq_bank_statement_lines_payment",
        "payment_id",
        unique=True,
        postgresql_where=text("status in ('proposed', 'approved')"),
    ),
    CheckConstraint("amount_minor > 0", name="positive"),
)
"""What arrived on our account; whose it is, is proposed by the reference that it quotes and decided by a person."""
disputes = Table(
    "disputes",
    metadata,
    tenant_id(),
    Column("id", Uuid, nullable=False),
    Column("payment_id", Uuid, nullable=False),
    Column("kind", String(10), nullable=False),
    Column("reference", String(80), nullable=False),
    Column("status", String(10), nullable=False),
    Column("reason", String(80), nullable=False),
    _minor("amount_minor", nullable=True),
    _currency(nullable=True),
    at("opened_at"),
    at("resolved_at", nullable=True),
    at("next_poll_at", nullable=True),
    PrimaryKeyConstraint("tenant_id", "id"),
    UniqueConstraint("tenant_id", "payment_id", "reference"),
    _to_payment(),
    Index("ix_disputes_due", "next_poll_at", postgresql_where=text("next_poll_at is not null")),
)
"""Money that payers want back from the provider, and money that it took back."""

reconciliations = Table(
    "reconciliations",
    metadata,
    Column("provider", String(20), nullable=False),
    Column("day", Date, nullable=False),
    at("started_at"),
    at("finished_at", nullable=True),
    Column("checked", Integer, nullable=False),
    Column("differences", Integer, nullable=False),
    Column("is_listed", Boolean, nullable=False),
    PrimaryKeyConstraint("provider", "day"),
)

unmatched_movements = Table(
    "unmatched_movements",
    metadata,
    Column("provider", String(20), nullable=False),
    Column("reference", String(80), nullable=False),
    _minor("amount_minor", nullable=True),
    _currency(nullable=True),
    at("occurred_at"),
    Column("found_on", Date, nullable=False),
    at("closed_at", nullable=True),
    Column("closed_by", Uuid),
    Column("note", Text),
    PrimaryKeyConstraint("provider", "reference"),
)
"""What a provider lists and nothing of ours explains: a case without a tenant, for nobody knows whose it is."""

organizations = Table(
    "organizations",
    metadata,
    tenant_id(),
    Column("owner_id", Uuid),
    Column("document", JSONB, nullable=False),
    Column("version", Integer, nullable=False),
    at("updated_at"),
    PrimaryKeyConstraint("tenant_id"),
    Index("ix_organizations_owner", "owner_id"),
)
"""Tenancy's organization objects as last told, for answers; tenancy owns them."""

usage_figures = Table(
    "usage_figures",
    metadata,
    tenant_id(),
    Column("figures", JSONB, nullable=False),
    PrimaryKeyConstraint("tenant_id"),
)
"""What the backup engine last counted, each figure with its time; for a change of plan only."""

webhook_events = Table(
    "webhook_events",
    metadata,
    Column("provider", String(20), nullable=False),
    Column("event_id", String(100), nullable=False),
    Column("event_type", String(100), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("headers", JSONB, nullable=False),
    at("received_at"),
    at("handled_at", nullable=True),
    at("next_attempt_at"),
    Column("attempts", Integer, nullable=False),
    Column("outcome", Text),
    PrimaryKeyConstraint("provider", "event_id"),
    Index("ix_webhook_events_due", "next_attempt_at", postgresql_where=text("handled_at is null")),
)
"""Raw signed events, each stored once by the provider's id; which tenant each is about is found when it is handled."""

provider_budgets = Table(
    "provider_budgets",
    metadata,
    Column("provider", String(20), primary_key=True),
    Column("millitokens", BigInteger, nullable=False),
    at("refilled_at"),
)
"""A token bucket per provider, shared by all processes: how many questions it may still be asked."""
