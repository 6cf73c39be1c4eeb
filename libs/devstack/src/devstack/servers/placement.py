"""Where PostgreSQL's files lie and whose they are.

PostgreSQL refuses to run as root. Root therefore runs it as the unprivileged `nobody`; where nobody cannot reach the
checkout (a clone below a 0700 folder), programs and data are placed in a folder of our own below `/var/lib`. No
permission of a folder that is not ours is ever changed. Each placed folder names what it stands for in a file `origin`;
`make clean` removes it by that.
"""

import hashlib
import os
import pwd
import shutil
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PLACES = (Path("/var/lib/ebm"), Path("/var/tmp/ebm"))
"""Folders that any user can traverse, the first that root can make is used. The second serves read-only systems."""


@dataclass(frozen=True)
class Account:
    """The unprivileged user that a server runs as when we are root."""

    uid: int
    gid: int

    def can(self, *command: str | Path) -> bool:
        """Whether a command succeeds as this user: the only test that knows every rule of the file system."""
        try:
            done = subprocess.run(
                [str(part) for part in command],
                **run_as(self),
                capture_output=True,
                cwd="/",
                check=False,
                timeout=30,
            )
        except OSError:
            return False
        return done.returncode == 0


def run_as(account: Account | None) -> dict[str, Any]:
    """The arguments with which `subprocess` starts a program as the account, or as ourselves."""
    return {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}


def unprivileged_account() -> Account | None:
    """The account to drop to, None when we are not root and need none."""
    if os.geteuid() != 0:
        return None
    nobody = pwd.getpwnam("nobody")
    return Account(nobody.pw_uid, nobody.pw_gid)


def data_folder(folder: Path, account: Account | None) -> Path:
    """The folder in which data may be made: `folder` itself, or a placed one that the account can reach."""
    if account is None or account.can("test", "-x", folder):
        return folder
    return placed(folder, "data")


def reachable_programs(roots: list[Path], probe: str, account: Account | None) -> Path:
    """The folder below which `probe` runs for the account; copies the roots where it must.

    Args:
        roots: folders with one common parent that belong together (programs, bundled libraries).
        probe: a program below that parent that ends well with `--version`.
        account: who runs it, None for ourselves.
    """
    here = roots[0].parent
    if account is None or account.can(here / probe, "--version"):
        return here
    there = placed(here, "programs")
    if not account.can(there / probe, "--version"):
        for root in roots:
            _copy_readable(root, there / root.name)
    return there


def placed(origin: Path, kind: str) -> Path:
    """Our own folder that stands for `origin`; made when missing, 0755, owned by root."""
    name = f"{kind}-{hashlib.sha256(str(origin.resolve()).encode()).hexdigest()[:16]}"
    for place in PLACES:
        try:
            _own_folder(place)
            _own_folder(place / name)
        except OSError:
            continue
        (place / name / "origin").write_text(f"{origin.resolve()}\n")
        return place / name
    raise PermissionError(f"no place that an unprivileged server can reach: tried {', '.join(map(str, PLACES))}")


def remove_placed(below: Path) -> list[Path]:
    """Remove what was placed for folders at or below `below` and for folders that are gone; returns it."""
    removed = []
    for origin_file in (found for place in PLACES for found in place.glob("*/origin")):
        origin = Path(origin_file.read_text().strip())
        if origin.is_relative_to(below.resolve()) or not origin.exists():
            shutil.rmtree(origin_file.parent, ignore_errors=True)
            removed.append(origin_file.parent)
    for place in PLACES:
        # Still used by another checkout, or another user's: it stays.
        with suppress(OSError):
            place.rmdir()
    return removed


def _own_folder(folder: Path) -> None:
    """Make a folder that is ours; one that somebody else prepared under this name is refused."""
    folder.mkdir(exist_ok=True)
    facts = folder.lstat()
    if folder.is_symlink() or facts.st_uid != os.geteuid():
        raise PermissionError(f"{folder} is not ours")
    folder.chmod(0o755)


def _copy_readable(source: Path, target: Path) -> None:
    """Copy a tree so that everyone may read and run it, whole or not at all."""
    unfinished = target.with_name(f".{target.name}.{os.getpid()}")
    shutil.rmtree(unfinished, ignore_errors=True)
    shutil.copytree(source, unfinished, symlinks=True)
    for path in [unfinished, *unfinished.rglob("*")]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    shutil.rmtree(target, ignore_errors=True)
    unfinished.rename(target)
