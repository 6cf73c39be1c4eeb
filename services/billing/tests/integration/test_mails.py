"""Billing's mails on their way: queued with the act, sent by SMTP, the invoice as a PDF with them."""

import base64
import io
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from billing.adapters.invoice_pdf import credit_note_pdf
from billing.domain.money import Money
from billing.domain.order import CHANGE_HOLDS
from billing.domain.wording import amount_text
from billing.testing import Billing, by_momo, initiate, place, subscribed, until_paid, verify
from billing.workflows.attaching import Attaching
from common.mail import Mailer
from common.settings import MailSettings
from common.testing import eventually
from pydantic import SecretStr
from pypdf import PdfReader
from simulators.mail import MailConfig
from simulators.mail import start as start_mail

pytestmark = pytest.mark.integration


class Post:
    """Billing's mailer and the server that it sends to."""

    def __init__(self, billing: Billing, sink: Any) -> None:
        settings = MailSettings(
            email_host="127.0.0.1", email_port=sink.smtp_port, email_use_tls=False, email_host_password=SecretStr("")
        )
        self._attaching = Attaching(billing.store, billing.tools.draw_invoice, credit_note_pdf, billing.tools.keeping)
        self._mailer = Mailer(billing.doors, settings, self._attaching.document)
        self._sink = sink

    async def sent_to(self, address: str) -> list[dict[str, Any]]:
        """Send what waits; return what has arrived at an address."""
        while await self._mailer.send_one():
            pass
        async with httpx.AsyncClient(trust_env=False) as client:
            answer = await client.get(f"{self._sink.url}/messages", params={"to": address})
        return list(answer.json()["results"])


@pytest.fixture
async def post(billing: Billing) -> AsyncIterator[Post]:
    async with billing.superuser() as connection:
        await connection.execute("update mails set sent_at = now() where sent_at is null")  # what other tests left
    sink = await start_mail(MailConfig())
    yield Post(billing, sink)
    await sink.stop()


def _address() -> str:
    return f"{uuid4().hex}@achats.example"


async def test_a_purchase_is_told_in_three_mails_of_which_one_brings_the_invoice(billing: Billing, post: Post) -> None:
    address, buyer = _address(), billing.client(language="fr")
    order = await place(buyer, customer_email=address)
    await by_momo(buyer, order)
    await until_paid(buyer, order)
    received, confirmed, invoice = await post.sent_to(address)
    assert received["subject"] == f"Commande {order['order_number']} reçue"
    assert confirmed["subject"] == f"Paiement reçu : commande {order['order_number']}"
    assert (received["attachments"], confirmed["attachments"]) == ([], [])
    number = invoice["subject"].removeprefix("Facture ")
    (file,) = invoice["attachments"]
    assert (file["name"], file["media_type"]) == (f"{number}.pdf", "application/pdf")
    tenant_id = await billing.provision(order)
    member = billing.client(tenant_id=tenant_id)
    listed = (await member.get("/api/tenants/invoices/")).json()["results"]
    download = await member.get(f"/api/tenants/invoices/{listed[0]['id']}/download/")
    assert base64.b64decode(file["content"]) == download.content


async def test_a_payment_that_fails_is_told_once_with_its_reason(billing: Billing, post: Post) -> None:
    address, buyer = _address(), billing.client(language="fr")
    order = await place(buyer, customer_email=address)
    payment = await by_momo(buyer, order, "46733123450")
    rows = "select status from payments where id = $1"

    async def failed() -> bool:
        await verify(buyer, order)
        return bool((await billing.rows(rows, id=UUID(payment["payment_id"])))[0]["status"] == "failed")

    await eventually(failed)
    await verify(buyer, order)
    told = [mail for mail in await post.sent_to(address) if "non abouti" in mail["subject"]]
    assert len(told) == 1
    assert "Motif" in told[0]["text"]
    assert "Rien n'a été encaissé" in told[0]["text"]


async def test_how_to_pay_by_transfer_is_told_with_the_reference_in_both_halves(billing: Billing, post: Post) -> None:
    address, buyer = _address(), billing.client(language="fr")
    order = await place(buyer, customer_email=address)
    details = (await initiate(buyer, order, 3))["bank_details"]
    told = (await post.sent_to(address))[-1]
    for half in (told["text"], told["html"]):
        assert details["reference"] in half
        assert details["account_number"] in half


async def _approve(billing: Billing, payment: dict[str, Any], amount: str) -> None:
    path = f"/api/tenants/payments/{payment['payment_id']}/verify_bank_transfer/"
    answer = await billing.client(staff=["finance"]).post(path, json={"approve": True, "amount": amount})
    assert answer.status_code == 200, answer.text


def _plain(text: str) -> str:
    return text.replace("\u00a0", " ")


