"""The tables of backup-engine. Every one belongs to a tenant and has ``tenant_id`` first in its keys.

Lists of states are in `domain`; the comments here say what a column means where its name does not.
"""

from __future__ import annotations

from typing import Any

from common.persistence.tables import at, metadata_for, tenant_id
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Date,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

metadata = metadata_for()

CHUNK_PARTITIONS = 16
"""Hash partitions by vault: a vault's chunks lie together, and a partition can be moved or rebuilt alone."""


def _id(name: str = "id", *, nullable: bool = False) -> Column[Any]:
    return Column(name, Uuid, nullable=nullable)


def _flag(name: str, *, default: bool = False) -> Column[Any]:
    return Column(name, Boolean, nullable=False, server_default=text("true" if default else "false"))


def _bytes(name: str) -> Column[Any]:
    return Column(name, BigInteger, nullable=False, server_default=text("0"))


def _key(*columns: str) -> PrimaryKeyConstraint:
    return PrimaryKeyConstraint("tenant_id", *columns)


def _to(table: str, column: str, *, cascade: bool = False) -> ForeignKeyConstraint:
    return ForeignKeyConstraint(
        ["tenant_id", column],
        [f"{table}.tenant_id", f"{table}.id"],
        ondelete="CASCADE" if cascade else None,
    )


tenant_state = Table(
    "tenant_state",
    metadata,
    tenant_id(),
    Column("status", String(20), nullable=False),
    Column("features", JSONB, nullable=False),
    Column("quotas", JSONB, nullable=False),
    Column("backup_retention_days", Integer, nullable=False),
    at("anchor_at", nullable=True),  # start of the subscription: its day of the month begins the usage month
    Column("version", BigInteger, nullable=False),
    at("updated_at"),
    at("usage_reconciled_at", nullable=True),  # when the counters were last compared with what they count
    _key(),
)
"""What tenancy last published of an organization; an older version is ignored."""

sites = Table(
    "sites",
    metadata,
    tenant_id(),
    _id(),
    Column("name", String(100), nullable=False),
    Column("queue", String(100), nullable=False),  # whose runners serve it: tasks.<queue>
    at("created_at"),
    _key("id"),
    UniqueConstraint("tenant_id", "name"),
)

vaults = Table(
    "vaults",
    metadata,
    tenant_id(),
    _id(),
    _id("site_id"),
    Column("region", String(60), nullable=False),
    Column("store", String(60), nullable=False),
    Column("state", String(20), nullable=False),  # preparing | ready | read_only
    Column("gc_epoch", BigInteger, nullable=False, server_default=text("1")),
    at("created_at"),
    at("ready_at", nullable=True),
    _key("id"),
    _to("sites", "site_id"),
)

vault_keys = Table(
    "vault_keys",
    metadata,
    tenant_id(),
    _id("vault_id"),
    Column("number", Integer, nullable=False),
    Column("sealed", LargeBinary, nullable=False),  # the bytes of keys/<number>: wrapped by the organization's KMS key
    at("created_at"),
    _key("vault_id", "number"),
    _to("vaults", "vault_id"),
)

esxi_servers = Table(
    "esxi_servers",
    metadata,
    tenant_id(),
    _id(),
    _id("site_id"),
    Column("hostname", String(255), nullable=False),
    Column("port", Integer, nullable=False),
    Column("username", String(255), nullable=False),
    Column("sealed_password", LargeBinary, nullable=False),  # AES-256-GCM, see adapters/secret_box.py
    Column("thumbprint", String(64)),
    Column("connection_status", String(20), nullable=False, server_default="unknown"),
    at("last_connection", nullable=True),
    Column("last_error", JSONB),
    Column("product", JSONB),
    _flag("is_active", default=True),
    _id("created_by"),
    at("created_at"),
    at("synced_at", nullable=True),
    _key("id"),
    UniqueConstraint("tenant_id", "hostname", "port"),
    _to("sites", "site_id"),
)

