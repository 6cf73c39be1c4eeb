"""Prometheus metrics that every part has; a service adds its own beside them."""

from prometheus_client import Counter, Gauge, Histogram

HTTP_REQUESTS = Counter("http_requests_total", "Requests answered", ["service", "method", "route", "status"])
HTTP_SECONDS = Histogram(
    "http_request_seconds",
    "Time to the last byte of the answer",
    ["service", "method", "route"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
)
EVENTS_PUBLISHED = Counter("events_published_total", "Facts that the broker confirmed", ["service", "type"])
EVENTS_UNPUBLISHED = Counter("events_publish_failures_total", "Publishing attempts that failed", ["service", "reason"])
EVENTS_HANDLED = Counter("events_handled_total", "Inbox rows by outcome", ["service", "type", "outcome"])
EVENTS_REFUSED = Counter("events_refused_total", "Deliveries refused before the inbox", ["service", "reason"])
OUTBOX_WAITING = Gauge("outbox_facts", "Facts that wait to be published", ["service"])
OUTBOX_OLDEST = Gauge("outbox_oldest_seconds", "Age of the oldest fact that waits to be published", ["service"])
INBOX_WAITING = Gauge("inbox_facts", "Facts of others that wait to be handled", ["service"])
INBOX_OLDEST = Gauge("inbox_oldest_seconds", "Age of the oldest fact that waits to be handled", ["service"])
PARKED = Gauge("inbox_parked_facts", "Facts put aside, for an operator to replay or drop", ["service"])
MAILS_SENT = Counter("mails_total", "Mails by outcome", ["service", "outcome"])
TIMER_SUCCEEDED = Gauge("timer_last_success_timestamp_seconds", "When a timer's act last ended well", ["timer"])
TIMER_FAILURES = Counter("timer_failures_total", "Acts of a timer that failed", ["timer"])
PART_READY = Gauge("part_ready", "1 while the part is ready", ["service", "part"])
