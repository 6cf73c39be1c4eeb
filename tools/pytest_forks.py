"""Runs pytest in children that are forked from a process which has imported what no mutation changes.

To import the libraries takes a third of the time of a short test. This process imports them once, and nothing of the
product; each child imports the product from the copy of the sources that it is told, and ends with its run.

Started with the import packages of the product as arguments, and with PYTHONPATH where they are found. Each line of its
input is a run as JSON, the arguments of `_run`; it answers with the pid of the child, which leads a process group, and
then with its exit code.
"""

import importlib.util
import json
import os
import pkgutil
import signal
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import NoReturn

SITE = Path(sysconfig.get_path("purelib"))
ALREADY_IMPORTED = "ignore::pytest.PytestAssertRewriteWarning"
"""Pytest would rewrite the assertions of plugins that are libraries; they were imported before it began."""


def libraries(packages: list[str]) -> list[str]:
    """Names of the modules outside the packages that importing all of them brings, found in a child."""
    reader, writer = os.pipe()
    if pid := os.fork():
        os.close(writer)
        with os.fdopen(reader) as stream:
            names: list[str] = json.load(stream)
        os.waitpid(pid, 0)
        return names
    for name in _modules(packages):
        with suppress(Exception, SystemExit):
            importlib.import_module(name)
    with os.fdopen(writer, "w") as stream:
        json.dump([name for name, module in sys.modules.items() if _is_library(module)], stream)
    os._exit(0)


def _modules(packages: list[str]) -> Iterator[str]:
    for package in packages:
        found = importlib.util.find_spec(package)
        folders = found.submodule_search_locations if found else None
        for module in pkgutil.walk_packages(folders, f"{package}."):
            # A migration runs when it is imported, and a main module is a program.
            if "migrations" not in module.name and not module.name.endswith("__main__"):
                yield module.name


def _is_library(module: ModuleType) -> bool:
    file = getattr(module, "__file__", None)
    return bool(file) and SITE in Path(str(file)).parents


def serve(packages: list[str]) -> None:
    """Import the libraries, then run what is asked until the input ends."""
    for name in libraries(packages):
        with suppress(Exception):
            importlib.import_module(name)
    for line in sys.stdin:
        if not (pid := os.fork()):
            _run(**json.loads(line))
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _run(arguments: list[str], folder: str, environment: dict[str, str], output: str) -> NoReturn:
    """Become a run of pytest, as `python -m pytest` in the folder would be; never returns."""
    code = 1
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number, flags in ((0, os.O_RDONLY), (1, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)):
            os.dup2(os.open(output if number else os.devnull, flags, 0o600), number)
        os.dup2(1, 2)
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        sys.path.insert(0, folder)
        importlib.invalidate_caches()
        import pytest

        code = int(pytest.main([*arguments, "-W", ALREADY_IMPORTED]))
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


if __name__ == "__main__":
    serve(sys.argv[1:])
