"""Buying what is not sold, paying what is not owed, proving what was not paid: refused, and nothing changed."""

from uuid import uuid4

import pytest
from devstack.customer import BANK_TRANSFER, JSON, MTN_MOMO, PAYPAL, Customer
from devstack.premises import House
from devstack.refusals import refused, unchanged

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(240),
    pytest.mark.parametrize("endpoints", ["one_process_small_vault"], indirect=True),
]

ORDERS, PAYMENTS = "/api/tenants/orders/", "/api/tenants/payments/"


WRONG_ORDERS: tuple[tuple[JSON, int, str], ...] = (
    ({"plan_id": 77}, 404, "plan_not_found"),
    ({"coupon_code": "PERSONNE"}, 422, "coupon_refused"),
    ({"organization_id": str(uuid4())}, 404, "organization_not_found"),
    *(
        (changes, 422, "invalid_request")
        for changes in (
            {"plan_id": 0},
            {"plan_id": "gold"},
            {"plan_id": None},
            {"plan_id": 1.5},
            {"plan_id": 10**30},
            {"billing_cycle": "weekly"},
            {"customer_email": "nobody"},
            {"customer_name": " "},
            {"customer_name": "x" * 201},
            {"kind": "gift"},
            {"total_amount": "1"},
            {"status": "paid"},
        )
    ),
)


@pytest.mark.invariant("S16")
async def test_a_wrong_order_is_refused(new_customer) -> None:
    customer: Customer = await new_customer()
    right = {"plan_id": 1, "billing_cycle": "monthly", "customer_name": "X", "customer_email": customer.email}
    async with unchanged(customer):
        for changes, status, code in WRONG_ORDERS:
            problem = await refused(customer, "POST", ORDERS, status, code, json=right | changes)
            if code == "invalid_request":
                assert [error["field"] for error in problem["errors"]] == [f"body.{name}" for name in changes]


async def test_a_coupon_that_nobody_issued_is_worth_nothing(new_customer) -> None:
    customer: Customer = await new_customer()
    path = "/api/tenants/coupons/validate/"
    asked = {"code": "PERSONNE", "plan_id": 1, "billing_cycle": "monthly"}
    async with unchanged(customer):
        answer = await customer.post(path, asked)
        assert (answer["valid"], answer["discount_amount"], answer["total_amount"]) == (False, "0", "25000")
        assert answer["reason"]
        await refused(customer, "POST", path, 404, "plan_not_found", json=asked | {"plan_id": 77})


async def test_a_wrong_payment_is_refused_and_opens_none(new_customer) -> None:
    customer: Customer = await new_customer()
    order = await customer.order(1, "Entreprise Hésitante")
    path = f"{ORDERS}{order['id']}/initiate_payment/"
    urls = {"return_url": "https://myapp.com/ok", "cancel_url": "https://myapp.com/no"}
    refusals: list[tuple[JSON, str]] = [
        ({"payment_method_id": 99}, "payment_method_unknown"),
        ({"payment_method_id": 2**70}, "invalid_request"),
        ({"payment_method_id": "momo"}, "invalid_request"),
        ({"payment_method_id": BANK_TRANSFER, "order_id": str(uuid4())}, "order_id_differs"),
        ({"payment_method_id": PAYPAL}, "return_url_required"),
        ({"payment_method_id": MTN_MOMO}, "phone_number_required"),
    ]
    numbers = ("abc", "12", "237670000001; DROP TABLE", "2" * 40, "٢٣٧٦٧٠٠٠٠٠٠١", "23767000000")
    refusals += [({"payment_method_id": MTN_MOMO, "phone_number": n}, "phone_number_invalid") for n in numbers]
    addresses = (
        "javascript:alert(1)",
        "http://evil.example/",
        "https://user:secret@myapp.com/",
        "https://myapp.com@evil.example/",
        "//myapp.com/ok",
        "/ok",
        "data:text/html,x",
        "https://",
        "https://myapp.com/\n\rX: y",
        "https:\\\\myapp.com",
        "ftp://myapp.com/",
        "https://myapp.com:99999/",
    )
    for field in urls:
        refusals += [({"payment_method_id": PAYPAL, **urls, field: a}, "return_url_refused") for a in addresses]
    async with unchanged(customer):
        for body, code in refusals:
            await refused(customer, "POST", path, 422, code, json=body)
        unpaid = await customer.verify(order)
        assert (unpaid["success"], unpaid["status"], unpaid["organization"]) == (False, "pending", None)


