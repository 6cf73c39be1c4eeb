"""The ``state/`` objects of a vault (§10): how far the database had come, so that an older one is noticed.

They also tell the store's own time: by it, and by no machine's, ages of objects are measured.
"""

from __future__ import annotations

import json
from datetime import datetime

from backup_engine.ports.vault import Blob, BlobInfo, BlobMissing, BlobStore, PutOutcome
from backup_engine.vault.codec import Codec
from backup_engine.vault.errors import CatalogueBehind
from backup_engine.vault.frame import FrameType


async def list_states(store: BlobStore, codec: Codec) -> dict[int, BlobInfo]:
    """Return what the store has under ``state/``, by generation."""
    found = [(codec.names.parse_state(info.name), info) async for info in store.scan(codec.names.states)]
    return {generation: info for generation, info in found if generation is not None}


async def write_state(
    store: BlobStore, codec: Codec, generation: int, *, written_at: datetime, highest_token: int, gc_epoch: int
) -> None:
    """Write the next state, then delete those before it.

    Raises:
        CatalogueBehind: there is one already that is not this one: another database has written to this vault.
    """
    name = codec.names.state(generation)
    fields = {
        "format": 1,
        "generation": generation,
        "written_at": written_at.isoformat(),
        "highest_token": highest_token,
        "gc_epoch": gc_epoch,
    }
    frame = codec.seal_meta(FrameType.STATE, generation.to_bytes(32, "big"), name, json.dumps(fields).encode())
    created = await store.put_batch([Blob(name, frame)]) == [PutOutcome.CREATED]
    # A put that was asked again may meet what it had stored the first time.
    if not created and await store.get(name) != b"".join(frame):
        raise CatalogueBehind(vault_id=codec.keyring.vault_id, reason=f"{name} exists already")
    older = [codec.names.state(other) for other in await list_states(store, codec) if other < generation]
    await store.delete(older)


async def store_time(store: BlobStore, codec: Codec, generation: int) -> datetime:
    """Return when a state was written, by the store's clock. Raises BlobMissing."""
    name = codec.names.state(generation)
    async for info in store.scan(name):
        if info.name == name:
            return info.modified_at
    raise BlobMissing(name=name)
