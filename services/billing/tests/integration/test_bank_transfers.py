"""Bank transfers: where to pay, the receipt, and the check by another person."""

import asyncio
import json
from collections import Counter
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import pytest
from billing.domain.payment import SECOND_TAP
from billing.settings import Settings
from billing.testing import ORDERS, PAYMENTS, Billing, initiate, place, verify
from common.ids import uuid7
from common.testing import answered

pytestmark = pytest.mark.integration

PDF = b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n"
PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
    b"\x00\x00\x00\nIDATx\x9cc\x00\x01\x00\x00\x05\x00\x01\r\n-\xb4\x00\x00\x00\x00IEND\xaeB`\x82"
)


async def submitted(billing: Billing, **who: Any) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    buyer = billing.client(**who)
    order = await place(buyer)
    return buyer, order, await initiate(buyer, order, 3)


def _pdf() -> bytes:
    return PDF.replace(b"<<>>endobj", b"<</Id/" + uuid4().hex.encode() + b">>endobj")


async def check(client: Any, payment: dict[str, Any], **body: Any) -> Any:
    return await client.post(f"{PAYMENTS}{payment['payment_id']}/verify_bank_transfer/", json={"approve": True} | body)


async def test_initiating_tells_the_account_the_reference_and_the_amount(billing: Billing) -> None:
    _buyer, order, payment = await submitted(billing)
    details = payment["bank_details"]
    assert payment["status"] == "submitted"
    assert details["bank_name"] == "Banque d'essai"
    assert details["reference"].startswith(order["order_number"])
    assert (details["amount"], details["currency"]) == ("50000", "XAF")
    mails = await billing.rows("select body_text from mails where key = $1", key=f"how_to_pay:{payment['payment_id']}")
    assert details["reference"] in mails[0]["body_text"]


@pytest.mark.invariant("S40")
async def test_a_transfer_approved_by_staff_pays_the_order(billing: Billing) -> None:
    buyer, order, payment = await submitted(billing)
    staff = billing.client(staff=["finance"])
    answer = await check(staff, payment, note="statement 12")
    assert (answer.status_code, answer.json()["status"]) == (200, "completed")
    verified = await verify(buyer, order)
    assert (verified["status"], verified["payment_status"]) == ("paid", "paid")
    events = await billing.rows(
        "select 1 from outbox where type = 'payment.confirmed.v1' and envelope->'data'->>'order_id' = $1",
        id=order["id"],
    )
    assert len(events) == 1


@pytest.mark.invariant("S40")
async def test_a_transfer_is_approved_once_however_many_try_at_a_time(billing: Billing) -> None:
    _buyer, order, payment = await submitted(billing)
    staff = [billing.client(staff=["admin"]) for _ in range(50)]
    answers = await asyncio.gather(*(answered(partial(check, person, payment)) for person in staff))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 49
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"payment_not_submitted"}
    assert len(await billing.rows("select 1 from invoices where order_id = $1", id=UUID(order["id"]))) == 1


@pytest.mark.invariant("S40")
async def test_its_own_submitter_does_not_approve_it(billing: Billing) -> None:
    me = uuid7()
    buyer = billing.client(user_id=me)
    payment = await initiate(buyer, await place(buyer), 3)
    answer = await check(billing.client(user_id=me, staff=["finance"]), payment)
    assert (answer.status_code, answer.json()["code"]) == (403, "same_person")


@pytest.mark.invariant("S40")
async def test_only_a_submitted_transfer_is_checked(billing: Billing) -> None:
    buyer, order, former = await submitted(billing)
    billing.clock.advance(SECOND_TAP)
    await initiate(buyer, order, 3)
    answer = await check(billing.client(staff=["finance"]), former)
    assert (answer.status_code, answer.json()["code"], answer.json()["status"]) == (409, "payment_not_submitted", 409)
    assert answer.json()["state"] == "superseded"


@pytest.mark.parametrize("who", [{}, {"staff": ["support"]}])
async def test_customers_and_support_do_not_check_transfers(billing: Billing, who: dict[str, Any]) -> None:
    _buyer, _order, payment = await submitted(billing)
    answer = await check(billing.client(**who), payment)
    assert (answer.status_code, answer.json()["code"]) == (403, "staff_only")


