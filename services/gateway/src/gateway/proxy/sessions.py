"""What a session stands for now: for tokens that were issued before their holder had an organization, and for what
must not wait until a token runs out.

A found organization is remembered for ten seconds at most; «none» never, so that a purchase shows at once. When
tenancy does not answer, the request is refused.
"""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from gateway.errors import SecondFactorRequired, SessionEnded, TokenInvalid
from gateway.proxy.access_tokens import Identity

REMEMBERED_SESSIONS = 20_000

CONFIRMED_FOR = timedelta(minutes=15)
"""How long a second factor counts for what is asked freshly."""

AskTenancy = Callable[[Identity], Awaitable[Mapping[str, Any] | None]]
"""Asks for the session that an identity names; None when tenancy has no such session of that person."""


class Sessions:
    """Resolves the tenant of identities whose token names none.

    Args:
        ask: asks tenancy.
        lifetime_seconds: how long a found organization is used.
    """

    def __init__(self, ask: AskTenancy, lifetime_seconds: float, now: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._lifetime = lifetime_seconds
        self._now = now
        self._forgotten = 0
        self._found: OrderedDict[tuple[UUID, UUID | None], tuple[UUID, frozenset[str], float]] = OrderedDict()

    async def resolve(self, identity: Identity) -> Identity:
        """The identity with its session's active organization and roles, if it has one.

        Raises:
            SessionEnded: the session was revoked, or is not this person's.
            ServiceUnavailable: tenancy does not answer.
        """
        if identity.tenant_id is not None:
            return identity
        key = (identity.user_id, identity.session_id)
        if known := self._found.get(key):
            tenant_id, roles, until = known
            if self._now() < until:
                return replace(identity, tenant_id=tenant_id, roles=roles)
            del self._found[key]
        forgotten = self._forgotten
        state = await self._state(identity)
        if state["tenant_id"] is None:
            return identity
        tenant_id, roles = UUID(state["tenant_id"]), frozenset(state["roles"])
        if forgotten == self._forgotten:
            # What was asked before a fact was heard may have been answered before it happened.
            self._found[key] = (tenant_id, roles, self._now() + self._lifetime)
        if len(self._found) > REMEMBERED_SESSIONS:
            self._found.popitem(last=False)
        return replace(identity, tenant_id=tenant_id, roles=roles)

    async def renew(self, identity: Identity) -> Identity:
        """The identity as tenancy knows it at this moment, asked on each call; a second factor is wanted lately.

        Raises:
            SessionEnded: the session was revoked, or is not this person's.
            TokenInvalid: the session works for another organization than the token.
            SecondFactorRequired: the person has one and did not confirm it within 15 minutes.
            ServiceUnavailable: tenancy does not answer.
        """
        state = await self._state(identity)
        current = self._as_told(identity, state)
        if state["has_second_factor"] and not _is_recent(state["second_factor_at"]):
            raise SecondFactorRequired
        return current

    async def current(self, identity: Identity) -> Identity:
        """As `renew`, whenever the second factor was confirmed: what has begun goes on without it."""
        return self._as_told(identity, await self._state(identity))

    @staticmethod
    def _as_told(identity: Identity, state: Mapping[str, Any]) -> Identity:
        tenant_id = UUID(state["tenant_id"]) if state["tenant_id"] else None
        if identity.tenant_id is not None and identity.tenant_id != tenant_id:
            raise TokenInvalid
        return replace(
            identity,
            tenant_id=tenant_id,
            roles=frozenset(state["roles"]),
            staff_roles=frozenset(state["staff_roles"]),
        )

    def forget(self) -> None:
        """Ask again for everybody."""
        self._forgotten += 1
        self._found.clear()

    async def _state(self, identity: Identity) -> Mapping[str, Any]:
        state = await self._ask(identity)
        if state is None or state["revoked"]:
            raise SessionEnded
        return state


def _is_recent(confirmed_at: str | None) -> bool:
    return confirmed_at is not None and datetime.now(UTC) - datetime.fromisoformat(confirmed_at) < CONFIRMED_FOR
