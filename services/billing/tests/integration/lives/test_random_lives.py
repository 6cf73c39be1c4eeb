"""Random lives of a customer between two unreliable providers, against books that are kept in plain Python.

Webhooks and callbacks are lost, late, repeated, out of order and forged; requests and answers get lost; customer,
finance and time do what they like. After each step the ledger is zero and says, with the periods, the subscription,
the invoices and credit notes, what the plain books say; at the end every franc that a provider took is in them.

A seed makes the same life again: `LIVES_SEEDS="17 18" pytest …` plays two, `LIVES_STEPS` says how long it is. Long
ones are played twice: one act at a time, and crowded, with acts that meet as they happen to.
"""

import os
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from billing.testing import Billing
from common.ids import uuid7
from common.testing import FrozenClock, ServiceDatabase
from pydantic import SecretStr

from services.billing.tests.conftest import between_providers
from services.billing.tests.integration.lives.beginning import START
from services.billing.tests.integration.lives.life import Life

pytestmark = pytest.mark.integration
STEPS = int(os.environ.get("LIVES_STEPS", "40"))
SEEDS = [int(seed) for seed in os.environ.get("LIVES_SEEDS", "2 5").split()]
LONG_STEPS, LONG_SEEDS = 200, range(101, 121)

COMMITS = """
drop schema if exists lives cascade;
create schema lives;
create table lives.commits (turn bigserial primary key, xid text unique);
create function lives.commit() returns trigger language plpgsql security definer as $$
begin
  insert into lives.commits (xid) values (pg_current_xact_id()::xid::text) on conflict do nothing;
  return null;
end $$;
create constraint trigger lives_commit after insert on ledger_entries
  deferrable initially deferred for each row execute function lives.commit();
"""
"""In which order transactions booked: each takes its turn at its commit, with its locks still held. Its id does not tell,
for that is given when it first writes, and another one may hold the lock that it waits for then."""

IDS = re.compile(r"\b[0-9a-f]{6}\b|PP-[\w-]+|[0-9A-Z]{17}")
"""What is another one each time in what is told of a life: the ends of our ids, and the providers' references."""

each_way = pytest.mark.parametrize("crowded", [False, True], ids=["one-by-one", "crowded"])


@asynccontextmanager
async def standing_still(world: Any) -> AsyncIterator[Billing]:
    """Yield a billing whose clock stands still between the same providers."""
    frozen = Billing(world.billing.database, world.billing.settings, world.http, FrozenClock(START))
    async with frozen.superuser() as connection:
        # What other tests have left behind has its own calendar, and questions of its own.
        await connection.execute("update subscriptions set next_step_at = null")
        await connection.execute("update orders set expires_at = null")
        await connection.execute("update payments set next_poll_at = null")
        await connection.execute("update refunds set next_poll_at = null")
        await connection.execute("update disputes set next_poll_at = null")
        await connection.execute("update webhook_events set handled_at = now() where handled_at is null")
        await connection.execute(COMMITS)
    yield frozen
    async with frozen.superuser() as connection:
        await connection.execute("drop schema lives cascade")
    await frozen.close()


@pytest.fixture
async def lived(world: Any) -> AsyncIterator[Billing]:
    async with standing_still(world) as frozen:
        yield frozen


async def live(
    world: Any,
    billing: Billing,
    seed: int,
    steps: int,
    *,
    crowded: bool,
    coupons: dict[str, tuple[int, int]] | None = None,
) -> None:
    async with billing.superuser() as eye:
        life = Life(world, billing, eye, seed, crowded=crowded)
        try:
            life.coupons |= coupons or {}
            await life.begin()
            for _ in range(steps):
                await life.step()
            await life.come_to_rest()
        except AssertionError as error:
            error.add_note(f"seed {seed}:\n" + "\n".join(life.told))
            raise


@pytest.mark.invariant("S22")
@pytest.mark.invariant("S24")
@pytest.mark.invariant("S26")
@pytest.mark.parametrize("seed", SEEDS)
async def test_a_random_life_ends_with_the_plain_books(world: Any, lived: Billing, seed: int) -> None:
    await live(world, lived, seed, STEPS, crowded=False)


async def test_a_seed_makes_the_same_life_again(
    database: ServiceDatabase, tmp_path: Path, paypal_signer: Any, momo_config: dict[str, Any]
) -> None:
    told = []
    for _ in range(2):
        async with (
            between_providers(database, tmp_path, paypal_signer, momo_config) as world,
            standing_still(world) as lived,
            lived.superuser() as eye,
        ):
            life = Life(world, lived, eye, 3, crowded=False)
            await life.begin()
            for _ in range(3 * STEPS):
                await life.step()
            told.append([IDS.sub("…", line) for line in life.told])
    assert told[0] == told[1]


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.invariant("S22")
@each_way
@pytest.mark.parametrize("seed", LONG_SEEDS)
async def test_a_long_random_life_ends_with_the_plain_books(
    world: Any, lived: Billing, seed: int, *, crowded: bool
) -> None:
    await live(world, lived, seed, LONG_STEPS, crowded=crowded)


class TestOfAllThatIsSold:
    """With VAT, coupons, free days first, renewals by Mobile Money, and refunds by MTN's Disbursement."""

    @pytest.fixture
    def billing_settings(self) -> dict[str, Any]:
        return {
            "issuer_vat_registered": True,
            "issuer_rccm": "RC/DLA/2026/B/1",
            "issuer_niu": "M012612345678A",
            "issuer_code": "LIVES",
            "mtn_momo_disbursement_key": SecretStr("momo-disbursement-key"),
            "mtn_momo_disbursement_user_id": "5b1d9c34-7a0e-4f0b-8d57-3c9e2a6f4b20",
            "mtn_momo_disbursement_api_key": SecretStr("momo-disbursement-api-key"),
        }

    @pytest.fixture
    async def coupons(self, lived: Billing) -> AsyncIterator[dict[str, tuple[int, int]]]:
        """Percent and francs by code; the dearer plans begin with free days meanwhile."""
        finance, suffix = lived.client(staff=["finance"]), uuid7().hex[-8:].upper()
        terms = {f"A-{suffix}": (15, 0), f"B-{suffix}": (0, 7_000), f"C-{suffix}": (100, 0)}
        for code, (percent, francs) in terms.items():
            off: dict[str, Any] = {"percent": str(percent)} if percent else {"amounts": {"XAF": str(francs)}}
            made = await finance.post("/api/admin/coupons/", json={"code": code, "reason": "a test of chance"} | off)
            assert made.status_code == 201, made.text
        async with lived.superuser() as connection:
            await connection.execute("update plans set trial_days = 10 where id > 1")
            yield terms
            await connection.execute("update plans set trial_days = 0")

    @pytest.mark.invariant("S22")
    @pytest.mark.parametrize("seed", SEEDS)
    async def test_a_random_life_ends_with_the_plain_books(
        self, world: Any, lived: Billing, coupons: dict[str, tuple[int, int]], seed: int
    ) -> None:
        await live(world, lived, seed, STEPS, crowded=False, coupons=coupons)

    @pytest.mark.long
    @pytest.mark.timeout(300)
    @pytest.mark.invariant("S22")
    @each_way
    @pytest.mark.parametrize("seed", LONG_SEEDS)
    async def test_a_long_random_life_ends_with_the_plain_books(
        self, world: Any, lived: Billing, coupons: dict[str, tuple[int, int]], seed: int, *, crowded: bool
    ) -> None:
        await live(world, lived, seed, LONG_STEPS, crowded=crowded, coupons=coupons)
