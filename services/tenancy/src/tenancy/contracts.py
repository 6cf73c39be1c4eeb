"""The contract documents of tenancy, made from the code."""

from typing import Any

from common import contracts
from common.web import create_app
from fastapi import FastAPI

from tenancy.adapters.letters import TemplateLetters
from tenancy.api.app import ROUTERS
from tenancy.events import FACTS
from tenancy.messaging.handlers import subscriptions


def documents() -> dict[str, Any]:
    """Every document by its path below `contracts/`."""
    return contracts.documents("tenancy", _described(), FACTS, subscriptions(TemplateLetters("")))


def _described() -> FastAPI:
    return create_app("tenancy", title="Tenancy", routers=ROUTERS, verifier=None, state={})
