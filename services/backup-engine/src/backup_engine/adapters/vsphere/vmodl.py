"""pyvmomi's types, whose classes are made at import: for the type checker they are Any, said once here."""

from typing import Any

import pyVmomi
from pyVmomi import VmomiSupport

_pyvmomi: Any = pyVmomi
vim: Any = _pyvmomi.vim
vmodl: Any = _pyvmomi.vmodl
SoapStubAdapter: Any = _pyvmomi.SoapStubAdapter
VERSIONS: dict[str, str] = VmomiSupport.versionIdMap
"""pyvmomi's version → what an API of it says of itself: `vim.version.version11` → `6.5`."""


def moid_of(managed: Any) -> str:
    """The id of a managed object."""
    return str(managed._GetMoId())  # noqa: SLF001 - pyvmomi has no other way
