"""Who an organization is on its invoices, and whom to reach."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Particulars:
    """As an owner or admin entered them; `rccm` and `niu` are Cameroon's register and taxpayer numbers."""

    name: str
    email: str
    phone: str | None = None
    address: str | None = None
    rccm: str | None = None
    niu: str | None = None
    technical_email: str | None = None
