"""Errors of bank transfers, their receipts and the bank's statements."""

import re
from typing import ClassVar

from common.errors import Conflict, Forbidden, Invalid, NotFound, TooLarge, Unsupported

from billing.errors import words


class ReceiptNotFound(NotFound):
    code = "receipt_not_found"
    en = "No receipt was sent for this payment. A transfer that waits for its check takes one."
    fr = "Aucun reçu n'a été envoyé pour ce paiement. Un virement en attente de vérification en accepte un."


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
    words: ClassVar = {"state": words.LINE_STATES}
    en = "The line is {state}; this cannot be done with it any more."
    fr = "La ligne est {state} ; cela n'est plus possible."


class TransferTaken(Conflict):
    code = "transfer_taken"
    en = "Another line of a statement is proposed for this transfer already."
    fr = "Une autre ligne de relevé est déjà proposée pour ce virement."


class StatementTooLarge(TooLarge):
    code = "statement_too_large"
    en = "A bank statement has at most {limit_bytes} bytes."
    fr = "Un relevé bancaire a au plus {limit_bytes} octets."


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


class PaymentNotSubmitted(Conflict):
    code = "payment_not_submitted"
    words: ClassVar = {"state": words.PAYMENT_STATES}
    en = "The payment is {state}: only a bank transfer that was submitted can be checked, and only once."
    fr = "Le paiement est {state} : seul un virement soumis peut être vérifié, et une seule fois."


class SamePersonApproves(Forbidden):
    code = "same_person"
    en = "A transfer is checked by another person than the one who submitted it."
    fr = "Un virement est vérifié par une autre personne que celle qui l'a soumis."


class ReceiptNotWanted(Conflict):
    code = "receipt_not_wanted"
    words: ClassVar = {"state": words.PAYMENT_STATES}
    en = "Only a bank transfer that waits for its check takes a receipt; this payment is {state}."
    fr = "Seul un virement en attente de vérification accepte un reçu ; ce paiement est {state}."


class ReceiptAlreadyKnown(Conflict):
    code = "receipt_already_known"
    en = "This very file was already sent for a payment."
    fr = "Ce même fichier a déjà été envoyé pour un paiement."


class ReceiptsEnough(Conflict):
    """Field `limit`."""

    code = "receipts_enough"
    en = "A payment takes {limit} receipts at most."
    fr = "Un paiement accepte {limit} justificatifs au plus."


class ReceiptTooLarge(TooLarge):
    code = "receipt_too_large"
    en = "A receipt has at most {limit_bytes} bytes."
    fr = "Un reçu a au plus {limit_bytes} octets."


class ReceiptTypeUnsupported(Unsupported):
    code = "receipt_type_unsupported"
    en = "A receipt is a PDF, PNG or JPEG file."
    fr = "Un reçu est un fichier PDF, PNG ou JPEG."
