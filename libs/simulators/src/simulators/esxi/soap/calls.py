"""The table of calls and what every call goes through: session, licence, rules.

Handlers are registered by WSDL name with `@call`; their modules are imported by `soap.endpoint`.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from simulators.esxi.model.host import EsxHost
from simulators.esxi.model.operations import in_progress
from simulators.esxi.model.sessions import Session
from simulators.esxi.model.tasks import Task
from simulators.esxi.model.vm import Vm
from simulators.esxi.soap.collector import Collector
from simulators.esxi.vmodl import vim


@dataclass
class Call:
    """One call under way. `state` is what `target` refers to."""

    host: EsxHost
    name: str
    target: Any
    state: Any
    args: dict[str, Any]
    session: Session
    collector: Collector

    def task(self, label: str, work: Callable[[Task], Awaitable[Any]], vm: Vm | None = None) -> Any:
        """Start a task (under the rules for tasks of this call) and return its reference.

        With `vm` the VM is busy until it ends.

        Raises:
            vim.fault.TaskInProgress: the VM is busy with another task.
        """
        if vm is not None and vm.busy is not None:
            raise in_progress("Another task is already in progress.", vm)

        async def guarded(task: Task) -> Any:
            try:
                await apply_task_rules(self.host, self.name)
                return await work(task)
            finally:
                if vm is not None:
                    vm.busy = None

        entity = self.target if vm is None else vim.VirtualMachine(vm.moid)
        task = self.host.tasks.start(label, entity, self.session.user or "", guarded)
        if vm is not None:
            vm.busy = task
        self.host.changed()
        return vim.Task(task.moid)


Handler = Callable[[Call], Any]
CALLS: dict[str, Handler] = {}
WRITES: set[str] = set()
"""Calls that a free licence refuses."""
OPEN: set[str] = set()
"""Calls that need no session."""


def call(name: str, *, writes: bool = False, open_to_all: bool = False) -> Callable[[Handler], Handler]:
    """Register a handler, plain or async, for a WSDL method name."""

    def register(handler: Handler) -> Handler:
        CALLS[name] = handler
        if writes:
            WRITES.add(name)
        if open_to_all:
            OPEN.add(name)
        return handler

    return register


async def apply_task_rules(host: EsxHost, name: str) -> None:
    """Delay or fail inside a task, as the rules say."""
    import asyncio

    slow = host.faults.take(name, "delay", in_task=True)
    if slow is not None:
        await asyncio.sleep(float(slow.detail.get("seconds", 1)))
    failing = host.faults.take(name, "fault", in_task=True)
    if failing is not None:
        raise failing.make_fault()
