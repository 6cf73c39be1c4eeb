"""Logs are JSON lines with the ids of the request, and never hold a secret."""

import io
import json
import logging

import pytest
from common.telemetry import logs
from common.telemetry.context import span


@pytest.fixture
def lines():
    stream = io.StringIO()
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    logs.configure("hotel", "INFO", stream=stream)
    yield lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
    root.handlers[:] = before
    root.setLevel(level)


@pytest.mark.invariant("S12")
def test_a_line_carries_service_tenant_correlation_and_trace(lines) -> None:
    with span("outer", correlation="c-1", fields={"tenant_id": "t-1"}):
        logging.getLogger("hotel").info("room booked", extra={"room": 7})
    (line,) = lines()
    assert {k: line[k] for k in ("event", "service", "tenant_id", "correlation_id", "level", "room")} == {
        "event": "room booked",
        "service": "hotel",
        "tenant_id": "t-1",
        "correlation_id": "c-1",
        "level": "info",
        "room": 7,
    }
    assert len(line["trace_id"]) == 32


def test_ids_of_one_request_are_not_on_the_lines_of_the_next(lines) -> None:
    with span("first", correlation="c-1", fields={"tenant_id": "t-1"}):
        pass
    logging.getLogger("hotel").info("later")
    assert not {"tenant_id", "correlation_id", "trace_id"} & lines()[0].keys()


@pytest.mark.parametrize(
    "name", ["password", "access_token", "client_secret", "Authorization", "api_key", "phone_number"]
)
def test_values_of_telling_names_are_not_written(lines, name: str) -> None:
    logging.getLogger("hotel").warning("refused", extra={name: "s3cr3t"})
    (line,) = lines()
    assert line[name] == "[redacted]"
    assert "s3cr3t" not in json.dumps(line)


def test_an_exception_is_one_line_with_its_stack(lines) -> None:
    try:
        _ = 1 // len("")
    except ZeroDivisionError:
        logging.getLogger("hotel").exception("failed")
    (line,) = lines()
    assert "ZeroDivisionError" in line["exception"]
