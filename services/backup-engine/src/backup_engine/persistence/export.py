"""What backup-engine exports of an organization. The backups themselves are restored, not exported."""

from common.persistence.export import export_of

from backup_engine.persistence.tables import metadata

_FENCING = "a fencing token: a number that grows with each claim of a task"

PLAN = export_of(
    metadata,
    left_out={
        "vault_keys": "wrapped keys: nothing but the vault's own objects can be read by them",
        "chunks": "a row for each 4 MiB that is stored: names of sealed objects, which mean nothing elsewhere",
        "walked_nodes": "names of sealed objects that the running collection of garbage has seen",
        "collections": "how far the collection of garbage is",
        "point_pins": "who reads a restore point at this moment",
    },
    withheld={
        "esxi_servers.sealed_password": "the password of a host, sealed",
        "point_disks.root": "the name of a sealed object, which means nothing outside the vault",
    },
    shown={
        "virtual_disks.key": "the number by which vSphere calls a disk",
        "point_disks.key": "the number by which vSphere calls a disk",
        "tasks.token": _FENCING,
        "tasks.prepared_token": _FENCING,
        "snapshot_ledger.token": _FENCING,
        "restore_points.token": _FENCING,
    },
)
