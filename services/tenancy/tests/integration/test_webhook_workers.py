"""Several workers, slow receivers and killed processes: every message arrives, and nobody waits for another's."""

import asyncio
import os
import signal
import time
from collections import Counter
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from common.ids import uuid7
from common.testing import eventually
from tenancy.domain.webhooks import MOST_ENDPOINTS
from tenancy.persistence import tables
from tenancy.persistence.webhook_claims import PER_ORGANIZATION
from tenancy.testing import Tenancy
from tenancy.workflows import webhook_sender

from .receivers import Request, after, receiver, status
from .sending_process import begun
from .webhooks import PATH, customer, sender, sender_of_its_own

pytestmark = pytest.mark.integration
AT_ONCE = 2
"""Messages that are on their way to one endpoint at most."""


@pytest.mark.invariant("S72")
async def test_two_workers_at_once_deliver_each_message_once_and_few_at_a_time(tenancy: Tenancy) -> None:
    me, other = await customer(tenancy), await customer(tenancy)
    slow = after(0.02, status(200))
    async with receiver(slow) as first, receiver(slow) as second, receiver(slow) as third:
        mine = [await me.endpoint(first), await me.endpoint(second)]
        theirs = await other.endpoint(third)
        facts, others = [me.fact() for _ in range(30)], [other.fact() for _ in range(30)]
        await me.hears(*facts)
        await other.hears(*others)
        await eventually(lambda: _all_handled(tenancy))
        async with sender_of_its_own(tenancy) as one, sender_of_its_own(tenancy) as two:

            async def done() -> bool:
                await asyncio.gather(one.turn(), two.turn())
                return len(first.got) + len(second.got) + len(third.got) >= 90

            await eventually(done)
        for endpoint, up, told in ((mine[0], first, facts), (mine[1], second, facts), (theirs, third, others)):
            assert Counter(up.ids) == Counter(str(fact.id) for fact in told)
            assert up.most_at_once <= AT_ONCE
            who = other if endpoint is theirs else me
            rows = await who.deliveries(endpoint)
            assert {(row["state"], row["attempts"]) for row in rows} == {("delivered", 1)}


async def _all_handled(tenancy: Tenancy) -> bool:
    return await tenancy.inbox.handle_due() == 0


@pytest.mark.invariant("S72")
async def test_a_slow_receiver_holds_nobody_else_up(tenancy: Tenancy) -> None:
    me, other = await customer(tenancy), await customer(tenancy)
    async with receiver(after(30, status(200))) as slow, receiver() as fast:
        await me.endpoint(slow)
        theirs = await other.endpoint(fast)
        await me.hears(*(me.fact() for _ in range(20)))
        await eventually(lambda: _all_handled(tenancy))
        stop = asyncio.Event()
        sending = asyncio.create_task(sender(tenancy, webhook_patience=timedelta(seconds=20)).run(stop, lambda: None))

        async def busy() -> bool:
            return slow.at_once == AT_ONCE

        await eventually(busy)
        began = time.monotonic()
        await other.hears(*(other.fact() for _ in range(20)))

        async def arrived() -> bool:
            await tenancy.inbox.handle_due()
            return len(fast.got) == 20

        await eventually(arrived, seconds=15)
        assert time.monotonic() - began < 15, "before the slow one's time is over"
        assert slow.connections == AT_ONCE
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
        assert len(await other.deliveries(theirs)) == 20


@pytest.mark.invariant("S87")
async def test_three_organizations_whose_receivers_are_all_slow_hold_nobody_else_up(tenancy: Tenancy) -> None:
    """Each has as many endpoints as it may have, and more to send than a worker has places."""
    slow_ones, other = [await customer(tenancy) for _ in range(3)], await customer(tenancy)
    async with receiver(after(30, status(200))) as slow, receiver() as fast:
        theirs = await other.endpoint(fast)
        for one in slow_ones:
            for _ in range(MOST_ENDPOINTS):
                await one.endpoint(slow)
            await one.hears(one.fact(), one.fact())
        await eventually(lambda: _all_handled(tenancy))
        stop = asyncio.Event()
        sending = asyncio.create_task(sender(tenancy, webhook_patience=timedelta(seconds=25)).run(stop, lambda: None))

        async def busy() -> bool:
            return slow.at_once == 3 * PER_ORGANIZATION

        await eventually(busy, seconds=20)
        facts = [other.fact() for _ in range(5)]
        await other.hears(*facts)

        async def arrived() -> bool:
            return len(fast.got) == len(facts)

        await eventually(arrived, seconds=10)
        assert slow.most_at_once == 3 * PER_ORGANIZATION
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
        assert Counter(fast.ids) == Counter(str(fact.id) for fact in facts)
        assert len(await other.deliveries(theirs)) == len(facts)


