"""The audit log of an organization, and that of the platform, over all services, newest first."""

from datetime import datetime
from typing import Any
from uuid import UUID

from common.persistence.mechanisms import audit_log
from sqlalchemy import Select, Subquery, func, literal, select, tuple_, union_all
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncSession

from tenancy.domain.audit import AuditEntry, AuditFilter
from tenancy.persistence.tables import audit_entries, platform_audit_entries

SHOWN = ("id", "number", "at", "actor", "action", "target", "reason", "address", "details")


class AuditTrail:
    """Tenancy's own audit log and what the other services told of theirs."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, tenant_id: UUID, entry: AuditEntry) -> None:
        """Keep what another service recorded; a second time changes nothing."""
        values = {name: getattr(entry, name) for name in SHOWN}
        await self._session.execute(
            upsert(audit_entries).values(tenant_id=tenant_id, source=entry.source, **values).on_conflict_do_nothing()
        )

    async def add_platforms(self, entry: AuditEntry) -> None:
        """Keep what another service recorded for the platform; a second time changes nothing. For the inbox's door."""
        values = {name: getattr(entry, name) for name in SHOWN}
        await self._session.execute(
            upsert(platform_audit_entries).values(source=entry.source, **values).on_conflict_do_nothing()
        )

    async def page(
        self, tenant_id: UUID, wanted: AuditFilter, *, before: tuple[datetime, UUID] | None, limit: int
    ) -> list[AuditEntry]:
        """Entries that fit, newest first, older than `before`."""
        return await self._merged(
            self._narrowed(_own(tenant_id), audit_log, wanted, before, limit),
            self._narrowed(_others(tenant_id), audit_entries, wanted, before, limit),
            limit=limit,
        )

    async def platform_page(
        self, wanted: AuditFilter, *, before: tuple[datetime, UUID] | None, limit: int
    ) -> list[AuditEntry]:
        """Entries of no organization, newest first. Needs `for_system("staff")`."""
        return await self._merged(
            self._narrowed(_own(None), audit_log, wanted, before, limit),
            self._narrowed(_of_the_platform(), platform_audit_entries, wanted, before, limit),
            limit=limit,
        )

    async def _merged(self, own: Select[Any], others: Select[Any], *, limit: int) -> list[AuditEntry]:
        entries = union_all(own, others).subquery()
        found = select(entries).order_by(entries.c.at.desc(), entries.c.id.desc()).limit(limit)
        return [AuditEntry(**row) for row in (await self._session.execute(found)).mappings()]

    @staticmethod
    def _narrowed(
        found: Select[Any], table: Any, wanted: AuditFilter, before: tuple[datetime, UUID] | None, limit: int
    ) -> Select[Any]:
        """Each half sorted and cut by itself, so that its index serves it however long the log is."""
        if wanted.actor is not None:
            found = found.where(table.c.actor == wanted.actor)
        if wanted.target is not None:
            found = found.where(table.c.target == wanted.target)
        if wanted.action is not None:
            noun = wanted.action.endswith(".")
            # starts_with, unlike LIKE, takes the text as it is.
            found = found.where(
                func.starts_with(table.c.action, wanted.action) if noun else table.c.action == wanted.action
            )
        if wanted.since is not None:
            found = found.where(table.c.at >= wanted.since)
        if wanted.until is not None:
            found = found.where(table.c.at < wanted.until)
        if before is not None:
            found = found.where(tuple_(table.c.at, table.c.id) < tuple_(literal(before[0]), literal(before[1])))
        cut: Subquery = found.order_by(table.c.at.desc(), table.c.id.desc()).limit(limit).subquery()
        return select(cut)


def _own(tenant_id: UUID | None) -> Select[Any]:
    columns = [audit_log.c[name] for name in SHOWN]
    return select(literal("tenancy").label("source"), *columns).where(
        audit_log.c.tenant_id.is_(None) if tenant_id is None else audit_log.c.tenant_id == tenant_id
    )


def _others(tenant_id: UUID) -> Select[Any]:
    columns = [audit_entries.c[name] for name in SHOWN]
    return select(audit_entries.c.source, *columns).where(audit_entries.c.tenant_id == tenant_id)


def _of_the_platform() -> Select[Any]:
    columns = [platform_audit_entries.c[name] for name in SHOWN]
    return select(platform_audit_entries.c.source, *columns)
