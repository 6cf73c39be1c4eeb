"""Set-up: everything that a verb needs, from Python 3.11 and the package registries alone.

Standard library only. Idempotent: it does nothing, quickly, while `requirements.lock`, the members' `pyproject.toml`
and the place of the checkout are those of the last set-up. Several at once wait for each other. Not here: servers,
which the verbs start themselves (`devstack.servers`).
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from importlib import import_module
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
TOOLS = ROOT / ".tools"
LOCK = ROOT / "requirements.lock"
UV_LOCK = ROOT / "tools" / "uv.lock.txt"
STAMP = VENV / "bootstrap.json"
MINIMUM = (3, 11)


class SetupFailed(Exception):
    """What is missing and how to get it, in one line."""


def main() -> int:
    if sys.version_info < MINIMUM:
        found = ".".join(str(part) for part in sys.version_info[:3])
        print(f"set-up: needs Python 3.11 or newer, this is {found} ({sys.executable}); try: make PYTHON=python3.12")
        return 1
    if _is_current():
        return 0
    try:
        TOOLS.mkdir(exist_ok=True)
        with (TOOLS / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not _is_current():
                _set_up()
    except (SetupFailed, OSError) as error:
        print(f"set-up: {error}", file=sys.stderr)
        return 1
    return 0


def venv_python(venv: Path = VENV) -> Path:
    return venv / "bin" / "python"


def say(text: str) -> None:
    print(f"set-up: {text}", flush=True)


def run(command: list[str | Path], *, env: dict[str, str] | None = None, quiet: bool = False) -> None:
    """Run a step; its output is shown only if it fails.

    Raises:
        SetupFailed: with the last words of the step.
    """
    arguments = [str(part) for part in command]
    environment = {**os.environ, "UV_PYTHON_DOWNLOADS": "never", "PIP_DISABLE_PIP_VERSION_CHECK": "1", **(env or {})}
    # An activated environment must not be taken for ours.
    environment.pop("VIRTUAL_ENV", None)
    done = subprocess.run(
        arguments, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, cwd=ROOT
    )
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines()
        if not quiet:
            print("\n".join(words[-20:]), file=sys.stderr)
        raise SetupFailed(f"{' '.join(arguments[:4])} failed: {words[-1] if words else done.returncode}")


def find_uv(*, fetch: bool = True) -> Path | None:
    """The uv on PATH, else one in `.tools` that pip installed, else None."""
    if (found := shutil.which("uv")) is not None:
        return Path(found)
    venv = TOOLS / "uv"
    program = venv / "bin" / "uv"
    if program.exists() and _answers(program):
        return program
    if not fetch:
        return None
    try:
        python, environment = _make_venv_with_pip(venv)
        run([python, "-m", "pip", "install", "-q", "--require-hashes", "-r", UV_LOCK], env=environment, quiet=True)
    except SetupFailed as error:
        say(f"no uv, pip does its work ({error})")
        return None
    return program


def members() -> list[Path]:
    return sorted(found.parent for folder in ("libs", "services") for found in (ROOT / folder).glob("*/pyproject.toml"))


def wanted() -> dict[str, str]:
    """What a finished set-up looks like; compared with what the last one wrote down."""
    projects = [found / "pyproject.toml" for found in members()]
    return {"root": str(ROOT), "lock": _digest([LOCK]), "members": _digest(projects)}


def _digest(files: list[Path]) -> str:
    digest = hashlib.sha256()
    for file in files:
        digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()


def _done() -> dict[str, str]:
    try:
        return dict(json.loads(STAMP.read_text()))
    except (OSError, ValueError):
        return {}


def _is_current() -> bool:
    # A link to an interpreter that is gone does not exist.
    return venv_python().exists() and _done() == wanted()


def _set_up() -> None:
    started = time.monotonic()
    target, done = wanted(), _done()
    if done.get("root") != target["root"] or not _answers(venv_python()):
        # Scripts in a venv name its folder: one that moved, or lost its interpreter, is made again.
        shutil.rmtree(VENV, ignore_errors=True)
        done = {}
    uv = find_uv()
    say(f".venv with {_interpreter()} by {'uv' if uv else 'pip'}")
    STAMP.unlink(missing_ok=True)
    try:
        _install(uv, packages=done.get("lock") != target["lock"])
    except SetupFailed:
        if uv is None:
            raise
        say("uv could not; pip tries")
        _install(None, packages=True)
    provide_mke2fs()
    STAMP.write_text(json.dumps(target))
    say(f"done in {time.monotonic() - started:.0f} s")


def _install(uv: Path | None, *, packages: bool) -> None:
    """The locked packages, each by its hash, then our own members as they lie here."""
    own = [part for member in members() for part in ("-e", str(member))]
    if uv is not None:
        environment = _uv_environment()
        if not venv_python().exists():
            run([uv, "venv", "-q", "--python", _interpreter(), VENV], env=environment)
        pip: list[str | Path] = [uv, "pip", "install", "-q", "--python", venv_python()]
        # Compiled once here: each of a stack's processes would else compile what it imports, for seconds, where nothing
        # may be written beside the sources. pip does it by itself.
        first: list[str | Path] = [uv, "pip", "sync", "-q", "--python", venv_python(), "--require-hashes", LOCK]
        first.append("--compile-bytecode")
    else:
        python, environment = _make_venv_with_pip(VENV)
        pip = [python, "-m", "pip", "install", "-q"]
        first = [*pip, "--require-hashes", "-r", LOCK]
    if packages:
        run(first, env=environment)
    run([*pip, "--no-deps", "--no-build-isolation", *own], env=environment)


def _interpreter() -> str:
    """The interpreter that runs this, or the one behind it when this runs in a venv that may be removed."""
    return str(getattr(sys, "_base_executable", None) or sys.executable)


def _answers(program: Path) -> bool:
    try:
        return subprocess.run([program, "--version"], capture_output=True, check=False, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def _uv_environment() -> dict[str, str]:
    """Settings that uv lacks here: pip's index, and a cache where the user's cannot be written (no home folder)."""
    settings = _index_of_pip()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "uv"
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError:
        settings.setdefault("UV_CACHE_DIR", os.environ.get("UV_CACHE_DIR") or str(TOOLS / "uv-cache"))
    return settings


def _index_of_pip() -> dict[str, str]:
    """For uv, which does not read pip's configuration: the index that it names in place of the public one."""
    if os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("UV_INDEX_URL"):
        return {}
    asked = subprocess.run(
        [_interpreter(), "-m", "pip", "config", "get", "global.index-url"], capture_output=True, text=True, check=False
    )
    index = os.environ.get("PIP_INDEX_URL") or asked.stdout.strip()
    return {"UV_DEFAULT_INDEX": index} if index else {}


