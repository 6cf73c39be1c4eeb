"""What each endpoint demands, as FastAPI dependencies; each leaves its demand readable for the role matrix test."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fastapi import Depends, Request
from fastapi.params import Depends as DependsParam

from common.auth.errors import (
    InvalidInternalToken,
    NoActiveOrganization,
    ReadOnlyImpersonation,
    RoleRequired,
    StaffOnly,
)
from common.auth.internal_token import Claims, InternalTokenVerifier, RequestBinding

TENANT_HEADER = "x-tenant-id"
ROLES = frozenset({"owner", "admin", "member", "viewer"})


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, as the gateway vouches for it."""

    user_id: UUID
    active_tenant_id: UUID | None
    roles: frozenset[str]
    staff_roles: frozenset[str]
    session_id: UUID | None
    request_id: str
    actor_id: UUID | None = None
    """Who really asks, where somebody of the platform's staff impersonates `user_id`: they read, and no more."""

    @property
    def tenant_id(self) -> UUID:
        """The active organization.

        Raises:
            NoActiveOrganization: The caller has none.
        """
        if self.active_tenant_id is None:
            raise NoActiveOrganization
        return self.active_tenant_id


@dataclass(frozen=True, slots=True)
class Access:
    """An endpoint's demand: ``public``, ``person``, ``organization`` with roles, or ``staff`` with roles."""

    level: str
    roles: tuple[str, ...] = ()


def vouch(request: Request, verifier: InternalTokenVerifier) -> None:
    """Leave the verified claims with the request, for what its endpoint demands.

    Raises:
        InvalidInternalToken: There is no valid token of the gateway for this very request.
    """
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise InvalidInternalToken
    raw_path = request.scope.get("raw_path") or request.url.path.encode()
    binding = RequestBinding.of(
        request.method, raw_path.decode("latin-1"), request.scope["query_string"].decode("latin-1"), request.headers
    )
    request.state.claims = verifier.verify(token, binding, request.headers.get(TENANT_HEADER))


def claims_of(request: Request) -> Claims:
    """Return what `vouch` has left.

    Raises:
        InvalidInternalToken: It was not asked.
    """
    claims: Claims | None = getattr(request.state, "claims", None)
    if claims is None:
        raise InvalidInternalToken
    return claims


READING = frozenset({"GET", "HEAD", "OPTIONS"})


def _principal(request: Request, *, in_person: bool = True) -> Principal:
    """Who asks; ``in_person``: nobody is let in who impersonates another.

    Raises:
        InvalidInternalToken: The gateway vouches for nobody.
        ReadOnlyImpersonation: Somebody impersonates, and this is more than reading an organization's affairs.
    """
    claims = claims_of(request)
    if claims.user_id is None:
        raise InvalidInternalToken
    if claims.actor_id is not None and (in_person or request.method not in READING):
        raise ReadOnlyImpersonation
    return Principal(
        claims.user_id,
        claims.tenant_id,
        claims.roles,
        claims.staff_roles,
        claims.session_id,
        claims.request_id,
        claims.actor_id,
    )


Dependency = Callable[[Request], Coroutine[Any, Any, Any]]


def _declare(dependency: Dependency, access: Access) -> Any:
    dependency.access = access  # type: ignore[attr-defined]
    return Depends(dependency)


def requires(*roles: str, in_person: bool = False) -> Any:
    """Demand an active organization and one of the roles in it (any role when none is named).

    ``in_person``: for what is inside backups, and whatever else staff has no business to read for a customer.
    """
    wanted = frozenset(roles) or ROLES

    async def principal_with_role(request: Request) -> Principal:
        who = _principal(request, in_person=in_person)
        if who.active_tenant_id is None:
            raise NoActiveOrganization
        if not wanted & who.roles:
            raise RoleRequired(roles=", ".join(sorted(wanted)))
        return who

    return _declare(principal_with_role, Access("organization", tuple(sorted(wanted))))


def requires_person() -> Any:
    """Demand a signed-in person; an organization may be active or not."""

    async def person(request: Request) -> Principal:
        return _principal(request)

    return _declare(person, Access("person"))


def requires_staff(*roles: str) -> Any:
    """Demand a member of the platform's staff with one of the roles."""
    wanted = frozenset(roles)

    async def staff(request: Request) -> Principal:
        who = _principal(request)
        if not wanted & who.staff_roles:
            raise StaffOnly(roles=", ".join(sorted(wanted)))
        return who

    return _declare(staff, Access("staff", tuple(sorted(wanted))))


def public() -> Any:
    """Demand only that the request came through the gateway."""

    async def anybody(request: Request) -> Claims:
        return claims_of(request)

    return _declare(anybody, Access("public"))


def access_of(dependency: DependsParam | Any) -> Access | None:
    """Return what a dependency made here demands; ``None`` for any other."""
    return getattr(getattr(dependency, "dependency", dependency), "access", None)
