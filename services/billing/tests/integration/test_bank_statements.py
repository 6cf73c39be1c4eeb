"""Bank statements of finance: lines kept once, proposals by reference, approved by a second person."""

import asyncio
from typing import Any
from uuid import UUID, uuid4

import pytest
from billing.testing import ORDERS, PAYMENTS, Billing, initiate, place, verify
from common.ids import uuid7

pytestmark = pytest.mark.integration

STATEMENTS = "/api/admin/bank-statements/"
LINES = "/api/admin/bank-statement-lines/"
HEADER = "Date comptable;Libelle;Credit;Debit;Reference\n"


class Desk:
    """Finance: one who imports, another who approves."""

    def __init__(self, billing: Billing) -> None:
        self.maker = billing.client(staff=["finance"])
        self.checker = billing.client(staff=["finance"])

    async def import_(self, *rows: str, **expected: int) -> dict[str, Any]:
        return await self.send((HEADER + "\n".join(rows)).encode(), **expected)

    async def send(self, content: bytes, **expected: int) -> dict[str, Any]:
        answer = await self.maker.post(STATEMENTS, files={"file": ("releve.csv", content, "text/csv")})
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        assert {name: found[name] for name in expected} == expected
        return found

    async def line_of(self, payment: dict[str, Any] | str, status: str = "proposed") -> dict[str, Any]:
        wanted = payment if isinstance(payment, str) else payment["bank_details"]["reference"]
        lines = (await self.checker.get(LINES, params={"status": status, "limit": 100})).json()["results"]
        (line,) = [line for line in lines if wanted in line["text"]]
        return dict(line)

    async def say(self, line: dict[str, Any], what: str, client: Any = None, **fields: Any) -> Any:
        body = {"note": "checked on paper"} | fields
        return await (client or self.checker).post(f"{LINES}{line['id']}/{what}/", json=body)


@pytest.fixture
def desk(billing: Billing) -> Desk:
    return Desk(billing)


async def transfer(billing: Billing) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    buyer = billing.client()
    order = await place(buyer)
    return buyer, order, await initiate(buyer, order, 3)


def row(payment: dict[str, Any], amount: int = 50_000, number: str = "") -> str:
    return f"24/11/2026;VIR {payment['bank_details']['reference']};{amount};;{number or uuid4().hex[:12]}"


@pytest.mark.invariant("S40")
async def test_a_line_that_quotes_a_transfer_is_proposed_and_a_second_person_approves_it(
    billing: Billing, desk: Desk
) -> None:
    buyer, order, payment = await transfer(billing)
    await desk.import_(row(payment), lines=1, new=1, proposed=1)
    assert (await verify(buyer, order))["payment_status"] == "pending"
    line = await desk.line_of(payment)
    assert (line["fit"], line["payment_id"], line["amount_due"]) == ("exact", payment["payment_id"], "50000")
    own = await desk.say(line, "approve", desk.maker)
    assert (own.status_code, own.json()["code"]) == (403, "same_person")
    approved = await desk.say(line, "approve")
    assert (approved.status_code, approved.json()["status"]) == (200, "approved")
    assert (await verify(buyer, order))["payment_status"] == "paid"
    (seen,) = await billing.rows(
        "select bank_reference, value_on::text as value_on from payments where id = $1", id=UUID(payment["payment_id"])
    )
    assert seen == {"bank_reference": line["bank_reference"], "value_on": line["booked_on"]}
    again = await desk.say(line, "approve")
    assert (again.status_code, again.json()["code"]) == (409, "statement_line_decided")


@pytest.mark.parametrize("reason", ["the account of November", None])
async def test_an_import_is_audited_with_its_reason(billing: Billing, reason: str | None) -> None:
    me = uuid7()
    finance = billing.client(user_id=me, staff=["finance"])
    del finance.headers["x-reason"]
    file = ("releve.csv", (HEADER + f"24/11/2026;{uuid4().hex};5;;").encode(), "text/csv")
    headers = {} if reason is None else {"x-reason": reason}
    answer = await finance.post(STATEMENTS, files={"file": file}, headers=headers)
    assert answer.status_code == 201, answer.text
    rows = await billing.rows("select reason from audit_log where actor = $1", a=str(me))
    assert [row["reason"] for row in rows] == [reason or "bank statement imported"]


