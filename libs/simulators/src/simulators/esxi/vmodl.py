"""VMware's types as pyvmomi knows them, for building and parsing messages.

pyvmomi describes them for clients (methods that call over a stub); here only the data and type names are used, so they
are `Any`.
"""

import importlib
from typing import Any

_pyvmomi: Any = importlib.import_module("pyVmomi")
vim: Any = _pyvmomi.vim
vmodl: Any = _pyvmomi.vmodl
MethodFault: Any = vmodl.MethodFault


def fault(kind: Any, message: str, **fields: Any) -> Any:
    """A fault to raise, with the text that the host shows."""
    return kind(msg=message, **fields)


def moid_of(reference: Any) -> str:
    """The id in a managed object reference."""
    return str(reference._moId)  # noqa: SLF001 -- pyvmomi's documented, if underscored, way


def property_info(kind: Any, name: str) -> Any:
    """Type and flags of a property; AttributeError when the type has none of this name."""
    return kind._GetPropertyInfo(name)  # noqa: SLF001 -- as above


def property_list(kind: Any) -> Any:
    """All properties of a type, inherited ones included."""
    return kind._GetPropertyList()  # noqa: SLF001 -- as above
