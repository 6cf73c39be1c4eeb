"""What tests of every service need: a migrated database of their own, a held clock, a client that the gateway
would have signed for. Nothing here is imported by what runs in production.
"""

from common.testing.clients import ServiceClient, internal_auth, service_client, test_keys, test_verifier
from common.testing.databases import ServiceDatabase, service_database
from common.testing.time import FrozenClock
from common.testing.waiting import answered, eventually

__all__ = [
    "FrozenClock",
    "ServiceClient",
    "ServiceDatabase",
    "answered",
    "eventually",
    "internal_auth",
    "service_client",
    "service_database",
    "test_keys",
    "test_verifier",
]
