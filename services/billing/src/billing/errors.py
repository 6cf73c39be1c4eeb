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

import re

from common.errors import Conflict, Forbidden, Invalid, NotFound, TooLarge, TooMany, Unavailable, Unsupported


class PlanNotFound(NotFound):
    code = "plan_not_found"
    en = "There is no such plan. Those on sale are at /api/tenants/plans/."
    fr = "Ce plan n'existe pas. Les plans proposés : /api/tenants/plans/."


class OrderNotFound(NotFound):
    code = "order_not_found"
    en = "There is no such order. Yours are at /api/tenants/orders/."
    fr = "Cette commande n'existe pas. Les vôtres : /api/tenants/orders/."


class PaymentNotFound(NotFound):
    code = "payment_not_found"
    en = "There is no such payment. Yours are at /api/tenants/payments/."
    fr = "Ce paiement n'existe pas. Les vôtres : /api/tenants/payments/."


class InvoiceNotFound(NotFound):
    code = "invoice_not_found"
    en = "There is no such invoice. Yours are at /api/tenants/invoices/."
    fr = "Cette facture n'existe pas. Les vôtres : /api/tenants/invoices/."


class CreditNoteNotFound(NotFound):
    code = "credit_note_not_found"
    en = "There is no such credit note. Yours are at /api/tenants/credit-notes/."
    fr = "Cet avoir n'existe pas. Les vôtres : /api/tenants/credit-notes/."


class CouponNotFound(NotFound):
    code = "coupon_not_found"
    en = "There is no such coupon. See /api/admin/coupons/."
    fr = "Ce code promo n'existe pas. Voir /api/admin/coupons/."


class OrganizationNotFound(NotFound):
    code = "organization_not_found"
    en = "There is no such organization. Yours are at /api/tenants/organizations/."
    fr = "Cette organisation n'existe pas. Les vôtres : /api/tenants/organizations/."


class ReceiptNotFound(NotFound):
    code = "receipt_not_found"
    en = "No receipt was sent for this payment. A transfer that waits for its check takes one."
    fr = "Aucun reçu n'a été envoyé pour ce paiement. Un virement en attente de vérification en accepte un."


class CallbackUnknown(NotFound):
    code = "callback_unknown"
    en = "Nothing waits for this callback."
    fr = "Rien n'attend cette notification."


class RefundNotFound(NotFound):
    code = "refund_not_found"
    en = "There is no such refund. See /api/admin/refunds/."
    fr = "Ce remboursement n'existe pas. Voir /api/admin/refunds/."


class DisputeNotFound(NotFound):
    code = "dispute_not_found"
    en = "There is no such dispute. See /api/admin/disputes/."
    fr = "Ce litige n'existe pas. Voir /api/admin/disputes/."


class StatementLineNotFound(NotFound):
    code = "statement_line_not_found"
    en = "There is no such line of a bank statement."
    fr = "Cette ligne de relevé bancaire n'existe pas."


_WHERE_IN_FRENCH = {
    "the file": "le fichier",
    "the header": "l'en-tête",
    "the account": "le compte",
    "the XML": "le XML",
    "row": "ligne",
    "entry": "écriture",
    "more than": "plus de",
    "entries": "écritures",
}


class StatementUnreadable(Invalid):
    """Field `where`: what could not be read."""

    code = "statement_unreadable"
    en = "This is no bank statement that we can read (CAMT.053, or CSV with known columns): {where}."
    fr = "Ce n'est pas un relevé que nous savons lire (CAMT.053, ou CSV aux colonnes connues) : {where}."

    def text(self, language: str) -> str:
        if language != "fr":
            return super().text(language)
        where = str(self.fields["where"])
        for english, french in _WHERE_IN_FRENCH.items():
            where = re.sub(rf"\b{english}\b", french, where)
        return self.fr.format(where=where)


class StatementOfAnotherAccount(Invalid):
    code = "statement_of_another_account"
    en = "This statement is of another account than the one that customers pay to."
    fr = "Ce relevé est celui d'un autre compte que celui où paient les clients."


class StatementLineDecided(Conflict):
    """Field `state`."""

    code = "statement_line_decided"
    en = "The line is {state}; this cannot be done with it any more."
    fr = "La ligne est à l'état {state} ; cela n'est plus possible."


class TransferTaken(Conflict):
    code = "transfer_taken"
    en = "Another line of a statement is proposed for this transfer already."
    fr = "Une autre ligne de relevé est déjà proposée pour ce virement."


