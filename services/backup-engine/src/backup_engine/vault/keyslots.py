"""The bytes of ``keys/<n>`` (§8): the sealed keyring and the ways in which its data key is wrapped. No I/O.

Also the recovery key's text. Wrapping by the KMS is I/O and is in ``lifecycle``.
"""

import base64
import binascii
import hashlib
import secrets
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from backup_engine.vault.errors import KeyringUnreadable, ObjectDamaged, RecoveryKeyMalformed
from backup_engine.vault.frame import Address, Compression, FrameType, read_header, seal, unseal
from backup_engine.vault.keyring import KEY_BYTES, Keyring
from backup_engine.vault.names import Names

_MAGIC = b"EBMK"
_VERSION = 1
_HEAD = struct.Struct("<4sBB")
_SLOT = struct.Struct("<BHH")
_SALT_BYTES = 16
_NONCE_BYTES = 12
_CHECK_BYTES = 3
_RECOVERY_INFO = b"ebm vault v1 recovery"


class SlotKind(IntEnum):
    KMS = 1
    RECOVERY = 2


@dataclass(frozen=True, slots=True)
class Slot:
    """The data key, wrapped in one way; ``kind`` may be one that we do not know."""

    kind: int
    key_name: str
    wrapped: bytes


def pack_keys(keyring: Keyring, number: int, data_key: bytes, slots: Sequence[Slot]) -> bytes:
    """Return the bytes of ``keys/<number>``."""
    plain = keyring.pack()
    header, body = seal(
        AESGCM(data_key),
        _address(keyring.vault_id, number),
        compression=Compression.STORED,
        epoch=0,
        plain_bytes=len(plain),
        body=plain,
    )
    packed = (
        _SLOT.pack(slot.kind, len(slot.key_name.encode()), len(slot.wrapped)) + slot.key_name.encode() + slot.wrapped
        for slot in slots
    )
    return b"".join((_HEAD.pack(_MAGIC, _VERSION, len(slots)), *packed, header, body))


def unpack_slots(vault_id: UUID, content: bytes) -> tuple[list[Slot], bytes]:
    """Return the slots and the sealed keyring. Raises KeyringUnreadable."""
    try:
        magic, version, count = _HEAD.unpack_from(content)
        if magic != _MAGIC or version != _VERSION:
            raise KeyringUnreadable(vault_id=vault_id, reason="its keys object is of another version")
        at, slots = _HEAD.size, []
        for _ in range(count):
            kind, name_bytes, wrapped_bytes = _SLOT.unpack_from(content, at)
            name_at = at + _SLOT.size
            at = name_at + name_bytes + wrapped_bytes
            slots.append(Slot(kind, content[name_at : name_at + name_bytes].decode(), content[at - wrapped_bytes : at]))
    except (struct.error, UnicodeDecodeError) as error:
        raise KeyringUnreadable(vault_id=vault_id, reason="its keys object is damaged") from error
    return slots, content[at:]


def open_keyring_frame(vault_id: UUID, frame: bytes, data_key: bytes) -> Keyring:
    """Open the sealed keyring, of whichever number its header says. Raises KeyringUnreadable."""
    number = int.from_bytes(frame[32:64], "big")
    address = _address(vault_id, number)
    try:
        plain = unseal(AESGCM(data_key), frame, read_header(frame, address), address.name)
    except (ObjectDamaged, ValueError) as error:
        raise KeyringUnreadable(vault_id=vault_id, reason=str(error)) from error
    return Keyring.unpack(vault_id, plain)


def wrap_for_recovery(vault_id: UUID, data_key: bytes, recovery_key: bytes) -> Slot:
    """Wrap the data key by the recovery key, under a fresh salt."""
    salt, nonce = secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(_NONCE_BYTES)
    cipher = AESGCM(_recovery_wrapping_key(vault_id, recovery_key, salt))
    return Slot(SlotKind.RECOVERY, "", salt + nonce + cipher.encrypt(nonce, data_key, vault_id.bytes))


def unwrap_for_recovery(vault_id: UUID, slot: Slot, recovery_key: bytes) -> bytes:
    """Return the data key. Raises KeyringUnreadable."""
    salt, nonce = slot.wrapped[:_SALT_BYTES], slot.wrapped[_SALT_BYTES : _SALT_BYTES + _NONCE_BYTES]
    cipher = AESGCM(_recovery_wrapping_key(vault_id, recovery_key, salt))
    try:
        return cipher.decrypt(nonce, slot.wrapped[_SALT_BYTES + _NONCE_BYTES :], vault_id.bytes)
    except (InvalidTag, ValueError) as error:
        raise KeyringUnreadable(vault_id=vault_id, reason="this is not its recovery key") from error


def recovery_text(key: bytes) -> str:
    """Return the recovery key as people keep it: base32 in groups of four, with a checksum."""
    text = base64.b32encode(key + hashlib.sha256(key).digest()[:_CHECK_BYTES]).decode().rstrip("=")
    return "-".join(text[at : at + 4] for at in range(0, len(text), 4))


def parse_recovery(text: str) -> bytes:
    """Read what a person typed: case, spaces and hyphens do not matter. Raises RecoveryKeyMalformed."""
    compact = "".join(text.split()).replace("-", "").upper()
    try:
        raw = base64.b32decode(compact + "=" * (-len(compact) % 8))
    except binascii.Error as error:
        raise RecoveryKeyMalformed from error
    key, check = raw[:KEY_BYTES], raw[KEY_BYTES:]
    if len(key) != KEY_BYTES or check != hashlib.sha256(key).digest()[:_CHECK_BYTES]:
        raise RecoveryKeyMalformed
    return key


def _recovery_wrapping_key(vault_id: UUID, recovery_key: bytes, salt: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, salt, _RECOVERY_INFO + vault_id.bytes).derive(recovery_key)


def _address(vault_id: UUID, number: int) -> Address:
    name = Names(vault_id).keys_object(number)
    return Address(vault_id.bytes, FrameType.KEYRING, number.to_bytes(32, "big"), 0, name)
