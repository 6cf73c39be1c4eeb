"""Which rights the account lacks, asked before a snapshot exists (D29)."""

from backup_engine.adapters.vsphere.session import Session
from backup_engine.adapters.vsphere.vmodl import vim, vmodl

NEEDED = (
    "VirtualMachine.State.CreateSnapshot",
    "VirtualMachine.State.RemoveSnapshot",
    "VirtualMachine.Config.ChangeTracking",
    "VirtualMachine.Provisioning.DiskRandomRead",
    "VirtualMachine.Provisioning.GetVmFiles",
    "VApp.Export",
)
"""Ids as in vSphere's data-protection role. Restoring needs more, on other objects, and says so when it fails."""

_CANNOT_SAY = (vmodl.fault.NotSupported, vmodl.fault.NotImplemented, vmodl.fault.MethodNotFound)


async def missing_privileges(session: Session, moid: str) -> tuple[str, ...]:
    """Privileges on the VM that backup needs and the account lacks; empty where the host cannot say."""
    machine = session.managed(vim.VirtualMachine, moid)
    content = session.content
    if content.authorizationManager is None or not session.key:
        return ()
    try:
        held = await session.call(
            "HasPrivilegeOnEntity",
            lambda: content.authorizationManager.HasPrivilegeOnEntity(
                entity=machine, sessionId=session.key, privId=list(NEEDED)
            ),
            passing=_CANNOT_SAY,
        )
    except _CANNOT_SAY:
        return ()
    return tuple(privilege for privilege, has in zip(NEEDED, held, strict=True) if not has)