async def test_a_cancelled_order_takes_no_payment_and_a_paid_one_no_second(first: House, new_customer) -> None:
    customer: Customer = await new_customer()
    order = await customer.order(1, "Entreprise Indécise")
    await customer.post(f"{ORDERS}{order['id']}/cancel/")
    bank = {"payment_method_id": BANK_TRANSFER}
    async with unchanged(customer):
        path = f"{ORDERS}{order['id']}/"
        await refused(customer, "POST", f"{path}initiate_payment/", 409, "order_not_payable", json=bank)
        assert (await customer.verify(order))["success"] is False
    async with first.browser() as payer, unchanged(payer):
        path = f"{ORDERS}{first.ids['order_id']}/"
        await refused(payer, "POST", f"{path}initiate_payment/", 409, "order_not_payable", json=bank)
        await refused(payer, "POST", f"{path}cancel/", 409, "order_not_cancellable")


@pytest.mark.invariant("S40")
@pytest.mark.invariant("S41")
async def test_receipts_and_approvals_that_are_not_right_change_nothing(
    first: House, new_customer, signed_in_staff
) -> None:
    customer: Customer = await new_customer()
    order = await customer.order(1, "Entreprise au Virement")
    payment = await customer.pay(order, BANK_TRANSFER)
    receipt, check = (f"{PAYMENTS}{payment['payment_id']}/{act}/" for act in ("receipt", "verify_bank_transfer"))

    def file(content: bytes, kind: str = "application/pdf") -> JSON:
        return {"files": {"file": ("recu.pdf", content, kind)}}

    async with unchanged(customer):
        for content in (b"", b"MZ\x90\0", b"<svg onload='alert(1)'/>", b"GIF89a", b"PK\x03\x04"):
            await refused(customer, "POST", receipt, 415, "receipt_type_unsupported", **file(content))
        large = b"%PDF-1.4\n" + b"0" * 6_000_000
        await refused(customer, "POST", receipt, 413, "receipt_too_large", **file(large))
        await refused(customer, "POST", receipt, 413, "body_too_large", **file(large + b"0" * 8_000_000))
        await refused(customer, "POST", receipt, 422, "invalid_request", files={"other": ("a.pdf", b"%PDF-")})
        await refused(customer, "POST", receipt, 422, "invalid_request", json={"file": "recu.pdf"})
        await refused(customer, "POST", check, 403, "staff_only", json={"approve": True})
    async with first.browser() as payer, unchanged(payer):
        paid = f"{PAYMENTS}{first.ids['payment_id']}/receipt/"
        await refused(payer, "POST", paid, 409, "receipt_not_wanted", **file(b"%PDF-1.4\n%%EOF\n"))
    staff: Customer = await signed_in_staff(1)
    async with unchanged(customer):
        for amount in ("-1", "0", "1.5", "many", "NaN"):
            await refused(staff, "POST", check, 422, "amount_invalid", json={"approve": True, "amount": amount})
        unknown = f"{PAYMENTS}{uuid4()}/verify_bank_transfer/"
        await refused(staff, "POST", unknown, 404, "payment_not_found", json={"approve": True})
    own = await staff.pay(await staff.order(1, "Entreprise du Personnel", kind="new"), BANK_TRANSFER)
    path = f"{PAYMENTS}{own['payment_id']}/verify_bank_transfer/"
    await refused(staff, "POST", path, 403, "same_person", json={"approve": True})
    await staff.call("POST", check, {"approve": True})
    await customer.paid(order)
    await customer.log_in()
    async with unchanged(customer):
        for approve in (True, False):
            await refused(
                staff, "POST", check, 409, "payment_not_submitted", json={"approve": approve, "note": "an attempt"}
            )
