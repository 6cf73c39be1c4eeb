"""Who asks: the caller of a request, counted against the limits that are his."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace

from common.auth.errors import ReadOnlyImpersonation
from common.errors import Forbidden, Unauthenticated

from gateway.errors import DownloadLinkOver, TokenInvalid, TokenMissing
from gateway.proxy import headers as fields
from gateway.proxy.access_tokens import AccessTokens, Identity
from gateway.proxy.api_keys import ApiKeys, is_key
from gateway.proxy.download_links import Grant
from gateway.proxy.rate_limits import Headers, RateLimits
from gateway.proxy.revocations import Revocations
from gateway.proxy.routes import Level, Route
from gateway.proxy.sessions import Sessions


class Callers:
    """Finds out for whom the gateway vouches.

    Args:
        tokens: verifies access tokens.
        keys: resolves API keys.
        sessions: finds the organization that a token does not name, and asks again where a route is fresh.
        revocations: what ended before its token did.
        limits: rate limits.
    """

    def __init__(
        self, tokens: AccessTokens, keys: ApiKeys, sessions: Sessions, revocations: Revocations, limits: RateLimits
    ) -> None:
        self._tokens = tokens
        self._keys = keys
        self._sessions = sessions
        self._revocations = revocations
        self._limits = limits

    async def admit(self, route: Route, method: str, offered: Headers, address: str) -> tuple[Identity | None, Headers]:
        """The caller, None on public routes, and fields that tell him what is left of his limits.

        Args:
            route: what is asked for.
            method: how.
            offered: the request's fields as they came.
            address: whose it is.

        Raises:
            TokenMissing: the route is not public and there is no token.
            TokenInvalid, ApiKeyInvalid: the token is not tenancy's, or not valid any more.
            AddressNotAllowed, ScopeMissing, ApiAccessNotInPlan: the key does not open this, here or now.
            SessionEnded: the session was revoked.
            ReadOnlyImpersonation: somebody of the staff impersonates, and this is more than reading.
            SecondFactorRequired: the route is fresh, and it was not confirmed lately.
            TooManyRequests: a limit is used up.
            ServiceUnavailable: tenancy does not answer.
        """
        if route.level is Level.PUBLIC:
            return None, await self._limits.take(**{route.bucket: address})
        token = fields.bearer(offered)
        if token is None:
            raise TokenMissing
        identity = await self._identified(token, route, method, address)
        self._revocations.refuse(identity)
        identity = self._revocations.amend(identity)
        if identity.actor_id is not None and not route.open_to_impersonation(method):
            raise ReadOnlyImpersonation
        left = await self._count(route, identity)
        if identity.key_id is not None:
            return identity, left
        found = await (self._sessions.renew if route.fresh else self._sessions.resolve)(identity)
        if identity.tenant_id is None and found.tenant_id is not None:
            left = await self._limits.take(organization=str(found.tenant_id))
        return found, left

    async def admit_to_link(self, download: Route, offered: Headers, address: str) -> tuple[Identity, Headers]:
        """Who asks for a link to a download: whoever may ask for the download itself; raises as `admit` does."""
        identity, _left = await self.admit(download, "GET", offered, address)
        if identity is None:
            raise TokenMissing
        return identity, await self._count_download(identity)

    async def admit_by_link(self, grant: Grant, download: Route, address: str) -> tuple[Identity, Headers]:
        """Whom a download link was made for, if he may still be believed, and what is left of his limits.

        Args:
            grant: what the link says.
            download: what it is for.
            address: whose the request is.

        Raises:
            DownloadLinkOver: his session, membership or API key ended, or he works for another organization now.
            TooManyRequests: a limit is used up.
            ServiceUnavailable: tenancy does not answer.
        """
        try:
            identity = await self._returned(grant, download, address)
        except (Unauthenticated, Forbidden):
            raise DownloadLinkOver from None
        return identity, await self._count_download(identity)

    def while_allowed(
        self, identity: Identity | None, end: Callable[[], object], since: float
    ) -> AbstractContextManager[None]:
        """While this lasts, call `end` when the caller's session, key or membership has ended since a time."""
        return self._revocations.running(identity, end, since)

    def refuse(self, identity: Identity) -> None:
        """Refuse a caller whose access has ended; raises as `admit` does."""
        self._revocations.refuse(identity)

    async def _returned(self, grant: Grant, download: Route, address: str) -> Identity:
        """Whom a link was made for, as tenancy knows him at this moment."""
        if grant.key_digest is not None:
            identity = await self._keys.identify_digest(grant.key_digest, download, "GET", address, fresh=True)
        else:
            # Nothing is taken over from when the link was made: the roles of this moment are tenancy's to say.
            none: frozenset[str] = frozenset()
            named = Identity(grant.user_id, grant.session_id, grant.tenant_id, none, none, grant.expires_at)
            identity = await self._sessions.current(named)
        self._revocations.refuse(replace(identity, issued_at=int(time.time())))
        if identity.tenant_id != grant.tenant_id:
            raise TokenInvalid
        return identity

    async def _count_download(self, identity: Identity) -> Headers:
        return await self._limits.take(downloads=str(identity.tenant_id or identity.user_id))

    async def _identified(self, token: str, route: Route, method: str, address: str) -> Identity:
        try:
            if is_key(token):
                return await self._keys.identify(token, route, method, address)
            return await self._tokens.verify(token)
        except (Unauthenticated, Forbidden):
            await self._limits.take(refused=address)
            raise

    async def _count(self, route: Route, identity: Identity) -> Headers:
        who = "api_key" if identity.key_id is not None else "person"
        asker = str(identity.actor_id or identity.user_id)
        keys = {who: asker, route.bucket: asker}
        if who == "api_key":
            keys.pop("person", None)
        if identity.tenant_id is not None:
            keys["organization"] = str(identity.tenant_id)
        return await self._limits.take(**keys)
