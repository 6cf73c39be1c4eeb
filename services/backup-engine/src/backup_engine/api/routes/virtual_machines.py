"""/api/virtual-machines/ and /api/datastores/: what the last synchronisation saw; power."""

from __future__ import annotations

from uuid import UUID

from common.web import Page, PagingDep
from fastapi import APIRouter

from backup_engine.api.dependencies import Reader, ToolsDep, Writer, opened
from backup_engine.api.schemas.inventory import DatastoreOut, MachineOut, PowerIn
from backup_engine.domain.tenant import Act
from backup_engine.usecases.connect_server import connected, target_of

router = APIRouter(prefix="/api", tags=["Virtual machines"])

GUEST_SECONDS = 20.0
"""How long a guest's shutdown is waited for within the request; it goes on afterwards by itself."""


@router.get("/virtual-machines/", response_model=Page[MachineOut])
async def machines(
    who: Reader,
    tools: ToolsDep,
    paging: PagingDep,
    server_id: UUID | None = None,
) -> Page[MachineOut]:
    async with opened(tools, who) as (uow, _tenant):
        rows = await uow.machines.page(server_id, paging.after, paging.rows)
    return paging.page(rows, MachineOut.of, lambda row: (row.id,))


@router.get("/virtual-machines/{vm_id}/")
async def machine(vm_id: UUID, who: Reader, tools: ToolsDep) -> MachineOut:
    async with opened(tools, who) as (uow, _tenant):
        return MachineOut.of(await uow.machines.get(vm_id))


@router.post("/virtual-machines/{vm_id}/power/")
async def power(vm_id: UUID, wanted: PowerIn, who: Writer, tools: ToolsDep) -> MachineOut:
    """Answers with the power state that the host shows afterwards."""
    async with opened(tools, who, Act.CHANGE) as (uow, _tenant):
        found = await uow.machines.get(vm_id)
        target = await target_of(uow, tools.box, found.server_id)
    async with connected(tools.connector, target) as hypervisor:
        if wanted.action == "on":
            await hypervisor.power_on(found.moid)
        elif wanted.action == "off":
            await hypervisor.power_off(found.moid)
        else:
            await hypervisor.shut_down(found.moid, timeout_seconds=GUEST_SECONDS)
        state = (await hypervisor.virtual_machine(found.moid)).power_state
    async with opened(tools, who, Act.CHANGE) as (uow, _tenant):
        await uow.machines.change(vm_id, power_state=str(state))
        await uow.audit(f"virtual_machine.power_{wanted.action}", str(vm_id), actor=who.user_id)
        return MachineOut.of(await uow.machines.get(vm_id))


@router.get("/datastores/", response_model=Page[DatastoreOut])
async def datastores(
    who: Reader,
    tools: ToolsDep,
    paging: PagingDep,
    server_id: UUID | None = None,
) -> Page[DatastoreOut]:
    async with opened(tools, who) as (uow, _tenant):
        rows = await uow.placements.datastores(server_id, paging.after, paging.rows)
    return paging.page(rows, DatastoreOut.of, lambda row: (row.id,))