async def test_too_little_and_too_much_are_each_told_once(billing: Billing, post: Post) -> None:
    address, buyer = _address(), billing.client(language="fr")
    order = await place(buyer, customer_email=address)
    await _approve(billing, await initiate(buyer, order, 3), "20000")
    too_little = [mail for mail in await post.sent_to(address) if "incomplet" in mail["subject"]]
    assert len(too_little) == 1
    for half in (too_little[0]["text"], too_little[0]["html"]):
        assert "20 000 XAF" in _plain(half)
        assert "30 000 XAF" in _plain(half)
    await _approve(billing, await initiate(buyer, order, 3), "37000")
    told = [mail["subject"] for mail in await post.sent_to(address)]
    assert len([subject for subject in told if "incomplet" in subject]) == 1
    assert len([subject for subject in told if "Paiement reçu" in subject]) == 1
    (too_much,) = [mail for mail in await post.sent_to(address) if "en trop" in mail["subject"]]
    assert "7 000 XAF" in _plain(too_much["text"])


async def test_who_pays_twice_is_told_that_the_second_is_his_credit(world: Any, post: Post) -> None:
    billing = world.billing
    address, buyer = _address(), billing.client(language="en")
    order = await place(buyer, customer_email=address)
    attempts = []
    for key in "ab":  # two wishes; a second tap would be the first one
        buyer.headers["idempotency-key"] = key
        attempts.append(await initiate(buyer, order, 2, phone_number="46733123454"))
    del buyer.headers["idempotency-key"]
    for row in await billing.rows("select provider_reference from payments where order_id = $1", id=UUID(order["id"])):
        await world.decide(row["provider_reference"], "SUCCESSFUL")
    await until_paid(buyer, order)
    tenant_id = await billing.provision(order)
    for attempt in attempts * 3:
        await billing.checkout.ask(tenant_id, UUID(attempt["payment_id"]))
    (told,) = [mail for mail in await post.sent_to(address) if "Paid too much" in mail["subject"]]
    assert "50,000 XAF" in _plain(told["text"])


async def test_money_for_an_order_that_was_overtaken_is_told_to_be_here(billing: Billing) -> None:
    owner, _tenant_id = await subscribed(billing, plan_id=2)
    started = await initiate(owner, await place(owner, plan_id=3), 3)
    billing.clock.advance(CHANGE_HOLDS + timedelta(hours=1))
    amount = started["bank_details"]["amount"]
    await _approve(billing, started, amount)
    written = "select subject, body_text, language from mails where key = $1"
    (told,) = await billing.rows(written, key=f"order_outdated:{started['payment_id']}")
    assert amount_text(Money(int(amount), "XAF"), told["language"]) in told["body_text"]


async def test_a_mail_names_no_document_of_another_organization(billing: Billing) -> None:
    buyer = billing.client()
    order = await place(buyer)
    await by_momo(buyer, order)
    await until_paid(buyer, order)
    (row,) = await billing.rows("select id, tenant_id from invoices where order_id = $1", id=UUID(order["id"]))
    attaching = Attaching(billing.store, billing.tools.draw_invoice, credit_note_pdf, billing.tools.keeping)
    mine = await attaching.document(row["tenant_id"], f"invoice:{row['id']}")
    assert mine.content.startswith(b"%PDF")
    for tenant_id, reference in ((uuid4(), f"invoice:{row['id']}"), (row["tenant_id"], f"receipt:{row['id']}")):
        with pytest.raises(Exception, match=r"no such invoice|nothing here makes"):
            await attaching.document(tenant_id, reference)


async def test_a_refund_brings_its_credit_note(billing: Billing, post: Post) -> None:
    address, buyer = _address(), billing.client(language="fr")
    order = await place(buyer, customer_email=address, customer_niu="M021912004567B")
    payment = await initiate(buyer, order, 3)
    finance = [billing.client(staff=["finance"]) for _ in range(2)]
    await finance[0].post(
        f"/api/tenants/payments/{payment['payment_id']}/verify_bank_transfer/", json={"approve": True}
    )
    asked = await finance[0].post(
        f"/api/admin/payments/{payment['payment_id']}/refunds/", json={"amount": "20000", "reason": "asked for it"}
    )
    assert asked.status_code == 201, asked.text
    path = f"/api/admin/refunds/{asked.json()['id']}/"
    assert (await finance[1].post(f"{path}approve/", json={"reason": "agreed"})).status_code < 300
    recorded = await finance[1].post(f"{path}record/", json={"reference": uuid4().hex, "reason": "sent by the bank"})
    assert recorded.status_code < 300, recorded.text
    (told,) = [mail for mail in await post.sent_to(address) if mail["attachments"] and "acture" not in mail["subject"]]
    (file,) = told["attachments"]
    shown = " ".join(PdfReader(io.BytesIO(base64.b64decode(file["content"]))).pages[0].extract_text().split())
    for expected in (
        file["name"].removesuffix(".pdf"),
        "AVOIR",
        "Rectifie",
        "asked for it",
        "20\u00a0000\u00a0XAF",
        "M021912004567B",
    ):
        assert expected.replace("\u00a0", " ") in shown.replace("\u00a0", " ")
