"""A vault's birth, keys and end: creating, opening, rewrapping, new epochs, erasure (§8, §9, §11).

Each step can be repeated after a crash: a higher ``keys/<n>`` is written, read back and opened before lower
ones are deleted.
"""

import json
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from backup_engine.ports.vault import Blob, BlobMissing, BlobStore, KeyRefused, KeyUnknown, Kms, PutOutcome
from backup_engine.vault.errors import KeyringUnreadable, VaultMissing
from backup_engine.vault.keyring import KEY_BYTES, Keyring
from backup_engine.vault.keyslots import (
    Slot,
    SlotKind,
    open_keyring_frame,
    pack_keys,
    unpack_slots,
    unwrap_for_recovery,
    wrap_for_recovery,
)
from backup_engine.vault.names import VAULTS, Names, parse_vault

_Answer = TypeVar("_Answer")


@dataclass(frozen=True, slots=True)
class StoredKeyring:
    """A keyring with the bytes of its ``keys/<number>``, of which the database keeps a copy."""

    keyring: Keyring
    number: int
    sealed: bytes = field(repr=False)


async def create_vault(store: BlobStore, kms: Kms, *, vault_id: UUID, owner: str, now: datetime) -> StoredKeyring:
    """Make a vault's keys and its ``vault.json``. A vault that exists is opened and returned as it is."""
    names = Names(vault_id)
    if numbers := await _numbers(store, names):
        content = await store.get(names.keys_object(numbers[0]))
        stored = StoredKeyring(await open_stored_keyring(kms, vault_id, content), numbers[0], content)
    else:
        key_ref = await kms.create_key(owner)
        stored = await _write(
            store, kms, Keyring.create(vault_id), key_ref, number=1, data_key=secrets.token_bytes(KEY_BYTES)
        )
    about = {
        "format": 1,
        "critical": [],
        "vault_id": str(vault_id),
        "hash": "blake3-keyed",
        "created_at": now.isoformat(),
        "keys": None,
    }
    await store.put_batch([Blob(names.vault, (json.dumps(about).encode(),))])
    return stored


async def require_vault(store: BlobStore, vault_id: UUID) -> None:
    """Raise VaultMissing where the store is not the one that holds the vault, as a folder that was not mounted.

    The catalogue would go on naming chunks that are elsewhere, and new points would refer to them.
    """
    try:
        await store.get(Names(vault_id).vault)
    except BlobMissing:
        raise VaultMissing(vault_id=vault_id) from None


async def find_vaults(store: BlobStore) -> list[UUID]:
    """Return the vaults that the store holds."""
    return [found async for info in store.scan(VAULTS) if (found := parse_vault(info.name)) is not None]


async def open_keyring(store: BlobStore, kms: Kms, vault_id: UUID) -> Keyring:
    """Return the keyring of the highest ``keys/<n>`` that the KMS opens. Raises VaultMissing, KeyringUnreadable."""
    return await _open_highest(store, vault_id, lambda content: open_stored_keyring(kms, vault_id, content))


async def open_with_recovery(store: BlobStore, recovery_key: bytes, vault_id: UUID) -> Keyring:
    """Return the keyring by the recovery key alone. Raises VaultMissing, KeyringUnreadable."""

    async def opened(content: bytes) -> Keyring:
        slots, frame = unpack_slots(vault_id, content)
        for slot in slots:
            if slot.kind == SlotKind.RECOVERY:
                return open_keyring_frame(vault_id, frame, unwrap_for_recovery(vault_id, slot, recovery_key))
        raise KeyringUnreadable(vault_id=vault_id, reason="it has no recovery key")

    return await _open_highest(store, vault_id, opened)


async def open_stored_keyring(kms: Kms, vault_id: UUID, sealed: bytes) -> Keyring:
    """Return the keyring of the bytes of a keys object, e.g. the database's copy. Raises KeyringUnreadable."""
    return (await _opened(kms, vault_id, sealed)).keyring


async def rewrap(store: BlobStore, kms: Kms, vault_id: UUID, owner: str) -> StoredKeyring:
    """Wrap the same keyring by a new KMS key, then destroy the old one. A recovery key stays valid."""
    return await _succeed(store, kms, vault_id, owner, lambda keyring: keyring)


async def new_epoch(store: BlobStore, kms: Kms, vault_id: UUID, owner: str) -> StoredKeyring:
    """Start a new sealing key; old points stay readable, ids do not change, a recovery key stays valid (D52)."""
    return await _succeed(store, kms, vault_id, owner, Keyring.with_new_epoch)


