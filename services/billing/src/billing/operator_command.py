"""``python -m billing paypal_webhook list | ensure | delete | verify``: where PayPal sends its webhooks.

Each may be repeated. None needs a database, and ``ensure`` not even the id that it prints.
"""

import argparse
import sys

import httpx
from common.cli import Extra
from common.clock import SystemClock

from billing.adapters.paypal_listeners import Listener, Listeners
from billing.bootstrap import paypal_of
from billing.ports import ProviderError
from billing.settings import ListenerSettings


def address_of(settings: ListenerSettings) -> str:
    """Return the address that PayPal has to send to."""
    return f"{settings.public_base_url.rstrip('/')}/webhooks/paypal/"


def _arguments(parser: argparse.ArgumentParser) -> None:
    acts = parser.add_subparsers(dest="act", required=True, metavar="ACT")
    acts.add_parser("list", help="every listener of our application, with what it hears of")
    acts.add_parser("ensure", help="make ours at PUBLIC_BASE_URL, or correct it; prints PAYPAL_WEBHOOK_ID")
    acts.add_parser("verify", help="leave with 1 unless PAYPAL_WEBHOOK_ID is the listener at PUBLIC_BASE_URL")
    acts.add_parser("delete", help="have PayPal forget a listener").add_argument("id")


async def _run(settings: ListenerSettings, arguments: argparse.Namespace) -> int:
    async with httpx.AsyncClient(timeout=10, follow_redirects=False) as http:
        listeners = Listeners(paypal_of(settings, http, SystemClock()))
        try:
            return await _act(listeners, settings, arguments)
        except ProviderError as error:
            sys.stderr.write(f"PayPal refused or did not answer: {error}\n")
            return 1


async def _act(listeners: Listeners, settings: ListenerSettings, arguments: argparse.Namespace) -> int:
    url = address_of(settings)
    match arguments.act:
        case "ensure":
            listener, done = await listeners.ensure(url)
            sys.stdout.write(f"{done}: {listener.url}\nPAYPAL_WEBHOOK_ID={listener.id}\n")
            return 0
        case "delete":
            known = await listeners.delete(arguments.id)
            sys.stdout.write(f"{'deleted' if known else 'unknown'}: {arguments.id}\n")
            return 0
        case "verify":
            wrong = _wrong(await listeners.all(), settings.paypal_webhook_id, url)
            sys.stdout.write(f"{wrong or 'ok'}\n")
            return 1 if wrong else 0
        case _:
            for listener in await listeners.all():
                ours = " (ours)" if listener.id == settings.paypal_webhook_id else ""
                sys.stdout.write(f"{listener.id}{ours} {listener.url} {','.join(listener.events)}\n")
            return 0


def _wrong(known: list[Listener], webhook_id: str, url: str) -> str | None:
    """Return what keeps the configured listener from bringing us our webhooks."""
    if not webhook_id:
        return "PAYPAL_WEBHOOK_ID is not set: see «ensure»"
    ours = next((one for one in known if one.id == webhook_id), None)
    if ours is None:
        return f"PAYPAL_WEBHOOK_ID={webhook_id} is no listener of this application"
    if ours.url != url:
        return f"{webhook_id} sends to {ours.url}, not to {url}"
    lacks = ours.lacks()
    return f"{webhook_id} does not hear of {', '.join(lacks)}: see «ensure»" if lacks else None


COMMANDS = {
    "paypal_webhook": Extra(
        "list, make, correct, check and delete our webhook listeners at PayPal", _run, _arguments, ListenerSettings
    )
}
