"""Purchases on a stack of processes, few of them: all are right, and what is counted is seen to go wrong."""

import pytest
from devstack.bench import billing, purchases
from devstack.bench.measuring import Sizes

pytestmark = [pytest.mark.e2e, pytest.mark.long, pytest.mark.timeout(900)]


def test_a_few_purchases_at_once_and_in_turn_are_right():
    provision, wrong = billing.measure(Sizes(purchases=3), lambda _text: None)
    assert (wrong.name, wrong.value, wrong.peer) == ("purchases_wrong", 0, "3 at once with 3 pollers each")
    assert provision.value > 0
    assert "until the payment is confirmed" in provision.note


def test_a_thousandth_of_a_thousand_purchases_is_right_and_one_that_is_not_seen_is_counted(monkeypatch):
    monkeypatch.setattr(billing, "SEEN", ("organizations", "payments", "invoices", "orders", "credit-notes"))
    (bar,) = purchases.measure(Sizes(purchases=1), lambda _text: None)
    assert (bar.name, bar.value) == ("purchases_1000_wrong", purchases.TIMES)
    assert "0 credit-notes shown" in bar.note
