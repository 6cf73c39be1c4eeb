"""Passwords and keys of one stack, made once and kept beside it with mode 0600."""

import base64
import json
import os
import secrets
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from common.auth.internal_token import new_key


@dataclass(frozen=True)
class StackSecrets:
    """What a stack needs that nobody may guess. Nothing here is a default of any part."""

    database_password: str
    owner_password: str
    broker_password: str
    gateway_key: dict[str, Any]
    token_key: dict[str, Any]
    tenancy_key: str
    sealing_key: str
    esxi_password: str
    momo_api_user: str
    momo_api_key: str
    momo_subscription_key: str
    paypal_client_id: str
    paypal_client_secret: str

    @classmethod
    def fresh(cls) -> Self:
        """Make new ones."""
        return cls(
            database_password=secrets.token_urlsafe(24),
            owner_password=secrets.token_urlsafe(24),
            broker_password=secrets.token_urlsafe(24),
            gateway_key=new_key("gateway-1"),
            token_key=new_key("tenancy-1"),
            tenancy_key=secrets.token_urlsafe(48),
            sealing_key=base64.b64encode(secrets.token_bytes(32)).decode(),
            esxi_password=secrets.token_urlsafe(16),
            momo_api_user=str(uuid.uuid4()),
            momo_api_key=secrets.token_hex(16),
            momo_subscription_key=secrets.token_hex(16),
            paypal_client_id=f"client-{secrets.token_hex(12)}",
            paypal_client_secret=secrets.token_urlsafe(32),
        )

    @classmethod
    def kept_in(cls, path: Path) -> Self:
        """Return those in ``path``; make and keep new ones where there are none."""
        if path.exists():
            return cls(**json.loads(path.read_text()))
        made = cls.fresh()
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(asdict(made), file)
        return made
