"""The contract documents of billing, made from the code."""

from typing import Any

from common import contracts

from billing.api.app import make_app
from billing.events import FACTS
from billing.messaging.handlers import subscriptions
from billing.settings import NAME, Settings


def documents() -> dict[str, Any]:
    """Every document by its path below `contracts/`."""
    return contracts.documents(NAME, Settings, make_app(None, None), FACTS, subscriptions)