@pytest.mark.invariant("S87")
async def test_two_workers_together_send_few_messages_of_one_organization_at_a_time(tenancy: Tenancy) -> None:
    me = await customer(tenancy)
    async with receiver(after(0.1, status(200))) as up:
        for _ in range(MOST_ENDPOINTS):
            await me.endpoint(up)
        facts = [me.fact() for _ in range(4)]
        await me.hears(*facts)
        await eventually(lambda: _all_handled(tenancy))
        async with sender_of_its_own(tenancy) as one, sender_of_its_own(tenancy) as two:

            async def done() -> bool:
                await asyncio.gather(one.turn(), two.turn())
                return len(up.got) >= len(facts) * MOST_ENDPOINTS

            await eventually(done)
    assert Counter(up.ids) == Counter({str(fact.id): MOST_ENDPOINTS for fact in facts})
    assert 2 < up.most_at_once <= PER_ORGANIZATION


@pytest.mark.invariant("S72")
async def test_a_worker_that_is_killed_after_sending_sends_again_under_the_same_id(
    tenancy: Tenancy, tmp_path: Path
) -> None:
    """The receiver has the message and kills whoever sent it before that is written down."""
    me = await customer(tenancy)
    process: asyncio.subprocess.Process | None = None

    async def kill(_writer: Any, _request: Request) -> None:
        assert process is not None
        os.kill(process.pid, signal.SIGKILL)
        await process.wait()

    async with receiver(kill, status(200)) as up:
        endpoint = await me.endpoint(up)
        process = await begun(tenancy.tools.settings, tmp_path)
        await me.hears()
        assert await process.wait() == -signal.SIGKILL
        (row,) = await me.deliveries(endpoint)
        assert (row["state"], row["attempts"], len(up.got)) == ("pending", 0, 1)
        assert await sender(tenancy).turn() == 0 or len(up.got) == 1, "the claim holds for a minute"
        await me.claims_over()
        await sender(tenancy).turn()
    shown = await me.delivery(endpoint)
    assert (shown["state"], shown["attempts"]) == ("delivered", 1)
    assert up.ids == [shown["message_id"]] * 2
    assert up.got[0].body == up.got[1].body


@pytest.mark.invariant("S72")
@pytest.mark.parametrize(("code", "state"), [(200, "delivered"), (503, "pending")])
async def test_whoever_lost_its_claim_writes_nothing_down(tenancy: Tenancy, code: int, state: str) -> None:
    """A worker that was stopped for longer than its claim, and goes on: the other's word counts."""
    me = await customer(tenancy)
    async with receiver(after(0.6, status(500)), status(code)) as up:
        endpoint = await me.endpoint(up)
        await me.hears()
        late = asyncio.create_task(sender(tenancy).turn())

        async def asked() -> bool:
            return bool(up.got)

        await eventually(asked)
        await me.claims_over()
        async with sender_of_its_own(tenancy) as other:
            await other.turn()
        await late
    shown = await me.delivery(endpoint)
    assert (shown["state"], [attempt["status"] for attempt in shown["tries"]]) == (state, [code])
    failing = (await me.client.get(f"{PATH}{endpoint['id']}/")).json()["failing_since"]
    assert (failing is None) == (code == 200)


