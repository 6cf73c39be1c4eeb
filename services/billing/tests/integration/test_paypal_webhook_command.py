"""``python -m billing paypal_webhook``: made once, corrected, checked and deleted, each as often as one likes."""

import argparse
from collections.abc import AsyncIterator
from typing import Any

import pytest
from billing.__main__ import PROGRAM
from billing.adapters.paypal_listeners import EVENTS
from billing.operator_command import COMMANDS
from billing.settings import ListenerSettings
from common.cli import parser_of
from pydantic import SecretStr
from simulators.paypal import PayPalConfig, RunningPayPal, start
from simulators.paypal.listeners import KNOWN, Listener

pytestmark = pytest.mark.integration
URL = "https://backup.example/webhooks/paypal/"


@pytest.fixture
async def paypal(paypal_signer: Any) -> AsyncIterator[RunningPayPal]:
    running = await start(PayPalConfig(signer=paypal_signer))
    yield running
    await running.stop()


async def run(paypal: RunningPayPal, *arguments: str, webhook_id: str = "", secret: str = "paypal-secret") -> int:
    settings = ListenerSettings(
        environment="test",
        paypal_base_url=paypal.url,
        paypal_client_id="paypal-client",
        paypal_client_secret=SecretStr(secret),
        paypal_webhook_id=webhook_id,
    )
    parsed: argparse.Namespace = parser_of(PROGRAM).parse_args(["paypal_webhook", *arguments])
    return await COMMANDS["paypal_webhook"].run(settings, parsed)


def listeners(paypal: RunningPayPal) -> list[Listener]:
    return paypal.paypal.webhooks.listeners.all()


async def test_our_listener_is_made_once_with_what_we_want_to_hear(paypal: RunningPayPal, capsys: Any) -> None:
    assert await run(paypal, "ensure") == 0
    (made,) = listeners(paypal)
    assert (made.url, tuple(made.events)) == (URL, EVENTS)
    assert capsys.readouterr().out == f"created: {URL}\nPAYPAL_WEBHOOK_ID={made.id}\n"
    assert await run(paypal, "ensure") == 0
    assert capsys.readouterr().out.startswith("unchanged: ")
    assert listeners(paypal) == [made]
    assert await run(paypal, "verify", webhook_id=made.id) == 0


async def test_a_listener_that_hears_too_little_is_corrected(paypal: RunningPayPal, capsys: Any) -> None:
    paypal.paypal.webhooks.listeners.add(Listener("OLD1", URL, ["CHECKOUT.ORDER.APPROVED"]))
    assert await run(paypal, "verify", webhook_id="OLD1") == 1
    assert "does not hear of CHECKOUT.PAYMENT-APPROVAL.REVERSED" in capsys.readouterr().out
    assert await run(paypal, "ensure") == 0
    assert capsys.readouterr().out == f"updated: {URL}\nPAYPAL_WEBHOOK_ID=OLD1\n"
    assert [(one.id, tuple(one.events)) for one in listeners(paypal)] == [("OLD1", EVENTS)]
    assert await run(paypal, "verify", webhook_id="OLD1") == 0


@pytest.mark.parametrize(
    ("webhook_id", "says"), [("", "is not set"), ("WH-EVENT-1", "is no listener"), ("ELSEWHERE", "sends to")]
)
async def test_a_wrong_id_is_told(paypal: RunningPayPal, capsys: Any, webhook_id: str, says: str) -> None:
    paypal.paypal.webhooks.listeners.add(Listener("ELSEWHERE", "https://old.example/hook", ["*"]))
    assert await run(paypal, "verify", webhook_id=webhook_id) == 1
    assert says in capsys.readouterr().out


async def test_a_listener_is_deleted_once_and_others_stay(paypal: RunningPayPal, capsys: Any) -> None:
    paypal.paypal.webhooks.listeners.add(Listener("ELSEWHERE", "https://old.example/hook", ["*"]))
    await run(paypal, "ensure")
    capsys.readouterr()
    assert [await run(paypal, "delete", "ELSEWHERE") for _ in range(2)] == [0, 0]
    assert capsys.readouterr().out == "deleted: ELSEWHERE\nunknown: ELSEWHERE\n"
    assert [one.url for one in listeners(paypal)] == [URL]
    await run(paypal, "list", webhook_id=listeners(paypal)[0].id)
    assert capsys.readouterr().out.startswith(f"{listeners(paypal)[0].id} (ours) {URL} ")


async def test_wrong_credentials_end_with_one_line(paypal: RunningPayPal, capsys: Any) -> None:
    assert await run(paypal, "list", secret="wrong") == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_everything_that_we_want_to_hear_of_exists() -> None:
    assert set(EVENTS) <= KNOWN
