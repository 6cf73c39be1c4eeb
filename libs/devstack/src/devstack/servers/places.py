"""Where this checkout keeps what it fetches and what it starts."""

import os
from pathlib import Path


def checkout() -> Path | None:
    """The checkout that this package runs from, None when it is installed elsewhere."""
    root = Path(__file__).resolve().parents[5]
    return root if (root / "requirements.lock").is_file() else None


def tools_folder() -> Path:
    """Where programs are unpacked that the system lacks: `.tools` of the checkout, else the user's cache."""
    root = checkout()
    if root is not None:
        return root / ".tools"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "esxi-backup-manager"
