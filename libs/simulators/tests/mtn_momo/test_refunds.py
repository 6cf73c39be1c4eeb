"""The Disbursement product of the MoMo simulator over real HTTP: a door of its own, refunds that fail later."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from simulators.mtn_momo import MoMoConfig, start

CONFIG = MoMoConfig(environment="sandbox", approval_delay=0.01, disbursement_balance=150)
pytestmark = pytest.mark.integration


class Caller:
    """Somebody who may collect and refund."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def signed_in(self, product: str, key: str, user: str, api_key: str) -> dict[str, str]:
        headers = {"Ocp-Apim-Subscription-Key": key}
        answer = await self.http.post(f"/{product}/token/", auth=(user, api_key), headers=headers)
        assert answer.status_code == 200, answer.text
        token = answer.json()["access_token"]
        return headers | {"Authorization": f"Bearer {token}", "X-Target-Environment": CONFIG.environment}

    async def collecting(self) -> dict[str, str]:
        return await self.signed_in("collection", CONFIG.subscription_key, CONFIG.api_user, CONFIG.api_key)

    async def refunding(self) -> dict[str, str]:
        credentials = (CONFIG.disbursement_key, CONFIG.disbursement_user, CONFIG.disbursement_api_key)
        return await self.signed_in("disbursement", *credentials)

    async def paid(self, number: str = "46700000001") -> str:
        reference = str(uuid.uuid4())
        body = {
            "amount": "100",
            "currency": "EUR",
            "externalId": "INV-1",
            "payer": {"partyIdType": "MSISDN", "partyId": number},
            "payerMessage": "Facture",
            "payeeNote": "Facture",
        }
        headers = await self.collecting() | {"X-Reference-Id": reference}
        assert (await self.http.post("/collection/v1_0/requesttopay", json=body, headers=headers)).status_code == 202
        await asyncio.sleep(0.05)
        return reference

    async def refund(self, paid: str, reference: str | None = None, **changes: Any) -> tuple[httpx.Response, str]:
        reference = reference or str(uuid.uuid4())
        body = {
            "amount": "100",
            "currency": "EUR",
            "externalId": "R-1",
            "payerMessage": "Remboursement",
            "payeeNote": "Remboursement",
            "referenceIdToRefund": paid,
        } | changes
        headers = await self.refunding() | {"X-Reference-Id": reference}
        return await self.http.post("/disbursement/v1_0/refund", json=body, headers=headers), reference

    async def final(self, reference: str) -> dict[str, Any]:
        headers = await self.refunding()
        while True:
            answer = (await self.http.get(f"/disbursement/v1_0/refund/{reference}", headers=headers)).json()
            if answer["status"] != "PENDING":
                return dict(answer)


@pytest.fixture
async def caller() -> AsyncIterator[Caller]:
    running = await start(CONFIG)
    async with httpx.AsyncClient(base_url=running.url, trust_env=False) as http:
        yield Caller(http)
    await running.stop()


async def test_a_refund_ends_with_a_number_and_names_its_payee(caller: Caller) -> None:
    answer, reference = await caller.refund(await caller.paid())
    assert (answer.status_code, answer.content) == (202, b"")
    done = await caller.final(reference)
    assert (done["status"], done["payee"]["partyId"]) == ("SUCCESSFUL", "46700000001")
    assert done["financialTransactionId"].isdigit()


async def test_a_reference_is_taken_once(caller: Caller) -> None:
    paid = await caller.paid()
    _answer, reference = await caller.refund(paid)
    again, _ = await caller.refund(paid, reference)
    assert (again.status_code, again.json()["code"]) == (409, "RESOURCE_ALREADY_EXIST")


async def test_what_cannot_be_refunded_fails_later_with_its_reason(caller: Caller) -> None:
    paid = await caller.paid()
    assert (await caller.final((await caller.refund(paid))[1]))["status"] == "SUCCESSFUL"
    for collection, amount, reason in (
        (str(uuid.uuid4()), "1", "TRANSACTION_NOT_FOUND"),
        (await caller.paid("46733123451"), "1", "TRANSACTION_NOT_COMPLETED"),
        (paid, "1", "COULD_NOT_PERFORM_TRANSACTION"),
        (await caller.paid(), "100", "NOT_ENOUGH_FUNDS"),
    ):
        answer, reference = await caller.refund(collection, amount=amount)
        assert answer.status_code == 202
        assert (await caller.final(reference))["reason"] == reason


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"amount": 100}, 400),
        ({"amount": "1.50"}, 400),
        ({"referenceIdToRefund": "363440463"}, 400),
        ({"payeeNote": "l'achat"}, 400),
        ({"payer": {}}, 400),
        ({"currency": "XAF"}, 500),
    ],
)
async def test_a_malformed_refund_is_refused_at_once(caller: Caller, change: dict[str, Any], status: int) -> None:
    answer, _ = await caller.refund(str(uuid.uuid4()), **change)
    assert answer.status_code == status


async def test_the_doors_of_the_two_products_have_different_keys_and_tokens(caller: Caller) -> None:
    refund = f"/disbursement/v1_0/refund/{uuid.uuid4()}"
    collecting = await caller.collecting()
    assert (await caller.http.get(refund, headers=collecting)).status_code == 401
    mixed = collecting | {"Ocp-Apim-Subscription-Key": CONFIG.disbursement_key}
    assert (await caller.http.get(refund, headers=mixed)).status_code == 401
    assert (await caller.http.get(refund, headers=await caller.refunding())).status_code == 404
