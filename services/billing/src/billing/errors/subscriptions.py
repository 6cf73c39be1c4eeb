"""Errors of subscriptions and their changes."""

from common.errors import Conflict, NotFound


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
