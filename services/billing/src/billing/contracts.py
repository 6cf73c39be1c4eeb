"""Billing's contract documents, made from the code."""

from typing import Any

from common import contracts

from billing.api.app import application
from billing.events import FACTS
from billing.messaging.handlers import subscriptions


def documents() -> dict[str, Any]:
    """Return every document by its path below ``contracts/``."""
    return contracts.documents("billing", application(None, None), FACTS, subscriptions)
