"""Manifests (§7): what makes a restore point. Their values, their bytes, and finding them in the store."""

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from backup_engine.ports.vault import BlobMissing, BlobStore, BlobTooLarge
from backup_engine.vault.codec import Codec
from backup_engine.vault.errors import FormatUnsupported, ObjectDamaged, PointMissing
from backup_engine.vault.frame import Frame, FrameType
from backup_engine.vault.keyring import Keyring
from backup_engine.vault.names import Names
from backup_engine.vault.nodes import ID_BYTES

_FORMAT = 1


@dataclass(frozen=True, slots=True)
class ControllerRecord:
    """The disk controller that a disk hung on; with ``unit`` it says where a restored disk belongs."""

    key: int
    type: str
    bus: int


@dataclass(frozen=True, slots=True)
class PointRef:
    """A restore point and the attempt that wrote it."""

    point_id: UUID
    token: int


@dataclass(frozen=True, slots=True)
class DiskCounts:
    """``data``, ``zero`` and ``hole`` are positions of the map; the others are bytes of this backup."""

    data: int
    zero: int
    hole: int
    read: int
    skipped: int
    new: int
    stored: int


@dataclass(frozen=True, slots=True)
class DiskRecord:
    """One disk of a point. ``unexpected_changes`` is for the caller and not stored."""

    key: int
    controller: ControllerRecord
    unit: int
    uuid: str
    label: str
    capacity_bytes: int
    chunk_size: int
    root: bytes
    change_id: str | None
    transport: str
    transport_reason: str
    mode: str
    full_reason: str | None
    counts: DiskCounts
    unexpected_changes: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class PointManifest:
    """A restore point: ``machine`` is JSON that the vault does not look into."""

    vault_id: UUID
    point_id: UUID
    token: int
    created_at: datetime
    parent: PointRef | None
    machine: dict[str, Any]
    disks: tuple[DiskRecord, ...]
    statistics: dict[str, Any]

    @property
    def name(self) -> str:
        return Names(self.vault_id).point(self.point_id, self.token)

    def seal(self, codec: Codec) -> Frame:
        """Return the sealed bytes of ``points/<point_id>.<token>``."""
        plain = json.dumps(_to_json(self), separators=(",", ":"), ensure_ascii=False).encode()
        return codec.seal_meta(FrameType.MANIFEST, object_id(self.point_id, self.token), self.name, plain)


def object_id(point_id: UUID, token: int) -> bytes:
    """Return the id by which a manifest's header is bound to its name."""
    return point_id.bytes + token.to_bytes(8, "big") + bytes(8)


def open_manifest(codec: Codec, ref: PointRef, frame: bytes) -> PointManifest:
    """Open the manifest of this point and token. Raises ObjectDamaged or FormatUnsupported."""
    name = codec.names.point(ref.point_id, ref.token)
    plain = codec.open_meta(FrameType.MANIFEST, object_id(ref.point_id, ref.token), name, frame)
    try:
        content = json.loads(plain)
        if content["format"] != _FORMAT or content["critical"]:
            raise FormatUnsupported(name=name, reason=f"it needs {content['critical'] or content['format']}")
        manifest = _from_json(content)
    except (ValueError, KeyError, TypeError) as error:
        raise ObjectDamaged(name=name, reason="its content is no manifest") from error
    if (manifest.vault_id, manifest.point_id, manifest.token) != (codec.keyring.vault_id, ref.point_id, ref.token):
        raise ObjectDamaged(name=name, reason="its content names another point")
    return manifest


async def list_points(store: BlobStore, vault_id: UUID) -> list[PointRef]:
    """Return every manifest that the store names, of whichever token, whether it opens or not."""
    names = Names(vault_id)
    found = [names.parse_point(info.name) async for info in store.scan(names.points)]
    return sorted((PointRef(*parsed) for parsed in found if parsed), key=lambda ref: (ref.point_id, ref.token))


async def load_manifest(store: BlobStore, keyring: Keyring, point_id: UUID, token: int | None = None) -> PointManifest:
    """Return a point's manifest, without ``token`` the one of the highest token that opens.

    Raises:
        PointMissing: there is none.
        ObjectDamaged: there are some, and none opens.
    """
    codec = Codec(keyring)
    tokens = [token] if token is not None else await _tokens(store, codec.names, point_id)
    failure: Exception = PointMissing(point_id=point_id)
    for candidate in tokens:
        ref = PointRef(point_id, candidate)
        try:
            return open_manifest(codec, ref, await store.get(codec.names.point(point_id, candidate)))
        except (ObjectDamaged, BlobTooLarge) as error:
            failure = error
        except BlobMissing:
            continue
    raise failure


async def _tokens(store: BlobStore, names: Names, point_id: UUID) -> list[int]:
    found = [names.parse_point(info.name) async for info in store.scan(f"{names.points}{point_id}.")]
    return sorted((parsed[1] for parsed in found if parsed), reverse=True)


def _to_json(manifest: PointManifest) -> dict[str, Any]:
    disks = []
    for disk in manifest.disks:
        fields = asdict(disk)
        del fields["unexpected_changes"]
        disks.append({**fields, "root": disk.root.hex()})
    parent = manifest.parent
    return {
        "format": _FORMAT,
        "critical": [],
        "vault_id": str(manifest.vault_id),
        "point_id": str(manifest.point_id),
        "token": manifest.token,
        "created_at": manifest.created_at.isoformat(),
        "parent": {"point_id": str(parent.point_id), "token": parent.token} if parent else None,
        "machine": manifest.machine,
        "disks": disks,
        "statistics": manifest.statistics,
    }


def _from_json(content: dict[str, Any]) -> PointManifest:
    parent = content["parent"]
    return PointManifest(
        vault_id=UUID(content["vault_id"]),
        point_id=UUID(content["point_id"]),
        token=int(content["token"]),
        created_at=datetime.fromisoformat(content["created_at"]),
        parent=PointRef(UUID(parent["point_id"]), int(parent["token"])) if parent else None,
        machine=content["machine"],
        disks=tuple(_disk(fields) for fields in content["disks"]),
        statistics=content["statistics"],
    )


def _disk(fields: dict[str, Any]) -> DiskRecord:
    """Read a disk; fields that this version does not know are left out (§15)."""
    root = bytes.fromhex(fields["root"])
    if len(root) != ID_BYTES:
        raise ValueError("a root's id has 32 bytes")
    known = {name: fields[name] for name in DiskRecord.__dataclass_fields__ if name in fields}
    return DiskRecord(
        **{
            **known,
            "root": root,
            "controller": ControllerRecord(**_known(ControllerRecord, fields["controller"])),
            "counts": DiskCounts(**_known(DiskCounts, fields["counts"])),
        }
    )


def _known(cls: type[ControllerRecord | DiskCounts], fields: dict[str, Any]) -> dict[str, Any]:
    return {name: fields[name] for name in cls.__dataclass_fields__}
