"""A pytest plugin for `tools/test.py`: the files of a folder whose tests share a running stack go to one worker.

The stack is a fixture of the session, and each worker has a session of its own: a stack costs more than a worker saves.
"""

from typing import Any

import pytest

FOLDERS = ("tests/crashes/",)


def scope_of(test: str) -> str:
    """Return what goes to one worker as a whole: the test's folder where it shares a stack, else its file."""
    return next((folder for folder in FOLDERS if test.startswith(folder)), test.partition("::")[0])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Distribute by file as ``--dist loadfile`` does, but for `FOLDERS`."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler.loadfile import LoadFileScheduling

    class OneStack(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return scope_of(nodeid)

    return OneStack(config, log)
