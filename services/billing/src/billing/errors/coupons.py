"""Errors of coupons."""

from common.errors import Conflict, Invalid, NotFound, TooMany


class CouponNotFound(NotFound):
    code = "coupon_not_found"
    en = "There is no such coupon. See /api/admin/coupons/."
    fr = "Ce code promo n'existe pas. Voir /api/admin/coupons/."


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


class CouponTermsInvalid(Invalid):
    code = "coupon_terms_invalid"
    en = "A coupon takes off either a percentage above 0 and of at most 100, or fixed amounts."
    fr = "Un code promo réduit soit d'un pourcentage au-dessus de 0 et d'au plus 100, soit de montants fixes."


class CouponNeverHolds(Invalid):
    code = "coupon_never_holds"
    en = "The coupon would never hold: valid_until has to be later than valid_from."
    fr = "Ce code promo ne vaudrait jamais : valid_until doit être postérieur à valid_from."


class CouponCodeTaken(Conflict):
    code = "coupon_code_taken"
    en = "There is a coupon with this code already."
    fr = "Un code promo porte déjà ce code."
