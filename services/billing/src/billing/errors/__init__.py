"""Billing's errors, one class per fact.

DomainError
├── NotFound: PlanNotFound · OrderNotFound · PaymentNotFound · InvoiceNotFound · OrganizationNotFound · CallbackUnknown
│             RefundNotFound · CaseNotFound · MovementNotFound · CreditNoteNotFound · CouponNotFound
│             StatementLineNotFound · SubscriptionNotFound · DisputeNotFound · ReceiptNotFound
├── Invalid: MethodUnknown · CouponRefused · ReturnUrlRefused · PhoneNumberMissing · PhoneNumberInvalid · OrderIdDiffers
│            PhoneNumberForeign · AmountAboveLimit
│            CurrencyNotSold · ReturnUrlMissing · AmountInvalid · WebhookMalformed · CouponTermsInvalid
│            CouponNeverHolds
│            WindowInvalid · StatementUnreadable · StatementOfAnotherAccount · MethodOfAnotherCurrency
│            RejectionWithoutNote · MovementUnnamed
├── Conflict: OrderNotPayable · OrderNotCancellable · PaymentNotSubmitted · OrganizationNotActive · SubscriptionMissing
│            DowngradeOverUsage · CouponCodeTaken · ReceiptNotWanted
│            ReceiptAlreadyKnown · OrderOutdated · RenewalOfAnotherPlan · ReceiptsEnough · PaymentNotRefundable
│            RefundTooLarge · RefundStateForbids · RefundReferenceKnown · StatementLineDecided · TransferTaken
│            SubscriptionEnded · OrderPaidByCredit · SubscriptionDisputed · SubscriptionInAnotherCurrency
│            DisputeStateForbids · DisputeLeavesDebt · PlanUnchanged · MovementTaken
├── Forbidden: OrganizationOwnerRequired · SamePersonApproves · SignatureInvalid · SamePersonRefunds · SamePersonLifts
│            SamePersonChanges
├── TooLarge: ReceiptTooLarge · StatementTooLarge
├── Unsupported: ReceiptTypeUnsupported
├── TooMany: CouponTriesUsedUp · PromptsUsedUp
└── Unavailable: MethodUnavailable
"""

from billing.errors.coupons import (
    CouponCodeTaken,
    CouponNeverHolds,
    CouponNotFound,
    CouponRefused,
    CouponTermsInvalid,
    CouponTriesUsedUp,
)
from billing.errors.orders import (
    CurrencyNotSold,
    OrderIdDiffers,
    OrderNotCancellable,
    OrderNotFound,
    OrderNotPayable,
    OrderOutdated,
    OrderPaidByCredit,
    OrganizationNotActive,
    OrganizationNotFound,
    OrganizationOwnerRequired,
    PlanNotFound,
    SamePersonChanges,
    WindowInvalid,
)
from billing.errors.payments import (
    AmountAboveLimit,
    AmountInvalid,
    CallbackUnknown,
    CaseNotFound,
    MethodOfAnotherCurrency,
    MethodUnavailable,
    MethodUnknown,
    MovementNotFound,
    PaymentNotFound,
    PhoneNumberForeign,
    PhoneNumberInvalid,
    PhoneNumberMissing,
    PromptsUsedUp,
    ReturnUrlMissing,
    ReturnUrlRefused,
    SignatureInvalid,
    WebhookMalformed,
)
from billing.errors.returns import (
    CreditNoteNotFound,
    DisputeLeavesDebt,
    DisputeNotFound,
    DisputeStateForbids,
    InvoiceNotFound,
    PaymentNotRefundable,
    RefundNotFound,
    RefundReferenceKnown,
    RefundStateForbids,
    RefundTooLarge,
    SamePersonLifts,
    SamePersonRefunds,
)
from billing.errors.subscriptions import (
    DowngradeOverUsage,
    PlanUnchanged,
    RenewalOfAnotherPlan,
    SubscriptionDisputed,
    SubscriptionEnded,
    SubscriptionInAnotherCurrency,
    SubscriptionMissing,
    SubscriptionNotFound,
)
from billing.errors.transfers import (
    MovementTaken,
    MovementUnnamed,
    PaymentNotSubmitted,
    ReceiptAlreadyKnown,
    ReceiptNotFound,
    ReceiptNotWanted,
    ReceiptsEnough,
    ReceiptTooLarge,
    ReceiptTypeUnsupported,
    RejectionWithoutNote,
    SamePersonApproves,
    StatementLineDecided,
    StatementLineNotFound,
    StatementOfAnotherAccount,
    StatementTooLarge,
    StatementUnreadable,
    TransferTaken,
)

__all__ = [
    "AmountAboveLimit",
    "AmountInvalid",
    "CallbackUnknown",
    "CaseNotFound",
    "CouponCodeTaken",
    "CouponNeverHolds",
    "CouponNotFound",
    "CouponRefused",
    "CouponTermsInvalid",
    "CouponTriesUsedUp",
    "CreditNoteNotFound",
    "CurrencyNotSold",
    "DisputeLeavesDebt",
    "DisputeNotFound",
    "DisputeStateForbids",
    "DowngradeOverUsage",
    "InvoiceNotFound",
    "MethodOfAnotherCurrency",
    "MethodUnavailable",
    "MethodUnknown",
    "MovementNotFound",
    "MovementTaken",
    "MovementUnnamed",
    "OrderIdDiffers",
    "OrderNotCancellable",
    "OrderNotFound",
    "OrderNotPayable",
    "OrderOutdated",
    "OrderPaidByCredit",
    "OrganizationNotActive",
    "OrganizationNotFound",
    "OrganizationOwnerRequired",
    "PaymentNotFound",
    "PaymentNotRefundable",
    "PaymentNotSubmitted",
    "PhoneNumberForeign",
    "PhoneNumberInvalid",
    "PhoneNumberMissing",
    "PlanNotFound",
    "PlanUnchanged",
    "PromptsUsedUp",
    "ReceiptAlreadyKnown",
    "ReceiptNotFound",
    "ReceiptNotWanted",
    "ReceiptTooLarge",
    "ReceiptTypeUnsupported",
    "ReceiptsEnough",
    "RefundNotFound",
    "RefundReferenceKnown",
    "RefundStateForbids",
    "RefundTooLarge",
    "RejectionWithoutNote",
    "RenewalOfAnotherPlan",
    "ReturnUrlMissing",
    "ReturnUrlRefused",
    "SamePersonApproves",
    "SamePersonChanges",
    "SamePersonLifts",
    "SamePersonRefunds",
    "SignatureInvalid",
    "StatementLineDecided",
    "StatementLineNotFound",
    "StatementOfAnotherAccount",
    "StatementTooLarge",
    "StatementUnreadable",
    "SubscriptionDisputed",
    "SubscriptionEnded",
    "SubscriptionInAnotherCurrency",
    "SubscriptionMissing",
    "SubscriptionNotFound",
    "TransferTaken",
    "WebhookMalformed",
    "WindowInvalid",
]