@pytest.mark.parametrize("change", ["delete", "off", "replay"])
async def test_what_is_changed_while_a_message_is_on_its_way_stays_so(tenancy: Tenancy, change: str) -> None:
    me = await customer(tenancy)
    async with receiver(after(0.5, status(500)), status(200)) as up:
        endpoint = await me.endpoint(up)
        await me.hears()
        (row,) = await me.deliveries(endpoint)
        path = f"{PATH}{endpoint['id']}/"
        sending = asyncio.create_task(sender(tenancy).turn())

        async def asked() -> bool:
            return bool(up.got)

        await eventually(asked)
        if change == "delete":
            assert (await me.client.delete(path)).status_code == 204
        elif change == "off":
            assert (await me.client.patch(path, json={"enabled": False})).status_code == 200
        else:
            assert (await me.client.post(f"{path}deliveries/{row['id']}/replay/")).status_code == 202
        await sending
        await sender(tenancy).turn()
    if change == "delete":
        await sender(tenancy).clear()
        assert await tenancy.rows(me.tenant, tables.webhook_attempts) == []
        assert await tenancy.rows(me.tenant, tables.webhook_deliveries) == []
        return
    (row,) = await me.deliveries(endpoint)
    assert (row["state"], row["last_error"]) == (("failed", "endpoint_off") if change == "off" else ("delivered", None))


async def test_a_database_that_goes_away_between_sending_and_writing_down_loses_nothing(
    tenancy: Tenancy, monkeypatch: pytest.MonkeyPatch
) -> None:
    me = await customer(tenancy)
    broken = sender(tenancy)

    async def away(*_everything: Any) -> None:
        raise ConnectionError("the database went away")

    monkeypatch.setattr(broken, "_record", away)
    monkeypatch.setattr(webhook_sender, "WRITING", ())
    async with receiver(status(200)) as up:
        endpoint = await me.endpoint(up)
        await me.hears()
        await broken.turn()
        assert (await me.deliveries(endpoint))[0]["state"] == "pending"
        await me.claims_over()
        await sender(tenancy).turn()
    assert len(up.got) == 2
    assert len(set(up.ids)) == 1
    assert (await me.deliveries(endpoint))[0]["state"] == "delivered"


async def test_what_a_receiver_has_taken_is_written_down_when_the_database_is_back(
    tenancy: Tenancy, monkeypatch: pytest.MonkeyPatch
) -> None:
    me, failures = await customer(tenancy), [ConnectionError("the database went away") for _ in range(2)]
    sending = sender(tenancy)
    record = sending._record

    async def away_for_a_moment(*everything: Any) -> None:
        if failures:
            raise failures.pop()
        await record(*everything)

    monkeypatch.setattr(sending, "_record", away_for_a_moment)
    async with receiver(status(200)) as up:
        endpoint = await me.endpoint(up)
        await me.hears()
        await sending.turn()
        await me.claims_over()
        await sending.turn()
    assert (failures, len(up.got)) == ([], 1)
    shown = await me.delivery(endpoint)
    assert (shown["state"], shown["attempts"]) == ("delivered", 1)


async def test_a_try_that_was_written_down_unheard_is_not_written_down_again(
    tenancy: Tenancy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit went through, its answer was lost."""
    me = await customer(tenancy)
    sending = sender(tenancy, webhook_patience=timedelta(seconds=20))
    record, lost = sending._record, [ConnectionError("no answer to the commit")]

    async def unheard(*everything: Any) -> None:
        await record(*everything)
        if lost:
            raise lost.pop()

    monkeypatch.setattr(sending, "_record", unheard)
    async with receiver(status(503)) as up:
        endpoint = await me.endpoint(up)
        await me.hears()
        await sending.turn()
    shown = await me.delivery(endpoint)
    assert (lost, len(up.got), shown["attempts"], [one["status"] for one in shown["tries"]]) == ([], 1, 1, [503])


async def test_one_message_that_cannot_be_read_keeps_no_other_waiting(tenancy: Tenancy) -> None:
    """A secret that was sealed with a key that is no more: tried and written down like a receiver that is away."""
    me, other = await customer(tenancy), await customer(tenancy)
    async with receiver() as up, receiver() as others:
        endpoint = await me.endpoint(up)
        await other.endpoint(others)
        async with tenancy.store.for_tenant(me.tenant) as uow:
            found = await uow.webhook_endpoints.get(me.tenant, UUID(endpoint["id"]))
            assert found is not None
            await uow.webhook_endpoints.rotate(found, tenancy.tools.sealer.seal("whsec_AAAA", uuid7()), None)
        await me.hears()
        await other.hears()
        await sender(tenancy).turn()
    assert (up.got, len(others.got)) == ([], 1)
    (kept,) = await me.deliveries(endpoint)
    assert (kept["state"], kept["attempts"], kept["last_error"]) == ("pending", 1, "secret_unreadable")
