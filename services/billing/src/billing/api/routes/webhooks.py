"""``/webhooks/…``: news from providers. Neither body is believed; each leads to a question of our own.

PayPal's are signed, stored raw and once, answered, and handled by the worker. MoMo's callbacks are not signed: the
token in the path names the attempt, and its status is read from MTN with our credentials.
"""

import asyncio
import logging
from datetime import timedelta
from typing import Annotated, Any

from common.auth import public
from common.crash_points import reach
from fastapi import APIRouter, Request, Response
from prometheus_client import Counter

from billing.api.dependencies import ToolsDep
from billing.domain.payment import MINIMUM_GAP
from billing.domain.plan import Method
from billing.errors import CallbackUnknown, MethodUnavailable, SignatureInvalid, WebhookMalformed
from billing.persistence.webhooks import RawEvent
from billing.ports import ProviderError, SignatureRejected

log = logging.getLogger(__name__)

router = APIRouter(prefix="/webhooks", tags=["webhooks"])
Anybody = Annotated[Any, public()]

CALLBACK_PATIENCE = timedelta(milliseconds=1_500)
"""How long a callback's answer may wait for our own question; MTN gives up after about 2 s."""

WEBHOOKS = Counter("billing_webhooks_total", "Webhooks and callbacks by outcome", ["provider", "outcome"])
REFUSED = Counter("billing_webhooks_refused_total", "Webhooks that are not their provider's", ["provider", "reason"])


@router.post("/paypal/")
async def paypal(_: Anybody, request: Request, tools: ToolsDep) -> dict[str, str]:
    body = await request.body()
    if tools.paypal_webhooks is None:
        raise CallbackUnknown
    try:
        await tools.paypal_webhooks.verify(request.headers, body)
    except SignatureRejected as error:
        WEBHOOKS.labels("paypal", "rejected").inc()
        REFUSED.labels("paypal", error.code).inc()
        log.warning("webhook rejected: %s", error.code)
        raise SignatureInvalid from None
    except ProviderError:
        WEBHOOKS.labels("paypal", "unverifiable").inc()
        raise MethodUnavailable(method="PayPal") from None
    try:
        event = tools.read_webhook(body)
    except ValueError:
        WEBHOOKS.labels("paypal", "malformed").inc()
        raise WebhookMalformed from None
    headers = {name: value for name, value in request.headers.items() if name.startswith("paypal-")}
    async with tools.store.for_system("webhook") as uow:
        stored = await uow.webhooks.store(RawEvent("paypal", event.event_id, event.event_type, body, headers))
        reach("billing.webhook.inserted")
    reach("billing.webhook.stored")
    WEBHOOKS.labels("paypal", "stored" if stored else "repeated").inc()
    return {"status": "stored" if stored else "known"}


@router.put("/mtn-momo/{token}", operation_id="mtn_momo_callback_put")
@router.post("/mtn-momo/{token}", operation_id="mtn_momo_callback_post")
async def mtn_momo(_: Anybody, token: str, tools: ToolsDep) -> Response:
    async with tools.store.for_system("webhook") as uow:
        payment_id = await uow.hints.by_callback_token(token)
    if payment_id is None:
        WEBHOOKS.labels("mtn_momo", "unknown").inc()
        raise CallbackUnknown
    WEBHOOKS.labels("mtn_momo", "taken").inc()
    reach("billing.callback.matched")
    tenant_id = await tools.checkout.claim(payment_id, Method.MTN_MOMO, gap=MINIMUM_GAP)
    try:
        if tenant_id is not None:
            async with asyncio.timeout(CALLBACK_PATIENCE.total_seconds()):
                await tools.checkout.ask(tenant_id, payment_id)
            return Response(status_code=200)
    except TimeoutError:
        log.info("callback answered before MTN did")
    async with tools.store.for_system("webhook") as uow:
        await uow.hints.hasten(payment_id)
    return Response(status_code=200)
