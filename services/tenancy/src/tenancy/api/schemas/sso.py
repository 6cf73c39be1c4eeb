"""Bodies and answers about single sign-on and what an organization demands of sessions."""

from datetime import datetime
from typing import Annotated, Self

from common.web import Answer, Body
from pydantic import Field, StringConstraints

from tenancy.api.schemas.auth import Email, Token
from tenancy.domain.sso import ProvenDomain


class SsoIn(Body):
    """The organization's provider: what it says of itself as issuer, and whom it knows us as."""

    issuer: Annotated[str, StringConstraints(min_length=8, max_length=500, pattern=r"^https?://[^\s?#@]+$")]
    client_id: str = Field(min_length=1, max_length=500)
    client_secret: str = Field(min_length=1, max_length=500)


class DomainIn(Body):
    """A domain that the organization says is its own."""

    domain: str = Field(min_length=3, max_length=253)


class DomainOut(Answer):
    """A domain, and the TXT record that has to be there."""

    domain: str
    record_name: str
    record_value: str
    verified_at: datetime | None

    @classmethod
    def of(cls, domain: ProvenDomain) -> Self:
        return cls.model_validate(domain)


class SsoOut(Answer):
    """The organization's single sign-on; the secret is never shown again."""

    issuer: str | None
    client_id: str | None
    redirect_uri: str
    domains: list[DomainOut]


class SignInRulesIn(Body):
    """What the organization demands of its members' sessions."""

    second_factor_required: bool
    sso_required: bool


class SignInRulesOut(Answer):
    """What the organization demands of its members' sessions."""

    second_factor_required: bool
    sso_required: bool


class SsoStartIn(Body):
    """The address of whoever wants in; its domain says which provider."""

    email: Email


class SsoStartOut(Answer):
    """Where the browser goes. The page keeps `state` and `login_token`, compares the first and sends both back."""

    authorization_url: str
    state: str
    login_token: str


class SsoFinishIn(Body):
    """What the provider sent to the redirect address, and what the page has kept."""

    code: str = Field(min_length=1, max_length=4096)
    state: Token
    login_token: Token
