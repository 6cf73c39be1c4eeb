"""The MoMo simulator over real HTTP: each rule of the provider that a caller can break."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from simulators import server
from simulators.mtn_momo import MoMoConfig, start
from simulators.mtn_momo.outcomes import HOLDERS, PAYERS, Refusal
from starlette.requests import Request
from starlette.responses import Response

SANDBOX = MoMoConfig(environment="sandbox", approval_delay=0.01, ongoing_delay=0.05)
KEY = {"Ocp-Apim-Subscription-Key": SANDBOX.subscription_key}


class Caller:
    """One API user's view of the provider."""

    def __init__(self, http: httpx.AsyncClient, config: MoMoConfig) -> None:
        self.http = http
        self.config = config
        self.headers: dict[str, str] = {}

    async def sign_in(self) -> None:
        answer = await self.http.post(
            "/collection/token/", auth=(self.config.api_user, self.config.api_key), headers=KEY
        )
        assert answer.status_code == 200, answer.text
        self.headers = KEY | {
            "Authorization": f"Bearer {answer.json()['access_token']}",
            "X-Target-Environment": self.config.environment,
        }

    def body(self, **changes: Any) -> dict[str, Any]:
        return {
            "amount": "100",
            "currency": self.config.currency,
            "externalId": "INV-1",
            "payer": {"partyIdType": "MSISDN", "partyId": "46700000001"},
            "payerMessage": "Facture INV-1",
            "payeeNote": "INV-1",
        } | changes

    async def request(self, reference: str, body: Any = None, **headers: str) -> httpx.Response:
        return await self.http.post(
            "/collection/v1_0/requesttopay",
            json=self.body() if body is None else body,
            headers=self.headers | {"X-Reference-Id": reference} | {k.replace("_", "-"): v for k, v in headers.items()},
        )

    async def status(self, reference: str) -> httpx.Response:
        return await self.http.get(f"/collection/v1_0/requesttopay/{reference}", headers=self.headers)

    async def final(self, reference: str) -> dict[str, Any]:
        while (answer := (await self.status(reference)).json())["status"] == "PENDING":
            await asyncio.sleep(0.01)
        return dict(answer)

    async def faults(self, *rules: dict[str, Any]) -> None:
        assert (await self.http.put("/_sim/faults", json={"rules": list(rules)})).status_code == 200


async def serving(config: MoMoConfig) -> AsyncIterator[Caller]:
    running = await start(config)
    async with httpx.AsyncClient(base_url=running.url, trust_env=False) as http:
        caller = Caller(http, config)
        await caller.sign_in()
        yield caller
    await running.stop()


@pytest.fixture
async def momo() -> AsyncIterator[Caller]:
    async for caller in serving(SANDBOX):
        yield caller


def ref() -> str:
    return str(uuid.uuid4())


async def test_any_other_number_pays_and_carries_a_receipt(momo: Caller) -> None:
    reference = ref()
    accepted = await momo.request(reference)
    assert (accepted.status_code, accepted.content) == (202, b"")
    paid = await momo.final(reference)
    assert (paid["status"], paid["amount"], paid["currency"], paid["externalId"]) == (
        "SUCCESSFUL",
        "100",
        "EUR",
        "INV-1",
    )
    assert paid["financialTransactionId"].isdigit()


async def test_an_accepted_request_is_pending_until_the_payer_decides() -> None:
    async for momo in serving(MoMoConfig(environment="sandbox", approval_delay=60)):
        reference = ref()
        await momo.request(reference)
        assert (await momo.status(reference)).json()["status"] == "PENDING"
        decided = await momo.http.post(
            "/_sim/decide", json={"reference": reference, "status": "FAILED", "reason": "EXPIRED"}
        )
        assert decided.status_code == 200
        assert (await momo.status(reference)).json()["reason"] == "EXPIRED"
        again = await momo.http.post("/_sim/decide", json={"reference": reference, "status": "SUCCESSFUL"})
        assert again.status_code == 409


@pytest.mark.parametrize("number", sorted(PAYERS))
async def test_each_special_number_leads_to_its_outcome(momo: Caller, number: str) -> None:
    course = PAYERS[number]
    reference = ref()
    answer = await momo.request(reference, momo.body(payer={"partyIdType": "MSISDN", "partyId": number}))
    if isinstance(course, Refusal):
        assert (answer.status_code, answer.json()["code"]) == (course.status, course.code)
        assert (await momo.status(reference)).status_code == 404
    elif course.ends is None:
        await asyncio.sleep(SANDBOX.ongoing_delay * 2)
        assert (await momo.status(reference)).json()["status"] == "PENDING"
    else:
        final = await momo.final(reference)
        assert (final["status"], final.get("reason")) == (course.ends, course.reason)


