"""A patient customer against answers of a gateway: what he repeats, how long he waits, and that his tokens are renewed."""

import asyncio
import json
import time

import httpx
import pytest
import respx
from devstack.customer import Refused
from devstack.patient_customer import LOG_IN, REFRESH, PatientCustomer

pytestmark = pytest.mark.unit
GATEWAY = "http://gateway.test"


class Gateway:
    """Lets in who bears the newest token; exchanges the newest refresh token only, and then ends the session."""

    def __init__(self, router: respx.MockRouter) -> None:
        self.newest = 0
        self.sessions_end = False
        self.log_ins, self.refreshed, self.served = 0, 0, 0
        router.post(LOG_IN).mock(side_effect=self._log_in)
        router.post(REFRESH).mock(side_effect=self._refresh)
        router.get("/thing/").mock(side_effect=self._thing)

    def expire(self) -> None:
        self.newest += 1

    def _tokens(self) -> httpx.Response:
        self.newest += 1
        return httpx.Response(200, json={"access_token": f"a{self.newest}", "refresh_token": f"r{self.newest}"})

    def _log_in(self, _request: httpx.Request) -> httpx.Response:
        self.log_ins += 1
        return self._tokens()

    def _refresh(self, request: httpx.Request) -> httpx.Response:
        self.refreshed += 1
        if self.sessions_end or not json.loads(request.content)["refresh_token"].startswith("r"):
            return httpx.Response(401, json={"code": "invalid_refresh_token"})
        return self._tokens()

    def _thing(self, request: httpx.Request) -> httpx.Response:
        if request.headers.get("authorization") != f"Bearer a{self.newest}":
            return httpx.Response(401, json={"code": "token_invalid"})
        self.served += 1
        return httpx.Response(200, json={"served": self.served})


@pytest.fixture
def router() -> respx.MockRouter:
    return respx.mock(base_url=GATEWAY, assert_all_called=False)


async def test_an_expired_token_is_renewed_once_for_all_who_wait(router: respx.MockRouter) -> None:
    with router:
        gateway = Gateway(router)
        async with PatientCustomer(GATEWAY, "a@b.example", "secret") as customer:
            await customer.log_in()
            gateway.expire()
            await asyncio.gather(*(customer.get("/thing/") for _ in range(50)))
    assert (gateway.served, gateway.refreshed, gateway.log_ins, customer.renewals) == (50, 1, 1, 1)
    assert customer.again == 0


async def test_where_the_session_has_ended_he_signs_in_again(router: respx.MockRouter) -> None:
    with router:
        gateway = Gateway(router)
        async with PatientCustomer(GATEWAY, "a@b.example", "secret") as customer:
            await customer.log_in()
            gateway.expire()
            gateway.sessions_end = True
            assert await customer.get("/thing/") == {"served": 1}
    assert (gateway.refreshed, gateway.log_ins) == (1, 2)


async def test_who_never_signed_in_is_refused_at_once(router: respx.MockRouter) -> None:
    with router:
        gateway = Gateway(router)
        async with PatientCustomer(GATEWAY, "a@b.example", "secret") as customer:
            with pytest.raises(Refused, match="401"):
                await customer.get("/thing/")
    assert (gateway.refreshed, gateway.log_ins) == (0, 0)


async def test_tokens_that_do_not_help_are_not_renewed_for_ever(router: respx.MockRouter) -> None:
    with router:
        gateway = Gateway(router)
        router.get("/closed/").respond(401, json={"code": "token_invalid"})
        async with PatientCustomer(GATEWAY, "a@b.example", "secret") as customer:
            await customer.log_in()
            with pytest.raises(Refused, match="401"):
                await customer.get("/closed/")
    assert gateway.refreshed == 3


async def test_a_wrong_password_is_no_reason_to_sign_in_again(router: respx.MockRouter) -> None:
    with router:
        asked = router.post(LOG_IN).respond(401, json={"code": "invalid_credentials"})
        async with PatientCustomer(GATEWAY, "a@b.example", "secret") as customer:
            with pytest.raises(Refused, match="401"):
                await customer.log_in()
    assert asked.call_count == 1


@pytest.mark.parametrize("status", [429, 503])
async def test_he_comes_again_when_he_was_told_to_with_the_same_key(router: respx.MockRouter, status: int) -> None:
    with router:
        asked = router.post("/thing/")
        asked.side_effect = [httpx.Response(status, headers={"retry-after": "1"}), httpx.Response(200, json={})]
        async with PatientCustomer(GATEWAY, "a@b.example", "secret") as customer:
            began = time.monotonic()
            await customer.post("/thing/", {})
    assert time.monotonic() - began >= 1
    assert len({call.request.headers["idempotency-key"] for call in asked.calls}) == 1
    assert customer.again == 1


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422])
async def test_a_refusal_is_final(router: respx.MockRouter, status: int) -> None:
    with router:
        asked = router.get("/thing/").respond(status, json={"code": "no"})
        async with PatientCustomer(GATEWAY, "a@b.example", "secret") as customer:
            with pytest.raises(Refused, match=str(status)):
                await customer.get("/thing/")
    assert asked.call_count == 1


async def test_his_patience_ends_and_tells_what_he_met(router: respx.MockRouter) -> None:
    with router:
        asked = router.get("/thing/")
        asked.side_effect = [httpx.ReadTimeout("late"), *[httpx.Response(503, json={"code": "busy"})] * 9]
        async with PatientCustomer(GATEWAY, "a@b.example", "secret") as customer:
            customer.patience_seconds = 1.5
            with pytest.raises(TimeoutError, match=r"^GET /thing/: in 2 s \d × 503 busy, 1 × ReadTimeout$"):
                await customer.get("/thing/")
