"""Keys: creation, the recovery key, rewrapping, new epochs, erasure; wrong keys open nothing (§8)."""

import random
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from backup_engine.ports.vault import ObjectType
from backup_engine.testing.memory_vault import BytesDisk, MemoryCatalogue, MemoryKms, MemoryStore, TestVault, disk_plan
from backup_engine.vault.codec import Codec
from backup_engine.vault.errors import KeyringUnreadable, RecoveryKeyMalformed, VaultMissing
from backup_engine.vault.keyslots import parse_recovery, recovery_text
from backup_engine.vault.lifecycle import (
    create_vault,
    erase,
    find_vaults,
    new_epoch,
    open_keyring,
    open_stored_keyring,
    open_with_recovery,
    rewrap,
    set_recovery_key,
)
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.unit
MIB = 1 << 20
OWNER = "acme"
NOW = datetime(2026, 1, 2, tzinfo=UTC)
CONTENT = random.Random(3).randbytes(2 * MIB)


async def created() -> tuple[MemoryStore, MemoryKms, TestVault]:
    store, kms, vault_id = MemoryStore(), MemoryKms(), uuid4()
    stored = await create_vault(store, kms, vault_id=vault_id, owner=OWNER, now=NOW)
    return store, kms, TestVault(store, MemoryCatalogue(), stored.keyring)


def key_names(store: MemoryStore) -> list[str]:
    return sorted(name.rsplit("/", 1)[1] for name in store.blobs if "/keys/" in name)


async def test_a_vault_opens_by_the_kms_and_by_the_databases_copy() -> None:
    store, kms, vault = await created()
    vault_id = vault.keyring.vault_id
    assert await open_keyring(store, kms, vault_id) == vault.keyring
    assert await open_stored_keyring(kms, vault_id, store.blobs[f"v1/{vault_id}/keys/1"]) == vault.keyring
    assert await find_vaults(store) == [vault_id]


async def test_creating_a_vault_twice_keeps_its_keys() -> None:
    store, kms, vault = await created()
    again = await create_vault(store, kms, vault_id=vault.keyring.vault_id, owner=OWNER, now=NOW)
    assert again.keyring == vault.keyring
    assert key_names(store) == ["1"]


async def test_another_kms_another_vault_and_altered_bytes_open_nothing() -> None:
    store, kms, vault = await created()
    vault_id = vault.keyring.vault_id
    with pytest.raises(KeyringUnreadable):
        await open_keyring(store, MemoryKms(), vault_id)
    with pytest.raises(VaultMissing):
        await open_keyring(store, kms, uuid4())
    content = store.blobs[f"v1/{vault_id}/keys/1"]
    with pytest.raises(KeyringUnreadable):
        await open_stored_keyring(kms, uuid4(), content)
    for at in range(len(content)):
        altered = bytearray(content)
        altered[at] ^= 0x41
        with pytest.raises(KeyringUnreadable):
            await open_stored_keyring(kms, vault_id, bytes(altered))
    for end in range(len(content)):
        with pytest.raises(KeyringUnreadable):
            await open_stored_keyring(kms, vault_id, content[:end])


@pytest.mark.invariant("D52")
async def test_after_rewrapping_old_points_restore_and_the_old_kms_key_is_gone() -> None:
    store, kms, vault = await created()
    point = await vault.back_up(disk_plan(BytesDisk(CONTENT), len(CONTENT)))
    before = store.blobs[f"v1/{vault.keyring.vault_id}/keys/1"]
    old_keys = set(kms.keys)
    stored = await rewrap(store, kms, vault.keyring.vault_id, OWNER)
    assert stored.keyring == vault.keyring
    assert key_names(store) == ["2"]
    assert not old_keys & set(kms.keys)
    with pytest.raises(KeyringUnreadable):
        await open_stored_keyring(kms, vault.keyring.vault_id, before)
    vault.keyring = await open_keyring(store, kms, vault.keyring.vault_id)
    assert await vault.restore(point) == CONTENT


@pytest.mark.invariant("D52")
async def test_in_a_new_epoch_old_points_restore_and_deduplication_goes_on() -> None:
    store, kms, vault = await created()
    old = await vault.back_up(disk_plan(BytesDisk(CONTENT), len(CONTENT)))
    vault.keyring = (await new_epoch(store, kms, vault.keyring.vault_id, OWNER)).keyring
    grown = CONTENT + random.Random(4).randbytes(MIB)
    new = await vault.back_up(disk_plan(BytesDisk(grown), len(grown)))
    assert new.disks[0].counts.new == MIB
    assert await vault.restore(old) == CONTENT
    assert await vault.restore(new) == grown
    codec = Codec(vault.keyring)
    epochs = set()
    for at in range(3):
        object_id = codec.object_id(ObjectType.CHUNK, grown[at * MIB : (at + 1) * MIB])
        frame = store.blobs[codec.names.object(ObjectType.CHUNK, object_id, 0)]
        epochs.add(int.from_bytes(frame[12:16], "little"))
    assert epochs == {1, 2}