@pytest.mark.invariant("S40")
@pytest.mark.parametrize("by_hand_first", [False, True])
async def test_a_movement_pays_by_hand_or_as_a_line_and_not_both(
    billing: Billing, desk: Desk, by_hand_first: bool
) -> None:
    (_, _, first), (_, _, second) = await transfer(billing), await transfer(billing)
    number = f"FT{uuid4().hex[:10]}"
    seen = {"approve": True, "bank_reference": number, "value_date": "2026-11-24"}
    path = f"{PAYMENTS}{first['payment_id']}/verify_bank_transfer/"
    await desk.import_(row(second, number=number), proposed=1)
    line = await desk.line_of(second)
    if by_hand_first:
        assert (await desk.checker.post(path, json=seen)).status_code == 200
        refused = await desk.say(line, "approve")
        assert (await desk.say(line, "release")).status_code == 200, "it is nobody's then"
    else:
        assert (await desk.say(line, "approve")).status_code == 200
        refused = await desk.checker.post(path, json=seen)
    assert (refused.status_code, refused.json()["code"]) == (409, "bank_movement_taken")


@pytest.mark.invariant("S40")
async def test_the_buyer_of_a_transfer_does_not_approve_its_line(billing: Billing, desk: Desk) -> None:
    me = uuid7()
    buyer = billing.client(user_id=me)
    payment = await initiate(buyer, await place(buyer), 3)
    await desk.import_(row(payment))
    answer = await desk.say(await desk.line_of(payment), "approve", billing.client(user_id=me, staff=["finance"]))
    assert (answer.status_code, answer.json()["code"]) == (403, "same_person")


@pytest.mark.invariant("S40")
async def test_a_line_is_approved_once_however_many_try(billing: Billing, desk: Desk) -> None:
    _buyer, order, payment = await transfer(billing)
    await desk.import_(row(payment))
    line = await desk.line_of(payment)
    people = [billing.client(staff=["admin"]) for _ in range(50)]
    answers = await asyncio.gather(*(desk.say(line, "approve", person) for person in people))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 49
    assert len(await billing.rows("select 1 from invoices where order_id = $1", id=UUID(order["id"]))) == 1


async def test_a_line_is_kept_once_whatever_files_repeat_it(billing: Billing, desk: Desk) -> None:
    _, _, first = await transfer(billing)
    _, _, second = await transfer(billing)
    one, two = row(first), row(second)
    await desk.import_(one, lines=1, new=1, proposed=1)
    await desk.import_(one, lines=1, new=0, proposed=0)
    await desk.import_(one, two, lines=2, new=1, proposed=1)
    answers = await asyncio.gather(*(desk.import_(two, one, f"25/11/2026;x{n};1;;") for n in range(4)))
    assert sum(answer["new"] for answer in answers) == 4


async def test_too_little_leaves_the_rest_to_pay_and_too_much_becomes_credit(billing: Billing, desk: Desk) -> None:
    buyer, order, little = await transfer(billing)
    _, other, much = await transfer(billing)
    await desk.import_(row(little, 20_000), row(much, 60_000), proposed=2)
    lines = [await desk.line_of(little), await desk.line_of(much)]
    assert [line["fit"] for line in lines] == ["partial", "surplus"]
    for line in lines:
        assert (await desk.say(line, "approve")).status_code == 200
    assert (await buyer.get(f"{ORDERS}{order['id']}/")).json()["payment_status"] == "pending"
    rest = await initiate(buyer, order, 3)
    assert rest["bank_details"]["amount"] == "30000"
    await desk.import_(row(rest, 30_000), proposed=1)
    assert (await desk.say(await desk.line_of(rest), "approve")).status_code == 200
    assert (await verify(buyer, order))["payment_status"] == "paid"
    kept = await billing.rows(
        "select sum(p.amount_minor)::bigint as minor from ledger_postings p join orders o using (tenant_id)"
        " where o.id = $1 and p.account like '%credit%'",
        id=UUID(other["id"]),
    )
    assert abs(kept[0]["minor"]) == 10_000


async def test_what_nobody_is_quoted_in_waits_is_proposed_by_hand_and_can_be_released_or_dismissed(
    billing: Billing, desk: Desk
) -> None:
    buyer, order, payment = await transfer(billing)
    label = f"VIREMENT SANS REFERENCE {uuid4().hex}"
    await desk.import_(f"24/11/2026;{label};50000;;", proposed=0)
    line = await desk.line_of(label, "unmatched")
    unknown = await desk.say(line, "propose", desk.maker, payment_id=str(uuid4()))
    assert (unknown.status_code, unknown.json()["code"]) == (404, "payment_not_found")
    for _ in range(2):
        proposed = await desk.say(line, "propose", desk.maker, payment_id=payment["payment_id"])
        assert proposed.json()["status"] == "proposed"
        released = await desk.say(line, "release")
        assert (released.json()["status"], released.json()["payment_id"]) == ("unmatched", None)
    assert (await desk.say(line, "approve")).status_code == 409
    assert (await desk.say(line, "dismiss")).json()["status"] == "dismissed"
    assert (await desk.say(line, "propose", payment_id=payment["payment_id"])).status_code == 409
    assert (await desk.say(line, "release")).json()["status"] == "unmatched"
    await desk.say(line, "propose", desk.maker, payment_id=payment["payment_id"])
    assert (await desk.say(line, "approve")).status_code == 200
    assert (await verify(buyer, order))["payment_status"] == "paid"


