"""Which waiting tasks may start: limits per host, datastore and organization, and fairness between organizations."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Limits:
    """How many tasks may be under way at once; each is a setting of the deployment."""

    per_server: int = 4
    per_datastore: int = 4
    per_organization: int = 8
    in_all: int = 200


@dataclass(frozen=True, slots=True)
class Candidate:
    """A task, as far as admission looks at it."""

    tenant_id: UUID
    task_id: UUID
    server_id: UUID
    datastore: str | None
    vm_id: UUID | None = None

    @property
    def storage(self) -> tuple[UUID, str] | None:
        """Datastores are told apart within their host: the ids of two hosts may be equal."""
        return None if self.datastore is None else (self.server_id, self.datastore)


class _Places:
    def __init__(self, limits: Limits, taken: Iterable[Candidate]) -> None:
        self._limits = limits
        self.organizations: Counter[UUID] = Counter()
        self._servers: Counter[UUID] = Counter()
        self._storages: Counter[tuple[UUID, str]] = Counter()
        self._machines: set[UUID] = set()
        self.total = 0
        for candidate in taken:
            self.take(candidate)

    def take(self, candidate: Candidate) -> None:
        self.total += 1
        self.organizations[candidate.tenant_id] += 1
        self._servers[candidate.server_id] += 1
        if candidate.storage is not None:
            self._storages[candidate.storage] += 1
        if candidate.vm_id is not None:
            self._machines.add(candidate.vm_id)

    def free_for(self, candidate: Candidate) -> bool:
        limits = self._limits
        return (
            self.organizations[candidate.tenant_id] < limits.per_organization
            and self._servers[candidate.server_id] < limits.per_server
            and (candidate.storage is None or self._storages[candidate.storage] < limits.per_datastore)
            and candidate.vm_id not in self._machines
        )


def admit(waiting: Iterable[Candidate], taken: Iterable[Candidate], limits: Limits) -> list[Candidate]:
    """The tasks to admit now, in order.

    The next place goes to the organization that has the fewest, so a thousand tasks of one do not keep another
    waiting; within an organization the oldest that fits goes first, and one virtual machine has one task at a time.

    Args:
        waiting: oldest first.
        taken: tasks that are ready or running.
        limits: how many of each.
    """
    places = _Places(limits, taken)
    queues: dict[UUID, deque[Candidate]] = defaultdict(deque)
    for candidate in waiting:
        queues[candidate.tenant_id].append(candidate)
    admitted: list[Candidate] = []
    while queues and places.total < limits.in_all:
        tenant_id = min(queues, key=lambda tenant: (places.organizations[tenant], str(tenant)))
        queue = queues[tenant_id]
        chosen = next((candidate for candidate in queue if places.free_for(candidate)), None)
        if chosen is None:
            del queues[tenant_id]
            continue
        queue.remove(chosen)
        if not queue:
            del queues[tenant_id]
        places.take(chosen)
        admitted.append(chosen)
    return admitted
