"""Attackers with an account, inside the network, and at the counter; black-box against a running stack."""

import asyncio
import base64
import json
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import pytest
from devstack.customer import BANK_TRANSFER, JSON, MTN_MOMO, PAYPAL, Customer, claims_of, until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.parametrize("endpoints", ["one_process_small_vault"], indirect=True),
]

SERVERS, MACHINES, CONFIGS = "/api/esxi-servers/", "/api/virtual-machines/", "/api/backup-configs/"
ORDERS = "/api/tenants/orders/"


async def bought(customer: Customer, name: str, plan: int = 1) -> JSON:
    """Buy an organization and work for it from then on."""
    order = await customer.order(plan, name)
    await customer.pay(order, MTN_MOMO)
    organization: JSON = await customer.paid(order)
    await customer.log_in()
    return organization


async def with_machines(customer: Customer, endpoints: JSON) -> tuple[JSON, JSON]:
    """Register the simulated host; return server and one of its machines."""
    host = endpoints["esxi"][0]
    body = {"hostname": host["host"]} | {name: host[name] for name in ("port", "username", "password", "thumbprint")}
    server: JSON = await customer.post(SERVERS, body, expect=201)
    await customer.call("POST", f"{SERVERS}{server['id']}/sync_vms/")
    machine: JSON = (await customer.get(MACHINES))["results"][0]
    return server, machine


def same_refusal(first: httpx.Response, second: httpx.Response) -> bool:
    """Say whether two answers tell nothing apart but which request each is of."""

    def told(answer: httpx.Response) -> Any:
        return {name: value for name, value in answer.json().items() if name not in {"request_id", "instance"}}

    return (first.status_code, told(first)) == (second.status_code, told(second))


@pytest.mark.invariant("S8")
@pytest.mark.invariant("S9")
async def test_an_id_of_another_organization_in_a_body_is_as_good_as_none(new_customer, endpoints) -> None:
    victim, thief = await new_customer(), await new_customer()
    victims, _ = await bought(victim, "Alpha"), await bought(thief, "Beta")
    server, machine = await with_machines(victim, endpoints)
    own_server, own_machine = await with_machines(thief, endpoints)
    configuration = {"name": "Mine", "server_id": own_server["id"], "vm_ids": [own_machine["id"]]}
    both = {"vm_ids": [own_machine["id"], machine["id"]]}
    order = {"plan_id": 3, "billing_cycle": "monthly", "customer_name": "B", "customer_email": "b@xyz.example"}
    attempts: list[tuple[str, JSON]] = [
        (CONFIGS, configuration | {"server_id": server["id"]}),
        (CONFIGS, configuration | {"vm_ids": [machine["id"]]}),
        (CONFIGS, configuration | both),
        ("/api/backup-jobs/", {"vm_id": machine["id"]}),
        ("/api/restore/vm/", {"restore_point_id": str(uuid4()), "server_id": server["id"], "name": "stolen"}),
        ("/api/auth/switch/", {"organization_id": victims["id"]}),
        (ORDERS, order | {"organization_id": victims["id"]}),
    ]
    foreign = {server["id"], machine["id"], victims["id"]}
    for path, body in attempts:
        text = json.dumps(body)
        for one in foreign:
            text = text.replace(one, str(uuid4()))
        answers = [await thief.http.post(path, json=wanted) for wanted in (body, json.loads(text))]
        assert answers[0].status_code == 404, (path, answers[0].text)
        assert same_refusal(*answers), (path, [answer.text for answer in answers])
    assert (await thief.get(CONFIGS))["results"] == []


