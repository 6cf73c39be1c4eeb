"""Sign-ins and memberships that ended or changed before their tokens did, as tenancy tells of them.

Each replica hears for itself and keeps nothing: what it missed while the broker was away ends with the access token,
after ten minutes at most, and at once where a route is fresh; only a stream that was running then goes on.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from common.errors import Unauthenticated
from common.messaging import Envelope, Subscriptions
from pydantic import BaseModel

from gateway.errors import ApiKeyInvalid, SessionEnded, TokenInvalid
from gateway.proxy.access_tokens import Identity

KEPT_FOR = timedelta(minutes=11)
"""An access token lives for ten minutes at most, by a clock that may be a little off ours."""


class EndedSession(BaseModel):
    """What is read of `session.revoked`."""

    session_id: UUID


class RevokedKey(BaseModel):
    """What is read of `api_key.revoked`."""

    key_id: UUID


class RemovedMember(BaseModel):
    """What is read of `member.removed`, whose envelope names the organization."""

    user_id: UUID


class ChangedRole(BaseModel):
    """What is read of `member.role_changed`, whose envelope names the organization."""

    user_id: UUID
    role: str


Name = UUID | tuple[UUID, UUID]
"""What can end: a session, an API key, or a person's membership of an organization."""

GRACE_SECONDS = 1.0
"""What runs when its access ends may finish for so long: the request that ends it, such as signing out, is answered."""

HEARD = Subscriptions("gateway")
"""The facts that each replica listens to."""
HEARD.keep("session.revoked", source="tenancy", reader=EndedSession)
HEARD.keep("api_key.revoked", source="tenancy", reader=RevokedKey)
HEARD.keep("member.removed", source="tenancy", reader=RemovedMember)
HEARD.keep("member.role_changed", source="tenancy", reader=ChangedRole)


class Revocations:
    """Remembers what ended for as long as a token could still say otherwise.

    Args:
        now: seconds since the epoch.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._running: dict[Name, list[tuple[Identity, Callable[[], object]]]] = {}
        self._ended: OrderedDict[Name, float] = OrderedDict()
        self._roles: OrderedDict[tuple[UUID, UUID], tuple[str, datetime, float]] = OrderedDict()

    def hear(self, envelope: Envelope) -> None:
        """Take one fact in."""
        if envelope.type == "session.revoked.v1":
            self._keep(EndedSession.model_validate(envelope.data).session_id)
        elif envelope.type == "api_key.revoked.v1":
            self._keep(RevokedKey.model_validate(envelope.data).key_id)
        elif envelope.type == "member.removed.v1" and envelope.tenantid is not None:
            self._keep((RemovedMember.model_validate(envelope.data).user_id, envelope.tenantid))
        elif envelope.type == "member.role_changed.v1" and envelope.tenantid is not None:
            changed = ChangedRole.model_validate(envelope.data)
            self._change((changed.user_id, envelope.tenantid), changed.role, envelope.time)

    def refuse(self, identity: Identity) -> None:
        """Refuse whoever a fact has told of.

        Raises:
            SessionEnded: his session was ended.
            ApiKeyInvalid: the key was revoked.
            TokenInvalid: he was a member of the token's organization, when it was issued and now is not.
        """
        if not self._ended:
            return
        if identity.session_id is not None and identity.session_id in self._ended:
            raise SessionEnded
        if identity.key_id is not None and identity.key_id in self._ended:
            raise ApiKeyInvalid
        if identity.tenant_id is not None:
            removed_at = self._ended.get((identity.user_id, identity.tenant_id))
            if removed_at is not None and identity.issued_at <= removed_at:
                raise TokenInvalid

    @contextmanager
    def running(self, identity: Identity | None, end: Callable[[], object], since: float) -> Iterator[None]:
        """While this lasts, call `end` soon after a fact that ends the identity's access: such as a download's, which
        may run for hours. A fact that was heard since `since`, when the request came, counts too.
        """
        if identity is None:
            yield
            return
        names = _names(identity)
        for name in names:
            self._running.setdefault(name, []).append((identity, end))
            if self._ended.get(name, 0.0) >= since:
                asyncio.get_running_loop().call_later(GRACE_SECONDS, self._end, name)
        try:
            yield
        finally:
            for name in names:
                self._running[name].remove((identity, end))
                if not self._running[name]:
                    del self._running[name]

    def _end(self, name: Name) -> None:
        for identity, end in tuple(self._running.get(name, ())):
            try:
                self.refuse(identity)
            except Unauthenticated:
                end()

    def amend(self, identity: Identity) -> Identity:
        """The identity with the role that a fact has told of since its token was issued, less or more.

        Whoever impersonates keeps a reader's role, whatever becomes of the owner's.
        """
        if not self._roles or identity.tenant_id is None or identity.actor_id is not None:
            return identity
        role, _, heard_at = self._roles.get((identity.user_id, identity.tenant_id), ("", None, -1.0))
        return replace(identity, roles=frozenset({role})) if identity.issued_at <= heard_at else identity

    def _change(self, member: tuple[UUID, UUID], role: str, changed_at: datetime) -> None:
        now = self._now()
        known = self._roles.get(member)
        # Replays and late deliveries bring no former role back, nor do they touch tokens that were issued since.
        if known is not None and (known[1] > changed_at or known[:2] == (role, changed_at)):
            return
        self._roles.pop(member, None)
        self._roles[member] = (role, changed_at, now)
        while next(iter(self._roles.values()))[2] < now - KEPT_FOR.total_seconds():
            self._roles.popitem(last=False)

    def _keep(self, ended: Name) -> None:
        now = self._now()
        if ended in self._running:
            asyncio.get_running_loop().call_later(GRACE_SECONDS, self._end, ended)
        self._ended.pop(ended, None)
        self._ended[ended] = now
        while next(iter(self._ended.values())) < now - KEPT_FOR.total_seconds():
            self._ended.popitem(last=False)


def _names(identity: Identity) -> tuple[Name, ...]:
    """What the identity's access hangs on."""
    member = (identity.user_id, identity.tenant_id) if identity.tenant_id is not None else None
    return tuple(name for name in (identity.session_id, identity.key_id, member) if name is not None)
