"""A customer's client: the guide's own steps as HTTP calls, with exactly its paths and fields.

The demo and the end-to-end tests use it against the gateway of any running stack.
"""

import asyncio
import base64
import json
import ssl
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

JSON = dict[str, Any]

PAYPAL, MTN_MOMO, BANK_TRANSFER = 1, 2, 3
"""The guide's ids of the payment methods."""

RETURN_URL = "https://myapp.com/payment/success"
CANCEL_URL = "https://myapp.com/payment/cancel"


class Refused(AssertionError):
    """The gateway answered otherwise than expected; the message is its whole answer."""

    def __init__(self, answer: httpx.Response) -> None:
        self.answer = answer
        request = answer.request
        super().__init__(f"{request.method} {request.url.path}: {answer.status_code} {answer.text[:2000]}")


async def until(
    act: Callable[[], Awaitable[JSON]], done: Callable[[JSON], bool], *, seconds: float, pause: float = 0.2
) -> JSON:
    """Poll ``act`` until ``done`` says so.

    Raises:
        TimeoutError: Not within ``seconds``; the message is the last answer.
    """
    deadline = asyncio.get_running_loop().time() + seconds
    while True:
        answer = await act()
        if done(answer):
            return answer
        if asyncio.get_running_loop().time() > deadline:
            raise TimeoutError(f"not within {seconds:.0f} s, last: {json.dumps(answer)[:1500]}")
        await asyncio.sleep(pause)


@cache
def _trust() -> ssl.SSLContext:
    """The authorities that everybody trusts, read once: a hundred milliseconds for each of a thousand customers."""
    return httpx.create_ssl_context(trust_env=False)


def claims_of(token: str) -> JSON:
    """Return the payload of a token, unverified: what the customer can read of it himself."""
    body = token.split(".")[1]
    decoded: JSON = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return decoded


class Customer:
    """One person with a browser.

    Args:
        gateway: Base URL of the gateway.
        email: Whom to be.
        password: His password.
        language: Accept-Language of his browser.
    """

    def __init__(self, gateway: str, email: str, password: str, *, language: str = "fr") -> None:
        self.email = email
        self.password = password
        self.http = httpx.AsyncClient(
            base_url=gateway, timeout=30, verify=_trust(), trust_env=False, headers={"accept-language": language}
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.aclose()

    async def call(self, method: str, path: str, body: JSON | None = None, *, expect: int = 200, **kwargs: Any) -> Any:
        """Send one request and return its JSON.

        Raises:
            Refused: Another status than ``expect``.
        """
        answer = await self.http.request(method, path, json=body, **kwargs)
        if answer.status_code != expect:
            raise Refused(answer)
        return answer.json() if answer.content else None

    async def get(self, path: str, **params: Any) -> Any:
        """GET a path and return its JSON."""
        return await self.call("GET", path, params=params or None)

    async def post(self, path: str, body: JSON | None = None, *, expect: int = 200) -> Any:
        """POST a body and return the answer's JSON."""
        return await self.call("POST", path, body, expect=expect)

    async def register(self, full_name: str) -> JSON:
        """Sign up; the answer is ``{id, email}``."""
        body = {"email": self.email, "password": self.password, "full_name": full_name}
        answer: JSON = await self.post("/api/auth/register/", body, expect=201)
        return answer

    async def log_in(self, **more: str) -> JSON:
        """Sign in and use the token from then on."""
        body = {"email": self.email, "password": self.password} | more
        tokens: JSON = await self.post("/api/auth/login/", body)
        self.use(tokens)
        return tokens

    def use(self, tokens: JSON) -> None:
        """Send this access token from now on."""
        self.http.headers["authorization"] = f"Bearer {tokens['access_token']}"

    async def order(self, plan_id: int, name: str, *, cycle: str = "monthly", **more: Any) -> JSON:
        """Create an order as the guide's step 1 does."""
        body = {
            "plan_id": plan_id,
            "billing_cycle": cycle,
            "customer_name": name,
            "customer_email": self.email,
            "customer_phone": "237670000001",
        } | more
        order: JSON = await self.post("/api/tenants/orders/", body, expect=201)
        return order

    async def pay(self, order: JSON, method: int, **more: Any) -> JSON:
        """Initiate a payment as the guide's step 2 does."""
        body: JSON = {"order_id": order["id"], "payment_method_id": method}
        if method == PAYPAL:
            body |= {"return_url": RETURN_URL, "cancel_url": CANCEL_URL}
        if method == MTN_MOMO:
            body |= {"phone_number": "237670000001"}
        result: JSON = await self.post(f"/api/tenants/orders/{order['id']}/initiate_payment/", body | more)
        return result

    async def verify(self, order: JSON) -> JSON:
        """Ask once, as the guide's step 3 does."""
        result: JSON = await self.call("POST", f"/api/tenants/orders/{order['id']}/verify_payment/")
        return result

    async def paid(self, order: JSON, *, seconds: float = 60) -> JSON:
        """Poll ``verify_payment`` until it says success with an organization; return the organization."""
        answer = await until(
            lambda: self.verify(order), lambda found: bool(found["success"] and found["organization"]), seconds=seconds
        )
        organization: JSON = answer["organization"]
        return organization

    async def approve_on_paypal(self, redirect_url: str) -> str:
        """Approve as the payer's browser would; return the address that PayPal sends the browser back to."""
        async with httpx.AsyncClient(trust_env=False, timeout=30) as browser:
            answer = await browser.post(redirect_url, data={"decision": "approve"})
        location: str = answer.headers.get("location", "")
        if not urlsplit(location).query:
            raise Refused(answer)
        return location
