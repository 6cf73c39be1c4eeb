"""Settings of tenancy; the prefix of the environment's names is `TENANCY_`."""

from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from common.settings import (
    BrokerSettings,
    DatabaseSettings,
    HttpSettings,
    MailSettings,
    ServiceSettings,
    TokenSettings,
    service_config,
)
from pydantic import AliasChoices, Field, SecretStr, ValidationInfo, field_validator

from tenancy.domain.attempts import MAIL_WINDOW, WINDOW, Limit, Limits

NAME = "tenancy"


class Settings(ServiceSettings, DatabaseSettings, BrokerSettings, TokenSettings, HttpSettings, MailSettings):
    """Everything that tenancy is told from outside."""

    model_config = service_config("TENANCY_")

    token_private_keys: SecretStr = Field(
        description="JSON list of private keys (JWK, OKP Ed25519, with kid): the first signs access tokens, all are "
        "published in the JWKS, until `rotate_signing_key` has made one"
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
    deletion_grace: timedelta = Field(
        timedelta(days=30), ge=timedelta(), description="How long an owner may call off the deletion that he asked for"
    )
    retention: timedelta = Field(
        timedelta(days=90), ge=timedelta(days=1), description="How long sessions and invitations are kept once expired"
    )
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
    password_queue: int = Field(
        400, ge=1, description="Passwords that wait to be hashed; more are refused with Retry-After"
    )
    breached_passwords_file: Path | None = Field(
        None,
        description="SHA-1 hashes of breached passwords in upper-case hex, one a line, sorted, as haveibeenpwned.com "
        "offers them for download (HASH:COUNT); none of them is accepted",
    )
    reset_lifetime: timedelta = Field(timedelta(hours=1), description="How long a link for a new password works")
    email_change_lifetime: timedelta = Field(timedelta(days=1), description="How long a change of address waits")
    even_answer: timedelta = Field(
        timedelta(milliseconds=250),
        description="How long answers take that must not tell whether an address has an account",
    )
    wrong_passwords_per_account: int = Field(
        10, ge=1, description="Wrong passwords for one account in 15 minutes; addresses known to it count apart"
    )
    wrong_passwords_per_address: int | None = Field(
        None, ge=1, description="The same from one address; 50 in production, 100 000 elsewhere unless set"
    )
    wrong_codes: int = Field(5, ge=1, description="Wrong one-time codes for one sign-in, or one person, in 15 minutes")
    mails_per_account: int = Field(3, ge=1, description="Mails an hour to one address that anybody can ask for")
    mails_per_address: int | None = Field(
        None, ge=1, description="Such wishes an hour from one address; 20 in production, 100 000 elsewhere unless set"
    )
    domain_lookups: int = Field(
        20, ge=1, description="Look-ups an hour of the records that prove one organization's domains"
    )

    passkey_rp_id: str = Field("", description="Domain that passkeys are made for; by default that of APP_BASE_URL")
    passkey_origins: list[str] = Field(
        [], description="JSON list of the pages that may ask for passkeys; by default APP_BASE_URL's origin alone"
    )

    sso_allow_loopback: bool = Field(
        default=False, description="Also speak to identity providers on the loopback, by http; never in production"
    )
    dns_servers: list[str] = Field(
        [],
        description="JSON list of name servers (address or address:port) for TXT records and for the names of webhook "
        "endpoints; by default the host's",
    )

    webhook_allow_loopback: bool = Field(
        default=False, description="Also send webhooks to the loopback, by http and any port; never in production"
    )
    webhook_ports: list[int] = Field(
        [443, 8443],
        min_length=1,
        description="JSON list of the ports that webhooks may be sent to; a network policy has to let them out, too",
    )
    webhook_patience: timedelta = Field(
        timedelta(seconds=15),
        gt=timedelta(),
        le=timedelta(seconds=30),
        description="How long one try to deliver a webhook may take, from the name to the answer",
    )

    @field_validator("sso_allow_loopback", "webhook_allow_loopback")
    @classmethod
    def _not_in_production(cls, value: bool, others: ValidationInfo) -> bool:
        if value and others.data.get("environment") == "production":
            raise ValueError("not in production")
        return value

    @property
    def sso_redirect_uri(self) -> str:
        """The page to which providers send the browser back."""
        return f"{self.link_base}/sso/callback"

    @property
    def passkey_domain(self) -> str:
        return self.passkey_rp_id or urlsplit(self.link_base).hostname or ""

    @property
    def passkey_pages(self) -> list[str]:
        page = urlsplit(self.link_base)
        return self.passkey_origins or [f"{page.scheme}://{page.netloc}"]

    @property
    def limits(self) -> Limits:
        """The limits of tries."""
        strict = self.environment == "production"
        per_address = self.wrong_passwords_per_address or (50 if strict else 100_000)
        mails_per_address = self.mails_per_address or (20 if strict else 100_000)
        return Limits(
            account=Limit("password_account", self.wrong_passwords_per_account, WINDOW),
            address=Limit("password_address", per_address, WINDOW),
            code=Limit("code", self.wrong_codes, WINDOW),
            mail=Limit("mail", self.mails_per_account, MAIL_WINDOW),
            mail_address=Limit("mail_address", mails_per_address, MAIL_WINDOW),
            domain=Limit("domain", self.domain_lookups, MAIL_WINDOW),
        )

    @property
    def link_base(self) -> str:
        return (self.app_base_url or self.public_base_url).rstrip("/")
