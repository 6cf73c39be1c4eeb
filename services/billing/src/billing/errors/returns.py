"""Errors of money that goes back: refunds, disputes, and the papers of both ways."""

from typing import ClassVar

from common.errors import Conflict, Forbidden, NotFound

from billing.errors import words


class InvoiceNotFound(NotFound):
    code = "invoice_not_found"
    en = "There is no such invoice. Yours are at /api/tenants/invoices/."
    fr = "Cette facture n'existe pas. Les vôtres : /api/tenants/invoices/."


class CreditNoteNotFound(NotFound):
    code = "credit_note_not_found"
    en = "There is no such credit note. Yours are at /api/tenants/credit-notes/."
    fr = "Cet avoir n'existe pas. Les vôtres : /api/tenants/credit-notes/."


class RefundNotFound(NotFound):
    code = "refund_not_found"
    en = "There is no such refund. See /api/admin/refunds/."
    fr = "Ce remboursement n'existe pas. Voir /api/admin/refunds/."


class DisputeNotFound(NotFound):
    code = "dispute_not_found"
    en = "There is no such dispute. See /api/admin/disputes/."
    fr = "Ce litige n'existe pas. Voir /api/admin/disputes/."


class PaymentNotRefundable(Conflict):
    code = "payment_not_refundable"
    words: ClassVar = {"state": words.PAYMENT_STATES}
    en = "The payment is {state}: only money that arrived can be refunded."
    fr = "Le paiement est {state} : seul l'argent reçu peut être remboursé."


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
    words: ClassVar = {"state": words.REFUND_STATES}
    en = "The refund is {state}: this can't be done with it (any more)."
    fr = "Le remboursement est {state} : cette action n'est pas (ou plus) possible."


class RefundReferenceKnown(Conflict):
    code = "refund_reference_known"
    en = "This reference is that of another refund."
    fr = "Cette référence est celle d'un autre remboursement."


class DisputeStateForbids(Conflict):
    code = "dispute_state"
    words: ClassVar = {"state": words.DISPUTE_STATES}
    en = "Only a lost dispute is lifted, and once; this one is {state}. An open one is its provider's to decide."
    fr = "Seul un litige perdu se lève, et une fois ; celui-ci est {state}. Un litige ouvert relève du fournisseur."


class DisputeLeavesDebt(Conflict):
    """Fields ``owed`` and ``currency``."""

    code = "dispute_leaves_debt"
    en = "{owed} {currency} of what was taken back had been credited and pay for running time: only its end lifts this."
    fr = "{owed} {currency} de la somme reprise, déjà crédités, paient le temps en cours : seule sa fin lève cela."


class SamePersonRefunds(Forbidden):
    code = "same_person_refunds"
    en = "A refund is approved by another person than the one who asked for it or receives it."
    fr = "Un remboursement est approuvé par une autre personne que celle qui l'a demandé ou le reçoit."


class SamePersonLifts(Forbidden):
    code = "same_person_lifts"
    en = "Another person has to lift this: it is about your own purchase or organization."
    fr = "Une autre personne doit lever cette suspension : il s'agit de votre propre achat ou organisation."
