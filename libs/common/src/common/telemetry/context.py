"""Correlation id and W3C trace context, carried over HTTP and events.

The trace part is OpenTelemetry's own (API and SDK), so that an exporter can be added by its usual settings
without a change here. Source: https://www.w3.org/TR/trace-context/.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

import structlog
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_correlation: ContextVar[str | None] = ContextVar("correlation_id", default=None)
_address: ContextVar[str | None] = ContextVar("client_address", default=None)
_impersonator: ContextVar[str | None] = ContextVar("impersonator", default=None)
_provider = TracerProvider()
_tracer = _provider.get_tracer("ebm")
_propagator = TraceContextTextMapPropagator()


def correlation_id() -> str | None:
    """Return the id that joins everything that one request set in motion."""
    return _correlation.get()


def client_address() -> str | None:
    """Return the address from which a customer or a member of the staff asked; ``None`` where nobody asked."""
    return _address.get()


@contextmanager
def asked_from(address: str | None) -> Iterator[None]:
    """Let everything inside know the client's address, as the gateway saw it."""
    token = _address.set(address)
    try:
        yield
    finally:
        _address.reset(token)


def impersonator() -> str | None:
    """Return the id of the member of the staff who asks in a customer's name; ``None`` where nobody does."""
    return _impersonator.get()


@contextmanager
def impersonated_by(actor: str | None) -> Iterator[None]:
    """Let everything inside, its audit rows and log lines, know who really asks."""
    token = _impersonator.set(actor)
    try:
        if actor is None:
            yield
            return
        with structlog.contextvars.bound_contextvars(impersonator=actor):
            yield
    finally:
        _impersonator.reset(token)


def traceparent() -> str | None:
    """Return the current span as a ``traceparent`` value; ``None`` outside of any span."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent")


def carried() -> dict[str, str]:
    """Return where we are as arguments of `span`, to be kept in a row until somebody goes on there."""
    where = {"parent": traceparent(), "correlation": correlation_id()}
    return {name: value for name, value in where.items() if value is not None}


@contextmanager
def span(
    name: str, *, parent: str | None = None, correlation: str | None = None, fields: Mapping[str, str] | None = None
) -> Iterator[None]:
    """Run a step in a span of its own and bind its ids to the log lines.

    Args:
        name: What the step is.
        parent: A received ``traceparent``; a malformed one starts a new trace.
        correlation: The received correlation id.
        fields: More log fields, such as ``tenant_id``.
    """
    context = _propagator.extract({"traceparent": parent}) if parent else None
    token = _correlation.set(correlation or _correlation.get())
    with _tracer.start_as_current_span(name, context=context, record_exception=False) as current:
        ids = trace.format_trace_id(current.get_span_context().trace_id)
        bound = {"trace_id": ids, "correlation_id": _correlation.get(), **(fields or {})}
        with structlog.contextvars.bound_contextvars(**{k: v for k, v in bound.items() if v is not None}):
            try:
                yield
            finally:
                _correlation.reset(token)
