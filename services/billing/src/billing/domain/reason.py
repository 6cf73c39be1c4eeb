"""What people are told about why a payment did not succeed; providers' codes are an open list."""

_RETRY = ("Réessayez ou choisissez un autre moyen.", "Try again or choose another method.")

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
    "INSTRUMENT_DECLINED": (
        "PayPal a refusé la carte ou le compte. Retournez chez PayPal pour en choisir un autre.",
        "PayPal declined the card or account. Go back to PayPal to choose another.",
    ),
    "transfer_rejected": (
        "Le virement n'a pas été confirmé. Voir le message envoyé.",
        "The transfer was not confirmed. See the mail we sent.",
    ),
    "not_received": ("Le fournisseur n'a jamais reçu la demande.", "The provider never received the request."),
}


def explain(code: str | None, language: str) -> str | None:
    """Return a sentence for a reason code in ``fr`` or ``en``; an unknown code gets a general one."""
    if code is None:
        return None
    french, english = _TEXTS.get(code.rstrip("."), ("Le paiement n'a pas abouti.", "The payment did not succeed."))
    text = french if language == "fr" else english
    wants_retry = code.rstrip(".") not in {"PAYER_NOT_FOUND", "PAYER_LIMIT_REACHED", "SENDER_ACCOUNT_NOT_ACTIVE"}
    return f"{text} {_RETRY[language != 'fr']}" if wants_retry else text
