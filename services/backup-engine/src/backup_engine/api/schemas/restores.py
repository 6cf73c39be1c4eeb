"""Restores of machines and of disks."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self
from uuid import UUID

from common.web import Answer, Body
from pydantic import Field

from backup_engine.api.schemas.backups import JobOut, TaskOut
from backup_engine.domain.job import Job, Task


class MachineRestoreIn(Body):
    """A new machine from a point. ``networks`` maps source networks to those of the target, where they differ."""

    restore_point_id: UUID
    server_id: UUID
    name: Annotated[str, Field(min_length=1, max_length=80)]
    datastore: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    networks: dict[str, str] = Field(default_factory=dict, max_length=20)
    power_on: bool = False


class DiskRestoreIn(Body):
    """Disks of a point as raw bytes, for download; ``export`` also writes them to the deployment's export folder."""

    restore_point_id: UUID
    disk_key: int | None = None
    format: Literal["raw"] = "raw"
    export: bool = False


class RestoredDiskOut(Answer):
    """A disk that was read whole and proven: ``sha256`` is of its raw bytes, holes as zeros."""

    key: int
    label: str
    capacity_bytes: int
    sha256: str
    content: str
    file: str | None


class RestoreJobOut(JobOut):
    """A restore; at its end ``vm_id`` and ``moid``, or ``disks``."""

    restore_point_id: UUID | None
    kind: str
    vm_id: UUID | None
    moid: str | None
    disks: list[RestoredDiskOut]

    @classmethod
    def of_restore(cls, job: Job, tasks: list[Task], language: str) -> Self:
        task = tasks[0]
        result: dict[str, Any] = task.result or {}
        plain = JobOut.of(job, tasks, language)
        fields = {name: getattr(plain, name) for name in JobOut.model_fields if name != "tasks"}
        disks = [
            RestoredDiskOut(content=f"/api/restore/jobs/{job.id}/disks/{disk['key']}/content", **{"file": None, **disk})
            for disk in result.get("disks", [])
        ]
        return cls(
            **fields,
            tasks=[TaskOut.of(one, language) for one in tasks],
            restore_point_id=task.point_id,
            kind=task.params["restore"],
            vm_id=result.get("vm_id"),
            moid=result.get("moid"),
            disks=disks,
        )