@pytest.mark.parametrize("number", sorted(HOLDERS))
async def test_each_special_account_holder_is_answered_as_listed(momo: Caller, number: str) -> None:
    answer = await momo.http.get(f"/collection/v1_0/accountholder/msisdn/{number}/active", headers=momo.headers)
    expected = HOLDERS[number]
    if isinstance(expected, Refusal):
        assert (answer.status_code, answer.json()["code"]) == (expected.status, expected.code)
    else:
        assert (answer.status_code, answer.json()) == (200, {"result": expected})


@pytest.mark.parametrize(
    "change",
    [
        {"amount": 100},
        {"amount": "100.00"},
        {"amount": "0"},
        {"amount": "-5"},
        {"payerMessage": ""},
        {"payerMessage": "L'achat"},
        {"payerMessage": "Dupont & fils"},
        {"payeeNote": "Échéance"},
        {"payeeNote": "x" * 129},
        {"externalId": ""},
        {"payer": {"partyIdType": "MSISDN", "partyId": "+237670000000"}},
        {"payer": {"partyIdType": "PHONE", "partyId": "237670000000"}},
        {"extra": "field"},
    ],
    ids=str,
)
async def test_a_malformed_body_is_refused_with_an_empty_400(momo: Caller, change: dict[str, Any]) -> None:
    reference = ref()
    answer = await momo.request(reference, momo.body(**change))
    assert (answer.status_code, answer.content) == (400, b"")
    assert (await momo.status(reference)).status_code == 404


async def test_the_reference_must_be_a_uuid_of_version_4(momo: Caller) -> None:
    assert (await momo.request(str(uuid.uuid1()))).status_code == 400
    assert (await momo.request("INV-1")).status_code == 400


async def test_a_reference_used_again_is_a_conflict(momo: Caller) -> None:
    reference = ref()
    await momo.request(reference)
    again = await momo.request(reference)
    assert (again.status_code, again.json()["code"]) == (409, "RESOURCE_ALREADY_EXIST")


async def test_sandbox_takes_no_xaf(momo: Caller) -> None:
    answer = await momo.request(ref(), momo.body(currency="XAF"))
    assert (answer.status_code, answer.json()["code"]) == (500, "INVALID_CURRENCY")


async def test_another_target_environment_is_not_allowed(momo: Caller) -> None:
    answer = await momo.request(ref(), X_Target_Environment="mtncameroon")
    assert (answer.status_code, answer.json()["code"]) == (500, "NOT_ALLOWED_TARGET_ENVIRONMENT")


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("https://elsewhere.example/cb", 500),
        ("http://backup.example/cb", 400),
        ("https://backup.example:8443/cb", 400),
        ("", 400),
    ],
)
async def test_a_callback_address_of_another_kind_is_refused(momo: Caller, url: str, status: int) -> None:
    assert (await momo.request(ref(), X_Callback_Url=url)).status_code == status


async def test_wrong_credentials_are_answered_500_and_a_wrong_key_401(momo: Caller) -> None:
    login = await momo.http.post("/collection/token/", auth=(SANDBOX.api_user, "wrong"), headers=KEY)
    assert (login.status_code, login.json()) == (500, {"error": "login_failed"})
    key = await momo.http.post(
        "/collection/token/",
        auth=(SANDBOX.api_user, SANDBOX.api_key),
        headers={"Ocp-Apim-Subscription-Key": "wrong"},
    )
    assert key.status_code == 401


async def test_the_token_address_needs_its_slash_and_an_empty_body(momo: Caller) -> None:
    auth = (SANDBOX.api_user, SANDBOX.api_key)
    assert (await momo.http.post("/collection/token", auth=auth, headers=KEY)).status_code == 404
    body = await momo.http.post("/collection/token/", auth=auth, headers=KEY, data={"grant_type": "x"})
    assert body.status_code == 400


async def test_a_token_that_has_expired_is_401() -> None:
    async for momo in serving(MoMoConfig(environment="sandbox", token_seconds=0)):
        assert (await momo.status(ref())).status_code == 401


async def test_a_new_api_user_signs_in_with_its_own_key(momo: Caller) -> None:
    user = ref()
    created = await momo.http.post(
        "/v1_0/apiuser", headers=KEY | {"X-Reference-Id": user}, json={"providerCallbackHost": "other.example"}
    )
    key = await momo.http.post(f"/v1_0/apiuser/{user}/apikey", headers=KEY)
    shown = await momo.http.get(f"/v1_0/apiuser/{user}", headers=KEY)
    assert (created.status_code, key.status_code) == (201, 201)
    assert shown.json() == {"providerCallbackHost": "other.example", "targetEnvironment": "sandbox"}
    token = await momo.http.post("/collection/token/", auth=(user, key.json()["apiKey"]), headers=KEY)
    assert token.status_code == 200


