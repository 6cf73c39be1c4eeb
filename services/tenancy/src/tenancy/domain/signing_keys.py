"""Which key signs access tokens and which are published, as keys follow each other. No key is made here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

ANNOUNCED = timedelta(minutes=3)
"""How long a new key is published before it signs: longer than anybody keeps a key set (two minutes)."""

BEYOND_LAST_TOKEN = timedelta(minutes=1)
"""How long an old key is published after its last token has ended: clocks differ."""

ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
"""From when a key signs that the settings name."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key, private part included. `alone`: it was made because older ones may be known to others."""

    kid: str
    jwk: Mapping[str, Any] = field(repr=False)
    signs_from: datetime
    alone: bool = False


def signer(keys: Sequence[SigningKey], now: datetime) -> SigningKey:
    """The newest key whose time has come.

    Raises:
        ValueError: there is none.
    """
    ready = [key for key in keys if key.signs_from <= now]
    if not ready:
        raise ValueError("no key may sign yet")
    return max(ready, key=lambda key: key.signs_from)


def published(keys: Sequence[SigningKey], now: datetime, lifetime: timedelta) -> list[SigningKey]:
    """The keys by which tokens may have been signed that are still valid, and those that will sign soon."""
    alone = max((key.signs_from for key in keys if key.alone), default=None)
    trusted = [key for key in keys if alone is None or key.signs_from >= alone]
    return [key for key in trusted if now < _ends(key, keys, lifetime)]


def _ends(key: SigningKey, keys: Sequence[SigningKey], lifetime: timedelta) -> datetime:
    # Keys of the settings follow nobody: both are published while the settings name them.
    followed = min((other.signs_from for other in keys if other.signs_from > max(key.signs_from, ALWAYS)), default=None)
    return datetime.max.replace(tzinfo=UTC) if followed is None else followed + lifetime + BEYOND_LAST_TOKEN
