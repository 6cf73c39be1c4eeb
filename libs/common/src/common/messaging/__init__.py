"""Facts from service to service: outbox, relay, broker, inbox. Stored, then acknowledged; applied exactly once."""

from common.messaging.broker import Broker, BrokerUnavailable, Unroutable
from common.messaging.envelope import Envelope
from common.messaging.fact import Fact
from common.messaging.subscriptions import Subscriptions

__all__ = ["Broker", "BrokerUnavailable", "Envelope", "Fact", "Subscriptions", "Unroutable"]