async def test_production_has_no_provisioning_and_takes_xaf() -> None:
    async for momo in serving(MoMoConfig(environment="mtncameroon", approval_delay=0)):
        reference = ref()
        assert (await momo.request(reference, momo.body(amount="25000"))).status_code == 202
        assert (await momo.final(reference))["currency"] == "XAF"
        balance = await momo.http.get("/collection/v1_0/account/balance", headers=momo.headers)
        assert balance.json() == {"availableBalance": "25000", "currency": "XAF"}
        created = await momo.http.post(
            "/v1_0/apiuser", headers=KEY | {"X-Reference-Id": ref()}, json={"providerCallbackHost": "x.example"}
        )
        assert created.status_code == 404


class Receiver:
    """Our side of the callback."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, bytes]] = []
        self.arrived = asyncio.Condition()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        request = Request(scope, receive)
        body = await request.body()
        async with self.arrived:
            self.calls.append((request.method, request.url.path, body))
            self.arrived.notify_all()
        await Response(status_code=500)(scope, receive, send)

    async def until(self, ready: Callable[[], bool]) -> None:
        async with self.arrived:
            async with asyncio.timeout(5):
                await self.arrived.wait_for(ready)


@pytest.mark.parametrize("method", ["PUT", "POST"])
async def test_one_unsigned_callback_without_the_reference_goes_to_the_mapped_address(method: Any) -> None:
    receiver = Receiver()
    ours = await server.serve(receiver, "127.0.0.1", 0)
    config = MoMoConfig(
        environment="sandbox",
        approval_delay=0,
        callback_method=method,
        url_map={"https://backup.example": ours.url},
    )
    async for momo in serving(config):
        reference = ref()
        url = "https://backup.example/webhooks/mtn-momo/secret-token"
        assert (await momo.request(reference, X_Callback_Url=url)).status_code == 202
        await receiver.until(lambda: bool(receiver.calls))
        await momo.final(reference)
        # Answered 500, and still not repeated: a later request's callback is the next thing that arrives.
        await momo.request(ref(), X_Callback_Url=f"{url}-2")
        await receiver.until(lambda: len(receiver.calls) >= 2)
    await ours.stop()
    assert [call[:2] for call in receiver.calls] == [
        (method, "/webhooks/mtn-momo/secret-token"),
        (method, "/webhooks/mtn-momo/secret-token-2"),
    ]
    assert reference.encode() not in receiver.calls[0][2]
    assert b'"SUCCESSFUL"' in receiver.calls[0][2]


async def test_callbacks_are_lost_repeated_and_reordered_by_rule() -> None:
    receiver = Receiver()
    ours = await server.serve(receiver, "127.0.0.1", 0)
    config = MoMoConfig(environment="sandbox", approval_delay=60, url_map={"https://backup.example": ours.url})
    async for momo in serving(config):
        await momo.faults(
            {"target": "delivery", "match": {"url": "*/lost"}, "drop": "before"},
            {"target": "delivery", "match": {"url": "*/twice"}, "duplicate": 1},
            {"target": "delivery", "match": {"url": "*/late"}, "reorder": True},
        )
        for name in ("lost", "late", "twice"):
            reference = ref()
            await momo.request(reference, X_Callback_Url=f"https://backup.example/{name}")
            await momo.http.post("/_sim/decide", json={"reference": reference, "status": "SUCCESSFUL"})
            await asyncio.sleep(0.05)
        await receiver.until(lambda: len(receiver.calls) == 3)
    await ours.stop()
    assert [path for _, path, _ in receiver.calls] == ["/twice", "/twice", "/late"]


async def test_an_answer_lost_on_the_way_leaves_the_request_accepted(momo: Caller) -> None:
    await momo.faults({"match": {"method": "POST", "path": "*/requesttopay"}, "drop": "after", "times": 1})
    reference = ref()
    with pytest.raises(httpx.RemoteProtocolError):
        await momo.request(reference)
    assert (await momo.final(reference))["status"] == "SUCCESSFUL"


async def test_a_connection_cut_before_the_work_leaves_nothing(momo: Caller) -> None:
    await momo.faults({"match": {"method": "POST", "path": "*/requesttopay"}, "drop": "before", "times": 1})
    reference = ref()
    with pytest.raises(httpx.RemoteProtocolError):
        await momo.request(reference)
    assert (await momo.status(reference)).status_code == 404


async def test_what_arrived_can_be_read_back(momo: Caller) -> None:
    reference = ref()
    await momo.request(reference)
    seen = (await momo.http.get("/_sim/requests", params={"path": "*/requesttopay"})).json()["results"]
    assert [(one["method"], one["headers"]["x-reference-id"], one["status"]) for one in seen] == [
        ("POST", reference, 202)
    ]


async def test_a_malformed_rule_is_refused(momo: Caller) -> None:
    answer = await momo.http.put("/_sim/faults", json={"rules": [{"stauts": 500}]})
    assert (answer.status_code, answer.json()) == (422, {"error": "unknown rule field 'stauts'"})
