"""Settings groups that services compose into one frozen ``Settings`` each.

Read once in ``__main__`` and passed down; nothing reads the environment or connects at import. A missing or
weak value stops the start with one clear line (`load`).
"""

import sys
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import AliasChoices, Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from common.crash_points import Deed

S = TypeVar("S", bound=BaseSettings)

Environment = Literal["development", "test", "production"]

MINIMUM_SECRET_LENGTH = 12
"""Shortest password accepted in production; anything shorter is guessable offline."""


def service_config(prefix: str) -> SettingsConfigDict:
    """Return the settings rules of a service whose variables start with ``prefix``, such as ``BILLING_``."""
    return SettingsConfigDict(
        env_prefix=prefix, frozen=True, extra="ignore", populate_by_name=True, env_ignore_empty=True
    )


class ServiceSettings(BaseSettings):
    """What every service has."""

    environment: Environment = Field(
        "production",
        validation_alias=AliasChoices("environment", "ENVIRONMENT"),
        description="development, test or production; the strictest unless said",
    )
    log_level: str = Field("INFO", validation_alias=AliasChoices("log_level", "LOG_LEVEL"), description="Log threshold")
    crash_points: dict[str, Deed] = Field(
        {}, description="JSON object: points at which this process is killed or stopped; only with ENVIRONMENT=test"
    )
    audit_heads_folder: Path | None = Field(
        None,
        validation_alias=AliasChoices("audit_heads_folder", "AUDIT_HEADS_FOLDER"),
        description="Folder outside of the database, best with object lock, where each day's heads of the audit log's "
        "chains are kept; without it who can rewrite the database can rewrite the log",
    )

    @field_validator("crash_points")
    @classmethod
    def _only_in_tests(cls, points: dict[str, Deed], others: ValidationInfo) -> dict[str, Deed]:
        if points and others.data.get("environment") != "test":
            raise ValueError("crash points are for tests: they need ENVIRONMENT=test")
        return points


class DatabaseSettings(BaseSettings):
    """Where the service's own database is. Each door has its own login role, see ``common.persistence``."""

    database_url: str = Field(description="postgresql://host:port/name, without credentials")
    database_password: SecretStr = Field(description="Password of the service's run-time roles")
    database_owner_password: SecretStr | None = Field(
        None, description="Password of the owner role; only `migrate` needs it"
    )
    database_pool_size: int = Field(
        4,
        ge=1,
        le=50,
        description="Connections of the tenants' and the persons' door each; half as many more in a rush",
    )
    database_statement_cache_size: int = Field(100, ge=0, description="0 behind PgBouncer in transaction mode")
    database_direct_url: str | None = Field(
        None, description="Past PgBouncer, for LISTEN: postgresql://host:port/name; database_url unless set"
    )

    @field_validator("database_url", "database_direct_url")
    @classmethod
    def _no_credentials(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if not value.startswith("postgresql://") or "@" in value:
            msg = "must look like postgresql://host:port/name, without user or password"
            raise ValueError(msg)
        return value


class BrokerSettings(BaseSettings):
    """Where the event broker is; unset only where a launcher hands over the in-process one."""

    broker_url: SecretStr | None = Field(None, description="amqp://user:password@host:port/vhost")


class TokenSettings(BaseSettings):
    """Whose internal tokens this service accepts."""

    gateway_public_keys: list[dict[str, Any]] = Field(
        description="JSON list of the gateway's public keys (JWK, OKP Ed25519); two during a rotation"
    )


class HttpSettings(BaseSettings):
    """Where this service listens."""

    http_host: str = Field("127.0.0.1", description="Address of the service's API")
    http_port: int = Field(0, ge=0, le=65535, description="Port of the service's API; 0 takes a free one")
    ops_host: str = Field("127.0.0.1", description="Address of the internal port")
    ops_port: int = Field(0, ge=0, le=65535, description="Internal port: /metrics /healthz /readyz; 0 takes a free one")
    public_base_url: str = Field(
        "https://backup.example",
        validation_alias=AliasChoices("public_base_url", "PUBLIC_BASE_URL"),
        description="What customers and providers are told; never a loopback address",
    )


class MailSettings(BaseSettings):
    """The outgoing mail server; the guide's names without prefix are accepted."""

    email_host: str = Field(validation_alias=AliasChoices("email_host", "EMAIL_HOST"), description="SMTP host")
    email_port: int = Field(587, validation_alias=AliasChoices("email_port", "EMAIL_PORT"), description="SMTP port")
    email_host_user: str = Field(
        "", validation_alias=AliasChoices("email_host_user", "EMAIL_HOST_USER"), description="SMTP user, if any"
    )
    email_host_password: SecretStr = Field(
        SecretStr(""),
        validation_alias=AliasChoices("email_host_password", "EMAIL_HOST_PASSWORD"),
        description="SMTP password, if any",
    )
    email_use_tls: bool = Field(
        default=True,
        validation_alias=AliasChoices("email_use_tls", "EMAIL_USE_TLS"),
        description="STARTTLS before anything is said",
    )
    email_from: str = Field(
        "ESXi Backup Manager <no-reply@backup.example>",
        validation_alias=AliasChoices("email_from", "EMAIL_FROM"),
        description="Sender of all mail",
    )
    email_kept_days: int = Field(
        90,
        ge=1,
        validation_alias=AliasChoices("email_kept_days", "EMAIL_KEPT_DAYS"),
        description="Days for which the text of a sent mail is kept; to whom what was sent and when is kept longer",
    )


def load(settings: type[S]) -> S:
    """Read the environment once; leave with status 2 and one line per wrong value when something is wrong."""
    try:
        return settings()
    except ValidationError as wrong:
        prefix = settings.model_config.get("env_prefix", "")
        for error in wrong.errors():
            name = "_".join(str(part) for part in error["loc"][:1])
            variable = name if name.isupper() else f"{prefix}{name}".upper()
            sys.stderr.write(f"{variable}: {error['msg']}\n")
        raise SystemExit(2) from None
