"""Errors of plans, orders and what they may be."""

from typing import ClassVar

from common.errors import Conflict, Forbidden, Invalid, NotFound

from billing.errors import words


class PlanNotFound(NotFound):
    code = "plan_not_found"
    en = "There is no such plan. Those on sale are at /api/tenants/plans/."
    fr = "Ce plan n'existe pas. Les plans proposés : /api/tenants/plans/."


class OrderNotFound(NotFound):
    code = "order_not_found"
    en = "There is no such order. Yours are at /api/tenants/orders/."
    fr = "Cette commande n'existe pas. Les vôtres : /api/tenants/orders/."


class OrganizationNotFound(NotFound):
    code = "organization_not_found"
    en = "There is no such organization. Yours are at /api/tenants/organizations/."
    fr = "Cette organisation n'existe pas. Les vôtres : /api/tenants/organizations/."


class CurrencyNotSold(Invalid):
    """Fields `currency`, and `sold`: those in which it can be bought here."""

    code = "currency_not_sold"
    en = "This plan is not sold in {currency}. Choose one of: {sold}."
    fr = "Ce plan n'est pas vendu en {currency}. Choisissez parmi : {sold}."


class OrderIdDiffers(Invalid):
    code = "order_id_differs"
    en = "order_id is not the order of the address."
    fr = "order_id n'est pas la commande de l'adresse."


class WindowInvalid(Invalid):
    code = "window_invalid"
    en = "The window ends after it begins, and spans 366 days at most."
    fr = "La période finit après son début et couvre 366 jours au plus."


class OrderNotPayable(Conflict):
    code = "order_not_payable"
    words: ClassVar = {"state": words.ORDER_STATES}
    en = "The order is {state} and takes no new payment. Place a new order if you still want the plan."
    fr = "La commande est {state} et n'accepte plus de paiement. Passez une nouvelle commande si besoin."

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
    words: ClassVar = {"state": words.ORDER_STATES}
    en = (
        "The order is {state}; only an unpaid order without an open payment can be cancelled. "
        "One that stays unpaid is cancelled by itself."
    )
    fr = (
        "La commande est {state} ; seule une commande impayée sans paiement en cours peut être annulée. "
        "Celle qui reste impayée s'annule d'elle-même."
    )


class OrderOutdated(Conflict):
    """The subscription that its price was computed from is another by now, or too much of it is used up."""

    code = "order_outdated"
    en = "This order's price does not hold any more. Place the order again."
    fr = "Le prix de cette commande n'est plus valable. Passez la commande à nouveau."


class OrganizationNotActive(Conflict):
    code = "organization_not_active"
    en = "Switch to this organization first (POST /api/auth/switch/)."
    fr = "Activez d'abord cette organisation (POST /api/auth/switch/)."


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


class SamePersonChanges(Forbidden):
    code = "same_person_changes"
    en = "Another person of finance has to change this plan: it is your own organization or purchase."
    fr = "Une autre personne doit changer ce forfait : il s'agit de votre propre organisation ou achat."
