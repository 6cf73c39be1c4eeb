"""What every transaction can do besides its service's own repositories: publish a fact, send a mail, audit.

All three are rows in the same transaction as the act, so that they happen exactly when it does.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import func, insert, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from common.clock import Clock
from common.ids import uuid7
from common.messaging.envelope import Envelope, current_envelope
from common.persistence.mechanisms import audit_log, erasures, mails, outbox
from common.persistence.scope import Scope
from common.telemetry.context import client_address, correlation_id, impersonator, traceparent

if TYPE_CHECKING:
    from common.messaging.fact import Fact


@dataclass(frozen=True, slots=True)
class MailMessage:
    """One mail. ``key`` is unique per tenant: a second mail with the same key is dropped, so a replay sends none.

    ``attachment`` names a document of the service's, such as ``invoice:<id>``; it is made when the mail is sent.
    """

    to: str
    subject: str
    text: str
    html: str | None
    key: str
    language: str = "fr"
    attachment: str | None = None


class Transaction:
    """One open transaction; services derive their ``UnitOfWork`` from it and add repositories."""

    source: str = ""
    """Name of the service, the ``source`` of its events; the derived class sets it."""

    region: str = "default"

    def __init__(self, session: AsyncSession, scope: Scope, clock: Clock) -> None:
        self.session = session
        self.scope = scope
        self.clock = clock

    @property
    def tenant_id(self) -> UUID:
        """The tenant for whom this transaction was opened; using it in another scope is a bug and raises."""
        if self.scope.tenant_id is None:
            msg = "this transaction was not opened for a tenant"
            raise RuntimeError(msg)
        return self.scope.tenant_id

    async def publish(
        self, fact: "Fact", *, subject: str, tenant_id: UUID | None = None, aggregate_version: int = 1
    ) -> UUID:
        """Put a fact into the outbox; it is on its way exactly when this transaction commits.

        Args:
            fact: What happened.
            subject: Id of the thing it happened to.
            tenant_id: Whose fact it is; by default the transaction's tenant.
            aggregate_version: Grows with each state of the subject; consumers ignore older states.

        Returns:
            The event's id.
        """
        cause = current_envelope()
        event_id = uuid7()
        envelope = Envelope(
            id=event_id,
            source=self.source,
            type=fact.event_type(),
            time=self.clock.now(),
            subject=subject,
            tenantid=tenant_id or self.scope.tenant_id,
            region=self.region,
            correlationid=cause.correlationid if cause else correlation_id(),
            causationid=str(cause.id) if cause else None,
            traceparent=traceparent(),
            dataschema=fact.schema_uri(),
            aggregateversion=aggregate_version,
            data=fact.model_dump(mode="json"),
        )
        await self.session.execute(
            insert(outbox)
            .inline()
            .values(
                id=event_id,
                tenant_id=envelope.tenantid,
                type=envelope.type,
                envelope=envelope.model_dump(mode="json"),
                created_at=self.clock.now(),
            )
        )
        return event_id

    async def send_mail(self, message: MailMessage) -> None:
        """Queue a mail; the mailer sends it after the commit and tries again until the server takes it."""
        await self.session.execute(
            upsert(mails)
            .values(
                tenant_id=self.scope.tenant_id,
                id=uuid7(),
                key=message.key,
                recipient=message.to,
                subject=message.subject,
                body_text=message.text,
                body_html=message.html,
                language=message.language,
                attachment=message.attachment,
                created_at=self.clock.now(),
                next_attempt_at=self.clock.now(),
            )
            .on_conflict_do_nothing()
        )

    async def audit(
        self,
        action: str,
        target: str,
        *,
        actor: UUID | str,
        reason: str = "",
        details: dict[str, Any] | None = None,
        before: dict[str, Any] | None = None,
        after: dict[str, Any] | None = None,
        tenant_id: UUID | None = None,
    ) -> None:
        """Append a row to the audit log, in the same transaction as the act that it tells of.

        Args:
            action: What was done, ``noun.verbed``.
            target: Id of what it was done to.
            actor: Id of the person, or the name of what acted.
            reason: Why, in the actor's words.
            details: What else is worth knowing; no secrets.
            before: What the changed fields were.
            after: What they are now.
            tenant_id: Whose log it is; by default the transaction's tenant, the platform's where there is none.
        """
        changed: dict[str, Any] = {
            name: value for name, value in (("before", before), ("after", after)) if value is not None
        }
        if (acting := impersonator()) is not None:
            changed["impersonator"] = acting
        await self.session.execute(
            insert(audit_log).values(
                tenant_id=tenant_id or self.scope.tenant_id,
                id=uuid7(),
                at=self.clock.now(),
                actor=str(actor),
                action=action,
                target=target,
                reason=reason,
                details=(details or {}) | changed,
                correlation_id=correlation_id(),
                address=client_address(),
            )
        )

    async def request_erasure(self) -> None:
        """Let the tenant's rows be erased after this transaction; a second request changes nothing."""
        wanted = upsert(erasures).values(tenant_id=self.tenant_id, requested_at=self.clock.now())
        await self.session.execute(wanted.on_conflict_do_nothing())

    async def database_now(self) -> Any:
        """Return the database's clock: leases are measured by it, not by any machine's own."""
        return await self.session.scalar(select(func.clock_timestamp()))

    async def count_changed(self, statement: Any) -> int:
        """Run an UPDATE or DELETE and return how many rows it changed (0 under RLS means: not yours)."""
        result: Any = await self.session.execute(statement)
        return int(result.rowcount)
