"""A customer who does not give up where parts die, restart or have too much to do: a client as it should be written."""

import asyncio
import random
from collections import Counter
from typing import Any

import httpx
from common.ids import uuid7

from devstack.customer import JSON, Customer, Refused

PATIENCE_SECONDS = 300.0
"""For one request, with all its repetitions."""

PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 5.0
"""Before the first repetition, and before any, where no answer said how long to wait; each is twice the one before."""

LOG_IN, REFRESH = "/api/auth/login/", "/api/auth/refresh/"
RENEWALS = 3
"""How often the tokens are renewed for one request before it is refused."""


class PatientCustomer(Customer):
    """Repeats a request that got no answer, a 5xx or a 429, with the Idempotency-Key of its first time; renews tokens.

    Attributes:
        patience_seconds: How long one request is repeated.
        again: How often a request was repeated.
        renewals: How often tokens were renewed.
    """

    patience_seconds = PATIENCE_SECONDS
    again = 0
    renewals = 0

    def __init__(self, gateway: str, email: str, password: str, *, language: str = "fr") -> None:
        super().__init__(gateway, email, password, language=language)
        self._renewing = asyncio.Lock()
        self._refresh_token: str | None = None

    def use(self, tokens: JSON) -> None:
        """As `Customer.use`; keeps the refresh token for when the access token has expired."""
        super().use(tokens)
        self._refresh_token = tokens["refresh_token"]

    async def call(self, method: str, path: str, body: JSON | None = None, *, expect: int = 200, **kwargs: Any) -> Any:
        """As `Customer.call`; waits as ``Retry-After`` says, and longer each time.

        Raises:
            Refused: Another status than ``expect``, and to come again was not asked for.
            TimeoutError: Nothing came of it; the message tells what was answered how often.
        """
        headers = kwargs.pop("headers", None) or ({"idempotency-key": str(uuid7())} if method == "POST" else {})
        met: Counter[str] = Counter()
        try:
            async with asyncio.timeout(self.patience_seconds):
                while True:
                    sent = self.http.headers.get("authorization")
                    asked = 0.0
                    try:
                        return await super().call(method, path, body, expect=expect, headers=headers, **kwargs)
                    except httpx.TransportError as error:
                        met[type(error).__name__] += 1
                    except Refused as refused:
                        met[_told(refused.answer)] += 1
                        if refused.answer.status_code == httpx.codes.UNAUTHORIZED:
                            await self._renewed(sent, path, refused, met)
                            continue
                        asked = _retry_after(refused)
                    self.again += 1
                    await asyncio.sleep(_pause(met.total(), asked))
        except TimeoutError:
            answers = ", ".join(f"{count} × {told}" for told, count in met.most_common()) or "no answer"
            raise TimeoutError(f"{method} {path}: in {self.patience_seconds:.0f} s {answers}") from None

    async def _renewed(self, sent: str | None, path: str, refused: Refused, met: Counter[str]) -> None:
        """Get new tokens in the place of those that were sent, once for all requests that wait for them.

        Raises:
            Refused: New tokens would not help.
        """
        if sent is None or path in {LOG_IN, REFRESH} or met[_told(refused.answer)] > RENEWALS:
            raise refused
        async with self._renewing:
            if self.http.headers.get("authorization") != sent:
                return
            self.renewals += 1
            try:
                self.use(await self.post(REFRESH, {"refresh_token": self._refresh_token}))
            except Refused:
                # A token whose exchange was not heard of counts as stolen when it comes again: the session has ended.
                await self.log_in()


def _told(answer: httpx.Response) -> str:
    """What an answer says, in two words: its status and the code of its problem."""
    try:
        return f"{answer.status_code} {answer.json()['code']}"
    except (ValueError, KeyError, TypeError):
        return str(answer.status_code)


def _retry_after(refused: Refused) -> float:
    """Return for how many seconds the answer asks to wait; raises what is no wish to come again."""
    answer = refused.answer
    if answer.status_code != httpx.codes.TOO_MANY_REQUESTS and answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
        raise refused
    return float(answer.headers.get("retry-after", 0))


def _pause(times: int, asked: float) -> float:
    """Return how long to wait before a repetition: at least as asked, and not all at the same moment."""
    usual = min(LONGEST_PAUSE_SECONDS, PAUSE_SECONDS * 2.0 ** min(times - 1, 10))
    return max(asked, usual) * random.uniform(1, 1.3)
