"""What workflows and routes work with; `bootstrap` fills it."""

from dataclasses import dataclass

from common.persistence import Store
from common.persistence.export import Exporter

from tenancy.domain.sessions import Device
from tenancy.persistence.unit_of_work import UnitOfWork
from tenancy.ports import (
    AccessTokens,
    BreachedPasswords,
    DomainRecords,
    IdentityProviders,
    KeyHasher,
    Letters,
    PasskeyCeremonies,
    Passwords,
    Sealer,
)
from tenancy.settings import Settings
from tenancy.usecases.sign_in import Opening
from tenancy.usecases.webhook_endpoints import UrlRules


@dataclass(frozen=True, slots=True)
class Tools:
    """The service's doors and adapters."""

    settings: Settings
    store: Store[UnitOfWork]
    passwords: Passwords
    tokens: AccessTokens
    sealer: Sealer
    letters: Letters
    key_hasher: KeyHasher
    breached: BreachedPasswords
    passkeys: PasskeyCeremonies
    providers: IdentityProviders
    domain_records: DomainRecords
    exporter: Exporter

    @property
    def webhook_urls(self) -> UrlRules:
        """Which addresses webhook endpoints may have."""
        return UrlRules(frozenset(self.settings.webhook_ports), self.settings.webhook_allow_loopback)

    def opening(self, device: Device) -> Opening:
        """What a session on this device is begun with."""
        return Opening(self.tokens, self.sealer, self.letters, self.settings.refresh_lifetime, device)
