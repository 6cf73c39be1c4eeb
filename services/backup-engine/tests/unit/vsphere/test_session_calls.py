"""A call to a host that is given up is given up, whatever arrives at that moment."""

import asyncio
from concurrent.futures import Executor, Future
from typing import Any

import pytest
from backup_engine.adapters.vsphere.dialer import Dialer, DialPolicy, PinnedHost
from backup_engine.adapters.vsphere.session import Session
from backup_engine.adapters.vsphere.soap import PinnedStub
from backup_engine.ports.hypervisor import no_fence
from backup_engine.ports.hypervisor_values import Credentials

pytestmark = pytest.mark.unit


class ByHand(Executor):
    """Threads whose calls end when the test says so."""

    def __init__(self) -> None:
        self.calls: list[Future[Any]] = []

    def submit(self, *_: Any, **__: Any) -> Future[Any]:
        self.calls.append(Future())
        return self.calls[-1]


async def test_a_cancellation_that_comes_with_the_answer_is_not_lost() -> None:
    """Else the task that keeps a lease alive outlives its lease, and the backup waits for it for ever."""
    pinned, threads = PinnedHost("esxi.example", 443, "192.0.2.1", "00" * 32), ByHand()
    session = Session(
        Dialer(DialPolicy(allow=(), deny=(), allow_loopback=False)), pinned, Credentials("root", "x"), threads, no_fence
    )  # type: ignore[arg-type]
    call = asyncio.create_task(session.call("CurrentTime", lambda: None))
    await asyncio.sleep(0)
    threads.calls[0].set_result("noon")
    await asyncio.sleep(0)
    assert call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


class Plug:
    """A connection that knows whether it was closed."""

    sock = None
    closed = False

    def close(self) -> None:
        self.closed = True


def test_a_connection_that_comes_back_after_the_end_is_closed() -> None:
    """A thread whose call nobody waits for any more gives it back late; the pool that nobody looks at would keep it."""
    stub = PinnedStub(PinnedHost("esxi.example", 443, "192.0.2.1", "00" * 32))
    in_time, late = Plug(), Plug()
    stub.ReturnConnection(in_time)
    assert not in_time.closed
    stub.close()
    assert in_time.closed
    stub.ReturnConnection(late)
    assert late.closed
