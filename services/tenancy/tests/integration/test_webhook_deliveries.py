"""Facts on their way to customers: each to those who want it, signed, tried again, and given up in the end."""

import asyncio
import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from common.messaging.in_process import InProcessBroker
from common.persistence.erasure import Eraser
from common.testing import eventually
from prometheus_client import REGISTRY
from tenancy.bootstrap import build
from tenancy.domain.webhooks import MOST_TESTS, PAUSES, TEST_WINDOW
from tenancy.persistence import tables, webhook_deliveries
from tenancy.persistence.erasure import PLAN
from tenancy.testing import FEATURES, Tenancy
from tenancy.workflows.webhook_sender import KEPT

from .receivers import after, receiver, status
from .test_service import running
from .webhooks import DONE, PATH, customer, sender

pytestmark = pytest.mark.integration


@pytest.mark.invariant("S72")
async def test_a_fact_reaches_each_endpoint_that_wants_it_signed_and_nobody_elses(tenancy: Tenancy) -> None:
    me, other = await customer(tenancy), await customer(tenancy)
    async with receiver() as all_of_it, receiver() as money, receiver() as others:
        endpoint = await me.endpoint(all_of_it, "backup.*")
        await me.endpoint(money, "payment.confirmed.v1")
        await other.endpoint(others)
        fact = me.fact()
        await me.hears(fact)
        await sender(tenancy).turn()
    assert (money.got, others.got) == ([], [])
    (request,) = all_of_it.got
    assert request.line == "POST /in HTTP/1.1"
    assert request.headers["webhook-id"] == str(fact.id)
    assert request.headers["content-type"] == "application/json"
    assert request.verified(endpoint["secret"]) == {
        "id": str(fact.id),
        "type": "backup.completed.v1",
        "timestamp": "2026-11-22T12:00:00Z",
        "organization_id": str(me.tenant),
        "subject": str(me.tenant),
        "data": DONE,
    }
    (row,) = await me.deliveries(endpoint)
    assert (row["state"], row["attempts"], row["last_status"]) == ("delivered", 1, 204)


@pytest.mark.invariant("S72")
async def test_a_fact_that_comes_again_is_delivered_once(tenancy: Tenancy) -> None:
    me = await customer(tenancy)
    async with receiver() as up:
        endpoint = await me.endpoint(up)
        fact = me.fact()
        await me.hears(fact, fact)
        await me.hears(fact)
        async with tenancy.store.for_tenant(me.tenant) as uow:
            # As if the inbox had forgotten it, and it came once more.
            from tenancy.usecases.announce_webhooks import announce

            assert await announce(uow, fact) == 0
        await sender(tenancy).turn()
    assert len(up.got) == len(await me.deliveries(endpoint)) == 1


