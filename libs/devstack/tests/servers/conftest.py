"""Runs a small program as the user to whom root drops, with an interpreter that this user can reach."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from devstack.servers import placement

Ran = subprocess.CompletedProcess[str]


@pytest.fixture
def run_as_nobody() -> Iterator[Callable[[str], Ran]]:
    """Runs a program that gets a home folder (0700) as its argument; as ourselves where we are not root."""
    account = placement.unprivileged_account()
    # Not pytest's folder: that one is closed to others when root runs the tests.
    home = Path(tempfile.mkdtemp(prefix="ebm-home-", dir="/tmp"))
    if account is not None:
        os.chown(home, account.uid, account.gid)

    def run(program: str) -> Ran:
        environment = {
            "PATH": "/usr/bin:/bin:/usr/sbin:/sbin",
            "HOME": str(home),
            "PYTHONPATH": os.pathsep.join(part for part in sys.path if part),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        return subprocess.run(
            [_reachable_python(account), "-c", program, home],
            **placement.run_as(account),
            env=environment,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )

    yield run
    shutil.rmtree(home, ignore_errors=True)


def _reachable_python(account: placement.Account | None) -> str:
    """The interpreter behind a venv may lie in root's home; the system's of the same version reads its packages."""
    if account is not None and not account.can("test", "-r", placement.__file__):
        pytest.skip("this checkout is out of the unprivileged user's reach")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    for found in (sys.executable, f"/usr/bin/{version}"):
        if account is None or account.can(found, "-c", ""):
            return found
    pytest.skip("no Python of this version is in the unprivileged user's reach")