virtual_machines = Table(
    "virtual_machines",
    metadata,
    tenant_id(),
    _id(),
    _id("server_id"),
    Column("moid", String(100), nullable=False),
    Column("name", Text, nullable=False),
    Column("instance_uuid", String(60)),
    Column("power_state", String(20), nullable=False),
    Column("guest_os", Text),
    _flag("is_template"),
    _flag("present", default=True),  # seen at the last synchronisation; its points outlive it
    _flag("protected"),  # counts against the plan's virtual machines
    _flag("cbt_unsafe"),  # a chunk changed outside the areas that CBT named (D8)
    at("synced_at"),
    _key("id"),
    UniqueConstraint("tenant_id", "server_id", "moid"),
    _to("esxi_servers", "server_id", cascade=True),
)

virtual_disks = Table(
    "virtual_disks",
    metadata,
    tenant_id(),
    _id("vm_id"),
    Column("key", Integer, nullable=False),
    Column("label", Text, nullable=False),
    Column("capacity_bytes", BigInteger, nullable=False),
    Column("uuid", String(60)),
    Column("file", Text, nullable=False),
    Column("datastore_moid", String(100)),
    _flag("thin"),
    _key("vm_id", "key"),
    _to("virtual_machines", "vm_id", cascade=True),
)

datastores = Table(
    "datastores",
    metadata,
    tenant_id(),
    _id(),
    _id("server_id"),
    Column("moid", String(100), nullable=False),
    Column("name", Text, nullable=False),
    Column("type", String(40), nullable=False),
    Column("capacity_bytes", BigInteger, nullable=False),
    Column("free_bytes", BigInteger, nullable=False),
    _flag("accessible", default=True),
    at("synced_at"),
    _key("id"),
    UniqueConstraint("tenant_id", "server_id", "moid"),
    _to("esxi_servers", "server_id", cascade=True),
)

networks = Table(
    "networks",
    metadata,
    tenant_id(),
    _id(),
    _id("server_id"),
    Column("moid", String(100), nullable=False),
    Column("name", Text, nullable=False),
    at("synced_at"),
    _key("id"),
    UniqueConstraint("tenant_id", "server_id", "moid"),
    _to("esxi_servers", "server_id", cascade=True),
)

backup_configurations = Table(
    "backup_configurations",
    metadata,
    tenant_id(),
    _id(),
    _id("server_id"),
    Column("name", String(200), nullable=False),
    Column("quiesce", String(20), nullable=False),  # none | try | require
    Column("retention_days", Integer),  # null: the plan's
    _flag("is_active", default=True),
    _id("created_by"),
    at("created_at"),
    at("updated_at"),
    _key("id"),
    UniqueConstraint("tenant_id", "name"),
    _to("esxi_servers", "server_id"),
)

backup_configuration_vms = Table(
    "backup_configuration_vms",
    metadata,
    tenant_id(),
    _id("configuration_id"),
    _id("vm_id"),
    _key("configuration_id", "vm_id"),
    _to("backup_configurations", "configuration_id", cascade=True),
    _to("virtual_machines", "vm_id"),
)

backup_jobs = Table(
    "backup_jobs",
    metadata,
    tenant_id(),
    _id(),
    Column("kind", String(20), nullable=False),  # backup | restore
    _id("configuration_id", nullable=True),  # no foreign key: a job outlives its configuration
    _id("requested_by"),
    at("requested_at"),
    _key("id"),
    Index("ix_backup_jobs_kind", "tenant_id", "kind", "id"),
)

