"""Rights that are missing are named before anything is made."""

from types import SimpleNamespace
from typing import Any

import pytest
from backup_engine.adapters.vsphere.privileges import NEEDED, missing_privileges
from backup_engine.adapters.vsphere.vmodl import vmodl


class Session:
    """As much of a session as is asked of it."""

    key = "session-1"

    def __init__(self, answer: Any) -> None:
        self.asked: dict[str, Any] = {}
        self.content = SimpleNamespace(authorizationManager=SimpleNamespace(HasPrivilegeOnEntity=self._answer))
        self._result = answer

    def managed(self, _: Any, moid: str) -> str:
        return moid

    def _answer(self, **asked: Any) -> Any:
        self.asked = asked
        if isinstance(self._result, Exception):
            raise self._result
        return self._result

    async def call(self, _: str, function: Any, **__: Any) -> Any:
        return function()


@pytest.mark.invariant("D29")
async def test_exactly_the_missing_privileges_are_listed() -> None:
    session = Session([name != "VirtualMachine.State.CreateSnapshot" for name in NEEDED])
    assert await missing_privileges(session, "7") == ("VirtualMachine.State.CreateSnapshot",)
    assert session.asked == {"entity": "7", "sessionId": "session-1", "privId": list(NEEDED)}


async def test_an_account_with_every_right_misses_none() -> None:
    assert await missing_privileges(Session([True] * len(NEEDED)), "7") == ()


async def test_a_host_that_cannot_say_is_not_a_failure() -> None:
    assert await missing_privileges(Session(vmodl.fault.NotSupported()), "7") == ()
