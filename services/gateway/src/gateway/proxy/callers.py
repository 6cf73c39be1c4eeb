"""Who asks: the caller of a request, counted against the limits that are his."""

from common.auth.errors import ReadOnlyImpersonation
from common.errors import Forbidden, Unauthenticated

from gateway.errors import TokenMissing
from gateway.proxy import headers as fields
from gateway.proxy.access_tokens import AccessTokens, Identity
from gateway.proxy.api_keys import ApiKeys, is_key
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
