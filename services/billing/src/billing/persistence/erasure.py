"""What becomes of billing's rows when an organization is deleted: the books stay, what only serves selling goes."""

from common.persistence.erasure import Target, plan_of

BOOKS = "the books: kept for ten years (OHADA, Acte uniforme relatif au droit comptable, art. 24)"

PARTICULARS = (Target("organization_particulars"),)
"""Came after the eraser, so a migration of its own lets it take them."""

PLAN = plan_of(
    *PARTICULARS,
    Target("organizations"),
    Target("usage_figures"),
    Target("orders", where="customer_phone is not null", empty={"customer_phone": "null"}),
    Target(
        "payments",
        where="coalesce(phone_number, return_url, cancel_url, redirect_url) is not null",
        empty={"phone_number": "null", "return_url": "null", "cancel_url": "null", "redirect_url": "null"},
    ),
    Target("subscriptions", where="auto_renew_phone is not null or auto_renew", empty={
        "auto_renew_phone": "null", "auto_renew": "false",
    }),
    kept=dict.fromkeys(
        (
            "orders", "payments", "payment_allocations", "invoices", "invoice_lines", "credit_notes", "refunds",
            "ledger_entries", "ledger_postings", "subscriptions", "subscription_periods", "coupon_redemptions",
            "disputes", "cases", "receipts",
        ),
        BOOKS,
    ),
)  # fmt: skip
