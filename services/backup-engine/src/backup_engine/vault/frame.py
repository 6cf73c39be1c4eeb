"""The frame of every sealed object (§4): 96-byte header, ciphertext, tag; the header is the associated data.

Here are the header's bytes and the sealing; what is sealed, and how ids follow from it, is in ``codec``.
"""

import os
import struct
from dataclasses import dataclass
from enum import IntEnum

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from backup_engine.ports.vault import MAX_BLOB_BYTES, Buffer
from backup_engine.vault.errors import FormatUnsupported, ObjectDamaged

MAGIC = b"EBMV"
FORMAT = 1
HEADER_BYTES = 96
TAG_BYTES = 16
NONCE_BYTES = 12
OVERHEAD_BYTES = HEADER_BYTES + TAG_BYTES
_HEADER = struct.Struct("<4sBBHHBBI16s32sII12s12s")
_KNOWN_CRITICAL = 0

Frame = tuple[bytes, bytes]
"""Header, and ciphertext with tag: kept apart because joining them would copy megabytes."""


class FrameType(IntEnum):
    CHUNK = 1
    PAGE = 2
    ROOT = 3
    MANIFEST = 4
    KEYRING = 5
    STATE = 6


class Compression(IntEnum):
    """The header's field «codec»."""

    STORED = 0
    ZSTD = 1


@dataclass(frozen=True, slots=True)
class Address:
    """What a reader asked for and the header must say: vault, type, id and generation."""

    vault_id: bytes
    type: FrameType
    object_id: bytes
    generation: int
    name: str


@dataclass(frozen=True, slots=True)
class Header:
    """The fields that vary; flags, layout and reserved bytes are zero when we write."""

    type: int
    vault_id: bytes
    object_id: bytes
    generation: int
    compression: int
    key_epoch: int
    plain_bytes: int
    nonce: bytes

    def pack(self) -> bytes:
        return _HEADER.pack(
            MAGIC,
            FORMAT,
            self.type,
            0,
            0,
            self.compression,
            0,
            self.key_epoch,
            self.vault_id,
            self.object_id,
            self.generation,
            self.plain_bytes,
            self.nonce,
            bytes(12),
        )


def read_header(frame: Buffer, wanted: Address) -> Header:
    """Check a frame's size and header against what was asked for, in the order of §4.

    Raises:
        ObjectDamaged: it is not this object.
        FormatUnsupported: it needs a newer reader.
    """
    if not OVERHEAD_BYTES <= len(frame) <= MAX_BLOB_BYTES:
        raise ObjectDamaged(name=wanted.name, reason=f"{len(frame)} bytes are no frame")
    magic, fmt, kind, critical, _, compression, layout, epoch, vault_id, object_id, generation, plain, nonce, _ = (
        _HEADER.unpack_from(frame)
    )
    if magic != MAGIC:
        raise ObjectDamaged(name=wanted.name, reason="it does not begin like a vault object")
    if fmt != FORMAT or critical & ~_KNOWN_CRITICAL:
        raise FormatUnsupported(name=wanted.name, reason=f"format {fmt}, critical flags {critical:#06x}")
    found = (vault_id, kind, object_id, generation)
    if found != (wanted.vault_id, wanted.type, wanted.object_id, wanted.generation):
        raise ObjectDamaged(name=wanted.name, reason="its header names another object")
    if layout != 0 or compression not in (Compression.STORED, Compression.ZSTD):
        raise FormatUnsupported(name=wanted.name, reason=f"layout {layout}, codec {compression}")
    if plain > MAX_BLOB_BYTES:
        raise ObjectDamaged(name=wanted.name, reason=f"its length of {plain} bytes is out of bounds")
    return Header(kind, vault_id, object_id, generation, compression, epoch, plain, nonce)


def seal(cipher: AESGCM, address: Address, *, compression: int, epoch: int, plain_bytes: int, body: Buffer) -> Frame:
    """Return header and sealed body, the two parts of a frame, under a fresh random nonce."""
    nonce = os.urandom(NONCE_BYTES)
    header = Header(
        address.type,
        address.vault_id,
        address.object_id,
        address.generation,
        compression,
        epoch,
        plain_bytes,
        nonce,
    ).pack()
    return header, cipher.encrypt(nonce, body, header)


def unseal(cipher: AESGCM, frame: Buffer, header: Header, name: str) -> bytes:
    """Return the body of a frame whose header was checked. Raises ObjectDamaged."""
    view = memoryview(frame)
    try:
        return cipher.decrypt(header.nonce, view[HEADER_BYTES:], view[:HEADER_BYTES])
    except InvalidTag as error:
        raise ObjectDamaged(name=name, reason="its seal does not match its bytes") from error
