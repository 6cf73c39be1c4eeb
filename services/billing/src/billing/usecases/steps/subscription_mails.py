"""Mails of a subscription's calendar: that it ends, that it has ended, that what was stored will be deleted.

They go to the customer of its last order.
"""

from datetime import datetime

from common.persistence import MailMessage

from billing.domain.invoice import Issuer
from billing.domain.order import Order
from billing.domain.subscription import Subscription
from billing.domain.usage import Excess
from billing.domain.wording import amount_text, day_text
from billing.usecases.steps.mails import write


def _facts(
    subscription: Subscription, last: Order, renewal: Order | None, *more: tuple[str, str]
) -> list[tuple[str, str | None]]:
    return [
        ("plan", subscription.plan.display_name),
        ("until", day_text(subscription.ends_at, last.language)),
        *more,
        ("order", renewal.number if renewal else None),
        ("amount", amount_text(renewal.amounts.total, last.language) if renewal else None),
    ]


def renewal_due(
    subscription: Subscription, last: Order, renewal: Order | None, issuer: Issuer, *, days: int
) -> MailMessage:
    """Remind the customer that his subscription ends in ``days``, with the order that renews it."""
    return write(
        "renewal_due",
        f"{subscription.ends_at.isoformat()}:{days}",
        customer=last.customer,
        language=last.language,
        issuer=issuer.document(),
        facts=_facts(subscription, last, renewal),
        days=days,
        order_number=renewal.number if renewal else None,
        automatic=subscription.auto_renew and subscription.charged_for != subscription.ends_at,
    )


def subscription_past_due(
    subscription: Subscription, last: Order, renewal: Order | None, issuer: Issuer, *, until: datetime
) -> MailMessage:
    """Tell the customer that his time is over and until when everything still works."""
    return write(
        "subscription_past_due",
        subscription.ends_at.isoformat(),
        customer=last.customer,
        language=last.language,
        issuer=issuer.document(),
        facts=_facts(subscription, last, renewal, ("suspended", day_text(until, last.language))),
        order_number=renewal.number if renewal else None,
    )


def deletion_warning(
    subscription: Subscription, last: Order, issuer: Issuer, *, days: int, at: datetime
) -> MailMessage:
    """Warn the customer that what he has stored will be deleted."""
    return write(
        "deletion_warning",
        f"{subscription.status_since.isoformat()}:{days}",
        customer=last.customer,
        language=last.language,
        issuer=issuer.document(),
        facts=_facts(subscription, last, None, ("deleted", day_text(at, last.language))),
    )


def plan_too_small(order: Order, excess: tuple[Excess, ...], issuer: Issuer) -> MailMessage:
    """Tell the customer that his smaller plan holds from now on, and what he still has to free."""
    return write(
        "plan_too_small",
        order.id,
        customer=order.customer,
        language=order.language,
        issuer=issuer.document(),
        facts=[
            ("plan", order.plan.display_name),
            ("order", order.number),
            *((one.resource, f"{one.current} / {one.limit}") for one in excess),
        ],
    )


def subscription_cancelled(subscription: Subscription, last: Order, issuer: Issuer) -> MailMessage:
    """Confirm that the subscription ends with what is paid, and until when that can be taken back."""
    return write(
        "subscription_cancelled",
        subscription.version,
        customer=last.customer,
        language=last.language,
        issuer=issuer.document(),
        facts=_facts(subscription, last, None),
    )
