"""For whom a transaction is opened."""

from dataclasses import dataclass
from uuid import UUID

TENANT_SETTING = "app.tenant_id"
USER_SETTING = "app.user_id"


@dataclass(frozen=True, slots=True)
class Scope:
    """Exactly one of tenant, person or system role: which door a transaction went through; the eraser's names both
    its role and the one tenant whose rows it takes.
    """

    tenant_id: UUID | None = None
    user_id: UUID | None = None
    role: str | None = None

    acting_user_id: UUID | None = None
    """The person on whose behalf a tenant's transaction runs; only idempotency keys look at it."""

    def settings(self) -> dict[str, str]:
        """Return the PostgreSQL settings that the policies read, with their values; none for system roles."""
        person = self.user_id or self.acting_user_id
        settings = {} if person is None else {USER_SETTING: str(person)}
        if self.tenant_id is not None:
            settings[TENANT_SETTING] = str(self.tenant_id)
        return settings