class StatementTooLarge(TooLarge):
    code = "statement_too_large"
    en = "A bank statement has at most {limit_bytes} bytes."
    fr = "Un relevé bancaire a au plus {limit_bytes} octets."


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


class CurrencyNotSold(Invalid):
    """Fields `currency`, and `sold`: those in which it can be bought here."""

    code = "currency_not_sold"
    en = "This plan is not sold in {currency}. Choose one of: {sold}."
    fr = "Ce plan n'est pas vendu en {currency}. Choisissez parmi : {sold}."


class MethodOfAnotherCurrency(Invalid):
    """Field `currency`: the order's."""

    code = "payment_method_currency"
    en = "{method} pays no order in {currency} here. Choose another method, or order in a currency that it takes."
    fr = "{method} ne règle pas ici de commande en {currency}. Changez de moyen, ou commandez dans une autre devise."


_COUPON_IS = {
    "unknown": ("there is no such code", "ce code n'existe pas"),
    "switched_off": ("it is switched off", "il est désactivé"),
    "not_started": ("it does not hold yet", "il n'est pas encore valable"),
    "expired": ("it has expired", "il a expiré"),
    "other_plan": ("it is for another plan", "il vaut pour un autre plan"),
    "below_minimum": ("the amount is too small for it", "le montant est trop faible"),
    "other_currency": ("it is for another currency", "il vaut pour une autre devise"),
    "used_up": ("it is used up", "il est épuisé"),
    "used_by_customer": ("you have used it already", "vous l'avez déjà utilisé"),
}


class CouponRefused(Invalid):
    """Field `reason`: as `coupons/validate/` answers it."""

    code = "coupon_refused"
    en = "The coupon does not hold for this purchase: {reason}. Order with another one, or without."
    fr = "Ce code promo n'est pas valable pour cet achat : {reason}. Commandez avec un autre, ou sans."

    def text(self, language: str) -> str:
        reason = str(self.fields["reason"])
        said = _COUPON_IS.get(reason, (reason, reason))[language == "fr"]
        return (self.fr if language == "fr" else self.en).format(reason=said)


class CouponTriesUsedUp(TooMany):
    """Whether this code is right is not looked at; the answer says when to come again."""

    code = "coupon_tries_used_up"
    en = "Too many coupon codes were wrong. Order without one, or come back in a while; the time is in Retry-After."
    fr = "Trop de codes promo étaient faux. Commandez sans code ou revenez plus tard ; le délai est dans Retry-After."


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


class WindowInvalid(Invalid):
    code = "window_invalid"
    en = "The window ends after it begins, and spans 366 days at most."
    fr = "La période finit après son début et couvre 366 jours au plus."


class OrderIdDiffers(Invalid):
    code = "order_id_differs"
    en = "order_id is not the order of the address."
    fr = "order_id n'est pas la commande de l'adresse."


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


class RejectionWithoutNote(Invalid):
    code = "note_required"
    en = "Say in note why the transfer is rejected; the customer is told."
    fr = "Dites dans note pourquoi le virement est rejeté ; le client l'apprend."


class MovementUnnamed(Invalid):
    code = "bank_movement_required"
    en = "Give bank_reference and value_date as the bank's statement shows them: the transfer must be found again."
    fr = "Indiquez bank_reference et value_date tels que le relevé les montre : le virement doit pouvoir être retrouvé."


class MovementTaken(Conflict):
    """Field `bank_reference`."""

    code = "bank_movement_taken"
    en = (
        "The movement {bank_reference} has paid another transfer already. If it pays several, take it in for one, what "
        "is over is the customer's credit; or say which part this is, as «{bank_reference}/2»."
    )
    fr = (
        "Le mouvement {bank_reference} a déjà réglé un autre virement. S'il en règle plusieurs, saisissez-le pour un "
        "seul, le surplus devient l'avoir du client ; ou dites quelle part c'est, comme « {bank_reference}/2 »."
    )


class WebhookMalformed(Invalid):
    code = "webhook_malformed"
    en = "The body is not an event."
    fr = "Le corps n'est pas un événement."


class CouponTermsInvalid(Invalid):
    code = "coupon_terms_invalid"
    en = "A coupon takes off either a percentage above 0 and of at most 100, or fixed amounts."
    fr = "Un code promo réduit soit d'un pourcentage au-dessus de 0 et d'au plus 100, soit de montants fixes."


class CouponNeverHolds(Invalid):
    code = "coupon_never_holds"
    en = "The coupon would never hold: valid_until has to be later than valid_from."
    fr = "Ce code promo ne vaudrait jamais : valid_until doit être postérieur à valid_from."