tasks = Table(
    "tasks",
    metadata,
    tenant_id(),
    _id(),
    _id("job_id", nullable=True),  # remove_snapshot belongs to no job
    Column("kind", String(20), nullable=False),
    Column("status", String(20), nullable=False),
    _id("vm_id", nullable=True),
    _id("server_id"),
    _id("vault_id"),
    _id("site_id"),
    Column("queue", String(100), nullable=False),
    Column("datastore", String(200)),  # takes a place under the datastore's limit
    _id("point_id", nullable=True),  # the restore point that a restore reads, and thereby pins
    _id("parent_point_id", nullable=True),  # the point that this attempt builds on, and thereby pins
    Column("params", JSONB, nullable=False),
    # admission
    at("created_at"),
    at("not_before", nullable=True),
    at("ready_at", nullable=True),
    at("publish_at", nullable=True),  # when the message is due (again); null unless ready
    # the lease
    Column("token", BigInteger, nullable=False, server_default=text("0")),
    at("lease_until", nullable=True),
    Column("runner", String(200)),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("losses", Integer, nullable=False, server_default=text("0")),
    _bytes("stored_at_loss"),
    _flag("prefer_resumable"),
    Column("used_epoch", BigInteger),  # the vault's epoch when claimed: garbage collection keeps what is younger
    _flag("cancel_requested"),
    Column("prepared", JSONB),  # what commit will write, kept from prepare on
    Column("prepared_token", BigInteger),
    # what is shown
    Column("mode", String(20)),
    Column("transport", String(40)),
    Column("transport_reason", Text),
    Column("phase", String(40)),
    _bytes("bytes_total"),
    _bytes("bytes_read"),
    _bytes("bytes_skipped"),
    _bytes("bytes_new"),
    _bytes("bytes_stored"),
    _bytes("bytes_stored_before"),  # stored by earlier attempts
    Column("limiting_stage", String(20)),
    at("started_at", nullable=True),
    at("finished_at", nullable=True),
    Column("result", JSONB),
    Column("warnings", JSONB, nullable=False, server_default=text("'[]'::jsonb")),
    Column("error", JSONB),
    Column("quota_month", Date),  # the usage month in which this backup reserved its place
    _key("id"),
    _to("backup_jobs", "job_id"),
    _to("virtual_machines", "vm_id"),
    _to("esxi_servers", "server_id"),
    _to("vaults", "vault_id"),
    _to("sites", "site_id"),
    Index("ix_tasks_job", "tenant_id", "job_id"),
    Index("ix_tasks_vm", "tenant_id", "vm_id", "kind"),
    Index("ix_tasks_unfinished", "status", "created_at", postgresql_where=text("finished_at is null")),
    Index(
        "uq_tasks_one_backup_per_vm",
        "tenant_id",
        "vm_id",
        unique=True,
        postgresql_where=text("kind = 'backup' and status in ('ready', 'running', 'committing')"),
    ),
)

snapshot_ledger = Table(
    "snapshot_ledger",
    metadata,
    tenant_id(),
    _id(),
    _id("task_id"),  # no foreign key: a snapshot may name a task that a restored database does not know
    Column("token", BigInteger, nullable=False),
    _id("server_id"),
    _id("vm_id"),
    Column("vm_moid", String(100), nullable=False),
    Column("name", String(120), nullable=False),
    Column("state", String(20), nullable=False),  # intended | created | removing | removed
    Column("moref", String(100)),
    _id("removal_task_id", nullable=True),  # our task of kind remove_snapshot
    Column("host_task", String(100)),  # the removal's task on the host: polled, never sent again
    at("intended_at"),
    at("created_at", nullable=True),
    at("removed_at", nullable=True),
    _key("id"),
    UniqueConstraint("tenant_id", "name"),
    Index("ix_snapshot_ledger_open", "state", postgresql_where=text("state <> 'removed'")),
)
"""Written before the host is asked for a snapshot, so that none can exist that nobody knows of."""

restore_points = Table(
    "restore_points",
    metadata,
    tenant_id(),
    _id(),  # the task's id
    _id("vm_id"),
    _id("server_id"),
    _id("vault_id"),
    _id("job_id"),
    Column("token", BigInteger, nullable=False),
    Column("manifest", Text, nullable=False),
    Column("manifest_sha256", String(64), nullable=False),
    Column("state", String(20), nullable=False),  # live | tombstoned
    Column("mode", String(20), nullable=False),
    Column("vm_name", Text, nullable=False),
    _flag("quiesced"),
    _id("parent_point_id", nullable=True),
    at("snapshot_at"),  # as the runner tells it: a label, nothing is decided by it
    at("committed_at"),
    at("keep_until"),
    at("tombstoned_at", nullable=True),
    Column("capacity_bytes", BigInteger, nullable=False),
    _bytes("bytes_read"),
    _bytes("bytes_skipped"),
    _bytes("bytes_new"),
    _bytes("bytes_stored"),
    Column("seconds_total", Integer, nullable=False),
    Column("limiting_stage", String(20)),
    Column("warnings", JSONB, nullable=False),
    _key("id"),
    _to("virtual_machines", "vm_id"),
    _to("vaults", "vault_id"),
    Index("ix_restore_points_vm", "tenant_id", "vm_id", "committed_at"),
)

