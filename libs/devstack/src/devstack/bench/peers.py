"""The programs that we are measured against: found on PATH, installed only when asked to."""

import os
import shutil
import subprocess

from devstack.servers import debian

PACKAGES = {"restic": "restic", "nginx": "nginx-light"}
"""Debian's package of each."""

_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
"""Debian keeps nginx where only root looks."""


def find(program: str) -> str | None:
    """Return the program's path, None where it is not installed."""
    return shutil.which(program, path=_PATH)


def absent(program: str) -> str:
    """Say why there is no figure and how to get one."""
    return f"no {program} on PATH (as root: ARGS=--get-peers installs Debian's {PACKAGES[program]})"


def get() -> list[str]:
    """Install what is missing, by apt as root; return what could not be had, with reasons."""
    refused = []
    for program, package in PACKAGES.items():
        if find(program) is None:
            try:
                debian.install(package)
            except debian.PackagesUnavailable as error:
                refused.append(f"{program}: {error}")
    return refused


def version(path: str, argument: str) -> str:
    """Return the first line of what a program says of itself (nginx does so on stderr)."""
    said = subprocess.run([path, argument], capture_output=True, text=True, check=True)
    return (said.stdout or said.stderr).strip().splitlines()[0]