async def set_recovery_key(store: BlobStore, kms: Kms, vault_id: UUID, owner: str, recovery: bytes) -> StoredKeyring:
    """Let this recovery key open the vault, and no earlier one."""
    return await _succeed(store, kms, vault_id, owner, lambda keyring: keyring, recovery=recovery)


async def erase(store: BlobStore, kms: Kms, vault_id: UUID, owner: str) -> None:
    """Make the vault unreadable for good: its key objects and the owner's KMS keys go.

    The caller deletes the database's copies. Raises KeyringUnreadable if a key object survives.
    """
    names = Names(vault_id)
    await store.delete([names.keys_object(number) for number in await _numbers(store, names)])
    await kms.destroy_owner(owner)
    if await _numbers(store, names):
        raise KeyringUnreadable(vault_id=vault_id, reason="a key object survived its deletion")


@dataclass(frozen=True, slots=True)
class _Opened:
    keyring: Keyring
    data_key: bytes
    slots: list[Slot]


async def _opened(kms: Kms, vault_id: UUID, sealed: bytes) -> _Opened:
    slots, frame = unpack_slots(vault_id, sealed)
    reason = "no key of the organization wraps it"
    for slot in slots:
        if slot.kind == SlotKind.KMS:
            try:
                data_key = await kms.unwrap(slot.key_name, slot.wrapped, vault_id.bytes)
            except (KeyUnknown, KeyRefused) as error:
                reason = str(error)
                continue
            return _Opened(open_keyring_frame(vault_id, frame, data_key), data_key, slots)
    raise KeyringUnreadable(vault_id=vault_id, reason=reason)


async def _succeed(
    store: BlobStore,
    kms: Kms,
    vault_id: UUID,
    owner: str,
    change: Callable[[Keyring], Keyring],
    *,
    recovery: bytes | None = None,
) -> StoredKeyring:
    """Write the next keys object under a new KMS key, then delete the lower ones and their KMS keys."""
    names = Names(vault_id)
    older = await _numbers(store, names)
    contents = [await store.get(names.keys_object(number)) for number in older]
    current = await _open_highest(store, vault_id, lambda content: _opened(kms, vault_id, content))
    if recovery is None:
        # The data key is kept, because only the customer could wrap another one by the recovery key.
        data_key = current.data_key
        kept = [slot for slot in current.slots if slot.kind != SlotKind.KMS]
    else:
        data_key = secrets.token_bytes(KEY_BYTES)
        kept = [wrap_for_recovery(vault_id, data_key, recovery)]
    number = max(older, default=0) + 1
    key_ref = await kms.create_key(owner)
    stored = await _write(store, kms, change(current.keyring), key_ref, number=number, data_key=data_key, others=kept)
    await store.delete([names.keys_object(old) for old in older])
    for content in contents:
        for slot in unpack_slots(vault_id, content)[0]:
            if slot.kind == SlotKind.KMS:
                await kms.destroy_key(slot.key_name)
    return stored


async def _write(
    store: BlobStore,
    kms: Kms,
    keyring: Keyring,
    key_ref: str,
    *,
    number: int,
    data_key: bytes,
    others: Sequence[Slot] = (),
) -> StoredKeyring:
    """Store ``keys/<number>`` and prove that it opens before anything depends on it."""
    vault_id = keyring.vault_id
    own = Slot(SlotKind.KMS, key_ref, await kms.wrap(key_ref, data_key, vault_id.bytes))
    content = pack_keys(keyring, number, data_key, [own, *others])
    name = Names(vault_id).keys_object(number)
    outcomes = await store.put_batch([Blob(name, (content,))])
    if outcomes != [PutOutcome.CREATED] or await store.get(name) != content:
        raise KeyringUnreadable(vault_id=vault_id, reason=f"{name} was written by someone else")
    if await open_stored_keyring(kms, vault_id, content) != keyring:
        raise KeyringUnreadable(vault_id=vault_id, reason="what was written opens as another keyring")
    return StoredKeyring(keyring, number, content)


async def _open_highest(store: BlobStore, vault_id: UUID, opened: Callable[[bytes], Awaitable[_Answer]]) -> _Answer:
    names = Names(vault_id)
    numbers = await _numbers(store, names)
    failure: Exception = VaultMissing(vault_id=vault_id)
    for number in numbers:
        try:
            return await opened(await store.get(names.keys_object(number)))
        except (KeyringUnreadable, BlobMissing) as error:
            failure = error
    raise failure


async def _numbers(store: BlobStore, names: Names) -> list[int]:
    """Return the numbers of the keys objects, the highest first."""
    found = [names.parse_keys(info.name) async for info in store.scan(names.keys)]
    return sorted((number for number in found if number is not None), reverse=True)
