"""Customers' servers that are late, endless, elsewhere, inside, gone or away: what is sent to them, and until when."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from tenancy.adapters.webhook_receivers import MOST_KEPT
from tenancy.domain.webhooks import FAILING
from tenancy.persistence import tables
from tenancy.testing import Tenancy

from .name_servers import name_server
from .receivers import Request, after, receiver, status
from .webhooks import PATH, PATIENCE, customer, sender

pytestmark = pytest.mark.integration


async def test_whoever_asks_for_time_is_left_alone_for_so_long(tenancy: Tenancy) -> None:
    me = await customer(tenancy)
    date = (datetime.now(UTC) + timedelta(hours=2)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    asked = [(429, "retry-after: 3600", 1.0), (503, f"retry-after: {date}", 2.0), (503, "retry-after: 999999999", 24.0)]
    for code, field, hours in asked:
        async with receiver(status(code, field)) as busy:
            endpoint = await me.endpoint(busy)
            await me.hears()
            await sender(tenancy).turn()
        (row,) = await me.deliveries(endpoint)
        pause = datetime.fromisoformat(row["next_attempt_at"]) - datetime.now(UTC)
        assert hours - 0.1 < pause / timedelta(hours=1) < hours + 0.1
        await me.client.delete(f"{PATH}{endpoint['id']}/")


async def test_a_receiver_that_is_late_is_not_waited_for(tenancy: Tenancy) -> None:
    me = await customer(tenancy)
    async with receiver(after(30, status(200))) as late:
        endpoint = await me.endpoint(late)
        await me.hears()
        async with asyncio.timeout(PATIENCE.total_seconds() * 5):
            await sender(tenancy).turn()
        (attempt,) = (await me.delivery(endpoint))["tries"]
    assert (attempt["error"], attempt["status"]) == ("timed_out", None)
    assert PATIENCE.total_seconds() * 900 < attempt["duration_ms"] < PATIENCE.total_seconds() * 4000


async def test_an_answer_without_end_is_read_no_further_than_is_kept(tenancy: Tenancy) -> None:
    me = await customer(tenancy)
    sent = 0

    async def endless(writer: asyncio.StreamWriter, _request: Request) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nx-long: " + b"y" * 9000 + b"\r\n\r\n")
        while sent < 64 * 1024 * 1024:
            writer.write(b"x" * 65536)
            await writer.drain()
            sent += 65536

    async with receiver(endless) as big:
        endpoint = await me.endpoint(big)
        await me.hears()
        await sender(tenancy).turn()
        shown = await me.delivery(endpoint)
    assert sent < 16 * 1024 * 1024
    assert (shown["state"], shown["tries"][0]["response_body"]) == ("delivered", "x" * MOST_KEPT)
    assert len(shown["tries"][0]["response_head"]) == MOST_KEPT


async def test_an_answer_counts_by_its_head_though_its_body_never_ends(tenancy: Tenancy) -> None:
    me = await customer(tenancy)

    async def dripping(writer: asyncio.StreamWriter, _request: Request) -> None:
        writer.write(b"HTTP/1.1 202 Accepted\r\n\r\n")
        while not writer.is_closing():
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.1)

    async with receiver(dripping) as slow:
        endpoint = await me.endpoint(slow)
        await me.hears()
        async with asyncio.timeout(PATIENCE.total_seconds() * 5):
            await sender(tenancy).turn()
    assert (await me.deliveries(endpoint))[0]["state"] == "delivered"


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.invariant("S70")
async def test_no_receiver_sends_us_elsewhere(tenancy: Tenancy, code: int) -> None:
    me = await customer(tenancy)
    async with receiver() as elsewhere, receiver(status(code, f"location: {elsewhere.url}")) as up:
        endpoint = await me.endpoint(up)
        await me.hears()
        await sender(tenancy).turn()
    (row,) = await me.deliveries(endpoint)
    assert (elsewhere.connections, row["state"], row["last_status"]) == (0, "pending", code)


async def test_what_cannot_be_reached_or_read_is_named(tenancy: Tenancy) -> None:
    me = await customer(tenancy)

    async def nonsense(writer: asyncio.StreamWriter, _request: Request) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")

    async def nothing(_writer: asyncio.StreamWriter, _request: Request) -> None: ...

    for answer, error in ((nonsense, "bad_answer"), (nothing, "bad_answer"), (None, "connection_failed")):
        async with receiver(answer or status(200)) as odd:
            endpoint = await me.endpoint(odd)
            await me.hears()
            if answer is not None:
                await sender(tenancy).turn()
        if answer is None:
            await sender(tenancy).turn()
        (row,) = await me.deliveries(endpoint)
        assert (row["last_error"], row["last_status"], row["state"]) == (error, None, "pending")
        await me.client.delete(f"{PATH}{endpoint['id']}/")


@pytest.mark.invariant("S70")
async def test_an_address_inside_is_not_sent_to_though_its_endpoint_is_there(tenancy: Tenancy) -> None:
    me = await customer(tenancy)
    async with receiver() as inside:
        endpoint = await me.endpoint(inside)
        await me.hears()
        await sender(tenancy, webhook_allow_loopback=False).turn()
    (row,) = await me.deliveries(endpoint)
    assert (inside.connections, row["last_error"]) == (0, "address_refused")


@pytest.mark.invariant("S70")
async def test_a_name_that_leads_nowhere_or_inside_or_to_no_certificate_is_named(tenancy: Tenancy) -> None:
    me = await customer(tenancy)
    names = {"inside.example": [["10.0.0.1"]], "both.example": [["8.8.8.8", "127.0.0.1"]]}

    async def speak_first(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 no TLS is spoken here\r\n")
        writer.close()

    async with name_server(names) as asked, await asyncio.start_server(speak_first, "127.0.0.1", 0) as plain:
        port = plain.sockets[0].getsockname()[1]
        urls = {
            f"https://127.0.0.1:{port}/": "tls_failed",
            "https://nowhere.example/": "name_not_resolved",
            "https://inside.example/": "address_refused",
            "https://both.example:8443/": "address_refused",
        }
        for url, error in urls.items():
            endpoint = await me.endpoint(url)
            await me.hears()
            settings = {"webhook_allow_loopback": error == "tls_failed", "dns_servers": [asked.address]}
            await sender(tenancy, **settings).turn()
            (row,) = await me.deliveries(endpoint)
            assert (url, row["last_error"], row["last_status"]) == (url, error, None)
            await me.client.delete(f"{PATH}{endpoint['id']}/")


async def test_no_proxy_of_the_environment_sees_a_message(tenancy: Tenancy, monkeypatch: pytest.MonkeyPatch) -> None:
    me = await customer(tenancy)
    async with receiver() as proxy, receiver() as up:
        for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        await me.endpoint(up)
        await me.hears()
        await sender(tenancy).turn()
    assert (proxy.connections, len(up.got)) == (0, 1)


async def test_410_switches_an_endpoint_off_and_ends_what_waits(tenancy: Tenancy) -> None:
    me = await customer(tenancy)
    async with receiver(status(410)) as gone, receiver() as up:
        endpoint, kept = await me.endpoint(gone), await me.endpoint(up)
        await me.hears()
        await sender(tenancy).turn()
        await me.hears(me.fact(), me.fact())
        await sender(tenancy).turn()
    shown = (await me.client.get(f"{PATH}{endpoint['id']}/")).json()
    assert (shown["enabled"], shown["off_for"]) == (False, "gone")
    assert (len(gone.got), len(up.got)) == (1, 3)
    assert [row["state"] for row in await me.deliveries(endpoint)] == ["failed"]
    assert (await me.client.get(f"{PATH}{kept['id']}/")).json()["enabled"] is True
    (mail,) = [mail for mail in await tenancy.mails_to(me.owner.email) if "webhooks" in mail.subject]
    assert f"127.0.0.1:{gone.port}" in mail.body_text
    assert "410" in mail.body_text
    acts = await tenancy.rows(me.tenant, tables.metadata.tables["audit_log"])
    (act,) = [row for row in acts if row["action"] == "webhook_endpoint.switched_off"]
    assert (act["actor"], act["target"], act["details"]["off_for"]) == ("tenancy", endpoint["id"], "gone")


async def test_an_endpoint_that_takes_nothing_for_days_is_switched_off_by_mail(tenancy: Tenancy) -> None:
    me = await customer(tenancy)
    by_the_tests_clock = sender(tenancy)
    by_the_tests_clock.store = tenancy.store
    async with receiver(status(500)) as down, receiver(status(500), status(200), status(500)) as shaky:
        endpoint, other = await me.endpoint(down), await me.endpoint(shaky)
        for _ in range(3):
            await me.hears()
            await me.now_due()
            await by_the_tests_clock.turn()
            await me.now_due()
            await by_the_tests_clock.turn()
            tenancy.clock.advance(FAILING / 2)
        shown = (await me.client.get(f"{PATH}{endpoint['id']}/")).json()
        assert (shown["enabled"], shown["off_for"]) == (False, "failing")
        assert shown["failing_since"] is not None
        assert (await me.client.get(f"{PATH}{other['id']}/")).json()["enabled"] is True, "it took one meanwhile"
    (mail,) = [mail for mail in await tenancy.mails_to(me.owner.email) if "webhooks" in mail.subject]
    assert "depuis le 22/11/2026" in mail.body_text
    assert {row["state"] for row in await me.deliveries(endpoint)} == {"failed"}
    on = (await me.client.patch(f"{PATH}{endpoint['id']}/", json={"enabled": True})).json()
    assert (on["off_for"], on["failing_since"]) == (None, None)


async def test_production_sends_to_no_loopback(tenancy: Tenancy) -> None:
    settings = tenancy.tools.settings
    given = settings.model_dump() | {"environment": "production", "webhook_allow_loopback": True}
    with pytest.raises(ValueError, match="not in production"):
        type(settings)(**given)
    assert type(settings)(**given | {"webhook_allow_loopback": False}).environment == "production"
