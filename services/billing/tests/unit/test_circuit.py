"""The circuit breaker: opens after failures in a row, lets one call try, closes on any answer."""

from datetime import UTC, datetime, timedelta

import httpx
import pytest
from billing.adapters.circuit import FAILURES_IN_A_ROW, FIRST_PAUSE, LONGEST_PAUSE, Circuit
from billing.adapters.provider_http import BearerClient, Token
from billing.ports import ProviderUnavailable
from prometheus_client import REGISTRY

pytestmark = pytest.mark.unit


class Time:
    def __init__(self) -> None:
        self.at = datetime(2026, 11, 22, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.at


def is_open(circuit: Circuit) -> bool:
    try:
        circuit.enter()
    except ProviderUnavailable as spared:
        assert spared.code == "circuit_open"
        return True
    return False


def test_it_opens_after_failures_in_a_row_and_an_answer_between_them_begins_anew() -> None:
    circuit = Circuit("test", Time())
    for _ in range(FAILURES_IN_A_ROW - 1):
        circuit.failed()
    circuit.succeeded()
    for _ in range(FAILURES_IN_A_ROW - 1):
        circuit.failed()
    assert not is_open(circuit)
    circuit.failed()
    assert is_open(circuit)
    assert REGISTRY.get_sample_value("billing_provider_circuit_open", {"provider": "test"}) == 1


def test_after_the_pause_one_call_tries_and_the_pause_doubles_with_each_that_fails() -> None:
    time = Time()
    circuit = Circuit("test", time)
    for _ in range(FAILURES_IN_A_ROW):
        circuit.failed()
    pause = FIRST_PAUSE
    for _ in range(8):
        time.at += pause - timedelta(milliseconds=1)
        assert is_open(circuit)
        time.at += timedelta(milliseconds=1)
        assert circuit.enter()  # this is the call that tries
        assert is_open(circuit)
        circuit.failed(tried=True)
        pause = min(2 * pause, LONGEST_PAUSE)
    time.at += pause
    circuit.enter()
    circuit.succeeded()
    assert not is_open(circuit)
    assert REGISTRY.get_sample_value("billing_provider_circuit_open", {"provider": "test"}) == 0


def test_calls_that_were_under_way_when_it_opened_make_the_pause_no_longer() -> None:
    time = Time()
    circuit = Circuit("test", time)
    under_way = [circuit.enter() for _ in range(4 * FAILURES_IN_A_ROW)]
    for tried in under_way:
        circuit.failed(tried=tried)
    time.at += FIRST_PAUSE
    assert not is_open(circuit)


async def test_a_call_for_which_we_have_no_connection_says_nothing_about_the_provider() -> None:
    def full(_request: httpx.Request) -> httpx.Response:
        raise httpx.PoolTimeout("all in use")

    async def token() -> Token:
        return Token("t", Time()() + timedelta(hours=1))

    async with httpx.AsyncClient(transport=httpx.MockTransport(full)) as http:
        circuit = Circuit("test", Time())
        client = BearerClient(http, "https://provider.example", 1, token, Time(), circuit)
        for _ in range(3 * FAILURES_IN_A_ROW):
            with pytest.raises(ProviderUnavailable, match="no_connection_free"):
                await client.send("GET", "/", {})
        assert not is_open(circuit)


@pytest.mark.parametrize("failure", [httpx.ConnectError("refused"), httpx.ReadTimeout("late"), 502, 503, 504])
async def test_a_provider_that_is_down_is_left_alone_and_asked_again_later(failure: Exception | int) -> None:
    time, asked = Time(), 0
    down = True

    def answer(_request: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        if not down:
            return httpx.Response(200)
        if isinstance(failure, Exception):
            raise failure
        return httpx.Response(failure)

    async def token() -> Token:
        return Token("t", time() + timedelta(hours=1))

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as http:
        client = BearerClient(http, "https://provider.example", 1, token, time, Circuit("test", time))
        for _ in range(FAILURES_IN_A_ROW + 20):
            try:
                assert (await client.call("GET", "/", {})).status_code == failure
            except ProviderUnavailable:
                continue
        assert asked == FAILURES_IN_A_ROW
        down = False
        time.at += FIRST_PAUSE
        assert (await client.call("GET", "/", {})).status_code == 200
        assert (await client.call("GET", "/", {})).status_code == 200


@pytest.mark.parametrize("status", [200, 202, 400, 401, 404, 409, 429, 500])
async def test_an_answer_that_is_a_verdict_opens_nothing(status: int) -> None:
    time = Time()

    async def token() -> Token:
        return Token("t", time() + timedelta(hours=1))

    transport = httpx.MockTransport(lambda _request: httpx.Response(status))
    async with httpx.AsyncClient(transport=transport) as http:
        circuit = Circuit("test", time)
        client = BearerClient(http, "https://provider.example", 1, token, time, circuit)
        for _ in range(3 * FAILURES_IN_A_ROW):
            assert (await client.send("GET", "/", {})).status_code == status
        assert not is_open(circuit)
