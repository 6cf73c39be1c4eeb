"""The contract documents of tenancy, made from the code."""

from typing import Any

from common import contracts

from tenancy.adapters.letters import TemplateLetters
from tenancy.api.app import make_app
from tenancy.events import FACTS
from tenancy.messaging.handlers import subscriptions
from tenancy.settings import NAME, Settings


def documents() -> dict[str, Any]:
    """Every document by its path below `contracts/`."""
    return contracts.documents(NAME, Settings, make_app(None, None), FACTS, subscriptions(TemplateLetters("")))