async def test_a_rejected_transfer_fails_with_the_reason_and_the_order_may_be_paid_again(billing: Billing) -> None:
    buyer, order, payment = await submitted(billing)
    answer = await check(billing.client(staff=["finance"]), payment, approve=False, note="not on the statement")
    assert (answer.json()["status"], answer.json()["reason_code"]) == ("failed", "transfer_rejected")
    assert (await verify(buyer, order))["payment_status"] == "failed"
    mails = await billing.rows(
        "select body_text from mails where key = $1", key=f"transfer_rejected:{payment['payment_id']}"
    )
    assert "not on the statement" in mails[0]["body_text"]
    assert (await initiate(buyer, order, 3))["status"] == "submitted"


@pytest.mark.parametrize("note", ["", "   "])
async def test_no_transfer_is_rejected_without_a_word_to_its_customer(billing: Billing, note: str) -> None:
    buyer, order, payment = await submitted(billing)
    answer = await check(billing.client(staff=["finance"]), payment, approve=False, note=note)
    assert (answer.status_code, answer.json()["code"]) == (422, "note_required")
    assert (await verify(buyer, order))["payment_status"] == "pending"


async def test_a_partial_amount_leaves_the_rest_to_pay(billing: Billing) -> None:
    buyer, order, payment = await submitted(billing)
    await check(billing.client(staff=["finance"]), payment, amount="20000")
    current = (await buyer.get(f"{ORDERS}{order['id']}/")).json()
    assert (current["status"], current["payment_status"]) == ("payment_pending", "pending")
    buyer.headers["accept-language"] = "en"
    assert "30,000\u00a0XAF are left to pay" in (await verify(buyer, order))["message"]
    rest = await initiate(buyer, order, 3)
    assert rest["bank_details"]["amount"] == "30000"
    await check(billing.client(staff=["finance"]), rest)
    assert (await verify(buyer, order))["payment_status"] == "paid"


async def test_a_surplus_becomes_the_customers_credit(billing: Billing) -> None:
    _buyer, order, payment = await submitted(billing)
    await check(billing.client(staff=["finance"]), payment, amount="60000")
    tenant = (await billing.rows("select tenant_id from orders where id = $1", id=UUID(order["id"])))[0]["tenant_id"]
    async with billing.store.for_tenant(tenant) as uow:
        assert [str(money) for money in await uow.ledger.balances("customer_credit")] == ["-10000 XAF"]
        assert [money.amount_minor for money in await uow.ledger.balances("unallocated")] == [0]


@pytest.mark.parametrize("amount", ["0", "-5", "12.5", "abc"])
async def test_an_amount_that_is_none_is_refused(billing: Billing, amount: str) -> None:
    _buyer, _order, payment = await submitted(billing)
    answer = await check(billing.client(staff=["finance"]), payment, amount=amount)
    assert (answer.status_code, answer.json()["code"]) == (422, "amount_invalid")


@pytest.mark.invariant("S14")
async def test_what_staff_read_and_decide_is_in_the_audit_log(billing: Billing) -> None:
    _buyer, _order, payment = await submitted(billing)
    person = uuid7()
    staff = billing.client(user_id=person, staff=["finance"])
    listed = await staff.get("/api/admin/payments/")
    assert payment["payment_id"] in [found["id"] for found in listed.json()["results"]]
    await check(staff, payment, note="statement 12")
    rows = await billing.rows("select action, reason from audit_log where actor = $1 order by id", actor=str(person))
    assert [row["action"] for row in rows] == [
        "payments.listed_by_staff",
        "payment.read_by_staff",
        "payment.transfer_approved",
    ]
    assert rows[-1]["reason"] == "statement 12"


def seen_at_the_bank() -> dict[str, str]:
    """Return what finance says of a movement that nobody named before."""
    return {"amount": "50000", "bank_reference": f"FT{uuid4().hex[:10]}", "value_date": "2026-11-20"}


