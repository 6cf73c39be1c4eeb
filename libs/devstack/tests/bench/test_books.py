import pytest
from devstack.bench.books import of_all, of_numbers, of_order

pytestmark = pytest.mark.unit

MADE = {"order_id": "a", "organizations": 1, "tenants": 1}
KEPT = {"order_id": "a", "payments": 1, "invoices": 1, "periods": 1, "cases": 0, "unpaid": 0}


def test_one_of_each_and_nothing_unpaid_is_right():
    assert of_order(MADE, KEPT) == ""


@pytest.mark.parametrize(
    ("changed", "flaw"),
    [
        ({"payments": 2}, "2 payments"),
        ({"invoices": 0}, "0 invoices"),
        ({"cases": 1}, "1 cases"),
        ({"unpaid": -2500}, "-2500 unpaid"),
    ],
)
def test_too_much_and_too_little_are_flaws(changed, flaw):
    assert of_order(MADE, KEPT | changed) == flaw


def test_an_order_that_came_to_nothing_is_a_flaw():
    assert of_order(None, KEPT) == "no organization"
    assert of_order(MADE, None) == "no order"


def test_invoice_numbers_from_one_to_the_last_are_right():
    assert of_numbers([1, 2, 3], 3) == []


def test_gaps_doubles_and_a_counter_ahead_are_flaws():
    assert of_numbers([1, 3], 3) == ["a missing invoice number"]
    assert of_numbers([2], 2) == ["a missing invoice number"]
    assert of_numbers([1, 1, 2], 2) == ["an invoice number used twice"]
    assert of_numbers([1, 2], 3) == ["a missing invoice number", "a counter that is not at its last number"]


def test_there_are_as_many_of_all_as_were_bought():
    assert of_all("invoice", 3, 3) == []
    assert of_all("invoice", 1, 3) == ["too few: invoice"] * 2
    assert of_all("organization", 4, 3) == ["too many: organization"]
