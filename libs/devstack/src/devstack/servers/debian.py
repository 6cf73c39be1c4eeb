"""Programs from Debian's packages: installed as root, or unpacked into a folder of ours by anybody.

Standard library only, so that set-up can use it before anything is installed.
"""

import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

APT_SECONDS = 600
"""How long an installation may take: Erlang is 30 MB to fetch."""

OPTIONAL_RELATIONS = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
"""Relations between packages that are no need."""


class PackagesUnavailable(Exception):
    """The system has no apt, or apt could not do it; the message carries its last words."""


def can_install() -> bool:
    """Whether apt is here and we may install with it."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def can_unpack() -> bool:
    return all(shutil.which(program) for program in ("apt-get", "apt-cache", "dpkg-deb"))


def install(*packages: str) -> None:
    """Install packages without starting any service that they bring.

    Raises:
        PackagesUnavailable: apt is missing or failed.
    """
    if not can_install():
        raise PackagesUnavailable("only root can install packages, and only with apt")
    with _no_service_starts():
        arguments = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *packages]
        try:
            _run(arguments)
        except PackagesUnavailable:
            _run(["apt-get", "update", "-q"])
            _run(arguments)


def unpack(packages: list[str], folder: Path) -> None:
    """Download packages and unpack them below `folder`, whole or not at all; needs no rights.

    Raises:
        PackagesUnavailable: apt is missing, or the packages cannot be downloaded.
    """
    if not can_unpack():
        raise PackagesUnavailable("needs apt-get, apt-cache and dpkg-deb")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f".{folder.name}.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():
            return
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as name:
            archives, tree = Path(name) / "archives", Path(name) / "tree"
            archives.mkdir()
            _download(packages, archives)
            for archive in sorted(archives.glob("*.deb")):
                _run(["dpkg-deb", "-x", str(archive), str(tree)])
            tree.rename(folder)


def with_dependencies(package: str, matching: str) -> list[str]:
    """A package and those that it needs, directly or not, whose name matches; the rest is taken for installed.

    Raises:
        PackagesUnavailable: apt does not know the package.
    """
    said = _run(["apt-cache", "depends", "--recurse", *(f"--no-{kind}" for kind in OPTIONAL_RELATIONS), package])
    names = {line.strip() for line in said.splitlines() if re.match(r"^[a-z0-9]", line)}
    return [package, *sorted(name for name in names if name != package and re.search(matching, name))]


def _download(packages: list[str], folder: Path) -> None:
    """As root apt drops to its own user, which cannot write here and only warns; hence the sandbox setting."""
    command = ["apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", *packages]
    try:
        _run(command, folder)
    except PackagesUnavailable:
        # The lists may be old or absent. Whoever may not renew the system's keeps lists of his own.
        own = folder / "lists"
        (own / "partial").mkdir(parents=True)
        options = ["-o", f"Dir::State::Lists={own}", "-o", f"Dir::Cache={folder}/cache"]
        (folder / "cache" / "archives" / "partial").mkdir(parents=True)
        _run(["apt-get", "update", "-q", *options], folder)
        _run([*command, *options], folder)


def _run(command: list[str], folder: Path | None = None) -> str:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=APT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PackagesUnavailable(f"{' '.join(command[:2])}: {error}") from error
    if done.returncode != 0:
        raise PackagesUnavailable(f"{' '.join(command[:2])}: {(done.stderr or done.stdout).strip()[-500:]}")
    return done.stdout


@contextmanager
def _no_service_starts() -> Iterator[None]:
    """While the block lasts, packages may not start services (policy-rc.d, exit 101: "action forbidden by policy")."""
    policy = Path("/usr/sbin/policy-rc.d")
    if policy.exists():
        # The administrator's own policy stands; where it allows a start, that is the administrator's wish.
        yield
        return
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)
    try:
        yield
    finally:
        policy.unlink(missing_ok=True)