async def test_what_was_seen_at_the_bank_is_kept_with_the_payment_and_in_the_audit_log(billing: Billing) -> None:
    (buyer, _, payment), (stranger, _, _) = await submitted(billing), await submitted(billing)
    person, seen = uuid7(), seen_at_the_bank()
    finance = billing.client(user_id=person, staff=["finance"])
    assert (await check(finance, payment, **seen)).status_code == 200, "an approval needs no note"
    query = {"status": "completed", "limit": "100"}
    listed = (await finance.get("/api/admin/payments/", params=query)).json()["results"]
    (mine,) = [one for one in listed if one["id"] == payment["payment_id"]]
    told = {"amount": mine["received_amount"]} | {name: mine[name] for name in ("bank_reference", "value_date")}
    assert told == seen
    (row,) = await billing.rows(
        "select details from audit_log where actor = $1 and action = 'payment.transfer_approved'", a=str(person)
    )
    assert json.loads(row["details"]) == seen | {"currency": "XAF"}
    assert "bank_reference" not in (await buyer.get(f"{PAYMENTS}{payment['payment_id']}/")).json()
    assert (await stranger.get(f"{PAYMENTS}{payment['payment_id']}/")).status_code == 404


@pytest.mark.invariant("S40")
async def test_of_fifty_transfers_that_are_said_to_be_one_movement_at_once_one_is_paid(billing: Billing) -> None:
    waiting = [(await submitted(billing))[2] for _ in range(50)]
    seen = seen_at_the_bank()
    staff = [billing.client(staff=["finance"]) for _ in waiting]
    answers = await asyncio.gather(
        *(answered(partial(check, who, payment, **seen)) for who, payment in zip(staff, waiting, strict=True))
    )
    assert Counter((answer.status_code, answer.json().get("code")) for answer in answers) == {
        (200, None): 1,
        (409, "bank_movement_taken"): 49,
    }
    at = next(at for at, answer in enumerate(answers) if answer.status_code == 409)
    part = seen | {"bank_reference": f"{seen['bank_reference']}/2"}
    assert (await check(staff[at], waiting[at], **part)).status_code == 200, "a movement for two is named by its parts"


class TestWhereTheMovementMustBeNamed:
    @pytest.fixture
    def billing_settings(self) -> dict[str, Any]:
        return {"transfer_evidence": True}

    @pytest.mark.parametrize("left_out", ["bank_reference", "value_date"])
    async def test_an_approval_without_it_changes_nothing(self, billing: Billing, left_out: str) -> None:
        buyer, order, payment = await submitted(billing)
        finance = billing.client(staff=["finance"])
        seen = seen_at_the_bank()
        said = {name: value for name, value in seen.items() if name != left_out}
        answer = await check(finance, payment, **said)
        assert (answer.status_code, answer.json()["code"]) == (422, "bank_movement_required")
        assert (await verify(buyer, order))["payment_status"] == "pending"
        assert (await check(finance, payment, **seen)).status_code == 200

    async def test_a_rejection_names_none(self, billing: Billing) -> None:
        _, _, payment = await submitted(billing)
        answer = await check(billing.client(staff=["finance"]), payment, approve=False, note="nothing came")
        assert answer.status_code == 200


def test_production_wants_the_movement_named_unless_told_otherwise() -> None:
    unset = {"transfer_evidence": None}
    assert Settings.model_construct(None, environment="production", **unset).names_movements
    assert not Settings.model_construct(None, environment="test", **unset).names_movements
    assert not Settings.model_construct(None, environment="production", transfer_evidence=False).names_movements


async def test_a_missing_payment_is_not_found_by_staff(billing: Billing) -> None:
    answer = await check(billing.client(staff=["finance"]), {"payment_id": str(uuid4())})
    assert (answer.status_code, answer.json()["code"]) == (404, "payment_not_found")


async def send(client: Any, payment: dict[str, Any], content: bytes, name: str = "recu.pdf") -> Any:
    return await client.post(f"{PAYMENTS}{payment['payment_id']}/receipt/", files={"file": (name, content)})