class OrderNotPayable(Conflict):
    code = "order_not_payable"
    en = "The order is {state} and takes no new payment. Place a new order if you still want the plan."
    fr = "La commande est à l'état {state} et n'accepte plus de paiement. Passez une nouvelle commande si besoin."

    def text(self, language: str) -> str:
        if self.fields["state"] in {"paid", "processing", "completed"}:
            paid = ("This order is paid already: nothing is left to pay.", "Cette commande est déjà payée.")
            return paid[language == "fr"]
        return super().text(language)


class OrderPaidByCredit(Conflict):
    code = "order_paid_by_credit"
    en = "Your credit has just paid this order: nothing is left to pay."
    fr = "Votre avoir vient de régler cette commande : il ne reste rien à payer."


class OrderNotCancellable(Conflict):
    code = "order_not_cancellable"
    en = (
        "The order is {state}; only an unpaid order without an open payment can be cancelled. "
        "One that stays unpaid is cancelled by itself."
    )
    fr = (
        "La commande est à l'état {state} ; seule une commande impayée sans paiement en cours peut être annulée. "
        "Celle qui reste impayée s'annule d'elle-même."
    )


class PaymentNotSubmitted(Conflict):
    code = "payment_not_submitted"
    en = "The payment is {state}: only a bank transfer that was submitted can be checked, and only once."
    fr = "Le paiement est à l'état {state} : seul un virement soumis peut être vérifié, et une seule fois."


class OrganizationNotActive(Conflict):
    code = "organization_not_active"
    en = "Switch to this organization first (POST /api/auth/switch/)."
    fr = "Activez d'abord cette organisation (POST /api/auth/switch/)."


class SubscriptionMissing(Conflict):
    code = "subscription_missing"
    en = "The organization has no subscription yet: order with kind «new»."
    fr = "L'organisation n'a pas encore d'abonnement : commandez avec kind « new »."


class SubscriptionNotFound(NotFound):
    code = "subscription_not_found"
    en = "This organization has no subscription."
    fr = "Cette organisation n'a pas d'abonnement."


class SubscriptionEnded(Conflict):
    code = "subscription_ended"
    en = "The subscription has ended. An order at /api/tenants/orders/ begins it again."
    fr = "L'abonnement est terminé. Une commande (/api/tenants/orders/) le reprend."


class DowngradeOverUsage(Conflict):
    """Field `over_quota`: what is used beyond the plan, `resource limit current to_free` each."""

    code = "downgrade_over_usage"
    en = "More is used than this plan allows ({resources}). Free it first, or renew the plan that you have."
    fr = "L'utilisation dépasse ce plan ({resources}). Libérez d'abord la différence, ou renouvelez votre plan actuel."


class SubscriptionInAnotherCurrency(Conflict):
    """Fields `currency` and `running`: the order's, and the subscription's."""

    code = "subscription_currency"
    en = (
        "The subscription is in {running}, and so are its renewals and changes. "
        "Once what is paid has run out and it is suspended or has ended, it may begin again in {currency}."
    )
    fr = (
        "L'abonnement est en {running}, comme ses renouvellements et changements. "
        "Une fois la période payée écoulée et l'abonnement suspendu ou terminé, il peut reprendre en {currency}."
    )


class PlanUnchanged(Conflict):
    code = "plan_unchanged"
    en = "The organization has this plan already, paid in this way. Nothing was ordered."
    fr = "L'organisation a déjà ce forfait, payé ainsi. Rien n'a été commandé."


class RenewalOfAnotherPlan(Conflict):
    code = "renewal_of_another_plan"
    en = "A renewal is of the plan that is running and paid ahead. Order a change for another plan."
    fr = "Un renouvellement porte sur le forfait en cours et payé d'avance. Pour un autre, commandez un changement."


class SubscriptionDisputed(Conflict):
    code = "subscription_disputed"
    en = "A payment of this subscription is disputed: its plan can be changed once that is settled, or write to us."
    fr = "Un paiement de cet abonnement est contesté : le plan pourra changer une fois le litige réglé ; écrivez-nous."


class OrderOutdated(Conflict):
    """The subscription that its price was computed from is another by now, or too much of it is used up."""

    code = "order_outdated"
    en = "This order's price does not hold any more. Place the order again."
    fr = "Le prix de cette commande n'est plus valable. Passez la commande à nouveau."


class CouponCodeTaken(Conflict):
    code = "coupon_code_taken"
    en = "There is a coupon with this code already."
    fr = "Un code promo porte déjà ce code."


