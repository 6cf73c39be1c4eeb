"""Builds backup-engine from its settings; the only module that names every concrete class."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from common.audit import Sealer
from common.auth import InternalTokenVerifier
from common.clock import SystemClock
from common.messaging import Broker
from common.messaging.parts import broker_check, connected, event_parts, rabbit_of
from common.parts import Every, Part, Service, database_check, folder_check
from common.persistence import Database, Store
from common.persistence.erasure import Eraser
from common.persistence.export import Exporter
from common.persistence.startup import check_database
from common.web import HttpPart
from fastapi import FastAPI

from backup_engine.adapters.file_kms import FileKms
from backup_engine.adapters.folder_store import FolderStore
from backup_engine.adapters.secret_box import AesSecretBox
from backup_engine.adapters.sql_control_plane import SqlControlPlane
from backup_engine.adapters.vsphere.dialer import DialPolicy
from backup_engine.adapters.vsphere.hypervisor import VSphereConnector
from backup_engine.api.app import make_app
from backup_engine.api.dependencies import Tools
from backup_engine.domain.admission import Limits
from backup_engine.messaging.handlers import subscriptions
from backup_engine.persistence import export
from backup_engine.persistence.erasure import PLAN
from backup_engine.persistence.unit_of_work import UnitOfWork
from backup_engine.ports.vault import BlobStore
from backup_engine.runner.part import Runner
from backup_engine.runner.tools import RunnerTools
from backup_engine.settings import NAME, PREFIX, Settings
from backup_engine.vault.retrying import RetryingStore
from backup_engine.workflows.collect_garbage import GarbageCollector
from backup_engine.workflows.dispatch import Dispatcher, VaultMaker
from backup_engine.workflows.erase_vault import VaultEraser
from backup_engine.workflows.read_point import PointReaders
from backup_engine.workflows.reconcile_snapshots import SnapshotReconciler
from backup_engine.workflows.reconcile_usage import UsageReconciler

SYSTEM_ROLES = ("dispatcher", "runner", "reconciler", "collector")
"""Login roles for work across tenants, each with just the columns it needs (see the migrations)."""

COLLECTING = timedelta(seconds=5)
"""A turn of the collector, and the pause after it: short enough for a stop to wait for it."""
RECONCILING_USAGE = timedelta(minutes=5)
"""Pause between two looks for organizations whose counters were not compared for six hours."""
PACKAGE_FOLDER = Path(__file__).parent
DOORS = ("app", "relay", "inbox", "audit", "eraser", *SYSTEM_ROLES)


@dataclass(frozen=True, slots=True)
class Built:
    """Everything that was made of the settings; tests take it apart, `build` hands out its parts."""

    settings: Settings
    database: Database
    store: Store[UnitOfWork]
    events: Broker
    """Of the worker: publishes facts and messages of tasks, and takes facts in."""
    tasks: Broker
    """Of the runner: takes messages of tasks. The same object where one process has everything."""
    own_brokers: bool
    blobs: BlobStore
    kms: FileKms
    connector: VSphereConnector
    box: AesSecretBox

    @property
    def pauses(self) -> tuple[timedelta, ...]:
        return tuple(timedelta(seconds=seconds) for seconds in self.settings.retry_pauses_seconds)

    @property
    def lease(self) -> timedelta:
        return timedelta(seconds=self.settings.lease_seconds)

    def readers(self) -> PointReaders:
        return PointReaders(self.store, RetryingStore(self.blobs), self.kms)

    def app(self) -> FastAPI:
        has_export_folder = self.settings.export_folder is not None
        exporter = Exporter(self.store, export.PLAN, service=NAME)
        tools = Tools(self.store, self.connector, self.box, self.readers(), has_export_folder, exporter)
        return make_app(tools, InternalTokenVerifier(self.settings.gateway_public_keys, NAME))

    def dispatcher(self) -> Dispatcher:
        limits = Limits(
            per_server=self.settings.limit_per_server,
            per_datastore=self.settings.limit_per_datastore,
            per_organization=self.settings.limit_per_organization,
            in_all=self.settings.limit_in_all,
        )
        return Dispatcher(self.store, self.events, limits, self.pauses)

    def reconciler(self) -> SnapshotReconciler:
        return SnapshotReconciler(self.store, self.connector, self.box, self.settings.deployment_id, self.lease)

    def collector(self) -> GarbageCollector:
        every = timedelta(hours=self.settings.collect_hours)
        return GarbageCollector(self.store, self.blobs, self.kms, every, COLLECTING)

    def control_plane(self) -> SqlControlPlane:
        return SqlControlPlane(self.store, self.box, self.settings.deployment_id, self.pauses, self.lease)

    def runner(self) -> Runner:
        idle = self.settings.runner_exit_when_idle_seconds
        return Runner(
            RunnerTools(self.control_plane(), self.connector, self.blobs, self.kms, self.settings.export_folder),
            self.tasks,
            site=self.settings.runner_site,
            slots=self.settings.runner_slots,
            idle=None if idle is None else timedelta(seconds=idle),
        )

    def eraser(self) -> Eraser:
        vaults = VaultEraser(self.store, RetryingStore(self.blobs), self.kms, self.settings.export_folder)
        return Eraser(self.store, PLAN, vaults.erase)

    def worker(self) -> list[Part]:
        turn = timedelta(seconds=self.settings.dispatch_seconds)
        reconcile = timedelta(minutes=self.settings.reconcile_minutes)
        makers = VaultMaker(self.store, RetryingStore(self.blobs), self.kms)
        return [
            *event_parts(
                NAME,
                self.store,
                self.events,
                subscriptions,
                audit=Sealer(self.store, heads_folder=self.settings.audit_heads_folder),
                eraser=self.eraser(),
            ),
            Every("backup-engine.dispatcher", turn, self.dispatcher().turn, self.database),
            Every("backup-engine.vaults", turn, makers.turn, self.database),
            Every("backup-engine.snapshots", reconcile, self.reconciler().turn, self.database),
            Every(
                "backup-engine.usage",
                min(reconcile, RECONCILING_USAGE),
                UsageReconciler(self.store).turn,
                self.database,
            ),
            Every("backup-engine.collector", COLLECTING, self.collector().turn, database=None),
        ]

    def parts(self) -> dict[str, Part]:
        """What runs; a broker of our own is connected by the part that uses it, a given one by its giver."""
        return {
            "api": self._api(),
            "worker": connected("worker", self.events, self.worker(), own=self.own_brokers),
            "runner": connected("runner", self.tasks, [self.runner()], own=self.own_brokers),
        }

    def _api(self) -> Part:
        return HttpPart("api", self.app(), self.settings.http_host, self.settings.http_port)

    async def close(self) -> None:
        await self.connector.aclose()
        await self.blobs.close()
        await self.database.close()


async def assemble(settings: Settings, broker: Broker | None = None) -> Built:
    """Open what the parts share.

    Raises:
        UnsafeDatabase: see `common.persistence.startup`.
        StoreRefused: the folder cannot hold vaults.
        ValueError: neither a broker nor its address was given.
    """
    database = Database(settings, PREFIX)
    await check_database(database, DOORS, PACKAGE_FOLDER, production=settings.environment == "production")
    for folder in (settings.kms_folder, settings.object_store_folder, settings.export_folder):
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    policy = DialPolicy(allow=settings.esxi_allow, deny=settings.esxi_deny, allow_loopback=settings.esxi_allow_loopback)
    return Built(
        settings=settings,
        database=database,
        store=Store(database, UnitOfWork, SystemClock()),
        events=broker or rabbit_of(settings, NAME),
        tasks=broker or rabbit_of(settings, NAME),
        own_brokers=broker is None,
        blobs=await FolderStore.open(settings.object_store_folder),
        kms=FileKms(settings.kms_folder),
        connector=VSphereConnector(policy),
        box=AesSecretBox(settings.credentials_key.get_secret_value()),
    )


async def build(settings: Settings, broker: Broker | None = None) -> Service:
    """Make the parts `api`, `worker` and `runner`.

    Args:
        settings: read from the environment.
        broker: the one broker of a process that runs everything; without it, RabbitMQ by `broker_url`.
    """
    return service_of(await assemble(settings, broker))


def service_of(built: Built) -> Service:
    """The parts of what was assembled; a launcher may have put another store in between."""
    return Service(
        NAME,
        built.parts(),
        built.close,
        {
            "database": partial(database_check, built.database),
            "vaults": partial(folder_check, built.settings.object_store_folder),
            "keys": partial(folder_check, built.settings.kms_folder),
        },
        {
            "worker": {"broker": partial(broker_check, built.events)},
            "runner": {"broker": partial(broker_check, built.tasks)},
        },
    )