point_disks = Table(
    "point_disks",
    metadata,
    tenant_id(),
    _id("point_id"),
    Column("key", Integer, nullable=False),
    Column("label", Text, nullable=False),
    Column("uuid", String(60)),
    Column("capacity_bytes", BigInteger, nullable=False),
    Column("root", LargeBinary, nullable=False),
    Column("mode", String(20), nullable=False),
    Column("full_reason", Text),
    Column("transport", String(40), nullable=False),
    Column("transport_reason", Text, nullable=False),
    _bytes("bytes_read"),
    _bytes("bytes_skipped"),
    _bytes("bytes_new"),
    _bytes("bytes_stored"),
    _bytes("bytes_data"),
    _key("point_id", "key"),
    _to("restore_points", "point_id", cascade=True),
)

chunks = Table(
    "chunks",
    metadata,
    tenant_id(),
    _id("vault_id"),
    Column("id", LargeBinary, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("type", String(5), nullable=False),  # chunk | page (roots are pages)
    Column("state", String(10), nullable=False, server_default="live"),  # live | deleting | deleted
    Column("used_epoch", BigInteger, nullable=False),  # of a deleted one: the epoch in which its object was gone
    Column("plain_bytes", Integer, nullable=False),
    Column("stored_bytes", Integer, nullable=False),
    at("locked_until", nullable=True),
    _key("vault_id", "id", "generation"),
    _to("vaults", "vault_id"),
    Index("ix_chunks_going", "tenant_id", "vault_id", "state", postgresql_where=text("state <> 'live'")),
    postgresql_partition_by="HASH (vault_id)",
)
"""A cache that can be rebuilt from the vault's maps."""

PARTITIONS = tuple(f"chunks_{number:02}" for number in range(CHUNK_PARTITIONS))
for _name in PARTITIONS:
    # Declared so that Alembic knows them for partitions; they are made and secured by the migration of their parent.
    Table(_name, metadata, info={"partition": True})

collections = Table(
    "collections",
    metadata,
    tenant_id(),
    _id("vault_id"),
    Column("phase", String(20), nullable=False),
    Column("cursor", LargeBinary, nullable=False, server_default=text("''::bytea")),  # how far the phase came
    Column("cutoff", BigInteger),
    Column("holder", String(200)),  # who works on the cycle now
    at("held_until", nullable=True),
    at("started_at", nullable=True),
    at("raised_at", nullable=True),  # when the newest epoch began
    at("collects_until", nullable=True),  # what this cycle will have collected: all that was left before
    at("collected_until", nullable=True),  # the same of the last one that ended
    at("finished_at", nullable=True),  # of the last cycle that ended
    Column("state_generation", BigInteger, nullable=False, server_default=text("0")),
    _bytes("objects_deleted"),  # by this cycle
    _bytes("bytes_deleted"),
    _key("vault_id"),
    _to("vaults", "vault_id"),
)
"""Garbage collection of each vault: where its cycle is, and who has it."""

walked_nodes = Table(
    "walked_nodes",
    metadata,
    tenant_id(),
    _id("vault_id"),
    Column("id", LargeBinary, nullable=False),
    _key("vault_id", "id"),
    _to("vaults", "vault_id"),
)
"""Map nodes that the running cycle has walked: one for each 4,096 chunks."""

point_pins = Table(
    "point_pins",
    metadata,
    tenant_id(),
    _id(),
    _id("point_id"),
    at("held_until"),
    _key("id"),
    _to("restore_points", "point_id"),
    Index("ix_point_pins_point", "tenant_id", "point_id"),
)
"""Who reads a point without a task, such as a download; a point's row does not go while one holds."""

quota_counters = Table(
    "quota_counters",
    metadata,
    tenant_id(),
    Column("resource", String(40), nullable=False),
    Column("period", Date, nullable=False),  # first day of the usage month; 0001-01-01 for what has no period
    Column("used", BigInteger, nullable=False),
    _key("resource", "period"),
)
"""Places taken under the plan's limits: raised by one conditional UPDATE in the transaction of the row it counts."""
