"""Errors of payments by any method, and of providers' calls."""

from common.errors import Forbidden, Invalid, NotFound, TooMany, Unavailable


class PaymentNotFound(NotFound):
    code = "payment_not_found"
    en = "There is no such payment. Yours are at /api/tenants/payments/."
    fr = "Ce paiement n'existe pas. Les vôtres : /api/tenants/payments/."


class CallbackUnknown(NotFound):
    code = "callback_unknown"
    en = "Nothing waits for this callback."
    fr = "Rien n'attend cette notification."


class CaseNotFound(NotFound):
    code = "case_not_found"
    en = "There is no such open case. See /api/admin/cases/."
    fr = "Ce dossier n'existe pas ou est clos. Voir /api/admin/cases/."


class MovementNotFound(NotFound):
    code = "movement_not_found"
    en = "There is no such open movement. See /api/admin/unmatched-movements/."
    fr = "Ce mouvement n'existe pas ou est clos. Voir /api/admin/unmatched-movements/."


class MethodUnknown(Invalid):
    code = "payment_method_unknown"
    en = "This payment method is not offered. See /api/tenants/payment-methods/."
    fr = "Ce moyen de paiement n'est pas proposé. Voir /api/tenants/payment-methods/."


class MethodOfAnotherCurrency(Invalid):
    """Field `currency`: the order's."""

    code = "payment_method_currency"
    en = "{method} pays no order in {currency} here. Choose another method, or order in a currency that it takes."
    fr = "{method} ne règle pas ici de commande en {currency}. Changez de moyen, ou commandez dans une autre devise."


class MethodUnavailable(Unavailable):
    code = "payment_method_unavailable"
    en = "{method} can't be reached right now. Try again or choose another method."
    fr = "{method} est injoignable pour le moment. Réessayez ou choisissez un autre moyen."


class PromptsUsedUp(TooMany):
    """No prompt was sent and no attempt made; the answer says when to come again, not whose prompts they were."""

    code = "payment_prompts_used_up"
    en = (
        "Too many requests to pay went to this number, or for this order, within an hour: none was sent now. "
        "Answer the one on the phone, choose another method, or come back; the time is in Retry-After."
    )
    fr = (
        "Trop de demandes de paiement vers ce numéro, ou pour cette commande, en une heure : aucune n'est partie. "
        "Répondez à celle du téléphone, changez de moyen ou revenez plus tard ; le délai est dans Retry-After."
    )


class ReturnUrlMissing(Invalid):
    code = "return_url_required"
    en = "PayPal needs return_url and cancel_url."
    fr = "PayPal demande return_url et cancel_url."


class ReturnUrlRefused(Invalid):
    code = "return_url_refused"
    en = "{field} must be an absolute http(s) address of an allowed site, without user name."
    fr = "{field} doit être une adresse http(s) absolue d'un site autorisé, sans nom d'utilisateur."


class PhoneNumberMissing(Invalid):
    code = "phone_number_required"
    en = "Give the phone number of the Mobile Money account."
    fr = "Indiquez le numéro de téléphone du compte Mobile Money."


class PhoneNumberInvalid(Invalid):
    code = "phone_number_invalid"
    en = "This is not a mobile number that can pay: write it as 2376XXXXXXXX."
    fr = "Ce numéro ne peut pas payer : écrivez-le sous la forme 2376XXXXXXXX."


class PhoneNumberForeign(Invalid):
    """Field `country_code`: of the country whose Mobile Money is taken."""

    code = "phone_number_foreign"
    en = "Mobile Money is taken here from numbers of +{country_code} only. Give one, or choose another method."
    fr = "Mobile Money n'est accepté ici que depuis un numéro +{country_code}. Indiquez-en un ou changez de moyen."


class AmountAboveLimit(Invalid):
    """Fields `limit`, `amount`, `currency`: what one payment takes, and what is due."""

    code = "amount_above_limit"
    en = "{method} takes {limit} {currency} per payment at most; {amount} {currency} are due. Choose another method."
    fr = "{method} accepte au plus {limit} {currency} par paiement ; {amount} {currency} sont dus. Changez de moyen."


class AmountInvalid(Invalid):
    """Fields `currency` and `exponent`, which is ``?`` where the currency is none that we know."""

    code = "amount_invalid"
    en = "The amount must be a positive number written with {exponent} decimals in {currency}."
    fr = "Le montant doit être un nombre positif écrit avec {exponent} décimales en {currency}."

    def text(self, language: str) -> str:
        exponent, currency = self.fields["exponent"], self.fields["currency"]
        if exponent == "?":
            unknown = ("{} is no currency that amounts can be in here.", "{} n'est pas une devise admise ici.")
            return unknown[language == "fr"].format(currency)
        if exponent == 0:
            whole = (
                "The amount must be a positive whole number, written without decimals in {}.",
                "Le montant doit être un nombre entier positif, écrit sans décimales en {}.",
            )
            return whole[language == "fr"].format(currency)
        return super().text(language)


class WebhookMalformed(Invalid):
    code = "webhook_malformed"
    en = "The body is not an event."
    fr = "Le corps n'est pas un événement."


class SignatureInvalid(Forbidden):
    code = "signature_invalid"
    en = "The signature does not match."
    fr = "La signature ne correspond pas."