@pytest.mark.invariant("S41")
@pytest.mark.parametrize(("content", "kind"), [(None, "application/pdf"), (PNG, "image/png")])
async def test_a_receipt_is_kept_by_its_content(billing: Billing, content: bytes | None, kind: str) -> None:
    buyer, _order, payment = await submitted(billing)
    content = content or _pdf()
    answer = await send(buyer, payment, content, "whatever.exe")
    assert (answer.status_code, answer.json()["content_type"]) == (201, kind)
    assert (await buyer.get(f"{PAYMENTS}{payment['payment_id']}/")).json()["has_receipt"] is True
    staff = billing.client(staff=["finance"])
    kept = await staff.get(f"/api/admin/payments/{payment['payment_id']}/receipt/")
    assert kept.content == content
    assert kept.headers["content-disposition"].startswith("attachment")


@pytest.mark.invariant("S12")
@pytest.mark.invariant("S41")
async def test_a_receipt_lies_below_its_tenants_prefix(billing: Billing) -> None:
    buyer, order, payment = await submitted(billing)
    await send(buyer, payment, _pdf())
    rows = await billing.rows(
        "select r.object_name, o.tenant_id from receipts r join orders o using (tenant_id) where o.id = $1",
        id=UUID(order["id"]),
    )
    assert rows[0]["object_name"].startswith(f"{rows[0]['tenant_id']}/receipts/")


@pytest.mark.invariant("S41")
@pytest.mark.parametrize(
    "content",
    [b"MZ\x90\x00 a program", b"<html><script>alert(1)</script></html>", b"", PDF[:20], b"GIF89a" + b"\0" * 40],
)
async def test_what_is_no_receipt_by_content_is_refused(billing: Billing, content: bytes) -> None:
    buyer, _order, payment = await submitted(billing)
    answer = await send(buyer, payment, content)
    assert (answer.status_code, answer.json()["code"]) == (415, "receipt_type_unsupported")


@pytest.mark.invariant("S41")
async def test_the_same_file_again_is_refused_and_a_large_one_too(billing: Billing) -> None:
    buyer, _order, payment = await submitted(billing)
    content = _pdf()
    assert (await send(buyer, payment, content)).status_code == 201
    again = await send(buyer, payment, content)
    assert (again.status_code, again.json()["code"]) == (409, "receipt_already_known")
    large = await send(buyer, payment, b"%PDF-1.4" + b"0" * 5_000_001)
    assert (large.status_code, large.json()["code"]) == (413, "receipt_too_large")


@pytest.mark.invariant("S41")
@pytest.mark.parametrize(("different", "taken"), [(False, 1), (True, 5)])
async def test_of_files_that_are_sent_at_once_few_are_kept_and_each_once(
    billing: Billing, different: bool, taken: int
) -> None:
    buyer, _order, payment = await submitted(billing)
    same = _pdf()
    answers = await asyncio.gather(*(send(buyer, payment, _pdf() if different else same) for _ in range(50)))
    assert sorted(answer.status_code for answer in answers) == [201] * taken + [409] * (50 - taken)
    rows = await billing.rows("select tenant_id from receipts where payment_id = $1", i=UUID(payment["payment_id"]))
    assert len(rows) == taken
    kept = [
        path for path in (billing.settings.receipts_folder / str(rows[0]["tenant_id"])).rglob("*") if path.is_file()
    ]
    assert len(kept) == taken


@pytest.mark.invariant("S41")
async def test_one_receipt_for_two_transfers_is_shown_to_finance_and_to_no_other_customer(billing: Billing) -> None:
    (mine, _, first), (stranger, _, second), (_, _, bare) = [await submitted(billing) for _ in range(3)]
    content = _pdf()
    assert [(await send(mine, first, content)).status_code, (await send(stranger, second, content)).status_code] == [
        201,
        201,
    ]
    listed = (await billing.client(staff=["finance"]).get("/api/admin/payments/?limit=100")).json()["results"]
    seen = {found["id"]: (found["has_receipt"], found["receipt_repeats"]) for found in listed}
    assert seen[first["payment_id"]] == (True, [second["payment_id"]])
    assert seen[second["payment_id"]] == (True, [first["payment_id"]])
    assert seen[bare["payment_id"]] == (False, [])