@pytest.mark.invariant("S72")
async def test_what_is_told_and_the_facts_end_are_one_transaction(
    tenancy: Tenancy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A handler that fails after it leaves nothing behind; the next try does both."""
    me = await customer(tenancy)
    async with receiver() as up:
        endpoint = await me.endpoint(up)
        fact, tries = me.fact(), 0

        class PowerFailure(Exception):
            pass

        real = tenancy.inbox._apply

        async def applied(*everything: Any) -> None:
            nonlocal tries
            await real(*everything)
            tries += 1
            if tries == 1:
                raise PowerFailure

        monkeypatch.setattr(tenancy.inbox, "_apply", applied)
        await me.hears(fact)
        assert await me.deliveries(endpoint) == []
        await eventually(lambda: _handled(tenancy, fact.id))
        assert len(await me.deliveries(endpoint)) == 1


async def _handled(tenancy: Tenancy, event_id: Any) -> bool:
    await tenancy.inbox.handle_due()
    return bool((await tenancy.inbox_row(event_id)).status == "done")


async def test_a_receiver_that_fails_gets_the_same_message_again_after_the_pause(tenancy: Tenancy) -> None:
    me = await customer(tenancy)
    async with receiver(status(500, body=b"down\0"), status(404), status(200)) as up:
        endpoint = await me.endpoint(up)
        await me.hears()
        for _ in PAUSES[:2]:
            await sender(tenancy).turn()
            await sender(tenancy).turn()
            (row,) = await me.deliveries(endpoint)
            pause = datetime.fromisoformat(row["next_attempt_at"]) - datetime.now(UTC)
            planned = PAUSES[row["attempts"] - 1]
            assert planned - timedelta(seconds=3) < pause <= planned * 1.2
            await me.now_due()
        await sender(tenancy).turn()
    assert len({(request.headers["webhook-id"], request.body) for request in up.got}) == 1
    assert [request.verified(endpoint["secret"])["data"] for request in up.got] == [DONE] * 3
    shown = await me.delivery(endpoint)
    assert (shown["state"], shown["attempts"], json.loads(shown["body"])["data"]) == ("delivered", 3, DONE)
    assert [(attempt["number"], attempt["status"]) for attempt in shown["tries"]] == [(3, 200), (2, 404), (1, 500)]
    first = shown["tries"][-1]
    assert first["request_head"].startswith(f"POST {up.url}\nwebhook-id: {shown['message_id']}")
    assert first["response_head"].startswith("500 Answer\ncontent-length: 5")
    assert first["response_body"] == "down\ufffd"
    assert endpoint["secret"] not in json.dumps(shown)


async def test_a_message_is_tried_ten_times_and_may_be_replayed_then(tenancy: Tenancy) -> None:
    me = await customer(tenancy)
    answers = [status(503)] * (len(PAUSES) + 1)
    async with receiver(*answers, status(200)) as up:
        endpoint = await me.endpoint(up)
        await me.hears()
        for _ in range(len(PAUSES) + 3):
            await sender(tenancy).turn()
            await me.now_due()
        shown = await me.delivery(endpoint)
        assert (shown["state"], shown["attempts"], shown["next_attempt_at"]) == ("failed", len(PAUSES) + 1, None)
        assert len(up.got) == len(PAUSES) + 1
        path = f"{PATH}{endpoint['id']}/deliveries/{shown['id']}/replay/"
        begun = await me.client.post(path)
        assert (begun.status_code, begun.json()["state"]) == (202, "pending")
        await sender(tenancy).turn()
        assert (await me.client.post(path)).json()["state"] == "pending", "what was delivered may be sent again, too"
        await sender(tenancy).turn()
    assert len(set(up.ids)) == 1
    shown = await me.delivery(endpoint)
    assert (shown["state"], shown["attempts"]) == ("delivered", len(PAUSES) + 3)


async def test_whoever_replays_for_ever_keeps_the_newest_tries_only(
    tenancy: Tenancy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_deliveries, "TRIES_KEPT", 2)
    me = await customer(tenancy)
    async with receiver() as up:
        endpoint = await me.endpoint(up)
        await me.hears()
        await sender(tenancy).turn()
        (row,) = await me.deliveries(endpoint)
        for _ in range(3):
            await me.client.post(f"{PATH}{endpoint['id']}/deliveries/{row['id']}/replay/")
            await sender(tenancy).turn()
    shown = await me.delivery(endpoint)
    assert (shown["attempts"], [attempt["number"] for attempt in shown["tries"]]) == (4, [4, 3])
    assert len(await tenancy.rows(me.tenant, tables.webhook_attempts)) == 2


async def test_what_has_failed_since_a_moment_is_replayed_and_nothing_else(tenancy: Tenancy) -> None:
    me, other = await customer(tenancy), await customer(tenancy)
    async with receiver() as up, receiver() as others:
        endpoint, theirs = await me.endpoint(up), await other.endpoint(others)
        await me.hears()
        await sender(tenancy).turn()
        tenancy.clock.advance(timedelta(days=1))
        since = tenancy.clock.now().isoformat()
        early = await me.deliveries(endpoint)
        await me.hears(me.fact(), me.fact())
        await other.hears(other.fact())
        for who, where in ((me, endpoint), (other, theirs)):
            for enabled in (False, True):
                await who.client.patch(f"{PATH}{where['id']}/", json={"enabled": enabled})
        failed = await me.deliveries(endpoint, state="failed")
        assert [(row["last_error"], row["attempts"]) for row in failed] == [("endpoint_off", 0)] * 2
        answer = await me.client.post(f"{PATH}{endpoint['id']}/replay_failed/", json={"since": since})
        assert (answer.status_code, answer.json()) == (202, {"replayed": 2})
        await sender(tenancy).turn()
    assert sorted(up.ids) == sorted(row["message_id"] for row in (*early, *failed))
    assert others.got == []
    assert {row["state"] for row in await me.deliveries(endpoint)} == {"delivered"}


@pytest.mark.invariant("S13")
async def test_of_a_deleted_organization_no_endpoint_message_or_try_is_left_and_its_neighbours_stay(
    tenancy: Tenancy,
) -> None:
    me, other = await customer(tenancy), await customer(tenancy)
    async with receiver(status(500)) as down:
        await me.endpoint(down)
        theirs = await other.endpoint(down)
        await me.hears()
        await other.hears()
        await sender(tenancy).turn()
        kept = (tables.webhook_attempts, tables.webhook_deliveries, tables.webhook_endpoints)
        assert [len(await tenancy.rows(me.tenant, table)) for table in kept] == [1, 1, 1]
        async with tenancy.store.for_tenant(me.tenant) as uow:
            await uow.request_erasure()
        await Eraser(tenancy.store, PLAN).erase(me.tenant)
        await me.now_due()
        await sender(tenancy).turn()
    assert [await tenancy.rows(me.tenant, table) for table in kept] == [[], [], []]
    assert (await other.delivery(theirs))["attempts"] == 1
    assert len(down.got) == 2


async def test_operators_see_how_much_is_due_and_what_became_of_it(tenancy: Tenancy) -> None:
    def told(name: str, **labels: str) -> float:
        return REGISTRY.get_sample_value(name, labels) or 0.0

    me = await customer(tenancy)
    sending = sender(tenancy)
    await sending.turn()
    await sending.look()
    before, delivered = told("webhooks_due"), told("webhooks_sent_total", outcome="delivered")
    async with receiver() as up:
        await me.endpoint(up)
        await me.hears(me.fact(), me.fact())
        await sending.look()
        # Of this database's other tests some message may have become due again meanwhile.
        assert (due := told("webhooks_due")) >= before + 2
        await sending.turn()
        await sending.look()
    assert told("webhooks_due") <= due - 2
    assert told("webhooks_sent_total", outcome="delivered") == delivered + 2
    assert told("webhooks_in_hand") == 0


async def test_a_plan_without_api_access_tells_nobody_anything(tenancy: Tenancy) -> None:
    me = await customer(tenancy)
    async with receiver() as up:
        endpoint = await me.endpoint(up)
        await tenancy.set_features(me.tenant, **FEATURES)
        await me.hears()
        assert await me.deliveries(endpoint) == []
        for asked, body in (("test/", None), ("replay_failed/", {"since": "2026-11-01T00:00:00Z"})):
            refused = await me.client.post(f"{PATH}{endpoint['id']}/{asked}", json=body)
            assert (refused.status_code, refused.json()["code"]) == (403, "feature_not_in_plan")
        await tenancy.set_features(me.tenant, has_api_access=True)
        await me.hears()
    assert len(await me.deliveries(endpoint)) == 1


async def test_a_test_message_goes_to_the_endpoint_that_was_asked_for_whatever_it_wants(tenancy: Tenancy) -> None:
    me = await customer(tenancy)
    async with receiver() as up, receiver() as other:
        endpoint = await me.endpoint(up, "payment.failed.v1")
        await me.endpoint(other)
        asked = await me.client.post(f"{PATH}{endpoint['id']}/test/")
        assert (asked.status_code, asked.json()["state"]) == (202, "pending")
        await sender(tenancy).turn()
    (request,) = up.got
    assert request.verified(endpoint["secret"])["type"] == "webhook.test.v1"
    assert other.got == []
    assert (await me.delivery(endpoint))["id"] == asked.json()["id"]


@pytest.mark.invariant("S71")
async def test_test_messages_to_one_endpoint_are_few_an_hour_also_when_asked_for_at_once(tenancy: Tenancy) -> None:
    me, other = await customer(tenancy), await customer(tenancy)
    endpoint, another = [await me.endpoint(f"https://{n}.exemple.cm/hook") for n in "ab"]
    theirs = await other.endpoint("https://c.exemple.cm/hook")
    path = f"{PATH}{endpoint['id']}/test/"
    answers = await asyncio.gather(*(me.client.post(path) for _ in range(MOST_TESTS + 5)))
    assert Counter(answer.status_code for answer in answers) == {202: MOST_TESTS, 429: 5}
    refused = await me.client.post(path)
    assert (refused.json()["code"], refused.headers["retry-after"]) == ("too_many_webhook_tests", "3600")
    assert (await me.client.post(f"{PATH}{another['id']}/test/")).status_code == 202
    assert (await other.client.post(f"{PATH}{theirs['id']}/test/")).status_code == 202
    tenancy.clock.advance(TEST_WINDOW)
    assert (await me.client.post(path)).status_code == 202


async def test_while_a_rotation_overlaps_both_secrets_sign(tenancy: Tenancy) -> None:
    me = await customer(tenancy)
    # The overlap is by the clock of whoever sends: the test's is a day behind.
    tenancy.clock.advance(datetime.now(UTC) - tenancy.clock.now())
    async with receiver() as up:
        endpoint = await me.endpoint(up)
        rotated = (await me.client.post(f"{PATH}{endpoint['id']}/rotate_secret/", json={"overlap_hours": 1})).json()
        await me.hears()
        await sender(tenancy).turn()
        at_once = (await me.client.post(f"{PATH}{endpoint['id']}/rotate_secret/", json={"overlap_hours": 0})).json()
        await me.hears()
        await sender(tenancy).turn()
    first, second = up.got
    assert first.verified(endpoint["secret"]) == first.verified(rotated["secret"])
    assert second.verified(at_once["secret"])["data"] == DONE
    assert len(second.headers["webhook-signature"].split()) == 1


async def test_what_ended_long_ago_is_forgotten_and_what_waits_is_not(tenancy: Tenancy) -> None:
    me = await customer(tenancy)
    by_the_tests_clock = sender(tenancy)
    by_the_tests_clock.store = tenancy.store
    async with receiver(status(200), status(500)) as up:
        endpoint = await me.endpoint(up)
        await me.hears()
        await by_the_tests_clock.turn()
        await me.hears()
        await by_the_tests_clock.turn()
        await by_the_tests_clock.forget()
        assert len(await me.deliveries(endpoint)) == 2
        tenancy.clock.advance(KEPT + timedelta(seconds=1))
        await by_the_tests_clock.forget()
    assert [row["state"] for row in await me.deliveries(endpoint)] == ["pending"]
    assert await tenancy.rows(me.tenant, tables.webhook_attempts) == []


async def test_the_running_worker_sends_what_the_broker_brings_and_ends_what_it_has_in_hand(tenancy: Tenancy) -> None:
    me = await customer(tenancy)
    broker = InProcessBroker()
    async with receiver(after(0.5, status(200))) as up:
        endpoint = await me.endpoint(up, "backup.*")
        async with running(await build(tenancy.tools.settings, broker), "worker"):
            await broker.publish(me.fact())

            async def begun() -> bool:
                return bool(up.got)

            await eventually(begun)
    assert [row["state"] for row in await me.deliveries(endpoint)] == ["delivered"]