async def test_of_two_lines_for_one_transfer_one_is_proposed_and_the_other_waits(billing: Billing, desk: Desk) -> None:
    _, _, payment = await transfer(billing)
    await desk.import_(row(payment), row(payment), new=2, proposed=1)
    waiting = await desk.line_of(payment, "unmatched")
    answer = await desk.say(waiting, "propose", payment_id=payment["payment_id"])
    assert (answer.status_code, answer.json()["code"]) == (409, "transfer_taken")


async def test_a_line_of_a_transfer_that_was_checked_by_hand_is_not_taken_in_twice(
    billing: Billing, desk: Desk
) -> None:
    _buyer, order, payment = await transfer(billing)
    await desk.import_(row(payment))
    line = await desk.line_of(payment)
    path = f"{PAYMENTS}{payment['payment_id']}/verify_bank_transfer/"
    assert (await desk.checker.post(path, json={"approve": True})).status_code == 200
    late = await desk.say(line, "approve", billing.client(staff=["admin"]))
    assert (late.status_code, late.json()["code"]) == (409, "payment_not_submitted")
    booked = "select 1 from ledger_entries e join orders o using (tenant_id) where o.id = $1 and e.kind = 'payment'"
    assert len(await billing.rows(booked, id=UUID(order["id"]))) == 1


async def test_an_approval_that_was_cut_off_is_finished_by_asking_again(billing: Billing, desk: Desk) -> None:
    buyer, order, payment = await transfer(billing)
    await desk.import_(row(payment))
    line = await desk.line_of(payment)
    await desk.say(line, "approve")
    async with billing.superuser() as connection:  # as if the line had never heard of it
        await connection.execute("update bank_statement_lines set status = 'proposed' where id = $1", UUID(line["id"]))
    released = await desk.say(line, "release")
    assert (released.status_code, released.json()["code"]) == (409, "statement_line_decided")
    assert (await desk.say(line, "approve")).json()["status"] == "approved"
    assert (await verify(buyer, order))["payment_status"] == "paid"
    assert len(await billing.rows("select 1 from invoices where order_id = $1", id=UUID(order["id"]))) == 1


CAMT = (
    '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.02"><BkToCstmrStmt><Stmt><Acct><Id><IBAN>{account}'
    '</IBAN></Id></Acct><Ntry><Amt Ccy="XAF">50000</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts>BOOK</Sts><BookgDt>'
    "<Dt>2026-11-24</Dt></BookgDt><NtryDtls><TxDtls><RmtInf><Ustrd>{text}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>"
    "</Stmt></BkToCstmrStmt></Document>"
)


async def test_camt_of_our_account_is_matched_and_of_another_refused(billing: Billing, desk: Desk) -> None:
    _, _, payment = await transfer(billing)
    text = payment["bank_details"]["reference"]
    ours = "".join(billing.settings.bank_iban.split())
    await desk.send(CAMT.format(account=ours, text=text).encode(), new=1, proposed=1)
    foreign = CAMT.format(account="FR7630006000011234567890189", text=text).encode()
    answer = await desk.maker.post(STATEMENTS, files={"file": ("s.xml", foreign)})
    assert (answer.status_code, answer.json()["code"]) == (422, "statement_of_another_account")


async def test_a_file_that_is_no_statement_or_too_large_is_refused(billing: Billing, desk: Desk) -> None:
    bomb = b'<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><d>&x;</d>'
    for content, status in ((b"nothing", 422), (bomb, 422), (b"a" * 4_000_001, 413)):
        answer = await desk.maker.post(STATEMENTS, files={"file": ("x", content)})
        assert answer.status_code == status, answer.text
        assert "root:" not in answer.text


@pytest.mark.parametrize("who", [{}, {"staff": ["support"]}])
async def test_customers_and_support_see_no_statement(billing: Billing, who: dict[str, Any]) -> None:
    client = billing.client(**who)
    line = {"id": str(uuid4())}
    answers = [
        await client.get(LINES),
        await client.post(STATEMENTS, files={"file": ("x", b"x")}),
        *[
            await client.post(f"{LINES}{line['id']}/{what}/", json={"note": "let me"})
            for what in ("approve", "release", "dismiss")
        ],
    ]
    assert {answer.status_code for answer in answers} == {403}
