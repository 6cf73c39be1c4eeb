"""`make test-vcsim`: our vSphere adapter against govmomi's simulator, a second opinion on the control plane.

Debian has it as a Go library; `tools/vcsim/main.go` makes a program of it. Nothing is installed unless asked.

Exit codes: 0 all passed · 1 some failed · 3 Go or the library is missing.
"""

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

from bootstrap import ROOT, TOOLS
from devstack.servers.debian import PackagesUnavailable, install
from testing_run import end_on_signals, run_pytest, servers

PACKAGES = ("golang-1.19-go", "golang-github-vmware-govmomi-dev", "golang-github-google-uuid-dev")
GO_FOLDERS = Path("/usr/lib")
LIBRARIES = Path("/usr/share/gocode")
"""Where Debian's Go libraries are: a GOPATH."""
SOURCE = ROOT / "tools" / "vcsim" / "main.go"
PROGRAM_SETTING = "EBM_TEST_VCSIM"
"""Path of the program; the tests are collected only when it is set."""
TESTS = "services/backup-engine/tests/vcsim"


class BuildFailed(Exception):
    """The launcher does not compile; the message is the compiler's."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, epilog="Further arguments go to pytest.")
    parser.add_argument("--install", action="store_true", help=f"let apt install {', '.join(PACKAGES)} (as root)")
    asked, further = parser.parse_known_args()
    end_on_signals()
    if (go := _go()) is None or not _has_libraries():
        try:
            go = _installed() if asked.install else None
        except PackagesUnavailable as error:
            print(f"could not be installed: {error}")
        if go is None:
            print(f"not run: needs Go and govmomi (Debian: apt-get install {' '.join(PACKAGES)};")
            print("as root also: make test-vcsim ARGS=--install)")
            return 3
    try:
        os.environ[PROGRAM_SETTING] = str(build(go))
    except BuildFailed as error:
        print(f"tools/vcsim does not compile:\n{error}")
        return 1
    with servers(wanted=False) as found:
        outcome = run_pytest([TESTS, *further], found)
    print(", ".join(f"{outcome.count(what)} {what}" for what in ("passed", "failed", "skipped")))
    return 0 if outcome.exit_code == 0 else 1


def _go() -> str | None:
    """The compiler: on PATH, else Debian's newest, which is not."""
    if found := shutil.which("go"):
        return found
    versions = sorted(GO_FOLDERS.glob("go-*/bin/go"), key=lambda path: _numbers(path.parts[-3]))
    return str(versions[-1]) if versions else None


def _numbers(name: str) -> list[int]:
    return [int(part) for part in name.removeprefix("go-").split(".") if part.isdigit()]


def _has_libraries() -> bool:
    wanted = ("github.com/vmware/govmomi/simulator", "github.com/google/uuid")
    return all((LIBRARIES / "src" / name).is_dir() for name in wanted)


def _installed() -> str | None:
    install(*PACKAGES)
    return _go()


def build(go: str) -> Path:
    """Compile the launcher unless it is newer than its source; half a minute the first time.

    Raises:
        BuildFailed: With what the compiler said.
    """
    folder = TOOLS / "vcsim"
    program = folder / "vcsim"
    if program.exists() and program.stat().st_mtime > SOURCE.stat().st_mtime:
        return program
    folder.mkdir(parents=True, exist_ok=True)
    environment = {
        **os.environ,
        "GOPATH": str(LIBRARIES),
        "GOCACHE": str(folder / "cache"),
        "GO111MODULE": "off",
        "GOPROXY": "off",
        "GOFLAGS": "",
        "CGO_ENABLED": "0",
    }
    partial = folder / f"vcsim.{os.getpid()}"
    command = [go, "build", "-trimpath", "-ldflags", "-s -w", "-o", str(partial), str(SOURCE)]
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise BuildFailed(done.stderr.strip())
    return partial.replace(program)


if __name__ == "__main__":
    sys.exit(main())