@pytest.mark.invariant("S43")
async def test_one_idempotency_key_in_two_organizations_is_two_keys(new_customer) -> None:
    first, second = await new_customer(), await new_customer()
    body = {"plan_id": 1, "billing_cycle": "monthly", "customer_name": "Same", "customer_email": "s@xyz.example"}
    key = {"Idempotency-Key": "1"}
    made = [await one.http.post(ORDERS, json=body, headers=key) for one in (first, second, first)]
    assert [answer.status_code for answer in made] == [201] * 3
    assert made[0].json()["id"] == made[2].json()["id"] != made[1].json()["id"]
    other = await first.http.post(ORDERS, json=body | {"plan_id": 3}, headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


@pytest.mark.invariant("S55")
async def test_a_token_whose_tenant_was_switched_is_refused(new_customer) -> None:
    victim, thief = await new_customer(), await new_customer()
    victims, _ = await bought(victim, "Alpha"), await bought(thief, "Beta")
    head, _, signature = thief.http.headers["authorization"].removeprefix("Bearer ").split(".")
    claims = claims_of(thief.http.headers["authorization"]) | {"tenant": victims["id"]}
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    for forged in (f"{head}.{body}.{signature}", f"{head}.{body}."):
        answer = await thief.http.get(MACHINES, headers={"authorization": f"Bearer {forged}"})
        assert (answer.status_code, answer.json()["code"]) == (401, "token_invalid")


@pytest.mark.parametrize(
    "path",
    [
        "/internal/sessions/{id}",
        "//internal/sessions/{id}",
        "/api/auth/../../internal/sessions/{id}",
        "/api/esxi-servers/%2e%2e/%2e%2e/internal/sessions/{id}",
        "/webhooks/mtn-momo/..%2F..%2Finternal%2Fsessions%2F{id}",
        "/api/backup-jobs/;/../../internal/sessions/{id}",
        "/metrics",
    ],
)
@pytest.mark.invariant("S65")
async def test_no_spelling_of_a_path_reaches_what_is_internal(new_customer, endpoints, path: str) -> None:
    customer = await new_customer()
    session = claims_of(customer.http.headers["authorization"])["sid"]
    url = urlsplit(endpoints["gateway"])
    reader, writer = await asyncio.open_connection(url.hostname, url.port)
    request = f"GET {path.format(id=session)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
    writer.write(f"{request}Authorization: {customer.http.headers['authorization']}\r\n\r\n".encode())
    status = (await reader.readline()).split()[1]
    writer.close()
    assert status == b"404"


async def test_a_cheap_payment_never_pays_a_dear_order(new_customer) -> None:
    payer: Customer = await new_customer()
    cheap = await payer.order(1, "Cheap")
    cheap_payment = await payer.pay(cheap, PAYPAL)
    dear = await payer.order(3, "Dear", kind="new")
    await payer.pay(dear, PAYPAL)
    await payer.approve_on_paypal(cheap_payment["redirect_url"])
    organization = await payer.paid(cheap)
    assert organization["plan"] == "bronze"
    refused = await payer.verify(dear)
    assert (refused["success"], refused["organization"]) == (False, None)
    assert [one["id"] for one in (await payer.get("/api/tenants/organizations/"))["results"]] == [organization["id"]]


@pytest.mark.invariant("S24")
async def test_money_approved_before_the_payer_turned_to_a_failing_number_still_pays(new_customer) -> None:
    payer: Customer = await new_customer()
    order = await payer.order(2, "Changed his mind")
    started = await payer.pay(order, PAYPAL)
    await payer.pay(order, MTN_MOMO, phone_number="46733123450")
    await payer.approve_on_paypal(started["redirect_url"])
    assert (await payer.paid(order))["plan"] == "silver"
    assert len((await payer.get("/api/tenants/organizations/"))["results"]) == 1


@pytest.mark.invariant("S46")
async def test_a_storm_of_verifying_and_cancelling_makes_one_organization(new_customer) -> None:
    payer: Customer = await new_customer()
    order = await payer.order(1, "Storm")
    await payer.pay(order, MTN_MOMO)
    paths = [f"{ORDERS}{order['id']}/verify_payment/"] * 20 + [f"{ORDERS}{order['id']}/cancel/"] * 5
    answers = await asyncio.gather(*(payer.http.post(path) for path in paths))
    assert {answer.status_code for answer in answers} <= {200, 409}
    await payer.paid(order)
    await payer.log_in()
    assert len((await payer.get("/api/tenants/organizations/"))["results"]) == 1
    assert len((await payer.get("/api/tenants/invoices/"))["results"]) == 1


@pytest.mark.invariant("S27")
@pytest.mark.invariant("S28")
async def test_forged_news_of_providers_pays_nothing(new_customer, endpoints) -> None:
    payer: Customer = await new_customer()
    order = await payer.order(3, "Forged")
    await payer.pay(order, PAYPAL)
    event = {"id": "WH-1", "event_type": "PAYMENT.CAPTURE.COMPLETED", "resource": {"custom_id": order["id"]}}
    signed = {
        "paypal-transmission-id": "1",
        "paypal-transmission-time": "2026-11-22T12:00:00Z",
        "paypal-transmission-sig": "AAAA",
        "paypal-auth-algo": "SHA256withRSA",
        "paypal-cert-url": f"{endpoints['paypal']}/forged.pem",
    }
    assert (await payer.http.post("/webhooks/paypal/", json=event, headers=signed)).status_code == 403
    for token in ("0" * 43, order["id"], "' or 1=1 --"):
        answer = await payer.http.put(f"/webhooks/mtn-momo/{token}", json={"status": "SUCCESSFUL"})
        assert answer.status_code == 404
    assert (await payer.verify(order))["success"] is False


@pytest.mark.invariant("S40")
async def test_a_transfer_is_approved_once_however_many_staff_try_at_once(new_customer, signed_in_staff) -> None:
    payer: Customer = await new_customer()
    order = await payer.order(1, "Transfer")
    started = await payer.pay(order, BANK_TRANSFER)
    path = f"/api/tenants/payments/{started['payment_id']}/verify_bank_transfer/"
    first, second = await signed_in_staff(0), await signed_in_staff(1)
    body = {"approve": True, "note": "on the statement"}
    answers = await asyncio.gather(*(staff.http.post(path, json=body) for staff in (first, second) * 25))
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 49
    await payer.paid(order)


async def test_a_name_with_line_breaks_holds_up_nobodys_mail(new_customer, endpoints) -> None:
    attacker: Customer = await new_customer()
    organization = await bought(attacker, "Bad\r\nBcc: all@xyz.example\rName")
    assert organization["name"] == "Bad Bcc: all@xyz.example Name"
    honest: Customer = await new_customer()
    async with httpx.AsyncClient(base_url=endpoints["mail"], trust_env=False) as sink:

        async def mailbox(address: str) -> JSON:
            found: JSON = (await sink.get("/messages", params={"to": address})).json()
            return found

        for address in (attacker.email, honest.email):
            await until(lambda to=address: mailbox(to), lambda found: bool(found["results"]), seconds=30)
