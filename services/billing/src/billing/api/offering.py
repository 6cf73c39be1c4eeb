"""What this deployment sells in, and which method pays an order of which currency."""

from billing.api.dependencies import Tools
from billing.api.schemas.previews import OfferedOut
from billing.domain.catalogue import CURRENCIES
from billing.domain.charging import charge_for
from billing.domain.money import Money
from billing.domain.plan import Method, PaymentMethod
from billing.usecases.steps.drafting import Selling


def charged_in(tools: Tools, method: Method, currency: str) -> str | None:
    """Return in which currency a method charges an order; ``None`` where it is not offered, or pays no such order."""
    if method not in tools.settings.payment_methods:
        return None
    if method is Method.BANK_TRANSFER:
        return currency if currency == tools.settings.bank_currency else None
    provider = tools.checkout.provider(method)
    return provider.charges(currency) if provider else None


def currencies_of(tools: Tools, method: Method) -> list[str]:
    """Return the currencies of orders that a method pays."""
    return [currency for currency in CURRENCIES if charged_in(tools, method, currency) is not None]


def selling_of(tools: Tools) -> Selling:
    """Return how this deployment sells to customers: in currencies that one of its methods takes, if it has any."""
    methods = tools.settings.payment_methods
    payable = frozenset(currency for method in methods for currency in currencies_of(tools, method))
    return Selling(tools.issuer, tools.settings.catalogue_currency, payable if methods else None)


def offered_for(tools: Tools, methods: list[PaymentMethod], due: Money) -> list[OfferedOut]:
    """Return the methods that pay what is due, each with what it would charge."""
    offered = []
    for method in methods if due else []:
        name = Method(method.name)
        currency = charged_in(tools, name, due.currency)
        if currency is None:
            continue
        charged = charge_for(due, currency, whole_units=name is Method.MTN_MOMO).amount
        provider = tools.checkout.provider(name)
        if provider is None or provider.most is None or charged <= provider.most:
            offered.append(OfferedOut.of(method, charged))
    return offered
