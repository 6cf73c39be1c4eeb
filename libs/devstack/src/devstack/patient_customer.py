"""A customer whose requests are repeated where a part dies, restarts or has too much to do, as a good client does."""

import asyncio
from typing import Any

import httpx
from common.ids import uuid7

from devstack.customer import JSON, Customer, Refused

PATIENCE_SECONDS = 300
"""For one request, with all its repetitions."""

PAUSE_SECONDS = 0.2
"""Before a repetition, where no answer said how long to wait."""


class PatientCustomer(Customer):
    """Repeats a request that got no answer or a 5xx, with the Idempotency-Key of its first time.

    Attributes:
        again: How often that was needed.
    """

    again = 0

    async def call(self, method: str, path: str, body: JSON | None = None, *, expect: int = 200, **kwargs: Any) -> Any:
        """As `Customer.call`; waits as ``Retry-After`` says, raises ``TimeoutError`` where nothing came of it."""
        headers = kwargs.pop("headers", None) or ({"idempotency-key": str(uuid7())} if method == "POST" else {})
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                pause = PAUSE_SECONDS
                try:
                    return await super().call(method, path, body, expect=expect, headers=headers, **kwargs)
                except httpx.TransportError:
                    pass
                except Refused as refused:
                    if refused.answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR:
                        raise
                    pause = float(refused.answer.headers.get("retry-after", pause))
                self.again += 1
                await asyncio.sleep(pause)
