"""What billing asks of payment providers, of where receipts are kept and of what draws invoices, in our words.

ProviderError
├── ProviderUnavailable     trying again can help; nothing is known to have happened
├── ProviderRefused         this request will never be taken
├── ProviderMisconfigured   our account, keys or environment: a person must act
└── SignatureRejected       a webhook that its provider did not sign

Not here: what follows from a provider's answer; that is decided in `domain/`, from `ProviderState` alone.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Protocol
from uuid import UUID

from billing.domain.credit_note import CreditNote
from billing.domain.invoice import Invoice
from billing.domain.money import Money
from billing.domain.reconciliation import Movement


class ProviderError(Exception):
    """A provider did not do what was asked; `code` is its own word for why where it has one."""

    retryable: ClassVar[bool] = False
    needs_operator: ClassVar[bool] = False

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(f"{code}: {detail}" if detail else code)
        self.code = code
        self.detail = detail


class ProviderUnavailable(ProviderError):
    """No usable answer: timeout, connection, 5xx, 429. After `start` the request may or may not have arrived."""

    retryable = True


class ProviderRefused(ProviderError):
    """The provider refused the request itself: the payer's number, the amount, a state that forbids it."""


class ProviderMisconfigured(ProviderError):
    """The provider refused us: credentials, keys, environment, currency, a restriction of our account."""

    needs_operator = True


class SignatureRejected(ProviderError):
    """The webhook is not the provider's, or not for us; nothing of it may be believed."""


class ForeignNumber(ValueError):
    """A telephone number of another country than the one whose Mobile Money is taken."""


class ProviderStatus(StrEnum):
    """Where a payment stands with its provider."""

    PENDING = "pending"
    """The payer has not decided."""
    PROCESSING = "processing"
    """The payer has paid; the provider has not cleared it."""
    COMPLETED = "completed"
    """The money is ours."""
    FAILED = "failed"
    """It ended without money."""
    UNKNOWN = "unknown"
    """The provider's answer does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptView:
    """What a provider's adapter may know of a payment row; the row is committed before any call is made."""

    payment_id: UUID
    """Sent along (PayPal custom_id, MoMo externalId) and compared when it comes back."""
    reference: str
    """For people, unique per attempt: `ORD-2026-000123-1`."""
    amount: Money
    """What is charged, in the currency in which it is charged."""
    created_at: datetime
    provider_reference: str | None
    """MoMo: our UUID v4, stored before the first call. PayPal: its order id, None until `start` has answered."""
    create_request_id: str = ""
    """PayPal: idempotency key of the create, `create-<row id>-<n>`."""
    capture_request_id: str = ""
    """PayPal: idempotency key of the capture, `capture-<row id>-<n>`."""
    description: str = ""
    language: str = "fr"
    return_url: str | None = None
    cancel_url: str | None = None
    phone_number: str | None = None
    """MoMo: the payer, in any usual spelling."""
    callback_token: str | None = None
    """MoMo: unguessable last part of the callback's path."""


@dataclass(frozen=True, slots=True)
class Started:
    """The provider has the request; nothing is paid yet."""

    provider_reference: str
    redirect_url: str | None = None
    """Where the payer's browser has to go, if anywhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderState:
    """What the provider said when it was asked, without any conclusion drawn."""

    status: ProviderStatus
    provider_status: str
    """The provider's own word, for the log."""
    provider_reference: str | None = None
    receipt_reference: str | None = None
    """The provider's number of the movement of money (PayPal capture, MTN financial transaction); unique."""
    amount: Money | None = None
    payment_id: UUID | None = None
    """Our id as the provider gives it back; None where it gave none or another's."""
    payee: str | None = None
    reason_code: str | None = None
    """Why it failed or is held; an open list."""
    needs_operator: bool = False
    redirect_url: str | None = None
    """Send the payer there (again): the order still waits for him."""
    renew_capture_key: bool = False
    """A capture was refused for good: store the next capture key before asking again."""
    not_received: bool = False
    """The provider never took the request; `start` may be repeated with the same keys."""
    refunded: Money | None = None

    def mismatch(self, attempt: AttemptView, payee: str | None = None) -> str | None:
        """Which fact differs from what we asked for; None where a completed payment may be believed.

        Facts that the provider did not state count as different: a payment is confirmed only by what is said.
        """
        if self.amount is None or self.amount.currency != attempt.amount.currency:
            return "currency"
        if self.amount != attempt.amount:
            return "amount"
        if self.provider_reference is None or self.provider_reference != attempt.provider_reference:
            return "reference"
        if self.payment_id != attempt.payment_id:
            return "payment_id"
        if payee is not None and self.payee != payee:
            return "payee"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundView:
    """A refund row, committed before any call is made."""

    refund_id: UUID
    request_id: str
    """Idempotency key, `refund-<row id>-<n>`."""
    capture_reference: str
    """Of the payment: PayPal's capture, MTN's request to pay."""
    amount: Money
    note: str = ""
    provider_reference: str | None = None
    """MoMo: our UUID v4 of the refund, stored before the first call."""
    refund_reference: str | None = None
    """The provider's own number of the refund, once it is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundState:
    """What the provider said of a refund."""

    status: ProviderStatus
    provider_status: str
    refund_reference: str | None = None
    amount: Money | None = None
    refund_id: UUID | None = None
    """Our id as the provider gives it back; None for a refund that is not ours."""
    reason_code: str | None = None
    needs_operator: bool = False
    not_received: bool = False
    """The provider never took the request; `refund` may be repeated with the same key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeState:
    """What the provider said of a dispute: completed is in our favour, failed in the payer's, else it is open."""

    status: ProviderStatus
    provider_status: str
    reference: str
    reason: str = ""
    captures: tuple[str, ...] = ()
    """Which of our captures it is about."""
    amount: Money | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEvent:
    """What a webhook is about: enough to find the payment and ask the provider, nothing to believe."""

    event_id: str
    event_type: str
    order_reference: str | None = None
    capture_reference: str | None = None
    payment_id: UUID | None = None
    dispute_reference: str | None = None


