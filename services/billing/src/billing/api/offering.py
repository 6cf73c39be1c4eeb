"""What this deployment sells in, and which method pays an order of which currency."""

from billing.api.dependencies import Tools
from billing.domain.catalogue import CURRENCIES
from billing.domain.plan import Method
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
