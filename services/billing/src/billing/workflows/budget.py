"""How often each provider is asked, by all processes together; each question is paid for before it is asked."""

from dataclasses import dataclass

from billing.domain.plan import Method
from billing.persistence.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Budget:
    """So many questions per provider and second."""

    calls_per_second: int

    async def spend(self, uow: UnitOfWork, method: Method) -> bool:
        """Take one question from a provider's budget; False when it is used up for the moment."""
        return await uow.polling.spend(method, self.calls_per_second)
