"""A sealed object opens only as what it is: any altered byte, other key, other name is refused."""

import random
from uuid import uuid4

import numpy as np
import pytest
from backup_engine.ports.vault import ObjectType
from backup_engine.vault.codec import Codec, is_zero
from backup_engine.vault.errors import FormatUnsupported, ObjectDamaged
from backup_engine.vault.frame import HEADER_BYTES, OVERHEAD_BYTES
from backup_engine.vault.keyring import Keyring
from hypothesis import given, settings
from hypothesis import strategies as st

pytestmark = pytest.mark.unit
MIB = 1 << 20
KEYRING = Keyring.create(uuid4())
CODEC = Codec(KEYRING)


def sealed(plain: bytes, kind: ObjectType = ObjectType.CHUNK, generation: int = 0) -> tuple[bytes, bytes]:
    object_id = CODEC.object_id(kind, plain)
    return object_id, b"".join(CODEC.seal(kind, object_id, generation, plain))


@given(st.binary(max_size=5000), st.sampled_from(ObjectType), st.integers(0, 2**32 - 1))
def test_what_is_sealed_opens_again(plain: bytes, kind: ObjectType, generation: int) -> None:
    object_id, frame = sealed(plain, kind, generation)
    assert CODEC.open(kind, object_id, generation, frame) == plain


@pytest.mark.parametrize("plain", [b"", b"text " * 200_000, random.Random(1).randbytes(4 * MIB), bytes(4 * MIB)])
def test_large_and_empty_objects_open_again_and_only_shrink(plain: bytes) -> None:
    object_id, frame = sealed(plain)
    assert len(frame) <= len(plain) + OVERHEAD_BYTES
    assert CODEC.open(ObjectType.CHUNK, object_id, 0, frame) == plain


def test_every_bit_of_the_header_is_bound() -> None:
    object_id, frame = sealed(b"some words " * 50)
    for bit in range(HEADER_BYTES * 8):
        altered = bytearray(frame)
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ObjectDamaged):
            CODEC.open(ObjectType.CHUNK, object_id, 0, altered)


def test_every_byte_of_the_body_is_bound() -> None:
    object_id, frame = sealed(b"some words " * 50)
    for at in range(HEADER_BYTES, len(frame)):
        altered = bytearray(frame)
        altered[at] ^= 0x80
        with pytest.raises(ObjectDamaged):
            CODEC.open(ObjectType.CHUNK, object_id, 0, altered)


@given(st.data())
@settings(max_examples=50)
def test_a_cut_or_longer_object_is_refused(data: st.DataObject) -> None:
    object_id, frame = sealed(b"some words " * 50)
    cut = frame[: data.draw(st.integers(0, len(frame) - 1))]
    for altered in (cut, frame + data.draw(st.binary(min_size=1, max_size=20))):
        with pytest.raises(ObjectDamaged):
            CODEC.open(ObjectType.CHUNK, object_id, 0, altered)


def test_an_unknown_critical_flag_or_format_is_called_unsupported() -> None:
    object_id, frame = sealed(b"x")
    for at in (5 - 1, 6, 7, 10, 11):  # Format, critical flags, codec, layout.
        altered = bytearray(frame)
        altered[at] = 0x40
        with pytest.raises(FormatUnsupported):
            CODEC.open(ObjectType.CHUNK, object_id, 0, altered)


def test_an_object_is_refused_under_another_id_type_generation_or_vault() -> None:
    object_id, frame = sealed(b"plain")
    other = Keyring(uuid4(), KEYRING.id_key, KEYRING.meta_key, KEYRING.seal_keys, 1)
    with pytest.raises(ObjectDamaged):
        CODEC.open(ObjectType.CHUNK, bytes(32), 0, frame)
    with pytest.raises(ObjectDamaged):
        CODEC.open(ObjectType.PAGE, object_id, 0, frame)
    with pytest.raises(ObjectDamaged):
        CODEC.open(ObjectType.CHUNK, object_id, 1, frame)
    with pytest.raises(ObjectDamaged):
        Codec(other).open(ObjectType.CHUNK, object_id, 0, frame)


def test_a_good_seal_over_the_wrong_content_is_refused() -> None:
    object_id = CODEC.object_id(ObjectType.CHUNK, b"right")
    frame = b"".join(CODEC.seal(ObjectType.CHUNK, object_id, 0, b"wrong"))
    with pytest.raises(ObjectDamaged, match="another id"):
        CODEC.open(ObjectType.CHUNK, object_id, 0, frame)


@pytest.mark.invariant("D51")
def test_equal_plaintext_in_two_vaults_is_unrelated_and_unreadable() -> None:
    plain = b"the same words " * 1000
    theirs = Codec(Keyring.create(uuid4()))
    object_id, frame = sealed(plain)
    assert theirs.object_id(ObjectType.CHUNK, plain) != object_id
    assert theirs.names.object(ObjectType.CHUNK, object_id, 0) != CODEC.names.object(ObjectType.CHUNK, object_id, 0)
    same_name = Codec(Keyring(KEYRING.vault_id, *_keys(theirs.keyring), 1))
    with pytest.raises(ObjectDamaged):
        same_name.open(ObjectType.CHUNK, object_id, 0, frame)


def _keys(keyring: Keyring) -> tuple[bytes, bytes, dict[int, bytes]]:
    return keyring.id_key, keyring.meta_key, dict(keyring.seal_keys)


def test_a_chunk_with_the_bytes_of_a_page_has_another_id() -> None:
    assert CODEC.object_id(ObjectType.CHUNK, b"page") != CODEC.object_id(ObjectType.PAGE, b"page")


def test_equal_plaintext_is_sealed_under_another_nonce_each_time() -> None:
    assert sealed(b"plain")[1] != sealed(b"plain")[1]


def test_the_header_is_laid_out_as_documented() -> None:
    object_id, frame = sealed(bytes(1000), generation=7)
    assert frame[:5] == b"EBMV\x01"
    assert frame[5:12] == bytes([1, 0, 0, 0, 0, 1, 0])
    assert frame[12:16] == (1).to_bytes(4, "little")
    assert frame[16:32] == KEYRING.vault_id.bytes
    assert frame[32:64] == object_id
    assert frame[64:72] == (7).to_bytes(4, "little") + (1000).to_bytes(4, "little")
    assert frame[84:96] == bytes(12)


def test_random_data_is_stored_as_it_is() -> None:
    assert sealed(random.Random(2).randbytes(MIB))[1][10] == 0
    assert sealed(b"words and words " * 65536)[1][10] == 1


@given(st.integers(0, 9000), st.data())
def test_zero_detection_equals_the_obvious_one(size: int, data: st.DataObject) -> None:
    content = np.zeros(size, dtype=np.uint8)
    assert is_zero(content.tobytes())
    if size:
        content[data.draw(st.integers(0, size - 1))] = 1
        assert not is_zero(content.tobytes())


def test_the_keyring_shows_no_key_when_printed() -> None:
    shown = repr(KEYRING)
    for key in (KEYRING.id_key, KEYRING.meta_key, *KEYRING.seal_keys.values()):
        assert repr(key) not in shown
        assert key.hex() not in shown


def test_an_object_that_could_not_fit_is_never_sealed() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        CODEC.seal(ObjectType.CHUNK, bytes(32), 0, bytes(16 * MIB))
