"""What people are told about why a payment did not succeed, or not yet; providers' codes are an open list."""

from billing.domain.payment import Payment, PaymentStatus

_SAYS_WHAT_TO_DO = {
    "PAYER_NOT_FOUND",
    "PAYER_LIMIT_REACHED",
    "SENDER_ACCOUNT_NOT_ACTIVE",
    "INVALID_PHONE_NUMBER",
    "INSTRUMENT_DECLINED",
    "transfer_overdue",
}
_OTHER = ("Choisissez un autre moyen.", "Choose another method.")
_RETRY = ("Réessayez ou choisissez un autre moyen.", "Try again or choose another method.")

_OUR_FAULT = (
    "Ce moyen de paiement est en panne chez nous ; nous sommes prévenus. Rien n'a été débité.",
    "This method is out of order on our side; we have been told. Nothing was taken.",
)
OURS = frozenset(
    {
        "AMOUNT_NOT_WHOLE",
        "INVALID_CALLBACK_URL_HOST",
        "INVALID_CURRENCY",
        "NOT_ALLOWED",
        "NOT_ALLOWED_TARGET_ENVIRONMENT",
        "PAYEE_LIMIT_REACHED",
        "PAYEE_NOT_ALLOWED_TO_RECEIVE",
        "PAYEE_NOT_FOUND",
        "VALIDATION_ERROR",
    }
)
"""Codes that speak of our account or settings: the payer can only choose another method."""

_TEXTS: dict[str, tuple[str, str]] = {
    "NOT_ENOUGH_FUNDS": ("Le solde du compte est insuffisant.", "The account's balance is too low."),
    "INTERNAL_PROCESSING_ERROR": ("Le solde du compte est insuffisant.", "The account's balance is too low."),
    "PAYER_NOT_FOUND": (
        "Ce numéro n'a pas de compte Mobile Money. Indiquez un autre numéro.",
        "This number has no Mobile Money account. Give another number.",
    ),
    "PAYER_LIMIT_REACHED": (
        "La limite du compte est atteinte. Choisissez un autre moyen.",
        "The account's limit is reached. Choose another method.",
    ),
    "APPROVAL_REJECTED": ("Le paiement a été refusé sur le téléphone.", "The payment was refused on the phone."),
    "PAYMENT_NOT_APPROVED": ("Le paiement n'a pas été approuvé.", "The payment was not approved."),
    "EXPIRED": ("Le paiement n'a pas été approuvé à temps.", "The payment was not approved in time."),
    "COULD_NOT_PERFORM_TRANSACTION": (
        "Le paiement n'a pas été approuvé à temps.",
        "The payment was not approved in time.",
    ),
    "TRANSACTION_CANCELED": ("Le paiement a été annulé.", "The payment was cancelled."),
    "SENDER_ACCOUNT_NOT_ACTIVE": (
        "Ce compte Mobile Money est suspendu. Choisissez un autre moyen.",
        "This Mobile Money account is suspended. Choose another method.",
    ),
    "INVALID_PHONE_NUMBER": (
        "Ce numéro ne peut pas payer. Indiquez un autre numéro.",
        "This number cannot pay. Give another number.",
    ),
    "SERVICE_UNAVAILABLE": (
        "MTN Mobile Money est momentanément indisponible.",
        "MTN Mobile Money is unavailable for the moment.",
    ),
    "RESOURCE_NOT_FOUND": (
        "Le fournisseur n'a jamais reçu la demande.",
        "The provider never received the request.",
    ),
    **dict.fromkeys(OURS, _OUR_FAULT),
    "INSTRUMENT_DECLINED": (
        "PayPal a refusé la carte ou le compte. Retournez chez PayPal pour en choisir un autre, ou changez de moyen.",
        "PayPal declined the card or account. Go back to PayPal to choose another, or choose another method.",
    ),
    "transfer_rejected": (
        "Le virement n'a pas été confirmé. Voir le message envoyé.",
        "The transfer was not confirmed. See the mail we sent.",
    ),
    "transfer_overdue": (
        "Nous n'avons pas encore trouvé ce virement et la commande est close. S'il est parti, envoyez le reçu.",
        "We have not found this transfer yet, and the order is closed. If it was sent, send us its receipt.",
    ),
    "not_received": ("Le fournisseur n'a jamais reçu la demande.", "The provider never received the request."),
}

_NOT_YET = (
    (
        "Le fournisseur n'a pas encore dit son dernier mot ; cela peut prendre quelques jours. Nous le lui redemandons "
        "et vous prévenons : ne payez pas une seconde fois."
    ),
    (
        "The provider has not said its final word yet; that may take some days. We keep asking and will tell you: "
        "do not pay a second time."
    ),
)
_LOOKED_INTO = (
    (
        "Ce paiement ne correspond pas à ce qui était dû : une personne le vérifie et vous répond. "
        "Ne payez pas une seconde fois."
    ),
    "This payment is not what was due: a person looks into it and will answer you. Do not pay a second time.",
)
_MAY_BE_MONEY = {
    PaymentStatus.PROCESSING: _NOT_YET,
    PaymentStatus.UNKNOWN: _NOT_YET,
    PaymentStatus.QUARANTINED: _LOOKED_INTO,
}
"""States that have a reason too, but in which the money may be on its way: who tried again would pay twice."""


def explain(code: str | None, language: str) -> str | None:
    """Return a sentence for a reason code in ``fr`` or ``en``; an unknown code gets a general one."""
    if code is None:
        return None
    french, english = _TEXTS.get(code.rstrip("."), ("Le paiement n'a pas abouti.", "The payment did not succeed."))
    text = french if language == "fr" else english
    if code.rstrip(".") in OURS:
        return f"{text} {_OTHER[language != 'fr']}"
    return text if code.rstrip(".") in _SAYS_WHAT_TO_DO else f"{text} {_RETRY[language != 'fr']}"


def explain_payment(payment: Payment, language: str) -> str | None:
    """Return a sentence for the reason of an attempt in the state that it is in; ``None`` where it has none."""
    if payment.reason_code is not None and payment.status in _MAY_BE_MONEY:
        return _MAY_BE_MONEY[payment.status][language != "fr"]
    return explain(payment.reason_code, language)
