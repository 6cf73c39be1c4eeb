"""Settings of the gateway; the prefix of the environment's names is `GATEWAY_`."""

from datetime import timedelta

from common.settings import BrokerSettings, HttpSettings, ServiceSettings, service_config
from pydantic import Field, IPvAnyNetwork, SecretStr

NAME = "gateway"


class Settings(ServiceSettings, BrokerSettings, HttpSettings):
    """Everything that the gateway is told from outside."""

    model_config = service_config("GATEWAY_")

    signing_key: SecretStr = Field(
        description="Private key (JWK, OKP Ed25519, with kid) that signs internal tokens; services hold the public half"
    )
    tenancy_url: str = Field(description="Base URL of tenancy, without a slash at the end")
    billing_url: str = Field(description="Base URL of billing, without a slash at the end")
    backup_engine_url: str = Field(description="Base URL of backup-engine, without a slash at the end")
    token_issuer: str = Field("tenancy", description="iss that access tokens must have")
    token_audience: str = Field("gateway", description="aud that access tokens must have")
    key_set_lifetime: timedelta = Field(
        timedelta(seconds=10),
        le=timedelta(minutes=1),
        description="How long tenancy's key set is used without asking again: a withdrawn key is believed no longer",
    )
    session_lifetime: timedelta = Field(
        timedelta(seconds=10), le=timedelta(seconds=10), description="How long a session's organization is remembered"
    )
    api_key_lifetime: timedelta = Field(
        timedelta(seconds=30), le=timedelta(seconds=30), description="How long what tenancy says of an API key is used"
    )
    connect_seconds: float = Field(5.0, gt=0, description="How long to wait for a connection to a service")
    idle_seconds: float = Field(30.0, gt=0, description="How long a client or a service may be silent")
    connections_per_service: int = Field(256, ge=1, description="Open connections to one service at most")
    requests_per_minute: int | None = Field(
        None, ge=1, description="Requests a minute of one person; 600 in production, 60 000 elsewhere unless set"
    )
    organization_per_minute: int | None = Field(
        None,
        ge=1,
        description="Requests a minute of one organization; 3 000 in production, 300 000 elsewhere unless set",
    )
    api_key_per_minute: int | None = Field(
        None, ge=1, description="Requests a minute with one API key; 600 in production, 60 000 elsewhere unless set"
    )
    sign_ins_per_minute: int | None = Field(
        None, ge=1, description="Sign-ins a minute from one address; 10 in production, 6 000 elsewhere unless set"
    )
    public_per_minute: int | None = Field(
        None, ge=1, description="Public requests a minute from one address; 300 in production, 60 000 elsewhere"
    )
    coupons_per_minute: int | None = Field(
        None,
        ge=1,
        description="Coupon codes that a person may try a minute, previews of orders among them; 10 in production,"
        " 6 000 elsewhere",
    )
    exports_per_minute: int | None = Field(
        None,
        ge=1,
        description="Exports of an organization's data that a person may begin a minute; 6 in production, 6 000"
        " elsewhere",
    )
    refused_per_minute: int | None = Field(
        None,
        ge=1,
        description="Tokens and keys that one address may present in vain a minute; 60 in production, 6 000 elsewhere",
    )
    downloads_per_minute: int | None = Field(
        None,
        ge=1,
        description="Download links that one organization may make or use a minute, each range of a download counted;"
        " 240 in production, 60 000 elsewhere",
    )
    requests_at_once: int = Field(
        64, ge=1, description="Requests of one organization that a replica answers at the same time, streams included"
    )
    cors_origins: list[str] = Field(
        [], description='JSON list of origins whose pages may call from a browser, such as ["https://console.example"]'
    )
    limits_url: SecretStr | None = Field(
        None, description="redis://… where replicas count requests together; without it each counts for itself"
    )
    trusted_proxies: list[IPvAnyNetwork] = Field(
        [], description='JSON list of the networks of load balancers before the gateway, such as ["10.0.0.0/8"]'
    )

    def per_minute(self) -> dict[str, int]:
        """Requests a minute by the name of the limit. Webhooks have none: a provider's burst is money."""
        strict = self.environment == "production"
        wanted = {
            "person": (self.requests_per_minute, 600, 60_000),
            "api_key": (self.api_key_per_minute, 600, 60_000),
            "organization": (self.organization_per_minute, 3_000, 300_000),
            "sign_in": (self.sign_ins_per_minute, 10, 6_000),
            "public": (self.public_per_minute, 300, 60_000),
            "coupons": (self.coupons_per_minute, 10, 6_000),
            "export": (self.exports_per_minute, 6, 6_000),
            "downloads": (self.downloads_per_minute, 240, 60_000),
            "refused": (self.refused_per_minute, 60, 6_000),
        }
        return {name: chosen or (tight if strict else loose) for name, (chosen, tight, loose) in wanted.items()}
