"""The fact by which a row of a service's audit log reaches the view of all of them."""

from datetime import UTC, datetime
from typing import Any, ClassVar, Self
from uuid import UUID

from common.messaging.fact import Fact


class AuditRecorded(Fact):
    """Somebody did something in an organization or, where none is named, for the platform.

    The row is sealed under ``number`` in its service's chain.
    ``details`` may name what was changed, with ``before`` and ``after``: an audit that leaves that out is none.
    """

    name: ClassVar[str] = "audit.recorded"

    id: UUID
    number: int
    at: datetime
    actor: str
    action: str
    target: str
    reason: str
    address: str | None
    details: dict[str, Any]

    @classmethod
    def example(cls) -> Self:
        return cls(
            id=UUID("01980000-0000-7000-8000-00000000000a"),
            number=7,
            at=datetime(2026, 11, 22, 12, tzinfo=UTC),
            actor="01980000-0000-7000-8000-000000000002",
            action="esxi_server.registered",
            target="01980000-0000-7000-8000-00000000000b",
            reason="",
            address="192.0.2.1",
            details={"after": {"hostname": "esxi-1"}},
        )
