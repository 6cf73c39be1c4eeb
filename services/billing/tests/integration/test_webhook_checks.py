"""Which of PayPal's deliveries are believed: by certificate first, by PayPal's verdict where that cannot be had."""

import json
from pathlib import Path
from typing import Any

import pytest
from billing.adapters.paypal_webhooks import OfflineFirst, OnlineVerifier
from billing.settings import Settings
from billing.testing import by_paypal, place
from common.testing import eventually
from prometheus_client import REGISTRY
from pydantic import ValidationError

pytestmark = pytest.mark.integration


def refused(reason: str) -> float:
    labels = {"provider": "paypal", "reason": reason}
    return REGISTRY.get_sample_value("billing_webhooks_refused_total", labels) or 0.0


async def delivered(world: Any) -> tuple[bytes, dict[str, str]]:
    """A real delivery, body and headers, as it was stored; the next one is refused before it is stored."""
    buyer = world.billing.client()
    started = await by_paypal(buyer, await place(buyer))
    await world.approve(started["redirect_url"])

    async def event() -> dict[str, Any] | None:
        rows = await world.billing.rows(
            "select body, headers from webhook_events where position($1 in convert_from(body, 'UTF8')) > 0",
            p=started["payment_id"],
        )
        return dict(rows[0]) if rows else None

    found = await eventually(event)
    return found["body"], json.loads(found["headers"]) | {"content-type": "application/json"}


async def questions(world: Any) -> int:
    return len(await world.requests(world.paypal, "/v1/notifications/verify-webhook-signature"))


class TestOffline:
    @pytest.fixture
    def billing_settings(self, paypal_signer: Any, tmp_path: Path) -> dict[str, Any]:
        ca_file = tmp_path / "ca.pem"
        ca_file.write_bytes(paypal_signer.ca_pem)
        return {"paypal_webhook_check": "offline", "paypal_webhook_ca_file": ca_file}

    async def test_a_delivery_is_checked_without_asking_paypal(self, world: Any) -> None:
        assert isinstance(world.billing.tools.paypal_webhooks, OfflineFirst)
        await delivered(world)
        assert await questions(world) == 0

    async def test_where_the_certificate_cannot_be_had_paypal_is_asked(self, world: Any) -> None:
        await world.faults(world.paypal, {"match": {"path": "/v1/notifications/certs/*"}, "status": 503})
        await delivered(world)
        assert await questions(world) >= 1

    @pytest.mark.invariant("S27")
    async def test_what_is_not_paypals_is_refused_counted_and_no_second_opinion_is_asked(self, world: Any) -> None:
        body, headers = await delivered(world)
        front = world.billing.client(anonymous=True)
        before = {reason: refused(reason) for reason in ("signature", "certificate_address", "algorithm")}
        foreign = headers["paypal-cert-url"].replace(world.paypal.url, "https://api.paypal.com.evil.example")
        for reason, sent, changed in (
            ("signature", body + b" ", {}),
            ("certificate_address", body, {"paypal-cert-url": foreign}),
            ("algorithm", body, {"paypal-auth-algo": "SHA1withRSA"}),
        ):
            answer = await front.post("/webhooks/paypal/", content=sent, headers=headers | changed)
            assert (answer.status_code, answer.json()["code"]) == (403, "signature_invalid")
            assert refused(reason) == before[reason] + 1
        assert await questions(world) == 0


async def test_a_stand_in_is_asked_online_and_paypals_own_hosts_are_checked_offline(world: Any) -> None:
    assert isinstance(world.billing.tools.paypal_webhooks, OnlineVerifier)
    assert world.billing.settings.checks_webhooks_offline is False
    own = world.billing.settings.model_copy(update={"paypal_base_url": ""})
    assert own.checks_webhooks_offline is True


async def test_production_believes_public_authorities_only(world: Any, tmp_path: Path) -> None:
    given = world.billing.settings.model_dump(exclude_unset=True) | {
        "environment": "production",
        "paypal_mode": "live",
        "mtn_momo_environment": "production",
        "paypal_webhook_ca_file": tmp_path / "ca.pem",
    }
    with pytest.raises(ValidationError, match="PAYPAL_WEBHOOK_CA_FILE"):
        Settings(**given)
