"""Run one command of every service, or of one: `services.py migrate [billing]`, `services.py contracts [--check]`."""

import os
import subprocess
import sys
from pathlib import Path

from bootstrap import ROOT

WITHOUT_DATABASE = {"gateway"}
"""Services that have nothing to migrate."""


def services() -> list[Path]:
    return sorted(found.parent for found in (ROOT / "services").glob("*/pyproject.toml"))


def run(service: Path, *arguments: str) -> int:
    package = service.name.replace("-", "_")
    return subprocess.run([sys.executable, "-m", package, *arguments], cwd=ROOT, env=os.environ, check=False).returncode


def main() -> int:
    command, *rest = sys.argv[1:]
    names = [part for part in rest if not part.startswith("-")]
    options = [part for part in rest if part.startswith("-")]
    chosen = [service for service in services() if not names or service.name in names]
    if not chosen:
        print(f"no service is called {names[0]}; there are: {', '.join(service.name for service in services())}")
        return 2
    if command == "migrate":
        chosen = [service for service in chosen if service.name not in WITHOUT_DATABASE]
    failed = [service.name for service in chosen if run(service, command, *options) != 0]
    if failed:
        print(f"{command} failed for: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
