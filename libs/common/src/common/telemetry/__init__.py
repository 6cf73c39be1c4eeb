"""Logs as JSON, metrics for Prometheus, trace context after W3C; what binds them is the context of a request."""
