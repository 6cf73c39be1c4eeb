"""The vault's own keys (§8): ids, map nodes, and one sealing key per epoch. How they are kept is in ``keyslots``."""

import secrets
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from uuid import UUID

from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from backup_engine.vault.errors import KeyringUnreadable

KEY_BYTES = 32
_VERSION = 1
_HEAD = struct.Struct("<B32s32sII")
_EPOCH = struct.Struct("<I32s")
_NODE_CONTEXT = "ebm vault v1 map node ids"


@dataclass(frozen=True)
class Keyring:
    """Keys of one vault. ``repr`` shows none of them, for it may end in a log."""

    vault_id: UUID
    id_key: bytes = field(repr=False)
    meta_key: bytes = field(repr=False)
    seal_keys: Mapping[int, bytes] = field(repr=False)
    epoch: int

    @classmethod
    def create(cls, vault_id: UUID) -> "Keyring":
        """Return fresh random keys, in epoch 1."""
        keys = {1: secrets.token_bytes(KEY_BYTES)}
        return cls(
            vault_id,
            secrets.token_bytes(KEY_BYTES),
            secrets.token_bytes(KEY_BYTES),
            MappingProxyType(keys),
            1,
        )

    def with_new_epoch(self) -> "Keyring":
        """Return this keyring with one more sealing key, which is current. Ids do not change (D52)."""
        epoch = max(self.seal_keys) + 1
        keys = MappingProxyType({**self.seal_keys, epoch: secrets.token_bytes(KEY_BYTES)})
        return replace(self, seal_keys=keys, epoch=epoch)

    @cached_property
    def node_key(self) -> bytes:
        """Key of the ids of map nodes; apart from chunks, whose content a guest chooses (§5)."""
        return blake3(self.id_key, derive_key_context=_NODE_CONTEXT).digest()

    @cached_property
    def meta_cipher(self) -> AESGCM:
        return AESGCM(self.meta_key)

    @cached_property
    def seal_ciphers(self) -> Mapping[int, AESGCM]:
        return {epoch: AESGCM(key) for epoch, key in self.seal_keys.items()}

    def pack(self) -> bytes:
        """Return the plaintext that is sealed into ``keys/<n>``."""
        head = _HEAD.pack(_VERSION, self.id_key, self.meta_key, self.epoch, len(self.seal_keys))
        return head + b"".join(_EPOCH.pack(epoch, key) for epoch, key in sorted(self.seal_keys.items()))

    @classmethod
    def unpack(cls, vault_id: UUID, plain: bytes) -> "Keyring":
        """Return the keyring of a plaintext. Raises KeyringUnreadable."""
        try:
            version, id_key, meta_key, epoch, count = _HEAD.unpack_from(plain)
            keys = dict(_EPOCH.iter_unpack(plain[_HEAD.size :]))
        except struct.error as error:
            raise KeyringUnreadable(vault_id=vault_id, reason="its bytes are no keyring") from error
        if version != _VERSION or len(keys) != count or epoch not in keys:
            raise KeyringUnreadable(vault_id=vault_id, reason="its keyring is of another version")
        return cls(vault_id, id_key, meta_key, MappingProxyType(keys), epoch)
