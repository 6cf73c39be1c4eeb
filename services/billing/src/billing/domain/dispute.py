"""A dispute: the payer wants his money back from the provider, or the provider has taken it back already."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from billing.domain.money import Money


class DisputeKind(StrEnum):
    """How money is taken back without us."""

    DISPUTE = "dispute"
    REVERSAL = "reversal"


class DisputeStatus(StrEnum):
    """How it stands; ``won`` is in our favour."""

    OPEN = "open"
    WON = "won"
    LOST = "lost"


ASK_EVERY = timedelta(hours=6)
"""How often an open dispute is asked about beside its webhooks, of which any may be lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """One dispute or reversal, as its row; ``reference`` is the provider's."""

    tenant_id: UUID
    id: UUID
    payment_id: UUID
    kind: DisputeKind
    reference: str
    status: DisputeStatus
    reason: str
    amount: Money | None
    opened_at: datetime
    resolved_at: datetime | None
    next_poll_at: datetime | None
    lifted_at: datetime | None = None
    lifted_by: UUID | None = None

    @property
    def holds(self) -> bool:
        """Whether it keeps the subscription suspended: while it is open, and once it is lost until it is lifted.

        Finance lifts it, or the subscription's end does, which leaves nothing to hold (``lifted_by`` is nobody then).
        """
        return self.status is DisputeStatus.OPEN or (self.status is DisputeStatus.LOST and self.lifted_at is None)
