"""What a customer was promised and what became of his money, in plain Python; nothing of billing is imported.

It is told what happened (an order was placed, a provider's money was taken in, money went back, time passed) and says
what must be in the books: the ledger's accounts, the periods, the subscription, invoices and credit notes.
Amounts are francs; what PayPal takes is in cents.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from math import ceil

from services.billing.tests.integration.lives.plain_rows import (
    Attempt,
    GivenBack,
    Purchase,
    Span,
    half_up,
    months_later,
)

GRACE, SUSPENSION, CHANGE_HOLDS = timedelta(days=7), timedelta(days=30), timedelta(days=5)


@dataclass
class PlainBooks:
    """One customer's books."""

    now: datetime
    prices: dict[tuple[int, int], int]
    rates: tuple[Fraction, ...] = ()
    trial_days: dict[int, int] = field(default_factory=dict)
    purchases: dict[str, Purchase] = field(default_factory=dict)
    attempts: dict[str, Attempt] = field(default_factory=dict)
    returns: dict[str, GivenBack] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)
    status: str | None = None
    reason: str | None = None
    since: datetime | None = None
    ends: datetime | None = None
    anchor: int = 0
    plan: int = 0
    cancelled: bool = False
    auto_renew: bool = False
    credit: int = 0
    reserved: int = 0
    cash: Counter[tuple[str, str]] = field(default_factory=Counter)
    exchanged: int = 0
    invoices: list[int] = field(default_factory=list)
    notes: list[int] = field(default_factory=list)
    owed: int = 0
    kept: int = 0
    backs: list[GivenBack] = field(default_factory=list)
    against_us: dict[str, str] = field(default_factory=dict)
    lifted: set[str] = field(default_factory=set)

    def taxes(self, net: int) -> list[int]:
        """Return the taxes on a net amount, each rounded for itself."""
        return [half_up(net * rate) for rate in self.rates]

    def tax_noted(self, purchase: Purchase) -> int:
        """Return what of an invoice's taxes its credit notes took back, all of them together."""
        taxes = self.taxes(purchase.net) if purchase.noted else []
        return sum(half_up(Fraction(tax * purchase.noted, purchase.total)) for tax in taxes)

    # --- orders ------------------------------------------------------------------------------------------------

    def live(self) -> list[Span]:
        return [span for span in self.spans if span.struck_at is None]

    def ahead(self) -> list[tuple[datetime, datetime]]:
        """Return the periods that are paid for and not over."""
        return sorted((span.starts, span.ends) for span in self.live() if span.ends > self.now)

    @property
    def is_held(self) -> bool:
        """Whether a dispute keeps it suspended, whatever is paid: an open one, or a lost one that nobody has lifted."""
        return "open" in self.against_us.values() or not self._lost() <= self.lifted

    def _lost(self) -> set[str]:
        return {reference for reference, status in self.against_us.items() if status == "lost"}

    def waits(self, plan: int, *, at_once: bool) -> bool:
        """Say whether a change to another plan waits for the end of what is paid."""
        assert self.ends is not None
        return self.ends > self.now and self.prices[plan, 1] < self.prices[self.plan, 1] and not at_once

    def unused(self) -> tuple[int, list[tuple[Purchase, int]]]:
        """Return what all unused time is worth, and of which purchases, with what of their money that gives back."""
        worth, of = 0, []
        for span in self.live():
            if span.ends > self.now:
                purchase = span.purchase
                ahead = int((span.ends - max(self.now, span.starts)).total_seconds())
                whole = int((span.ends - span.starts).total_seconds())
                money = max(purchase.total - purchase.returned - purchase.underway, 0)
                cost = purchase.credit + half_up(Fraction(purchase.net * money, purchase.total or 1))
                worth += half_up(Fraction(cost * ahead, whole))
                of.append((purchase, half_up(Fraction(money * ahead, whole))))
        return worth, of

    def left_of(self, purchase: Purchase) -> int:
        """Return what of a purchase has gone back in no way: neither by refunds nor by credit for its time."""
        gone = purchase.returned + purchase.underway
        if purchase.replaced_by is not None:
            gone += ceil(purchase.credited * self._still_his(purchase.replaced_by))
        return purchase.paid - gone

    def _still_his(self, change: Purchase) -> Fraction:
        """Return which part of what a change credited he still has; a refund of all of the change takes its time."""
        if not change.is_all_back:
            return Fraction(1)
        (span,) = (span for span in self.spans if span.purchase is change)
        if change.replaced_by is not None:
            of_price = self._still_his(change.replaced_by)
        else:
            of_price = Fraction(span.struck_at is None and span.ends > self.now)
        kept = Fraction(change.unspent, (change.credit + change.unspent) or 1)
        return kept + (1 - kept) * of_price

    def place(self, purchase: Purchase, *, made_now: bool) -> None:
        self.purchases[purchase.id] = purchase
        if purchase.kind == "change" and not purchase.scheduled:
            purchase.reckoned_from = self.ahead()
        if made_now and (purchase.total == 0 or self.credit >= purchase.total):
            self.pay_by_credit(purchase)

    def outdated(self, purchase: Purchase) -> bool:
        if self.status is None or purchase.kind == "new":
            return False
        if purchase.kind == "renewal":
            last = max(self.live(), key=lambda span: span.ends, default=None)
            return purchase.plan != self.plan or (last is not None and last.purchase.plan != purchase.plan)
        if not purchase.scheduled and self.is_held:
            return True
        old = self.now - purchase.placed_at > CHANGE_HOLDS
        poorer = any(back.counts and back.from_purchase and back.asked_at >= purchase.placed_at for back in self.backs)
        if (purchase.credit > 0 and (old or poorer)) or any(
            span.struck_at is not None and span.struck_at >= purchase.placed_at for span in self.spans
        ):
            return True
        return not purchase.scheduled and self._differs(purchase)

    def _differs(self, change: Purchase) -> bool:
        """Say whether other periods are paid for than a change was reckoned from, or money of theirs is back."""
        others = [each for each in change.reckoned_from if each[1] > self.now] != self.ahead()
        return others or any(money > self.left_of(purchase) for purchase, money in change.replaces)

    def pay_by_credit(self, purchase: Purchase) -> bool:
        """Credit pays all that is missing, or nothing."""
        missing = purchase.total - purchase.paid
        if purchase.settled or self.outdated(purchase) or self.credit < missing:
            return False
        self.spend(purchase, missing)
        self.settle(purchase)
        return True

    def spend(self, purchase: Purchase, amount: int) -> None:
        self.credit -= amount
        self.owed -= amount
        purchase.paid += amount
        purchase.by_credit += amount

    def asks_for(self, purchase: Purchase) -> int:
        missing = purchase.total - purchase.paid
        return missing - self.credit if 0 < self.credit < missing else missing

    # --- money -------------------------------------------------------------------------------------------------

    def take_in(self, attempt: Attempt, arrived: int | None = None) -> None:
        """A provider's money, or a transfer's, is ours: to its order as far as that needs it, else his credit."""
        purchase = attempt.purchase
        attempt.taken = attempt.charged if arrived is None else arrived
        attempt.worth = attempt.due if arrived is None else arrived
        self.cash[attempt.method, attempt.currency] += attempt.taken
        if attempt.currency != "XAF":
            self.exchanged += attempt.worth
        attempt.to_purchase = min(attempt.worth, purchase.total - purchase.paid)
        purchase.paid += attempt.to_purchase
        self.owed -= attempt.to_purchase
        self.credit += attempt.worth - attempt.to_purchase
        missing = purchase.total - purchase.paid
        if not purchase.settled and 0 < missing <= self.credit and not self.outdated(purchase):
            self.spend(purchase, missing)
        if not purchase.settled and purchase.paid == purchase.total and not self.outdated(purchase):
            self.settle(purchase)

    def settle(self, purchase: Purchase) -> None:
        """What was bought is given: a period, an invoice, and the subscription stands."""
        now, held = self.now, self.status is not None and self.is_held
        purchase.settled = True
        self.invoices.append(purchase.total)
        self.owed += purchase.total
        self._keep_unspent(purchase)
        at_once = purchase.kind == "change" and not purchase.scheduled
        free = timedelta(days=self.trial_days.get(purchase.plan, 0) if self.ends is None else 0)
        starts, anchor = now, (now + free).day
        if self.ends is not None and not at_once and self.status != "ended":
            unserved = self.status == "suspended" and self.ends <= now
            if not unserved and months_later(self.ends, purchase.months, self.anchor) > now:
                starts, anchor = self.ends, self.anchor
        span = Span(purchase, starts, months_later(starts + free, purchase.months, anchor))
        waits = self.ends is not None and purchase.kind == "change" and starts > now
        if at_once:
            for other in self.live():
                if other.ends > now:
                    other.struck_at = now
                    other.purchase.replaced_by = purchase
            for replaced, money in purchase.replaces:
                replaced.replaced_by, replaced.credited = purchase, money
        self.spans.append(span)
        self.ends, self.cancelled = span.ends, False
        if waits:
            return
        self.anchor, self.plan = anchor, purchase.plan
        self.status, self.reason, self.since = ("suspended", "dispute", now) if held else ("active", None, now)

    def _keep_unspent(self, purchase: Purchase) -> None:
        """What the replaced time is worth beyond the price is his credit: his last invoices are taken back for it."""
        rest = purchase.unspent
        for span in reversed(self.spans):
            former = span.purchase
            left = former.total - former.noted
            if left <= 0 or not rest:
                continue
            left_net = half_up(Fraction(left * former.net, former.total))
            net = min(rest, left_net)
            part = left if net == left_net else half_up(Fraction(net * former.total, former.net))
            former.noted += part
            former.kept += part
            self.notes.append(part)
            self.credit += part
            rest -= net
        self.kept += rest
        self.credit += rest

    # --- money that goes back ----------------------------------------------------------------------------------

    def ask_back(self, attempt: Attempt, amount: int | None, *, has_left: bool = False) -> GivenBack | None:
        """Return how a refund falls into what paid the order and what is credit; ``None`` where it is too much.

        Of what paid the order, only what is left of it may go back; where the provider ``has_left`` us no choice, all.
        Credit is what this payment brought too much, or what became credit of its purchase's unused time; of that, refunds
        of the purchase's other payments took what they did not bring too much themselves.
        """
        purchase = attempt.purchase
        by_others = sum(
            max(other.gone_from_credit - (other.worth - other.to_purchase), 0)
            for other in self.attempts.values()
            if other.purchase is purchase and other is not attempt
        )
        surplus = attempt.worth - attempt.to_purchase - attempt.gone_from_credit + max(purchase.kept - by_others, 0)
        credit = max(min(surplus, self.credit), 0)
        paid = attempt.to_purchase - attempt.gone_from_purchase
        of_purchase = paid if has_left else max(min(paid, self.left_of(purchase)), 0)
        still = attempt.worth - attempt.gone_from_purchase - attempt.gone_from_credit
        if amount is None and of_purchase + credit >= still:
            amount = attempt.left
        elif amount is None:
            amount = min((of_purchase + credit) * attempt.taken // attempt.worth, attempt.left)
        if not 0 < amount <= attempt.left:
            return None
        for worth in ([still] if amount == attempt.left else []) + [
            min(half_up(Fraction(attempt.worth * amount, attempt.taken)), still)
        ]:
            from_credit = min(worth, credit)
            if worth - from_credit <= of_purchase:
                return GivenBack(attempt, amount, worth - from_credit, from_credit, self.now)
        return None

    def count(self, back: GivenBack, sign: int = 1) -> None:
        """It counts from now on; with ``sign`` -1 it was rejected, or failed, and counts no more."""
        if sign > 0:
            self.backs.append(back)
        back.counts = sign > 0
        back.attempt.purchase.underway += sign * back.from_purchase
        back.attempt.gone += sign * back.amount
        back.attempt.gone_from_purchase += sign * back.from_purchase
        back.attempt.gone_from_credit += sign * back.from_credit
        self.credit -= sign * back.from_credit
        self.reserved += sign * back.from_credit

    def give_back(self, back: GivenBack, *, keeps_period: bool = False) -> None:
        """The money has left."""
        attempt, purchase = back.attempt, back.attempt.purchase
        self.cash[attempt.method, attempt.currency] -= back.amount
        if attempt.currency != "XAF":
            self.exchanged -= back.from_purchase + back.from_credit
        self.reserved -= back.from_credit
        self.owed += back.from_purchase
        purchase.underway -= back.from_purchase
        if not back.from_purchase:
            return
        if not purchase.settled:
            purchase.paid -= back.from_purchase
            return
        of_credit = 0
        if purchase.returned + back.from_purchase == purchase.paid - purchase.by_credit:
            of_credit = max(min(purchase.by_credit, self.left_of(purchase) - back.from_purchase), 0)
        purchase.returned += back.from_purchase + of_credit
        self.credit += of_credit
        self.owed += of_credit
        note = min(back.from_purchase + of_credit, purchase.total - purchase.noted)
        if note > 0:
            self.notes.append(note)
            purchase.noted += note
            self.owed -= note
        if purchase.returned == purchase.paid and not keeps_period:
            self._withdraw(purchase)

    def _withdraw(self, purchase: Purchase) -> None:
        now = self.now
        span = next((span for span in self.live() if span.purchase is purchase and span.ends > now), None)
        if span is None:
            return
        assert self.ends is not None
        unused = span.ends - max(now, span.starts)
        for later in self.live():
            if later.starts > span.starts:
                later.starts, later.ends = later.starts - unused, later.ends - unused
        if span.starts <= now:
            span.ends = now
        else:
            span.struck_at = now
        self.ends = max(self.ends - unused, now)
        if self.ends <= now and self.status != "ended":
            self._end("refunded")

    def _end(self, reason: str | None) -> None:
        self.status, self.reason, self.since = "ended", reason, self.now
        self.lifted |= self._lost()

    def dispute(self, reference: str, status: str) -> None:
        """A dispute or reversal is ``open``, ``won`` or ``lost``."""
        known = self.against_us.get(reference)
        self.against_us[reference] = status
        if (known is None or status == "lost") and self.status not in {None, "suspended", "ended"}:
            self.status, self.reason, self.since = "suspended", "dispute", self.now
        if status == "lost" and self.status in {None, "ended"}:
            self.lifted |= self._lost()
        if status == "won" and not self.is_held and (self.status, self.reason) == ("suspended", "dispute"):
            self.status, self.reason, self.since = "active", None, self.now

    def lift(self, reference: str, purchase: Purchase) -> None:
        """Finance lets go what a lost dispute about a purchase holds."""
        assert self.ends is not None
        self.lifted.add(reference)
        if purchase.is_all_back:
            self._withdraw(purchase)
        if not self.is_held and (self.status, self.reason) == ("suspended", "dispute"):
            over = self.ends <= self.now
            self.status, self.reason, self.since = (
                ("suspended", "unpaid", self.now) if over else ("active", None, self.now)
            )

    # --- time --------------------------------------------------------------------------------------------------

    def pass_time(self, now: datetime) -> None:
        self.now = now

    def look_at_the_calendar(self) -> None:
        """What is due, all of it: the plan is the one of the period that runs, and the subscription goes on its way."""
        for span in self.live():
            if span.starts <= self.now < span.ends:
                self.plan = span.purchase.plan
        while (step := self._next()) is not None:
            if step[0] == "ended":
                self._end(step[1])
            else:
                self.status, self.reason, self.since = *step, self.now

    def _next(self) -> tuple[str, str | None] | None:
        if self.status is None or self.status == "ended":
            return None
        assert self.ends is not None
        assert self.since is not None
        if self.cancelled:
            due = {"active": self.ends, "past_due": self.since, "suspended": max(self.since, self.ends)}[self.status]
            return ("ended", "cancelled") if due <= self.now else None
        due, status, reason = {
            "active": (self.ends, "past_due", "unpaid"),
            "past_due": (self.since + GRACE, "suspended", "unpaid"),
            "suspended": (max(self.since, self.ends + GRACE) + SUSPENSION, "ended", self.reason),
        }[self.status]
        return (status, reason) if due <= self.now else None

    # --- what must be in the books -----------------------------------------------------------------------------

    def accounts(self) -> dict[tuple[str, str], int]:
        """Every account of the ledger by its currency; those of nothing are left out."""
        settled = [purchase for purchase in self.purchases.values() if purchase.settled]
        tax = sum(one.total - one.net - self.tax_noted(one) for one in settled)
        sold = sum(self.invoices) - sum(self.notes) - self.kept - tax
        said = {
            ("receivable", "XAF"): self.owed,
            ("customer_credit", "XAF"): -self.credit,
            ("refund_payable", "XAF"): -self.reserved,
            ("revenue", "XAF"): -sold,
            ("tax", "XAF"): -tax,
            ("exchange", "XAF"): self.exchanged,
        }
        for (method, currency), amount in self.cash.items():
            said[f"clearing:{method}", currency] = amount
            if currency != "XAF":
                said["exchange", currency] = -amount
        return {account: amount for account, amount in said.items() if amount}
