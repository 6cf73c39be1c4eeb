"""VMware's types as pyvmomi knows them, for building and parsing messages.

pyvmomi describes them for clients (methods that call over a stub); here only the data and type names are used, so they
are `Any`.
"""

import importlib
from typing import Any

_pyvmomi: Any = importlib.import_module("pyVmomi")
_support: Any = importlib.import_module("pyVmomi.VmomiSupport")
vim: Any = _pyvmomi.vim
vmodl: Any = _pyvmomi.vmodl
MethodFault: Any = vmodl.MethodFault


def fault(kind: Any, message: str, **fields: Any) -> Any:
    """A fault to raise, with the text that the host shows."""
    return kind(msg=message, **fields)


def completed(error: Any) -> Any:
    """A fault whose required fields are all set, for rules that name only its kind."""
    for info in property_list(type(error)):
        if info.flags & _support.F_OPTIONAL or getattr(error, info.name) is not None:
            continue
        if issubclass(info.type, _support.ManagedObject):
            kind = vim.Folder if info.type in (_support.ManagedObject, vim.ManagedEntity) else info.type
            setattr(error, info.name, kind("ha-folder-root"))
        elif hasattr(info.type, "values"):
            setattr(error, info.name, info.type.values[0])
    return error


def moid_of(reference: Any) -> str:
    """The id in a managed object reference."""
    return str(reference._moId)  # noqa: SLF001 -- pyvmomi's documented, if underscored, way


def property_info(kind: Any, name: str) -> Any:
    """Type and flags of a property; AttributeError when the type has none of this name."""
    return kind._GetPropertyInfo(name)  # noqa: SLF001 -- as above


def property_list(kind: Any) -> Any:
    """All properties of a type, inherited ones included."""
    return kind._GetPropertyList()  # noqa: SLF001 -- as above
