"""`make check`: format, lint, types, boundaries, contracts, manifests. All run; one line each; exit 1 if any fails.

`check.py types manifests` runs the named ones only.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import compose_check
import manifests
from bootstrap import ROOT, members

PYTHON_FOLDERS = [*members(), ROOT / "tools", ROOT / "tests", ROOT / "conftest.py"]


def program(name: str) -> str:
    """A program of the same environment as this Python."""
    return str(Path(sys.executable).with_name(name))


def run(*command: str | Path) -> str:
    """Run a checker; returns what it has to say, nothing when it is content."""
    environment = {**os.environ, "MYPYPATH": os.pathsep.join(map(str, _import_folders()))}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return "" if done.returncode == 0 else (done.stdout + done.stderr).strip() or f"exit code {done.returncode}"


def formatting() -> str:
    return run(program("ruff"), "format", "--check", *PYTHON_FOLDERS)


def lint() -> str:
    return run(program("ruff"), "check", "--output-format", "concise", *PYTHON_FOLDERS)


def types() -> str:
    """mypy, member by member: a member must be right by itself."""
    folders: list[list[Path]] = [[member / "src"] for member in members()]
    folders.append([*sorted((ROOT / "tools").glob("*.py")), ROOT / "conftest.py"])
    said = (run(sys.executable, "-m", "mypy", "--strict", *folder) for folder in folders)
    return "\n".join(text for text in said if text)


def boundaries() -> str:
    return run(program("lint-imports"), "--no-cache")


def contracts() -> str:
    return run(sys.executable, ROOT / "tools" / "services.py", "contracts", "--check")


def manifest_files() -> str:
    return "\n".join([*manifests.problems(), *(f"docker-compose.yml: {text}" for text in compose_check.problems())])


def _import_folders() -> list[Path]:
    return [*(member / "src" for member in members()), ROOT / "tools"]


CHECKS: dict[str, Callable[[], str]] = {
    "format": formatting,
    "lint": lint,
    "types": types,
    "boundaries": boundaries,
    "contracts": contracts,
    "manifests": manifest_files,
}


def main() -> int:
    wanted = sys.argv[1:] or list(CHECKS)
    if unknown := [name for name in wanted if name not in CHECKS]:
        print(f"no check is called {unknown[0]}; there are: {', '.join(CHECKS)}")
        return 2
    failed = []
    for name in wanted:
        started = time.monotonic()
        trouble = CHECKS[name]()
        if trouble:
            failed.append(name)
            print(trouble)
        print(f"{name}: {'FAILED' if trouble else 'ok'} ({time.monotonic() - started:.1f} s)", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
