"""Lines of our bank's statements, and which submitted transfer each one may be.

A line is only ever a proposal: a second person approves it. How files are read: ``adapters.bank_statements``.
"""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from uuid import UUID

from billing.domain.money import Money

ORDER_IN_TEXT = re.compile(r"ORD(20\d{6})([2-9A-HJ-NP-Z]{10})")
"""An order's number without its hyphens: banks drop them, change case and break lines inside of them."""


class LineStatus(StrEnum):
    """Where a line stands."""

    UNMATCHED = "unmatched"
    PROPOSED = "proposed"
    APPROVED = "approved"
    DISMISSED = "dismissed"


class Fit(StrEnum):
    """How a line's amount compares with what the transfer was to bring."""

    EXACT = "exact"
    PARTIAL = "partial"
    SURPLUS = "surplus"


@dataclass(frozen=True, slots=True)
class Credit:
    """Money that arrived, as the bank states it."""

    booked_on: date
    amount: Money
    text: str
    counterparty: str = ""
    bank_reference: str = ""


@dataclass(frozen=True, slots=True)
class Statement:
    """What a file says: the account where it names one, credits, and how many other entries it has."""

    form: str
    account: str | None
    credits: tuple[Credit, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class Awaited:
    """A submitted transfer: which payment, and what it is to bring."""

    organization_id: UUID
    payment_id: UUID
    reference: str
    due: Money


def fingerprints(entries: Iterable[Credit]) -> list[str]:
    """Return what makes each line the same line in another file that overlaps.

    Two lines alike in every field are told apart by counting: a customer may pay the same amount twice in a day.
    """
    seen: Counter[str] = Counter()
    found = []
    for credit in entries:
        said = (
            credit.booked_on.isoformat(),
            str(credit.amount),
            credit.text,
            credit.counterparty,
            credit.bank_reference,
        )
        key = "\x1f".join(said)
        found.append(hashlib.sha256(f"{key}\x1f{seen[key]}".encode()).hexdigest())
        seen[key] += 1
    return found


def orders_named(text: str) -> list[str]:
    """Return the numbers of our orders that a line's text quotes, in whatever spelling."""
    letters = unicodedata.normalize("NFKD", text).upper()
    packed = re.sub(r"[^A-Z0-9]", "", letters)
    return list(dict.fromkeys(f"ORD-{day}-{rest}" for day, rest in ORDER_IN_TEXT.findall(packed)))


def order_of(reference: str) -> str:
    """Return the order's number in a payment's reference, which has the attempt's behind it."""
    return reference.rpartition("-")[0]


def match(credit: Credit, awaited: Iterable[Awaited]) -> Awaited | None:
    """Return the one transfer that a line can be: its order quoted, its currency the same; else nobody guesses."""
    named = set(orders_named(f"{credit.text} {credit.bank_reference}"))
    fitting = [
        transfer
        for transfer in awaited
        if order_of(transfer.reference) in named and transfer.due.currency == credit.amount.currency
    ]
    return fitting[0] if len(fitting) == 1 else None


def fit_of(amount: Money, due: Money) -> Fit:
    """Say how an amount compares with what was due."""
    if amount == due:
        return Fit.EXACT
    return Fit.PARTIAL if amount < due else Fit.SURPLUS
