"""Sign-ins and memberships that ended before their tokens did, as tenancy tells of them.

Each replica hears for itself and keeps nothing: what it missed while the broker was away ends with the access token,
after ten minutes at most, and at once where a route is fresh.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import timedelta
from uuid import UUID

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


HEARD = Subscriptions("gateway")
"""The facts that each replica listens to."""
HEARD.keep("session.revoked", source="tenancy", reader=EndedSession)
HEARD.keep("api_key.revoked", source="tenancy", reader=RevokedKey)
HEARD.keep("member.removed", source="tenancy", reader=RemovedMember)


class Revocations:
    """Remembers what ended for as long as a token could still say otherwise.

    Args:
        now: seconds since the epoch.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._ended: OrderedDict[UUID | tuple[UUID, UUID], float] = OrderedDict()

    def hear(self, envelope: Envelope) -> None:
        """Take one fact in."""
        if envelope.type == "session.revoked.v1":
            self._keep(EndedSession.model_validate(envelope.data).session_id)
        elif envelope.type == "api_key.revoked.v1":
            self._keep(RevokedKey.model_validate(envelope.data).key_id)
        elif envelope.type == "member.removed.v1" and envelope.tenantid is not None:
            self._keep((RemovedMember.model_validate(envelope.data).user_id, envelope.tenantid))

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

    def _keep(self, ended: UUID | tuple[UUID, UUID]) -> None:
        now = self._now()
        self._ended.pop(ended, None)
        self._ended[ended] = now
        while next(iter(self._ended.values())) < now - KEPT_FOR.total_seconds():
            self._ended.popitem(last=False)
