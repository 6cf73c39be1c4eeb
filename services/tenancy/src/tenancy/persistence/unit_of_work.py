"""One transaction of tenancy with its repositories."""

from common.clock import Clock
from common.persistence import Scope, Transaction
from sqlalchemy.ext.asyncio import AsyncSession

from tenancy.persistence.api_keys import ApiKeys
from tenancy.persistence.attempts import Attempts
from tenancy.persistence.audit import AuditTrail
from tenancy.persistence.impersonations import Impersonations
from tenancy.persistence.links import EmailChanges, Links
from tenancy.persistence.organizations import Invitations, Memberships, Organizations, UsageMetrics
from tenancy.persistence.outlived import Outlived
from tenancy.persistence.passkeys import Passkeys
from tenancy.persistence.people import NamedPeople, Users
from tenancy.persistence.recovery_codes import RecoveryCodes
from tenancy.persistence.sessions import Sessions
from tenancy.persistence.signing_keys import SigningKeys
from tenancy.persistence.sso import SignInRulesRows, SsoSettings, SsoSignIns
from tenancy.persistence.webhook_claims import WebhookClaims
from tenancy.persistence.webhook_deliveries import WebhookDeliveries
from tenancy.persistence.webhook_endpoints import WebhookEndpoints


class UnitOfWork(Transaction):
    """What can be read and written together; the door decides which of it is allowed."""

    source = "tenancy"

    def __init__(self, session: AsyncSession, scope: Scope, clock: Clock) -> None:
        super().__init__(session, scope, clock)
        self.users = Users(session)
        self.people = NamedPeople(session)
        self.sessions = Sessions(session)
        self.links = Links(session)
        self.email_changes = EmailChanges(session)
        self.recovery_codes = RecoveryCodes(session)
        self.attempts = Attempts(session)
        self.passkeys = Passkeys(session)
        self.signing_keys = SigningKeys(session)
        self.sign_in_rules = SignInRulesRows(session)
        self.sso = SsoSettings(session)
        self.sso_sign_ins = SsoSignIns(session)
        self.outlived = Outlived(session)
        self.organizations = Organizations(session)
        self.memberships = Memberships(session)
        self.usage = UsageMetrics(session)
        self.invitations = Invitations(session)
        self.audit_trail = AuditTrail(session)
        self.api_keys = ApiKeys(session)
        self.webhook_endpoints = WebhookEndpoints(session)
        self.webhook_deliveries = WebhookDeliveries(session)
        self.webhook_claims = WebhookClaims(session)
        self.impersonations = Impersonations(session)
