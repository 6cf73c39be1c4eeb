"""vSphere's faults as our errors, and whether trying again can help."""

import http.client
import ssl
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from backup_engine.adapters.vsphere.vmodl import moid_of, vim, vmodl
from backup_engine.errors.hypervisor import (
    DatastoreFull,
    HostUnreachable,
    HypervisorAnswerRefused,
    HypervisorBusy,
    HypervisorError,
    HypervisorFault,
    HypervisorLoginRefused,
    HypervisorStateConflict,
    HypervisorTimeout,
    LicenceRestricted,
    PrivilegeMissing,
    QuiesceFailed,
    SnapshotNotFound,
    VmNotFound,
)

LONGEST_MESSAGE = 300
"""A host's own words are shown to its owner, cut to what fits a table."""

BUSY_PAUSE = timedelta(seconds=30)


class UnsafeAnswer(Exception):
    """An answer that must not be parsed further: too long, too slow, or with a document type."""


def text_of(fault: Exception) -> str:
    """The fault's message in one line."""
    text = getattr(fault, "msg", None) or str(fault) or type(fault).__name__
    return " ".join(str(text).split())[:LONGEST_MESSAGE]


def name_of(fault: Exception) -> str:
    """`vim.fault.FileFault` → `FileFault`."""
    return type(fault).__name__.rpartition(".")[2]


def as_error(error: BaseException, *, host: str, operation: str) -> HypervisorError:
    """Any failure of a SOAP call or of a task as one of our errors."""
    if isinstance(error, HypervisorError):
        return error
    if isinstance(error, vmodl.MethodFault):
        return _from_fault(error, host)
    if isinstance(error, TimeoutError):
        return HypervisorTimeout(host=host, operation=operation, seconds=str(error) or "the given")
    if isinstance(error, OSError | http.client.HTTPException):
        return HostUnreachable(host=host, reason=_why_broken(error))
    reason = str(error) if isinstance(error, UnsafeAnswer) else f"unreadable answer to {operation}"
    return HypervisorAnswerRefused(host=host, reason=reason)


def _why_broken(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return error.reason or "TLS failed"
    return getattr(error, "strerror", None) or f"the connection ended: {text_of(error)}"


def _from_fault(fault: Exception, host: str) -> HypervisorError:
    for kind, make in _BY_FAULT:
        if isinstance(fault, kind):
            return make(fault, host)
    return HypervisorFault(fault=name_of(fault), message=text_of(fault))


def _not_found(fault: Exception, _host: str) -> HypervisorError:
    gone = getattr(fault, "obj", None)
    if isinstance(gone, vim.VirtualMachine):
        return VmNotFound(moid=moid_of(gone))
    if isinstance(gone, vim.vm.Snapshot):
        return SnapshotNotFound(moref=moid_of(gone))
    return HypervisorFault(fault="ManagedObjectNotFound", message=text_of(fault))


def _privilege(fault: Exception, _host: str) -> HypervisorError:
    named = getattr(fault, "privilegeId", None)
    missing = [one for entry in getattr(fault, "missingPrivileges", None) or () for one in entry.privilegeIds]
    return PrivilegeMissing(privilege=named or ", ".join(missing) or "(the host does not say which)")


def _state(fault: Exception, _host: str) -> HypervisorError:
    return HypervisorStateConflict(fault=name_of(fault), message=text_of(fault))


def _full(fault: Exception, _host: str) -> HypervisorError:
    return DatastoreFull(datastore=getattr(fault, "datastore", None) or getattr(fault, "file", None) or "?")


# Ordered: the first that fits decides, so a subclass stands before its parent.
_BY_FAULT: tuple[tuple[Any, Callable[[Exception, str], HypervisorError]], ...] = (
    (vim.fault.InvalidLogin, lambda _f, h: HypervisorLoginRefused(host=h)),
    (vim.fault.NoPermission, _privilege),
    (vim.fault.RestrictedVersion, lambda _f, h: LicenceRestricted(host=h)),
    (vmodl.fault.ManagedObjectNotFound, _not_found),
    (vim.fault.TaskInProgress, lambda _f, _h: HypervisorBusy(retry_after=BUSY_PAUSE)),
    (
        (vim.fault.ApplicationQuiesceFault, vim.fault.FilesystemQuiesceFault),
        lambda f, _h: QuiesceFailed(message=text_of(f)),
    ),
    ((vim.fault.NoDiskSpace, vim.fault.InsufficientStorageSpace), _full),
    ((vim.fault.InvalidState, vim.fault.ToolsUnavailable, vmodl.fault.NotSupported), _state),
)
