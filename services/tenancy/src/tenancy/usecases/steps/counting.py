"""Counting tries before they are made, and giving back those that were right."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Self

from tenancy.domain.attempts import Limit
from tenancy.persistence.unit_of_work import UnitOfWork

Counted = tuple[Limit, bytes]


@dataclass(frozen=True, slots=True)
class Tries:
    """Tries that were counted. `wait` is set where there have been too many."""

    counted: tuple[Counted, ...]
    wait: timedelta | None

    @classmethod
    async def take(cls, uow: UnitOfWork, *counted: Counted) -> Self:
        """Count one try under each; always in one order, so that two never wait for each other."""
        now = uow.clock.now()
        ordered = tuple(sorted(counted, key=lambda one: (one[0].kind, one[1])))
        waits = [(await uow.attempts.take(limit, subject, now)).wait(limit, now) for limit, subject in ordered]
        return cls(ordered, max((wait for wait in waits if wait is not None), default=None))

    async def give_back(self, uow: UnitOfWork) -> None:
        """Take them off the counts again: it was right."""
        for limit, subject in self.counted:
            await uow.attempts.give_back(limit, subject)
