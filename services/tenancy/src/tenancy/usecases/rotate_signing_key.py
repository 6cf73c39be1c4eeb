"""A new key for access tokens, without a restart of anything."""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from common.ids import uuid7

from tenancy.domain.signing_keys import ALWAYS, ANNOUNCED, SigningKey, published
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import Sealer


async def rotate_signing_key(
    uow: UnitOfWork,
    sealer: Sealer,
    make: Callable[[str], Mapping[str, Any]],
    *,
    alone: bool,
    lifetime: timedelta,
) -> SigningKey:
    """Make a key that signs once everybody has seen it published. Needs `for_system("auth")`; leaves an audit row.

    Args:
        uow: an open transaction.
        sealer: seals the private part.
        make: makes a private JWK with a given `kid`.
        alone: sign with it at once and forget all others: tokens signed by them are refused from then on.
        lifetime: of an access token.
    """
    now, key_id = uow.clock.now(), uuid7()
    known = await signing_keys(uow, sealer)
    key = SigningKey(str(key_id), make(str(key_id)), now if alone else now + ANNOUNCED, alone)
    needed = set() if alone else {one.kid for one in published([*known, key], now, lifetime)}
    await uow.signing_keys.remove(*(UUID(one.kid) for one in known if one.kid not in needed))
    sealed = sealer.seal(json.dumps(dict(key.jwk)), key_id)
    await uow.signing_keys.add(key_id, sealed, key.signs_from, now, alone=alone)
    await uow.audit("signing_key.rotated", str(key_id), actor="operator", details={"alone": alone})
    return key


async def signing_keys(uow: UnitOfWork, sealer: Sealer) -> list[SigningKey]:
    """The keys that were made by command, opened. Needs `for_system("auth")`."""
    rows = await uow.signing_keys.all()
    return [
        SigningKey(str(row["id"]), json.loads(sealer.open(row["sealed"], row["id"])), row["signs_from"], row["alone"])
        for row in rows
    ]


def key_of_settings(jwk: Mapping[str, Any], place: int) -> SigningKey:
    """A key of the settings: older than every one made by command; the first of them is the one that signs."""
    return SigningKey(str(jwk["kid"]), jwk, ALWAYS - timedelta(seconds=place))
