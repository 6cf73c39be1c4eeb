"""Settings of backup-engine, read once in ``__main__``; prefix BACKUP_ENGINE_."""

from __future__ import annotations

from pathlib import Path

from common.settings import (
    BrokerSettings,
    DatabaseSettings,
    HttpSettings,
    ServiceSettings,
    TokenSettings,
    service_config,
)
from pydantic import Field, SecretStr, model_validator

from backup_engine.domain.lease import LEASE, LONGEST_LEASE, SHORTEST_LEASE

NAME = "backup-engine"
PREFIX = "backup_engine"


class Settings(ServiceSettings, DatabaseSettings, BrokerSettings, TokenSettings, HttpSettings):
    """What the parts need; a missing or weak value stops the start."""

    model_config = service_config("BACKUP_ENGINE_")

    deployment_id: str = Field(
        pattern=r"^[a-z0-9]{4,32}$",
        description="Names our snapshots: two deployments that reach the same host must not share it",
    )
    credentials_key: SecretStr = Field(
        min_length=32, description="Seals the passwords of ESXi servers; changing it makes them unreadable"
    )
    object_store_folder: Path = Field(description="Folder of the vaults, on a file system with hard links")
    kms_folder: Path = Field(description="Folder of the file KMS: one file of keys per organization")
    kms_backed_up_apart: bool = Field(
        default=False, description="Says that kms_folder is backed up apart from the database; production demands it"
    )
    export_folder: Path | None = Field(
        None,
        description="Where disk restores with «export» write raw files; a deleted organization's go by the worker",
    )
    esxi_allow: tuple[str, ...] = Field(
        (), description="JSON list of networks that hosts may be in; empty: all but refused ones"
    )
    esxi_deny: tuple[str, ...] = Field((), description="JSON list of networks refused besides the built-in ones")
    esxi_allow_loopback: bool = Field(default=False, description="Hosts on loopback: simulators; never in production")
    runner_site: str = Field("cloud", description="The queue (tasks.<site>) that this runner serves")
    runner_slots: int = Field(2, ge=1, le=64, description="Tasks that one runner process executes at once")
    runner_exit_when_idle_seconds: int | None = Field(
        None, ge=1, description="Leave when no task came for so long (a KEDA ScaledJob's pod); unset: stay"
    )
    lease_seconds: int = Field(
        int(LEASE.total_seconds()),
        ge=int(SHORTEST_LEASE.total_seconds()),
        le=int(LONGEST_LEASE.total_seconds()),
        description="How long a runner's claim of a task holds without renewal: how late another takes over",
    )
    limit_per_server: int = Field(4, ge=1, description="Tasks at once per host")
    limit_per_datastore: int = Field(4, ge=1, description="Tasks at once per datastore")
    limit_per_organization: int = Field(8, ge=1, description="Tasks at once per organization")
    limit_in_all: int = Field(200, ge=1, description="Tasks at once in this deployment")
    dispatch_seconds: float = Field(0.5, gt=0, le=60, description="Pause between two turns of the dispatcher")
    reconcile_minutes: float = Field(
        15, gt=0, le=60, description="Pause between two reconciliations of snapshots; of usage that is due, 5 at most"
    )
    collect_hours: float = Field(6, gt=0, le=168, description="Pause between two garbage collections of a vault")
    retry_pauses_seconds: tuple[int, ...] = Field(
        (60, 300, 900), min_length=1, description="JSON list: rests before the next attempts of a task"
    )

    @model_validator(mode="after")
    def _safe(self) -> Settings:
        if self.environment == "production":
            if not self.kms_backed_up_apart:
                raise ValueError("the file KMS needs kms_backed_up_apart=true: losing its folder loses every backup")
            if self.esxi_allow_loopback:
                raise ValueError("esxi_allow_loopback is for development and tests")
        return self
