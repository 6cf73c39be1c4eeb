"""Whether the organization's plan has a feature."""

from tenancy.domain.organization import Organization
from tenancy.errors import FeatureNotInPlan

API_ACCESS = "has_api_access"
"""API keys and outgoing webhooks; never a person's token."""


def demand(organization: Organization, feature: str) -> None:
    """Let pass what the plan in force includes.

    Raises:
        FeatureNotInPlan: it does not.
    """
    if not organization.entitlements.features.get(feature, False):
        raise FeatureNotInPlan(feature=feature)
