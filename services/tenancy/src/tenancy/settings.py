"""Settings of tenancy; the prefix of the environment's names is `TENANCY_`."""

from datetime import timedelta

from common.settings import (
    BrokerSettings,
    DatabaseSettings,
    HttpSettings,
    MailSettings,
    ServiceSettings,
    TokenSettings,
    service_config,
)
from pydantic import AliasChoices, Field, SecretStr

NAME = "tenancy"


class Settings(ServiceSettings, DatabaseSettings, BrokerSettings, TokenSettings, HttpSettings, MailSettings):
    """Everything that tenancy is told from outside."""

    model_config = service_config("TENANCY_")

    token_private_keys: SecretStr = Field(
        description="JSON list of private keys (JWK, OKP Ed25519, with kid): the first signs access tokens, all are "
        "published in the JWKS; a new key comes second, moves to the front after two minutes, and the old one goes "
        "after ten more"
    )
    token_issuer: str = Field("tenancy", description="iss of access tokens")
    token_audience: str = Field("gateway", description="aud of access tokens")
    access_lifetime: timedelta = Field(
        timedelta(minutes=10), le=timedelta(minutes=10), description="How long an access token is valid"
    )
    refresh_lifetime: timedelta = Field(timedelta(days=30), description="How long a session lasts without signing in")
    refresh_grace: timedelta = Field(
        timedelta(seconds=10), description="How long a refresh token still works after its first use"
    )
    invitation_lifetime: timedelta = Field(timedelta(days=7), description="How long an invitation may be accepted")
    verification_lifetime: timedelta = Field(timedelta(days=3), description="How long an address may be confirmed")
    secret_key: SecretStr = Field(
        min_length=32,
        validation_alias=AliasChoices("secret_key", "TENANCY_SECRET_KEY", "SECRET_KEY"),
        description="Seals one-time-code secrets in the database; 32 characters or more",
    )
    app_base_url: str = Field(
        "",
        validation_alias=AliasChoices("app_base_url", "TENANCY_APP_BASE_URL", "APP_BASE_URL"),
        description="Where the links in mails lead; by default PUBLIC_BASE_URL",
    )
    password_threads: int = Field(2, ge=1, le=32, description="Passwords hashed at once, each with 64 MiB of memory")

    @property
    def link_base(self) -> str:
        return (self.app_base_url or self.public_base_url).rstrip("/")
