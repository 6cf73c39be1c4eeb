"""That billing's figures come of real work: rows that are there afterwards, and refusals that end the measurement."""

import httpx
import pytest
from billing.adapters.paypal_webhooks import Transmission
from billing.ports import SignatureRejected
from billing.testing import Billing, settings_for
from common.testing import service_database
from devstack.bench import billing_speed
from devstack.bench.billing_rows import janitor_day, orders_list
from devstack.bench.billing_speed import AT_ONCE, invoices_drawn, webhooks_accepted
from devstack.bench.measuring import Sizes
from devstack.members import BILLING

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

SIZES = Sizes(rows=20_000, requests=80, pairs=1)


def quiet(_text):
    pass


def database_on(postgres_url):
    return service_database(postgres_url, BILLING.prefix, BILLING.package_folder, BILLING.system_roles)


@pytest.fixture
def database(postgres_url):
    yield from database_on(postgres_url)


@pytest.fixture
def larger_database(postgres_url):
    yield from database_on(postgres_url)


@pytest.fixture
async def few(database, tmp_path):
    async with httpx.AsyncClient() as http:
        made = Billing(database, settings_for(database, tmp_path), http)
        yield made
        await made.close()


@pytest.fixture
async def many(larger_database, tmp_path):
    async with httpx.AsyncClient() as http:
        made = Billing(larger_database, settings_for(larger_database, tmp_path), http)
        yield made
        await made.close()


async def test_every_webhook_that_counts_is_a_row(database, few, tmp_path):
    bar = await webhooks_accepted(database, tmp_path, SIZES, quiet)
    rows = await few.rows("select count(*) as kept, count(distinct event_id) as events from webhook_events")
    assert rows == [{"kept": 2 * SIZES.requests // 2, "events": SIZES.requests}]
    assert bar.value > 0
    assert "p99" in bar.note
    assert SIZES.requests // 2 > AT_ONCE


async def test_webhooks_whose_signature_is_refused_are_no_throughput(database, tmp_path, monkeypatch):
    def refused(*_arguments):
        raise SignatureRejected("signature")

    monkeypatch.setattr(Transmission, "check_signature", refused)
    with pytest.raises(AssertionError):
        await webhooks_accepted(database, tmp_path, SIZES, quiet)


def test_invoices_are_drawn_and_what_is_no_pdf_does_not_count(monkeypatch):
    bar = invoices_drawn(SIZES, quiet)
    assert 0 < bar.value < 2
    monkeypatch.setattr(billing_speed, "invoice_pdf", lambda _invoice: b"")
    with pytest.raises(AssertionError):
        invoices_drawn(SIZES, quiet)


async def test_a_list_of_orders_that_no_index_serves_feels_the_other_customers(few, many):
    everybodys = "md5(repeat(tenant_id::text, 200)) <> '' and tenant_id::text = current_setting('app.tenant_id', true)"
    async with many.superuser() as superuser:
        await superuser.execute(f"alter policy tenant on orders using ({everybodys})")
    bar = await orders_list(few, many, SIZES, quiet)
    assert (await many.rows("select count(*) as orders from orders")) == [{"orders": 20_001}]
    assert bar.holds is False


async def test_the_janitor_asks_about_each_open_attempt_and_no_other(few):
    bar = await janitor_day(few, SIZES, quiet)
    rows = await few.rows("select status, count(*) as attempts, sum(least(polls, 1)) as asked from payments group by 1")
    asked = {row["status"]: (row["attempts"], row["asked"]) for row in rows}
    assert asked["pending"][1] >= 200
    assert asked["failed"] == (1_800, 0)
    assert bar.holds is True
