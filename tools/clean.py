"""`make clean`: end what `make up` started and remove what set-up, runs and tests made. The vault of `make up` too."""

import shutil
import subprocess
import sys
from importlib import import_module

from bootstrap import ROOT, TOOLS, VENV, venv_python

FOLDERS = (".devstack", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", ".import_linter_cache", "dist")


def main() -> int:
    # Tests end what they start; anything else in there is a stack's.
    if venv_python().exists() and any(found.name != "tests" for found in (ROOT / ".devstack").glob("*")):
        ended = subprocess.run([venv_python(), "-m", "devstack", "down"], cwd=ROOT, check=False)
        if ended.returncode != 0:
            print("clean: what `make up` started did not end; nothing was removed")
            return 1
    # Standard library only, so it works after the environment is gone.
    sys.path.insert(0, str(ROOT / "libs/devstack/src"))
    for placed in import_module("devstack.servers.placement").remove_placed(ROOT):
        print(f"clean: {placed}")
    for folder in (*(ROOT / name for name in FOLDERS), VENV, TOOLS):
        if folder.exists():
            shutil.rmtree(folder)
            print(f"clean: {folder.relative_to(ROOT)}")
    for cache in [*ROOT.glob("*/**/__pycache__"), ROOT / "__pycache__"]:
        shutil.rmtree(cache, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
