"""What is sold, how it can be paid, and coupons: nobody's rows."""

from common.persistence.tables import at
from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

from billing.persistence.tables.columns import counted_tries, currency, metadata, minor

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
    currency(),
    minor("amount_minor"),
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
    Column("is_active", Boolean, nullable=False, server_default=text("true")),
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

coupon_tries = counted_tries("coupon_tries")
"""Codes that were wrong, by a hash of the account or of the address that tried them (``domain.tries``)."""