class ReceiptNotWanted(Conflict):
    code = "receipt_not_wanted"
    en = "Only a bank transfer that waits for its check takes a receipt; this payment is {state}."
    fr = "Seul un virement en attente de vérification accepte un reçu ; ce paiement est à l'état {state}."


class ReceiptAlreadyKnown(Conflict):
    code = "receipt_already_known"
    en = "This very file was already sent for a payment."
    fr = "Ce même fichier a déjà été envoyé pour un paiement."


class ReceiptsEnough(Conflict):
    """Field `limit`."""

    code = "receipts_enough"
    en = "A payment takes {limit} receipts at most."
    fr = "Un paiement accepte {limit} justificatifs au plus."


class PaymentNotRefundable(Conflict):
    code = "payment_not_refundable"
    en = "The payment is {state}: only money that arrived can be refunded."
    fr = "Le paiement est à l'état {state} : seul l'argent reçu peut être remboursé."


class RefundTooLarge(Conflict):
    """Fields `left` and `currency`: what was captured and is not refunded, asked for, credited or used as credit."""

    code = "refund_too_large"
    en = (
        "At most {left} {currency} of this payment may still be refunded: without refunds that are asked for already,"
        " unused time that a change of plan has credited, and credit that was used since."
    )
    fr = (
        "Au plus {left} {currency} de ce paiement sont encore remboursables : sans les remboursements déjà demandés, le"
        " temps non utilisé qu'un changement de plan a crédité, ni l'avoir utilisé depuis."
    )


class RefundStateForbids(Conflict):
    code = "refund_state"
    en = "The refund is {state}: this can't be done with it (any more)."
    fr = "Le remboursement est à l'état {state} : cette action n'est pas (ou plus) possible."


class DisputeStateForbids(Conflict):
    code = "dispute_state"
    en = "Only a lost dispute is lifted, and once; this one is {state}. An open one is its provider's to decide."
    fr = "Seul un litige perdu se lève, et une fois ; celui-ci est {state}. Un litige ouvert relève du fournisseur."


class DisputeLeavesDebt(Conflict):
    """Fields ``owed`` and ``currency``."""

    code = "dispute_leaves_debt"
    en = "{owed} {currency} of what was taken back had been credited and pay for running time: only its end lifts this."
    fr = "{owed} {currency} de la somme reprise, déjà crédités, paient le temps en cours : seule sa fin lève cela."


class RefundReferenceKnown(Conflict):
    code = "refund_reference_known"
    en = "This reference is that of another refund."
    fr = "Cette référence est celle d'un autre remboursement."


class OrganizationOwnerRequired(Forbidden):
    code = "organization_owner_required"
    en = (
        "Only its owner orders for an organization; he or an admin pays. "
        "For an organization of your own, order with kind «new»."
    )
    fr = (
        "Seul le propriétaire commande pour une organisation ; lui ou un administrateur paie. "
        "Pour la vôtre, commandez avec kind « new »."
    )


class SamePersonApproves(Forbidden):
    code = "same_person"
    en = "A transfer is checked by another person than the one who submitted it."
    fr = "Un virement est vérifié par une autre personne que celle qui l'a soumis."


class SamePersonRefunds(Forbidden):
    code = "same_person_refunds"
    en = "A refund is approved by another person than the one who asked for it or receives it."
    fr = "Un remboursement est approuvé par une autre personne que celle qui l'a demandé ou le reçoit."


class SamePersonLifts(Forbidden):
    code = "same_person_lifts"
    en = "Another person has to lift this: it is about your own purchase or organization."
    fr = "Une autre personne doit lever cette suspension : il s'agit de votre propre achat ou organisation."


class SamePersonChanges(Forbidden):
    code = "same_person_changes"
    en = "Another person of finance has to change this plan: it is your own organization or purchase."
    fr = "Une autre personne doit changer ce forfait : il s'agit de votre propre organisation ou achat."


class SignatureInvalid(Forbidden):
    code = "signature_invalid"
    en = "The signature does not match."
    fr = "La signature ne correspond pas."


class ReceiptTooLarge(TooLarge):
    code = "receipt_too_large"
    en = "A receipt has at most {limit_bytes} bytes."
    fr = "Un reçu a au plus {limit_bytes} octets."


class ReceiptTypeUnsupported(Unsupported):
    code = "receipt_type_unsupported"
    en = "A receipt is a PDF, PNG or JPEG file."
    fr = "Un reçu est un fichier PDF, PNG ou JPEG."


class MethodUnavailable(Unavailable):
    code = "payment_method_unavailable"
    en = "{method} can't be reached right now. Try again or choose another method."
    fr = "{method} est injoignable pour le moment. Réessayez ou choisissez un autre moyen."
