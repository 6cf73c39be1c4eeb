"""What happens to an organization reaches its own server, through every part: gateway, services, broker and sender."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from devstack.customer import JSON, MTN_MOMO, Customer, until
from standardwebhooks import Webhook

from tests.e2e.test_access_that_ends import GOLD, KEYS, verified

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(300),
    pytest.mark.parametrize("endpoints", ["one_process_small_vault"], indirect=True),
]

ENDPOINTS = "/api/tenants/webhook-endpoints/"


class Receiver:
    """The customer's server; it takes what is signed for it, once."""

    def __init__(self) -> None:
        self.secret = ""
        self.heard: dict[str, JSON] = {}
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        message = Webhook(self.secret).verify(body, dict(request.headers))
        self.heard.setdefault(request.headers["webhook-id"], message)
        return web.Response(status=204)

    def types(self) -> set[str]:
        return {message["type"] for message in self.heard.values()}


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/in", receiver.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"http://127.0.0.1:{runner.addresses[0][1]}/in"
    try:
        yield receiver
    finally:
        await runner.cleanup()


async def a_gold_customer(new_customer: Any, endpoints: JSON, name: str) -> Customer:
    customer: Customer = await new_customer()
    await verified(customer, endpoints)
    order = await customer.order(GOLD, name)
    await customer.pay(order, MTN_MOMO)
    await customer.paid(order)
    await customer.log_in()
    return customer


@pytest.mark.invariant("S72")
async def test_a_customers_server_hears_of_what_happens_to_him_and_to_nobody_else(
    new_customer, endpoints: JSON
) -> None:
    mine = await a_gold_customer(new_customer, endpoints, "Webhooks")
    other = await a_gold_customer(new_customer, endpoints, "Autre")
    async with receiving() as receiver, receiving() as others:
        for customer, server in ((mine, receiver), (other, others)):
            made = await customer.post(ENDPOINTS, {"url": server.url}, expect=201)
            server.secret = made["secret"]
        (endpoint,) = (await mine.get(ENDPOINTS))["results"]
        test = await mine.post(f"{ENDPOINTS}{endpoint['id']}/test/", expect=202)
        key = await mine.post(KEYS, {"name": "Bref", "scopes": ["backups:read"]}, expect=201)
        await mine.call("DELETE", f"{KEYS}{key['id']}/", expect=204)
        order = await mine.order(GOLD, "Webhooks")
        await mine.pay(order, MTN_MOMO)
        wanted = {
            "webhook.test.v1",
            "api_key.revoked.v1",
            "order.placed.v1",
            "payment.confirmed.v1",
            "org.plan_changed.v1",
        }

        async def heard() -> JSON:
            await mine.verify(order)
            return {"types": sorted(receiver.types())}

        await until(heard, lambda found: wanted <= set(found["types"]), seconds=90)
        path = f"{ENDPOINTS}{endpoint['id']}/deliveries/"

        async def settled() -> JSON:
            found: JSON = await mine.get(path, state="pending")
            return found

        await until(settled, lambda found: not found["results"], seconds=30)
        shown = await mine.get(f"{path}{test['id']}/")
    assert shown["tries"][0]["status"] == 204
    assert json.loads(shown["body"]) == receiver.heard[shown["message_id"]]
    paid = next(message for message in receiver.heard.values() if message["type"] == "payment.confirmed.v1")
    assert paid["data"]["order_id"] == order["id"]
    organizations = {message["organization_id"] for message in receiver.heard.values()}
    assert organizations == {paid["organization_id"]}
    assert organizations.isdisjoint(message["organization_id"] for message in others.heard.values())
