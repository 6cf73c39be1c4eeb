"""Nobody takes all there is, and a service that is down costs nobody time."""

import asyncio
import socket

import pytest
from common.ids import uuid7
from common.testing import eventually
from gateway.errors import ServiceUnavailable
from gateway.proxy.fairness import FAILURES, LONGEST_PAUSE, SHORTEST_PAUSE, Breaker

pytestmark = pytest.mark.integration
JOBS = "/api/backup-jobs/"


@pytest.mark.invariant("S66")
@pytest.mark.parametrize("overrides", [{"requests_at_once": 3}], indirect=True)
async def test_slow_requests_of_one_organization_leave_room_for_others(stack) -> None:
    busy, quiet = (stack.tenancy.headers(tenant=uuid7()) for _ in range(2))
    waiting = [asyncio.create_task(stack.client.get(JOBS + "hang/", headers=busy)) for _ in range(3)]
    await eventually(lambda: len(stack.engine.seen) == 3)
    refused = await stack.client.get(JOBS, headers=busy)
    assert (refused.status_code, refused.json()["limit"], refused.headers["retry-after"]) == (429, "at_once", "1")
    assert (await stack.client.get(JOBS, headers=quiet)).status_code == 200
    stack.engine.release.set()
    assert {answer.status_code for answer in await asyncio.gather(*waiting)} == {200}
    assert (await stack.client.get(JOBS, headers=busy)).status_code == 200


def refuses(breaker: Breaker) -> bool:
    try:
        breaker.check()
    except ServiceUnavailable as error:
        assert error.retry_after is not None
        return True
    return False


@pytest.mark.invariant("S67")
def test_a_service_that_cannot_be_reached_is_left_alone_then_tried_by_one_request() -> None:
    clock = [0.0]
    breaker = Breaker("billing", lambda: clock[0])
    for _ in range(FAILURES):
        assert not refuses(breaker)
        breaker.failed()
    assert refuses(breaker)
    clock[0] += SHORTEST_PAUSE + 0.01
    assert [refuses(breaker) for _ in range(3)] == [False, True, True]
    breaker.failed()
    clock[0] += SHORTEST_PAUSE + 0.01
    assert refuses(breaker), "the second pause is longer"
    clock[0] += LONGEST_PAUSE
    assert not refuses(breaker)
    breaker.connected()
    assert not any(refuses(breaker) for _ in range(20))


def test_a_single_failure_between_good_connections_closes_nothing() -> None:
    breaker = Breaker("billing", lambda: 0.0)
    for _ in range(3 * FAILURES):
        breaker.failed()
        breaker.connected()
    assert not refuses(breaker)


with socket.create_server(("127.0.0.1", 0)) as probe:
    CLOSED = probe.getsockname()[1]


@pytest.mark.invariant("S67")
@pytest.mark.parametrize("overrides", [{"billing_url": f"http://127.0.0.1:{CLOSED}"}], indirect=True)
async def test_a_service_that_comes_back_is_found_again(stack) -> None:
    async def plans() -> int:
        return (await stack.client.get("/api/tenants/plans/")).status_code

    assert [await plans() for _ in range(3 * FAILURES)] == [503] * 3 * FAILURES
    assert (await stack.client.get(JOBS, headers=stack.tenancy.headers(tenant=uuid7()))).status_code == 200

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", CLOSED):

        async def back() -> bool:
            return await plans() == 200

        await eventually(back)
