"""One transaction of backup-engine with its repositories."""

from __future__ import annotations

from common.clock import Clock
from common.persistence import Scope, Transaction
from sqlalchemy.ext.asyncio import AsyncSession

from backup_engine.persistence.chunks import ChunkRepository
from backup_engine.persistence.collection import CollectionRepository
from backup_engine.persistence.configurations import ConfigurationRepository
from backup_engine.persistence.counted import CountedRepository
from backup_engine.persistence.inventory import MachineRepository, PlacementRepository, ServerRepository
from backup_engine.persistence.jobs import JobRepository, TaskRepository
from backup_engine.persistence.ledger import LedgerRepository
from backup_engine.persistence.pins import PinRepository
from backup_engine.persistence.points import PointRepository
from backup_engine.persistence.quota import QuotaRepository
from backup_engine.persistence.tenants import TenantRepository, VaultRepository


class UnitOfWork(Transaction):
    """The repositories share the transaction; nothing is committed before it ends."""

    source = "backup-engine"

    def __init__(self, session: AsyncSession, scope: Scope, clock: Clock) -> None:
        super().__init__(session, scope, clock)
        self.tenants = TenantRepository(self)
        self.vaults = VaultRepository(self)
        self.servers = ServerRepository(self)
        self.machines = MachineRepository(self)
        self.placements = PlacementRepository(self)
        self.configurations = ConfigurationRepository(self)
        self.jobs = JobRepository(self)
        self.tasks = TaskRepository(self)
        self.points = PointRepository(self)
        self.ledger = LedgerRepository(self)
        self.pins = PinRepository(self)
        self.chunks = ChunkRepository(self)
        self.collections = CollectionRepository(self)
        self.quota = QuotaRepository(self)
        self.counted = CountedRepository(self)