@pytest.mark.invariant("D52")
async def test_after_erasure_nothing_opens_neither_by_kms_nor_copy_nor_recovery_key() -> None:
    store, kms, vault = await created()
    vault_id, recovery = vault.keyring.vault_id, random.Random(1).randbytes(32)
    copy = (await set_recovery_key(store, kms, vault_id, OWNER, recovery)).sealed
    await vault.back_up(disk_plan(BytesDisk(CONTENT), len(CONTENT)))
    await erase(store, kms, vault_id, OWNER)
    assert key_names(store) == []
    with pytest.raises(VaultMissing):
        await open_keyring(store, kms, vault_id)
    with pytest.raises(VaultMissing):
        await open_with_recovery(store, recovery, vault_id)
    with pytest.raises(KeyringUnreadable):
        await open_stored_keyring(kms, vault_id, copy)
    await erase(store, kms, vault_id, OWNER)


async def test_erasure_that_leaves_a_key_object_fails_loudly() -> None:
    store, kms, vault = await created()

    async def keeping(names: object) -> None:
        """A store that keeps versions."""

    store.delete = keeping  # type: ignore[method-assign]
    with pytest.raises(KeyringUnreadable, match="survived"):
        await erase(store, kms, vault.keyring.vault_id, OWNER)


async def test_the_recovery_key_opens_the_vault_also_after_a_rewrap_and_a_new_epoch() -> None:
    store, kms, vault = await created()
    vault_id, recovery = vault.keyring.vault_id, random.Random(1).randbytes(32)
    with pytest.raises(KeyringUnreadable, match="no recovery key"):
        await open_with_recovery(store, recovery, vault_id)
    await set_recovery_key(store, kms, vault_id, OWNER, recovery)
    assert await open_with_recovery(store, recovery, vault_id) == vault.keyring
    await rewrap(store, kms, vault_id, OWNER)
    stored = await new_epoch(store, kms, vault_id, OWNER)
    assert await open_with_recovery(store, recovery, vault_id) == stored.keyring


async def test_a_new_recovery_key_replaces_the_earlier_one() -> None:
    store, kms, vault = await created()
    vault_id, first, second = vault.keyring.vault_id, b"1" * 32, b"2" * 32
    await set_recovery_key(store, kms, vault_id, OWNER, first)
    await set_recovery_key(store, kms, vault_id, OWNER, second)
    assert await open_with_recovery(store, second, vault_id) == vault.keyring
    with pytest.raises(KeyringUnreadable):
        await open_with_recovery(store, first, vault_id)


async def test_a_crash_before_the_lower_keys_are_deleted_is_finished_by_the_next_rewrap() -> None:
    store, kms, vault = await created()
    delete = store.delete

    async def dying(names: object) -> None:
        raise ConnectionError

    store.delete = dying  # type: ignore[method-assign]
    with pytest.raises(ConnectionError):
        await rewrap(store, kms, vault.keyring.vault_id, OWNER)
    assert key_names(store) == ["1", "2"]
    assert await open_keyring(store, kms, vault.keyring.vault_id) == vault.keyring
    store.delete = delete  # type: ignore[method-assign]
    await rewrap(store, kms, vault.keyring.vault_id, OWNER)
    assert key_names(store) == ["3"]
    assert len(kms.keys) == 1


async def test_a_damaged_highest_keys_object_falls_through_to_the_next() -> None:
    store, kms, vault = await created()
    vault_id = vault.keyring.vault_id
    store.blobs[f"v1/{vault_id}/keys/2"] = b"half"
    assert await open_keyring(store, kms, vault_id) == vault.keyring


@given(st.binary(min_size=32, max_size=32), st.booleans())
def test_a_recovery_key_survives_being_typed(key: bytes, lower: bool) -> None:
    text = recovery_text(key).replace("-", " ")
    assert parse_recovery(text.lower() if lower else text) == key


@pytest.mark.parametrize("at", range(0, 60, 7))
def test_a_mistyped_recovery_key_is_noticed(at: int) -> None:
    text = recovery_text(bytes(range(32)))
    other = "A" if text[at] != "A" else "B"
    with pytest.raises(RecoveryKeyMalformed):
        parse_recovery(text[:at] + other + text[at + 1 :])


@pytest.mark.parametrize("text", ["", "A", "1890", "AAAA-AAAA"])
def test_what_is_no_recovery_key_is_refused(text: str) -> None:
    with pytest.raises(RecoveryKeyMalformed):
        parse_recovery(text)


def test_vault_ids_name_prefixes() -> None:
    vault_id = UUID("0190a2b4-0000-7000-8000-0123456789ab")
    codec = Codec(TestVault.create().keyring)
    assert str(vault_id) not in codec.names.root
    assert codec.names.root == f"v1/{codec.keyring.vault_id}/"
