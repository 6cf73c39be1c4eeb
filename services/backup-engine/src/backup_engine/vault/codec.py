"""From plaintext to id and sealed frame, and back (§4, §5). Pure computation that releases the GIL; no I/O.

Hashing, compressing and sealing of a chunk release the GIL, so a codec is called from threads; it is safe there.
"""

import threading

import numpy as np
import zstandard
from blake3 import blake3
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from backup_engine.ports.vault import MAX_BLOB_BYTES, Buffer, ObjectType
from backup_engine.vault.errors import ObjectDamaged
from backup_engine.vault.frame import OVERHEAD_BYTES, Address, Compression, Frame, FrameType, read_header, seal, unseal
from backup_engine.vault.keyring import Keyring
from backup_engine.vault.names import Names

ZSTD_LEVEL = 2
"""Stores about as much as restic does, at 3.4 to 3.9 times its speed; level 3 costs a quarter more time for 6 %."""
PROBE_SAMPLES = 8
PROBE_BYTES = 4096
PROBE_WORTH = 0.97
"""Compress only if the samples shrink below this part of their size; encrypted and media data never do."""
_ZERO_HEAD = bytes(4096)


def is_zero(data: Buffer) -> bool:
    """Tell whether all bytes are zero. The first page decides most cases; the rest runs at memory speed."""
    view = memoryview(data)
    if view[: len(_ZERO_HEAD)] != _ZERO_HEAD[: len(view)]:
        return False
    words = len(view) // 8 * 8
    return not np.frombuffer(view[:words], dtype=np.uint64).any() and not any(view[words:])


class Codec:
    """Seals and opens the objects of one vault."""

    def __init__(self, keyring: Keyring, *, zstd_level: int = ZSTD_LEVEL) -> None:
        self.keyring = keyring
        self.names = Names(keyring.vault_id)
        self._level = zstd_level
        self._threads = threading.local()

    def object_id(self, kind: ObjectType, plain: Buffer) -> bytes:
        """Return the id that this plaintext has in this vault."""
        key = self.keyring.id_key if kind is ObjectType.CHUNK else self.keyring.node_key
        return blake3(plain, key=key).digest()

    def seal(self, kind: ObjectType, object_id: bytes, generation: int, plain: Buffer) -> Frame:
        """Compress and seal a chunk, page or root under its name."""
        address = self.address(kind, object_id, generation)
        if kind is ObjectType.CHUNK:
            epoch = self.keyring.epoch
            return self._seal(self.keyring.seal_ciphers[epoch], address, epoch, plain)
        return self._seal(self.keyring.meta_cipher, address, 0, plain)

    def open(self, kind: ObjectType, object_id: bytes, generation: int, frame: Buffer) -> bytes:
        """Return the plaintext, after its id was computed again.

        Raises:
            ObjectDamaged: the frame is not this object, in whatever way.
            FormatUnsupported: the frame needs a newer reader.
        """
        address = self.address(kind, object_id, generation)
        header = read_header(frame, address)
        if kind is ObjectType.CHUNK:
            cipher = self.keyring.seal_ciphers.get(header.key_epoch)
        else:
            cipher = self.keyring.meta_cipher if header.key_epoch == 0 else None
        if cipher is None:
            raise ObjectDamaged(name=address.name, reason=f"no key of epoch {header.key_epoch}")
        plain = self._expand(
            unseal(cipher, frame, header, address.name), header.compression, header.plain_bytes, address
        )
        if self.object_id(kind, plain) != object_id:
            raise ObjectDamaged(name=address.name, reason="its content has another id")
        return plain

    def seal_meta(self, kind: FrameType, object_id: bytes, name: str, plain: Buffer) -> Frame:
        """Seal a manifest or state, whose id is given and not computed."""
        address = Address(self.keyring.vault_id.bytes, kind, object_id, 0, name)
        return self._seal(self.keyring.meta_cipher, address, 0, plain)

    def open_meta(self, kind: FrameType, object_id: bytes, name: str, frame: Buffer) -> bytes:
        """Open what ``seal_meta`` sealed. Raises as ``open`` does."""
        address = Address(self.keyring.vault_id.bytes, kind, object_id, 0, name)
        header = read_header(frame, address)
        if header.key_epoch != 0:
            raise ObjectDamaged(name=name, reason=f"no key of epoch {header.key_epoch}")
        body = unseal(self.keyring.meta_cipher, frame, header, name)
        return self._expand(body, header.compression, header.plain_bytes, address)

    def address(self, kind: ObjectType, object_id: bytes, generation: int) -> Address:
        name = self.names.object(kind, object_id, generation)
        return Address(self.keyring.vault_id.bytes, FrameType(kind), object_id, generation, name)

    def _seal(self, cipher: AESGCM, address: Address, epoch: int, plain: Buffer) -> Frame:
        if len(plain) > MAX_BLOB_BYTES - OVERHEAD_BYTES:
            raise ValueError(f"{len(plain)} bytes do not fit into one object")
        compression, body = self._compress(plain)
        return seal(cipher, address, compression=compression, epoch=epoch, plain_bytes=len(plain), body=body)

    def _compress(self, plain: Buffer) -> tuple[Compression, Buffer]:
        if self._worth_compressing(plain):
            packed = self._compressor.compress(plain)
            if len(packed) < len(plain):
                return Compression.ZSTD, packed
        return Compression.STORED, plain

    def _worth_compressing(self, plain: Buffer) -> bool:
        size = len(plain)
        if size <= 2 * PROBE_SAMPLES * PROBE_BYTES:
            return True
        view, step = memoryview(plain), size // PROBE_SAMPLES
        samples = b"".join(view[at : at + PROBE_BYTES] for at in range(0, step * PROBE_SAMPLES, step))
        return len(self._compressor.compress(samples)) < PROBE_WORTH * len(samples)

    def _expand(self, body: bytes, compression: int, plain_bytes: int, address: Address) -> bytes:
        plain = body
        if compression == Compression.ZSTD:
            try:
                # The size that the frame states is checked first, for zstd allocates it.
                if zstandard.frame_content_size(body) not in (plain_bytes, -1):
                    raise ObjectDamaged(name=address.name, reason="its length differs from its header")
                plain = self._decompressor.decompress(body, max_output_size=plain_bytes, allow_extra_data=False)
            except zstandard.ZstdError as error:
                raise ObjectDamaged(name=address.name, reason="it does not decompress") from error
        if len(plain) != plain_bytes:
            raise ObjectDamaged(name=address.name, reason="its length differs from its header")
        return plain

    @property
    def _compressor(self) -> zstandard.ZstdCompressor:
        if not hasattr(self._threads, "compressor"):
            self._threads.compressor = zstandard.ZstdCompressor(level=self._level)
        found: zstandard.ZstdCompressor = self._threads.compressor
        return found

    @property
    def _decompressor(self) -> zstandard.ZstdDecompressor:
        if not hasattr(self._threads, "decompressor"):
            self._threads.decompressor = zstandard.ZstdDecompressor()
        found: zstandard.ZstdDecompressor = self._threads.decompressor
        return found
