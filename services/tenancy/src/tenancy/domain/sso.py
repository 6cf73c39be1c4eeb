"""An organization's identity provider, and the e-mail domains that it has shown to be its own."""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

STATE_LIFETIME = timedelta(minutes=10)
"""Time to sign in at the provider."""

RECORD = "_esxi-backup-manager"
"""Where in a domain its TXT record is looked for."""

MOST_DOMAINS = 50
"""Domains of one organization: they are listed with its provider, all at once."""

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Connection:
    """How an organization's provider is spoken to (OpenID Connect, authorization code with PKCE)."""

    tenant_id: UUID
    issuer: str
    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class ProvenDomain:
    """A domain that an organization says is its own; it counts once its TXT record was seen."""

    tenant_id: UUID
    domain: str
    token: str
    verified_at: datetime | None = None

    @property
    def record_name(self) -> str:
        return f"{RECORD}.{self.domain}"

    @property
    def record_value(self) -> str:
        return f"esxi-backup-manager={self.token}"


@dataclass(frozen=True, slots=True)
class Asserted:
    """What a provider says about whoever signed in there, its signature checked."""

    issuer: str
    subject: str
    email: str | None
    email_verified: bool
    full_name: str


def normalized_domain(typed: str) -> str | None:
    """The domain in lower-case ASCII (IDNA), or None when it is none that mail could go to."""
    try:
        ascii_form = typed.strip().rstrip(".").lower().encode("idna").decode()
    except UnicodeError:
        return None
    labels = ascii_form.split(".")
    good = len(labels) >= 2 and len(ascii_form) <= 253 and all(map(_LABEL.fullmatch, labels))
    return ascii_form if good else None


def domain_of(email: str) -> str | None:
    return normalized_domain(email.rpartition("@")[2])
