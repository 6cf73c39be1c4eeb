"""Bodies and answers of `/api/auth/` and of the gateway's question."""

from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from common.web import Answer, Body, OneLine
from pydantic import Field, StringConstraints

from tenancy.domain.people import Language, User
from tenancy.domain.secrets import ENTROPY_BYTES
from tenancy.usecases.sign_in import TokenPair

Password = Annotated[str, StringConstraints(strip_whitespace=False, max_length=1024)]
"""As typed: blanks at the ends belong to it. What is longer is refused before it is hashed."""

Token = Annotated[str, StringConstraints(min_length=ENTROPY_BYTES, max_length=200)]
Email = Annotated[str, StringConstraints(min_length=3, max_length=320)]


class RegisterIn(Body):
    """A wish for an account; without `language` it is that of `Accept-Language`."""

    email: Email
    password: Password
    full_name: OneLine = Field(min_length=1, max_length=200)
    language: Language | None = None


class RegisterOut(Answer):
    """The same for a known address, so that nobody learns whether it has an account."""

    id: UUID
    email: str


TotpCode = Annotated[str, StringConstraints(pattern=r"^\d{6}$")]
RecoveryCode = Annotated[str, StringConstraints(min_length=16, max_length=40)]


class LoginIn(Body):
    """`totp_code` or `recovery_code` is wanted where the account has a second factor: with the password, or in a
    second step by the challenge that the refusal `totp_required` carries.
    """

    email: Email
    password: Password
    totp_code: TotpCode | None = None
    recovery_code: RecoveryCode | None = None


class SecondStepIn(Body):
    """The challenge of a first step, and one of the two codes."""

    challenge: Token
    totp_code: TotpCode | None = None
    recovery_code: RecoveryCode | None = None


class RefreshIn(Body):
    """The newest refresh token of the session."""

    refresh_token: Token


class TokensOut(Answer):
    """`expires_in` is in seconds and is about the access token."""

    access_token: str
    refresh_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105
    expires_in: int

    @classmethod
    def of(cls, pair: TokenPair, expires_in: int) -> Self:
        return cls(access_token=pair.access_token, refresh_token=pair.refresh_token, expires_in=expires_in)


class SwitchIn(Body):
    """The organization to work in from now on."""

    organization_id: UUID


class AccessOut(Answer):
    """A new access token; the session's refresh token stays as it is."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105
    expires_in: int


class UserIn(Body):
    """What a person may change about themselves; what is left out stays."""

    full_name: OneLine | None = Field(None, min_length=1, max_length=200)
    language: Language | None = None


class UserOut(Answer):
    """The caller, with the organization that the request's token has active."""

    id: UUID
    email: str
    full_name: str
    language: str
    email_verified: bool
    has_second_factor: bool
    staff_roles: list[str]
    organization: UUID | None
    roles: list[str]
    created_at: datetime

    @classmethod
    def of(cls, user: User, organization: UUID | None, roles: frozenset[str], *, has_second_factor: bool) -> Self:
        return cls(
            id=user.id,
            email=user.email,
            full_name=user.full_name,
            language=user.language,
            email_verified=user.email_verified_at is not None,
            has_second_factor=has_second_factor,
            staff_roles=sorted(user.staff_roles),
            organization=organization,
            roles=sorted(roles),
            created_at=user.created_at,
        )
