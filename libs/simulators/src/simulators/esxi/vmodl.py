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


def reference(kind: Any, moid: str) -> Any:
    """A managed object reference."""
    return kind(moid)
