"""A worker is killed while it sends a webhook: the next one sends it, under the same id, and writes it down once."""

import asyncio
import signal
from pathlib import Path

import asyncpg
import pytest
from common.crash_points import Deed
from tenancy.testing import Tenancy

from .receivers import Receiver, receiver
from .sending_process import begun
from .webhooks import Customer, customer, sender

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

ENDS_SECONDS = 200
"""To load tenancy and die takes three seconds on a quiet machine."""

STEPS = [
    ("tenancy.webhook.claimed", 0, "pending", 1),
    ("tenancy.webhook.sent", 1, "pending", 2),
    ("tenancy.webhook.recorded", 1, "delivered", 1),
]
"""Where it dies, how often the receiver has the message then, how its delivery stands, and how often he has it at last:
only what he took and nobody wrote down comes again."""


async def _killed_at(tenancy: Tenancy, point: str, folder: Path) -> int:
    settings = tenancy.tools.settings.model_copy(update={"crash_points": {point: Deed.KILL}})
    process = await begun(settings, folder)
    try:
        async with asyncio.timeout(ENDS_SECONDS):
            return await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture(autouse=True)
async def nothing_else_waits(tenancy: Tenancy) -> None:
    """What other tests left is due another day: whoever is to die must not do so over theirs."""
    admin = await asyncpg.connect(tenancy.database.admin_url)
    try:
        await admin.execute(
            "update webhook_deliveries set next_attempt_at = now() + interval '1 day' where state = 'pending'"
        )
    finally:
        await admin.close()


async def _waits(tenancy: Tenancy, up: Receiver) -> tuple[Customer, dict[str, object]]:
    """One for whom a message waits."""
    me = await customer(tenancy)
    endpoint = await me.endpoint(up)
    await me.hears()
    return me, endpoint


@pytest.mark.invariant("S72")
@pytest.mark.parametrize(("point", "had", "state", "has"), STEPS)
async def test_what_a_killed_sender_left_is_sent_under_the_same_id_and_written_down_once(
    tenancy: Tenancy, tmp_path: Path, point: str, had: int, state: str, has: int
) -> None:
    async with receiver() as up:
        me, endpoint = await _waits(tenancy, up)

        assert await _killed_at(tenancy, point, tmp_path) == -signal.SIGKILL

        (row,) = await me.deliveries(endpoint)
        assert (len(up.got), row["state"], row["attempts"]) == (had, state, int(state == "delivered"))
        await sender(tenancy).turn()
        assert len(up.got) == had, "the claim holds for a minute"
        await me.claims_over()
        await sender(tenancy).turn()
    shown = await me.delivery(endpoint)
    assert (shown["state"], shown["attempts"], len(shown["tries"])) == ("delivered", 1, 1)
    assert up.ids == [shown["message_id"]] * has
    assert len({request.body for request in up.got}) == 1


@pytest.mark.invariant("S72")
async def test_whoever_dies_over_one_organizations_message_loses_no_others(tenancy: Tenancy, tmp_path: Path) -> None:
    async with receiver() as first, receiver() as second:
        waiting = [(await _waits(tenancy, up), up) for up in (first, second)]
        assert await _killed_at(tenancy, "tenancy.webhook.sent", tmp_path) == -signal.SIGKILL
        for (one, _endpoint), _up in waiting:
            await one.claims_over()
        await sender(tenancy).turn()
    for (one, endpoint), up in waiting:
        shown = await one.delivery(endpoint)
        assert (shown["state"], shown["attempts"]) == ("delivered", 1)
        assert set(up.ids) == {shown["message_id"]}