class PaymentProvider(Protocol):
    """One provider, one account. Every call leaves the process and has a timeout; make none inside a transaction."""

    @property
    def name(self) -> str:
        """`paypal` or `mtn_momo`."""

    def charges(self, currency: str) -> str | None:
        """In which currency this account is charged for an order in `currency`; None where it pays no such order."""

    @property
    def most(self) -> Money | None:
        """The most that one payment may be, where there is a limit; in the currency in which it is charged."""

    @property
    def payee(self) -> str | None:
        """Whom the money must reach, where the provider states it."""

    async def start(self, attempt: AttemptView) -> Started:
        """Ask the provider for the payment. Repeating it with the same view makes no second one.

        Raises:
            ProviderUnavailable: it may or may not have arrived; observe, or start again with the same keys.
            ProviderRefused: it will never be taken.
            ProviderMisconfigured: a person must act.
        """

    async def observe(self, attempt: AttemptView) -> ProviderState:
        """Ask where it stands, and collect what the payer has approved. Repeating it changes nothing more.

        Raises:
            ProviderUnavailable: no answer; ask later.
            ProviderMisconfigured: a person must act.
        """


class RefundingProvider(Protocol):
    """What sends a payment's money back by API; where nothing does, staff refund by hand."""

    async def refund(self, attempt: AttemptView, refund: RefundView) -> RefundState:
        """Send back `refund.amount`. Repeating it with the same key makes no second refund.

        Raises:
            ProviderUnavailable: it may or may not have arrived; repeat with the same key.
            ProviderRefused: too much, too late, or not refundable.
            ProviderMisconfigured: a person must act, such as fill our account.
        """

    async def observe_refund(self, attempt: AttemptView, refund: RefundView) -> RefundState:
        """Ask where a refund stands that was sent before, or may have been.

        Raises:
            ProviderUnavailable: no answer; ask later.
            ProviderMisconfigured: a person must act.
        """


class DisputingProvider(Protocol):
    """A provider that takes money back by itself, and tells of it."""

    async def observe_dispute(self, reference: str) -> DisputeState | None:
        """Ask how a dispute stands; ``None`` where there is none by this reference.

        Raises:
            ProviderUnavailable: no answer; ask later.
            ProviderMisconfigured: a person must act.
        """

    async def observe_movements(self, attempt: AttemptView) -> list[RefundState]:
        """Ask for every movement of a payment's money back to its payer, ours and others.

        Raises:
            ProviderUnavailable: no answer; ask later.
            ProviderMisconfigured: a person must act.
        """


class ListingProvider(Protocol):
    """A provider that lists what moved on our account."""

    async def movements(self, since: datetime, until: datetime) -> list[Movement]:
        """Return every movement in `[since, until)`, payments and what went back.

        Raises:
            ProviderUnavailable: no answer; ask later.
            ProviderMisconfigured: our account has no right to the list.
        """


class WebhookVerifier(Protocol):
    """Tells a provider's webhook from anybody's."""

    async def verify(self, headers: Mapping[str, str], body: bytes) -> None:
        """Return if the provider signed exactly these bytes for our listener; header names in any case.

        Raises:
            SignatureRejected: it did not.
            ProviderUnavailable: it cannot be told now; let the provider deliver again.
        """


class DocumentStore(Protocol):
    """Keeps small files: a tenant's under its id, marks of numbers that were given under ``numbers``."""

    async def put(self, name: str, content: bytes) -> None:
        """Keep a file durably; the same name again replaces it."""

    async def get(self, name: str) -> bytes:
        """Return a kept file; raises FileNotFoundError."""

    async def remove(self, name: str) -> None:
        """Remove a file; one that is not there is no error."""

    async def highest_numbers(self) -> list[tuple[str, int, int]]:
        """Return series, year and the highest number of theirs that is marked as given."""

    async def forget_below(self, series: str, year: int, number: int) -> None:
        """Remove the marks of lower numbers: the highest says all that they do."""


DrawCreditNote = Callable[[CreditNote, Invoice], bytes]
"""Returns a credit note as PDF, beside the invoice that it corrects; the same ones always give the same bytes."""

DrawInvoice = Callable[[Invoice], bytes]
"""Returns an invoice as PDF, in its own language; the same invoice always gives the same bytes."""
