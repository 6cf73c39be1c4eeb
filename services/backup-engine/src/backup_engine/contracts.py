"""The contract documents of backup-engine, made from the code."""

from __future__ import annotations

from typing import Any

from common import contracts

from backup_engine.api.app import make_app
from backup_engine.events import FACTS
from backup_engine.messaging.handlers import subscriptions
from backup_engine.settings import NAME, Settings


def documents() -> dict[str, Any]:
    """Every document by its path below ``contracts/``."""
    return contracts.documents(NAME, Settings, make_app(None, None), FACTS, subscriptions)
