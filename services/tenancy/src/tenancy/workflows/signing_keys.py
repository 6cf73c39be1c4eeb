"""The keys of access tokens: made by command, taken over by every process within seconds."""

from collections.abc import Callable, Mapping
from typing import Any

from tenancy.domain.signing_keys import SigningKey
from tenancy.usecases.rotate_signing_key import rotate_signing_key, signing_keys
from tenancy.workflows.tools import Tools


async def take_over(tools: Tools) -> None:
    """Sign and publish by the keys that the database has now."""
    async with tools.store.for_system("auth") as uow:
        made = await signing_keys(uow, tools.sealer)
    tools.tokens.use(made)


async def rotate(tools: Tools, make: Callable[[str], Mapping[str, Any]], *, alone: bool) -> SigningKey:
    """Make a key; see `rotate_signing_key`."""
    async with tools.store.for_system("auth") as uow:
        return await rotate_signing_key(uow, tools.sealer, make, alone=alone, lifetime=tools.tokens.lifetime)
