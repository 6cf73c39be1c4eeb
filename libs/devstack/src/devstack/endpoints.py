"""``.devstack/endpoints.json``: where a running stack is, for people and black-box tests."""

import json
import os
from pathlib import Path
from typing import Any

from devstack.environment import Ports
from devstack.servers.places import checkout

ROOT = Path(os.environ.get("EBM_DEVSTACK_FOLDER") or (checkout() or Path.cwd()) / ".devstack")
"""Everything that a stack keeps; git holds none of it. Tests name folders of their own."""

PATH = ROOT / "endpoints.json"


def of(ports: Ports, announced: dict[str, Any], staff: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the endpoints of a running stack."""
    return {
        "gateway": ports.url("gateway"),
        **{name: announced[name]["url"] for name in ("paypal", "mtn_momo", "mail") if name in announced},
        "esxi": [announced["esxi"]] if "esxi" in announced else [],
        "staff": staff,
    }


def write(found: dict[str, Any]) -> dict[str, Any]:
    """Write the endpoints of a running stack, readable by its owner only, and return them."""
    ROOT.mkdir(parents=True, exist_ok=True)
    partial = PATH.with_suffix(".partial")
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(found, file, indent=2)
    partial.replace(PATH)
    return found


def read() -> dict[str, Any]:
    """Return the endpoints of the running stack.

    Raises:
        FileNotFoundError: None runs.
    """
    found: dict[str, Any] = json.loads(PATH.read_text())
    return found


def forget() -> None:
    """Remove the file: nothing runs any more."""
    PATH.unlink(missing_ok=True)
