"""How an order's total comes about: price − discount − credit + VAT, each rounded once, half-up.

VAT in Cameroon is 17.5 % plus a council surcharge of 10 % of it (19.25 % in all); only registered issuers
charge it (Code général des impôts, art. 142; minfi.gov.cm, «The value added tax in brief»).
"""

from dataclasses import dataclass

from billing.domain.money import Money

RATE_BASE = 100_000
"""Tax rates are in thousandths of a percent, so that 1.75 % is an integer."""


@dataclass(frozen=True, slots=True)
class TaxRate:
    """One tax line. ``label`` is printed on the invoice, French and English."""

    label: str
    label_en: str
    thousandths: int

    def on(self, net: Money) -> Money:
        """Return the tax on a net amount, rounded half-up once."""
        return net.share(self.thousandths, RATE_BASE)


VAT_CAMEROON = (
    TaxRate("TVA 17,5 %", "VAT 17.5%", 17_500),
    TaxRate("Centimes additionnels communaux (10 % de la TVA)", "Council surcharge (10% of VAT)", 1_750),
)


@dataclass(frozen=True, slots=True)
class TaxLine:
    """A tax and its amount."""

    rate: TaxRate
    amount: Money


@dataclass(frozen=True, slots=True)
class Amounts:
    """How a total comes about. ``credit`` is the unused part of a running period that a change gives back."""

    subtotal: Money
    discount: Money
    credit: Money
    taxes: tuple[TaxLine, ...]
    total: Money

    @property
    def currency(self) -> str:
        return self.total.currency

    @property
    def worth(self) -> Money:
        """What is bought costs before tax, whether by money or by credit for a former period."""
        return self.subtotal - self.discount

    @property
    def net(self) -> Money:
        """What the taxes are on."""
        return self.subtotal - self.discount - self.credit

    @property
    def tax(self) -> Money:
        """The sum of the taxes."""
        return self.total - self.net


def amounts(price: Money, discount: Money, rates: tuple[TaxRate, ...], credit: Money | None = None) -> Amounts:
    """Compute an order's amounts. A discount above the price, or a credit above the rest, is cut to it."""
    discount = min(discount, price)
    given = min(credit or Money.zero(price.currency), price - discount)
    net = price - discount - given
    taxes = tuple(TaxLine(rate, rate.on(net)) for rate in rates)
    total = net
    for line in taxes:
        total += line.amount
    return Amounts(subtotal=price, discount=discount, credit=given, taxes=taxes, total=total)