@pytest.mark.invariant("S41")
async def test_a_customer_reads_his_own_receipt_back_and_nobody_elses(billing: Billing) -> None:
    buyer, _order, payment = await submitted(billing)
    path, content = f"{PAYMENTS}{payment['payment_id']}/receipt/", _pdf()
    missing = await buyer.get(path)
    assert (missing.status_code, missing.json()["code"]) == (404, "receipt_not_found")
    await send(buyer, payment, content)
    read = await buyer.get(path)
    assert (read.content, read.headers["content-type"]) == (content, "application/pdf")
    assert read.headers["content-disposition"].startswith("attachment")
    for other in (billing.client(), billing.client(tenant_id=uuid7(), roles=["owner"])):
        refused = await other.get(path)
        assert (refused.status_code, refused.json()["code"]) == (404, "payment_not_found")


@pytest.mark.parametrize("is_member", [False, True])
async def test_a_customers_list_says_what_arrived_and_which_receipt_was_sent(billing: Billing, is_member: bool) -> None:
    me = uuid7()
    buyer, order, first = await submitted(billing, user_id=me)
    rows = await billing.rows("select tenant_id from orders where id = $1", id=UUID(order["id"]))
    reader = billing.client(user_id=me, tenant_id=rows[0]["tenant_id"], roles=["owner"]) if is_member else buyer
    await send(buyer, first, _pdf())
    await check(billing.client(staff=["finance"]), first, amount="20000")
    second = await initiate(buyer, order, 3)
    listed = (await reader.get(PAYMENTS, params={"order_id": order["id"]})).json()["results"]
    assert [(one["id"], one["has_receipt"], one["received_amount"]) for one in listed] == [
        (second["payment_id"], False, None),
        (first["payment_id"], True, "20000"),
    ]
    waiting = (await reader.get(PAYMENTS, params={"order_id": order["id"], "status": "submitted"})).json()["results"]
    assert [one["id"] for one in waiting] == [second["payment_id"]]
    seen = (await reader.get(f"{ORDERS}{order['id']}/")).json()
    assert (seen["total_amount"], seen["outstanding_amount"]) == ("50000", "30000")


async def test_finance_sees_what_arrived_beside_what_was_asked_for(billing: Billing) -> None:
    _buyer, order, payment = await submitted(billing)
    staff = billing.client(staff=["finance"])
    await check(staff, payment, amount="20000")
    query = {"order_id": order["id"]}
    (listed,) = (await staff.get("/api/admin/payments/", params=query)).json()["results"]
    assert (listed["charged_amount"], listed["received_amount"], listed["received_currency"]) == (
        "50000",
        "20000",
        "XAF",
    )


@pytest.mark.invariant("S41")
async def test_no_receipt_is_sent_or_read_by_another_organization(billing: Billing) -> None:
    buyer, _order, payment = await submitted(billing)
    await send(buyer, payment, _pdf())
    stranger = billing.client(tenant_id=uuid7(), roles=["owner"])
    assert (await send(stranger, payment, _pdf())).json()["code"] == "payment_not_found"
    read = await stranger.get(f"/api/admin/payments/{payment['payment_id']}/receipt/")
    assert (read.status_code, read.json()["code"]) == (403, "staff_only")


async def test_receipts_of_a_payment_are_few_and_what_is_refused_is_not_kept(billing: Billing) -> None:
    buyer, _order, payment = await submitted(billing)
    first = _pdf()
    assert (await send(buyer, payment, first)).status_code == 201
    assert [(await send(buyer, payment, first)).status_code for _ in range(3)] == [409] * 3
    assert [(await send(buyer, payment, _pdf())).status_code for _ in range(4)] == [201] * 4
    refused = await send(buyer, payment, _pdf())
    assert (refused.status_code, refused.json()["code"]) == (409, "receipts_enough")
    rows = await billing.rows("select tenant_id from payments where id = $1", i=UUID(payment["payment_id"]))
    kept = list((billing.settings.receipts_folder / str(rows[0]["tenant_id"])).rglob("*.*"))
    assert len(kept) == 5


async def test_a_checked_transfer_takes_no_receipt(billing: Billing) -> None:
    buyer, _order, payment = await submitted(billing)
    await check(billing.client(staff=["finance"]), payment)
    answer = await send(buyer, payment, _pdf())
    assert (answer.status_code, answer.json()["code"]) == (409, "receipt_not_wanted")
