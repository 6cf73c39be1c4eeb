"""`initiate_payment` at the edge: what is checked for each method, and what is answered."""

from uuid import UUID

from common.crash_points import reach

from billing.api.dependencies import Tools
from billing.api.offering import charged_in
from billing.api.schemas.orders import BankDetails, InitiateIn, InitiateOut
from billing.domain.order import Order
from billing.domain.payment import Payment, PaymentStatus
from billing.domain.plan import METHOD_LABELS, Method
from billing.domain.reason import explain
from billing.domain.return_url import may_return_to
from billing.errors import (
    MethodOfAnotherCurrency,
    MethodUnavailable,
    MethodUnknown,
    OrderPaidByCredit,
    PhoneNumberForeign,
    PhoneNumberInvalid,
    PhoneNumberMissing,
    ReturnUrlMissing,
    ReturnUrlRefused,
)
from billing.persistence.unit_of_work import UnitOfWork
from billing.ports import ForeignNumber
from billing.usecases.begin_payment import begin_payment
from billing.usecases.open_attempt import WantedPayment

_MESSAGES = {
    Method.PAYPAL: ("Continuez chez PayPal pour approuver le paiement.", "Go on at PayPal to approve the payment."),
    Method.MTN_MOMO: ("Vérifiez votre téléphone pour confirmer le paiement.", "Check your phone to confirm."),
    Method.BANK_TRANSFER: (
        "Effectuez le virement avec la référence indiquée. Nous le vérifions à la main.",
        "Make the transfer with the given reference. A person checks it.",
    ),
}
_UNANSWERED = (
    "Le fournisseur n'a pas encore répondu. Nous continuons de l'interroger ; ne payez pas deux fois.",
    "The provider has not answered yet. We keep asking; do not pay twice.",
)


async def _method(uow: UnitOfWork, tools: Tools, method_id: int) -> Method:
    found = next((method for method in await uow.catalogue.methods() if method.id == method_id), None)
    if found is None or found.name not in tools.settings.payment_methods:
        raise MethodUnknown
    return Method(found.name)


def _checked_urls(tools: Tools, wanted: InitiateIn) -> None:
    if wanted.return_url is None or wanted.cancel_url is None:
        raise ReturnUrlMissing
    for field in ("return_url", "cancel_url"):
        if not may_return_to(getattr(wanted, field), tools.settings.return_origins):
            raise ReturnUrlRefused(field=field)


def _checked_phone(tools: Tools, wanted: InitiateIn) -> str:
    if not wanted.phone_number:
        raise PhoneNumberMissing
    try:
        return tools.read_phone_number(wanted.phone_number)
    except ForeignNumber as foreign:
        raise PhoneNumberForeign(country_code=str(foreign)) from None
    except ValueError:
        raise PhoneNumberInvalid from None


def _wish(tools: Tools, order: Order, method: Method, wanted: InitiateIn, language: str) -> WantedPayment:
    provider = tools.checkout.provider(method)
    if provider is None and method is not Method.BANK_TRANSFER:
        raise MethodUnknown
    currency = charged_in(tools, method, order.amounts.currency)
    if currency is None:
        raise MethodOfAnotherCurrency(method=METHOD_LABELS[method], currency=order.amounts.currency)
    if provider is None:
        return WantedPayment(method=method, currency=currency, language=language)
    if method is Method.PAYPAL:
        _checked_urls(tools, wanted)
        return WantedPayment(
            method=method,
            currency=currency,
            language=language,
            return_url=wanted.return_url,
            cancel_url=wanted.cancel_url,
        )
    return WantedPayment(
        method=method,
        currency=currency,
        most=provider.most,
        language=language,
        phone_number=_checked_phone(tools, wanted),
    )


async def initiate(
    tools: Tools,
    order: Order,
    wanted: InitiateIn,
    user_id: UUID,
    language: str,
    *,
    key: str | None,
    body: bytes,
) -> InitiateOut:
    """Commit the attempt, then call its provider, then say how the customer goes on.

    Raises:
        MethodUnknown: Not offered here.
        MethodOfAnotherCurrency: It pays no order in the order's currency.
        ReturnUrlMissing: PayPal without both addresses.
        ReturnUrlRefused: An address that browsers are not sent to.
        PhoneNumberMissing: Mobile Money without a number.
        PhoneNumberInvalid: Not a mobile number.
        PhoneNumberForeign: Of another country than the one whose Mobile Money is taken.
        AmountAboveLimit: More is due than the method takes at once.
        OrderNotPayable: The order takes no new payment.
        OrderOutdated: Its price does not hold any more.
        PromptsUsedUp: Enough requests to pay went to this phone, for this order or by this person.
        OrderPaidByCredit: The customer's credit has just paid it.
        MethodUnavailable: The provider refuses us, or could not be reached and the customer can't go on without it.
    """
    async with tools.store.for_tenant(order.tenant_id, acting=user_id) as uow:
        method = await _method(uow, tools, wanted.payment_method_id)
        wish = _wish(tools, order, method, wanted, language)
        bank = tools.settings.bank_details()
        begun = await begin_payment(
            uow, order, wish, tools.issuer, bank, tools.settings.prompt_limits, user_id=user_id, key=key, body=body
        )
    payment = begun.payment
    if payment is None:
        raise OrderPaidByCredit
    if payment.method is Method.BANK_TRANSFER:
        return _transfer(tools, payment, language)
    reach("billing.attempt.recorded")
    if begun.is_to_start:
        state, payment = await tools.checkout.start(payment, order)
        if state.needs_operator:
            raise MethodUnavailable(method=METHOD_LABELS[method])
    return _started(payment, language)


def _transfer(tools: Tools, payment: Payment, language: str) -> InitiateOut:
    details = BankDetails(
        **tools.settings.bank_details(),
        reference=payment.reference,
        amount=payment.charged.decimal(),
        currency=payment.charged.currency,
    )
    return InitiateOut(
        payment_id=payment.id,
        status=payment.status,
        message=_MESSAGES[Method.BANK_TRANSFER][language != "fr"],
        bank_details=details,
    )


def _started(payment: Payment, language: str) -> InitiateOut:
    message = _MESSAGES[payment.method][language != "fr"]
    if payment.status is PaymentStatus.FAILED:
        message = explain(payment.reason_code, language) or message
    elif payment.status is PaymentStatus.UNKNOWN:
        if payment.method is Method.PAYPAL:
            raise MethodUnavailable(method=METHOD_LABELS[payment.method])
        message = _UNANSWERED[language != "fr"]
    return InitiateOut(payment_id=payment.id, status=payment.status, message=message, redirect_url=payment.redirect_url)
