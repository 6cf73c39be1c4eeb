"""Who asks: the gateway's internal token, and what each endpoint demands of it."""

from common.auth.access import Access, Principal, public, requires, requires_person, requires_staff
from common.auth.internal_token import InternalTokenSigner, InternalTokenVerifier, RequestBinding

__all__ = [
    "Access",
    "InternalTokenSigner",
    "InternalTokenVerifier",
    "Principal",
    "RequestBinding",
    "public",
    "requires",
    "requires_person",
    "requires_staff",
]
