"""Single sign-on as rows: an organization's own through `for_tenant`, across them through `for_system("auth")`."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import RowMapping, delete, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from tenancy.domain.sign_in_rules import SignInRules
from tenancy.domain.sso import ProvenDomain
from tenancy.persistence.tables import sign_in_rules, sso_connections, sso_domains, sso_identities, sso_states


class SignInRulesRows:
    """What organizations demand of sessions."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def of(self, tenant_ids: Iterable[UUID]) -> dict[UUID, SignInRules]:
        """The rules of those organizations that have some."""
        found = select(sign_in_rules).where(sign_in_rules.c.tenant_id.in_(list(tenant_ids)))
        return {
            row["tenant_id"]: SignInRules(row["second_factor_required"], row["sso_required"])
            for row in (await self._session.execute(found)).mappings()
        }

    async def put(self, tenant_id: UUID, rules: SignInRules) -> None:
        values = {"second_factor_required": rules.second_factor_required, "sso_required": rules.sso_required}
        written = upsert(sign_in_rules).values(tenant_id=tenant_id, **values)
        await self._session.execute(written.on_conflict_do_update(index_elements=["tenant_id"], set_=values))


class SsoSettings:
    """An organization's provider and domains."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def connection(self, tenant_id: UUID) -> RowMapping | None:
        """`issuer client_id secret_sealed`."""
        found = select(sso_connections).where(sso_connections.c.tenant_id == tenant_id)
        return (await self._session.execute(found)).mappings().one_or_none()

    async def connect(self, tenant_id: UUID, *, issuer: str, client_id: str, secret_sealed: bytes) -> None:
        values = {"issuer": issuer, "client_id": client_id, "secret_sealed": secret_sealed}
        written = upsert(sso_connections).values(tenant_id=tenant_id, **values)
        await self._session.execute(written.on_conflict_do_update(index_elements=["tenant_id"], set_=values))

    async def disconnect(self, tenant_id: UUID) -> None:
        await self._session.execute(delete(sso_connections).where(sso_connections.c.tenant_id == tenant_id))

    async def domains(self, tenant_id: UUID) -> Sequence[ProvenDomain]:
        found = select(sso_domains).where(sso_domains.c.tenant_id == tenant_id).order_by(sso_domains.c.domain)
        return [ProvenDomain(**row) for row in (await self._session.execute(found)).mappings()]

    async def domain(self, tenant_id: UUID, domain: str) -> ProvenDomain | None:
        mine = (sso_domains.c.tenant_id == tenant_id) & (sso_domains.c.domain == domain)
        row = (await self._session.execute(select(sso_domains).where(mine))).mappings().one_or_none()
        return None if row is None else ProvenDomain(**row)

    async def add_domain(self, wanted: ProvenDomain) -> None:
        """Note a domain that has to be proved; one that is noted already keeps its token."""
        values = {"tenant_id": wanted.tenant_id, "domain": wanted.domain, "token": wanted.token}
        await self._session.execute(upsert(sso_domains).values(**values).on_conflict_do_nothing())

    async def prove_domain(self, tenant_id: UUID, domain: str, at: datetime) -> bool:
        """Note that its record was seen; False where another organization has proved it before."""
        mine = (sso_domains.c.tenant_id == tenant_id) & (sso_domains.c.domain == domain)
        try:
            async with self._session.begin_nested():
                await self._session.execute(update(sso_domains).where(mine).values(verified_at=at))
        except IntegrityError:
            return False
        return True

    async def remove_domain(self, tenant_id: UUID, domain: str) -> bool:
        mine = (sso_domains.c.tenant_id == tenant_id) & (sso_domains.c.domain == domain)
        gone = await self._session.scalar(delete(sso_domains).where(mine).returning(sso_domains.c.domain))
        return gone is not None


class SsoSignIns:
    """Sign-ins on their way to a provider, and whom providers know. Needs the door `for_system("auth")`."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def tenant_of_domain(self, domain: str) -> UUID | None:
        """Whose proven domain it is."""
        found = select(sso_domains.c.tenant_id).where(
            sso_domains.c.domain == domain, sso_domains.c.verified_at.is_not(None)
        )
        tenant_id: UUID | None = await self._session.scalar(found)
        return tenant_id

    async def remember(
        self, tenant_id: UUID, state_hash: bytes, binding_hash: bytes, nonce: str, verifier: str, expires_at: datetime
    ) -> None:
        await self._session.execute(
            insert(sso_states).values(
                tenant_id=tenant_id,
                state_hash=state_hash,
                binding_hash=binding_hash,
                nonce=nonce,
                verifier=verifier,
                expires_at=expires_at,
            )
        )

    async def take(self, state_hash: bytes, now: datetime) -> RowMapping | None:
        """Use a state up: `tenant_id binding_hash nonce verifier`."""
        taken = delete(sso_states).where(sso_states.c.state_hash == state_hash, sso_states.c.expires_at > now)
        return (await self._session.execute(taken.returning(sso_states))).mappings().one_or_none()

    async def person(self, issuer: str, subject: str) -> UUID | None:
        """The account that a provider's person was linked to."""
        found = select(sso_identities.c.user_id).where(
            sso_identities.c.issuer == issuer, sso_identities.c.subject == subject
        )
        user_id: UUID | None = await self._session.scalar(found)
        return user_id

    async def link(self, issuer: str, subject: str, user_id: UUID, at: datetime) -> None:
        await self._session.execute(
            insert(sso_identities).values(issuer=issuer, subject=subject, user_id=user_id, linked_at=at)
        )