def _make_venv_with_pip(venv: Path) -> tuple[Path, dict[str, str]]:
    """A venv in which `python -m pip` works, and the environment that this takes.

    Debian's Python has no pip to put into a venv until python3-venv is installed: root gets it from apt, others borrow
    pip from the package without installing it.

    Raises:
        SetupFailed: none of the ways led to pip; one line how to get it.
    """
    python = venv_python(venv)
    if _has_pip(python, {}):
        return python, {}
    shutil.rmtree(venv, ignore_errors=True)
    try:
        run([_interpreter(), "-m", "venv", venv], quiet=True)
    except SetupFailed:
        shutil.rmtree(venv, ignore_errors=True)
    else:
        return python, {}
    debian = _debian()
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    try:
        debian.install("python3-venv", f"{version}-venv")
        run([_interpreter(), "-m", "venv", venv], quiet=True)
    except (SetupFailed, debian.PackagesUnavailable):
        shutil.rmtree(venv, ignore_errors=True)
    else:
        return python, {}
    try:
        debian.unpack(["python3-pip-whl"], TOOLS / "pip")
        wheel = next((TOOLS / "pip" / "usr/share/python-wheels").glob("pip-*.whl"))
        run([_interpreter(), "-m", "venv", "--without-pip", venv], quiet=True)
    except (SetupFailed, debian.PackagesUnavailable, StopIteration):
        raise SetupFailed(f"install uv, or the venv module of {version} (Debian: apt install python3-venv)") from None
    return python, {"PYTHONPATH": str(wheel)}


def _has_pip(python: Path, environment: dict[str, str]) -> bool:
    try:
        done = subprocess.run(
            [python, "-m", "pip", "--version"], env={**os.environ, **environment}, capture_output=True, check=False
        )
    except OSError:
        return False
    return done.returncode == 0


def provide_mke2fs() -> None:
    """mke2fs, with which the ESXi simulator makes its guests' file systems: the system's, else one beside `python`."""
    if shutil.which("mke2fs", path=f"{os.environ.get('PATH', '')}:/sbin:/usr/sbin") or (VENV / "bin/mke2fs").exists():
        return
    debian = _debian()
    try:
        debian.install("e2fsprogs")
    except debian.PackagesUnavailable:
        pass
    else:
        return
    folder = TOOLS / "e2fsprogs"
    try:
        debian.unpack(
            debian.with_dependencies("e2fsprogs", r"^(libext2fs2|libcom-err2|libss2|libblkid1|libuuid1)"), folder
        )
    except debian.PackagesUnavailable as error:
        say(f"the ESXi simulator will need mke2fs (package e2fsprogs), which could not be had: {error}")
        return
    program = next(found for found in (folder / "sbin/mke2fs", folder / "usr/sbin/mke2fs") if found.exists())
    libraries = ":".join(str(found) for part in ("lib", "usr/lib") for found in (folder / part).glob("*-linux-gnu*"))
    wrapper = VENV / "bin/mke2fs"
    wrapper.write_text(f'#!/bin/sh\nLD_LIBRARY_PATH="{libraries}" exec "{program}" "$@"\n')
    wrapper.chmod(0o755)


def _debian() -> ModuleType:
    """The module that knows apt: standard library only, so it works before anything is installed."""
    if (folder := str(ROOT / "libs/devstack/src")) not in sys.path:
        sys.path.insert(0, folder)
    return import_module("devstack.servers.debian")


if __name__ == "__main__":
    sys.exit(main())
