"""Mails over real SMTP, and timers under a leader lease."""

import asyncio
import socket
from datetime import UTC, datetime, timedelta

import pytest
from common import parts
from common.ids import uuid7
from common.mail import Mailer
from common.mail.mailer import NEVER
from common.parts import Every, Group, run
from common.persistence import MailMessage, Store
from common.persistence.mechanisms import leader_leases, mails
from common.settings import MailSettings
from common.telemetry.context import correlation_id, span, traceparent
from common.testing import FrozenClock, eventually
from hotel.service import UnitOfWork
from pydantic import SecretStr
from simulators.mail import MailConfig
from simulators.mail import start as start_mail
from sqlalchemy import func, select, update


@pytest.fixture
async def sink():
    running = await start_mail(MailConfig())
    yield running
    await running.stop()


def settings(port: int) -> MailSettings:
    return MailSettings(email_host="127.0.0.1", email_port=port, email_use_tls=False, email_host_password=SecretStr(""))


async def queue(store, key: str) -> tuple:
    tenant, address = uuid7(), f"{uuid7().hex}@hotel.example"
    async with store.for_tenant(tenant) as uow:
        await uow.send_mail(MailMessage(address, "Réservé", "Bonjour « été »", "<p>Bonjour</p>", key))
    return tenant, address


async def test_a_queued_mail_arrives_once_with_both_bodies(store, sink) -> None:
    import httpx

    _tenant, address = await queue(store, "booked")
    mailer = Mailer(store.database, settings(sink.smtp_port))
    await mailer.send_one()
    await mailer.send_one()
    async with httpx.AsyncClient(trust_env=False) as client:
        found = (await client.get(f"{sink.url}/messages", params={"to": address})).json()["results"]
    assert [(m["subject"], m["text"].strip(), m["html"].strip()) for m in found] == [
        ("Réservé", "Bonjour « été »", "<p>Bonjour</p>")
    ]


async def test_the_text_of_what_was_sent_long_ago_is_forgotten_and_it_is_not_sent_again(store, sink) -> None:
    tenant, address = await queue(store, "old")
    others = [await queue(store, key) for key in ("new", "unsent")]
    mailer = Mailer(store.database, settings(sink.smtp_port))
    async with store.for_system("mailer") as uow:
        long_ago = func.clock_timestamp() - timedelta(days=91)
        for each, sent_at in ((tenant, long_ago), (others[0][0], long_ago + timedelta(days=2))):
            await uow.session.execute(update(mails).where(mails.c.tenant_id == each).values(sent_at=sent_at))
    assert await mailer.forget_texts() >= 1
    async with store.for_system("mailer") as uow:
        query = select(mails.c.body_text, mails.c.body_html, mails.c.recipient).where(mails.c.tenant_id == tenant)
        assert (await uow.session.execute(query)).one() == ("", None, address)
        kept = select(mails.c.body_text).where(mails.c.tenant_id.in_([each for each, _ in others]))
        assert set((await uow.session.execute(kept)).scalars()) == {"Bonjour « été »"}
    assert await mailer.forget_texts() == 0
    while await mailer.send_one():
        pass
    async with store.for_tenant(tenant) as uow:
        await uow.send_mail(MailMessage(address, "Réservé", "Bonjour", None, "old"))
    async with store.for_system("mailer") as uow:
        assert (await uow.session.execute(query)).one() == ("", None, address)


async def test_a_mail_that_the_server_refuses_stays_queued_with_the_reason(store) -> None:
    tenant, _address = await queue(store, "booked")
    await Mailer(store.database, settings(1)).send_one()
    async with store.for_system("mailer") as uow:
        row = (await uow.session.execute(select(mails).where(mails.c.tenant_id == tenant))).one()
    assert row.sent_at is None
    assert row.attempts == 1
    assert row.last_error


async def test_a_mail_that_is_refused_for_five_days_is_given_up_and_tried_again_when_an_operator_says(
    store, sink, caplog
) -> None:
    queued = []
    for days in (5.1, 4.9):
        then = FrozenClock(datetime.now(UTC) - timedelta(days=days))
        queued.append((await queue(Store(store.database, UnitOfWork, then), "refused"))[0])
    tenant, other = queued
    refusing = Mailer(store.database, settings(1))
    mine = mails.c.tenant_id == tenant

    async def row(of=tenant):
        async with store.for_system("mailer") as uow:
            return (await uow.session.execute(select(mails).where(mails.c.tenant_id == of))).one()

    while await refusing.send_one():
        pass
    given_up, waiting = await row(), await row(other)
    assert (given_up.sent_at, given_up.attempts, bool(given_up.last_error)) == (None, 1, True)
    assert given_up.next_attempt_at == NEVER
    assert waiting.next_attempt_at < NEVER
    assert [record.levelname for record in caplog.records if "given up" in record.message] == ["ERROR"]
    async with store.for_system("mailer") as uow:
        await uow.session.execute(update(mails).where(mine).values(next_attempt_at=func.clock_timestamp()))
    mailer = Mailer(store.database, settings(sink.smtp_port))
    while await mailer.send_one():
        pass
    assert (await row()).sent_at is not None


async def test_the_text_of_what_was_given_up_is_forgotten_and_of_what_still_waits_is_not(store) -> None:
    then = FrozenClock(datetime.now(UTC) - timedelta(days=91))
    given_up, waiting = [(await queue(Store(store.database, UnitOfWork, then), key))[0] for key in ("up", "waits")]
    later = func.clock_timestamp() + timedelta(hours=1)
    async with store.for_system("mailer") as uow:
        for tenant, due in ((given_up, NEVER), (waiting, later)):
            await uow.session.execute(update(mails).where(mails.c.tenant_id == tenant).values(next_attempt_at=due))
    await Mailer(store.database, settings(1)).forget_texts()
    async with store.for_system("mailer") as uow:
        query = select(mails.c.tenant_id, mails.c.body_text).where(mails.c.tenant_id.in_([given_up, waiting]))
        left = {row.tenant_id: row.body_text for row in await uow.session.execute(query)}
    assert left == {given_up: "", waiting: "Bonjour « été »"}


async def test_a_mail_that_cannot_be_written_does_not_hold_up_the_others(store, sink) -> None:
    tenant = uuid7()
    async with store.for_tenant(tenant) as uow:
        await uow.send_mail(MailMessage("a@hotel.example", "Two\rlines", "text", None, "first"))
        await uow.send_mail(MailMessage("b@hotel.example", "One line", "text", None, "second"))
    mailer = Mailer(store.database, settings(sink.smtp_port))
    while await mailer.send_one():
        pass
    async with store.for_system("mailer") as uow:
        query = select(mails).where(mails.c.tenant_id == tenant).order_by(mails.c.recipient)
        poisonous, harmless = (await uow.session.execute(query)).all()
    assert (poisonous.sent_at, poisonous.attempts) == (None, 1)
    assert "ValueError" in poisonous.last_error
    assert harmless.sent_at is not None


async def test_a_sender_who_waits_for_the_server_holds_one_mail_and_no_other(store, sink) -> None:
    tenants = [(await queue(store, "booked"))[0] for _ in range(2)]
    silent = socket.create_server(("127.0.0.1", 0))
    waiting = asyncio.create_task(Mailer(store.database, settings(silent.getsockname()[1])).send_one())
    query = select(mails).where(mails.c.tenant_id.in_(tenants), mails.c.sent_at.is_(None))

    async def unsent(*, held: bool) -> int:
        async with store.for_system("mailer") as uow:
            until = mails.c.next_attempt_at
            of = until > func.clock_timestamp() if held else until <= func.clock_timestamp()
            return len((await uow.session.execute(query.where(of))).all())

    async def one_is_held() -> bool:
        return await unsent(held=True) == 1

    await eventually(one_is_held)
    other = Mailer(store.database, settings(sink.smtp_port))
    while await other.send_one():
        pass
    assert (await unsent(held=True), await unsent(held=False)) == (1, 0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    silent.close()


async def test_of_two_leaders_one_acts_and_the_other_takes_over_when_it_is_gone(store, monkeypatch) -> None:
    acted: list[str] = []
    name = f"timer-{uuid7().hex}"

    def timer(who: str) -> Every:
        async def act() -> None:
            acted.append(who)

        return Every(name, timedelta(milliseconds=20), act, store.database)

    monkeypatch.setattr(parts, "HOLDER", "first")
    first = timer("first")
    assert await first._lead(store.database)
    monkeypatch.setattr(parts, "HOLDER", "second")
    second = timer("second")
    assert not await second._lead(store.database)
    async with store.for_system("inbox") as uow:
        await uow.session.execute(
            leader_leases.update()
            .where(leader_leases.c.name == name)
            .values(held_until=store.clock.now() - timedelta(hours=1))
        )
    stop = asyncio.Event()
    running = asyncio.create_task(second.run(stop, lambda: None))
    await eventually(lambda: len(acted) > 2)
    stop.set()
    await running
    assert set(acted) == {"second"}


async def test_the_first_part_that_ends_by_itself_stops_the_others() -> None:
    stopped = asyncio.Event()

    class Steady:
        name = "steady"

        async def run(self, stop, ready) -> None:
            ready()
            await stop.wait()
            stopped.set()

    class Failing:
        name = "failing"

        async def run(self, stop, ready) -> None:
            ready()
            raise OSError("disk")

    with pytest.raises(ExceptionGroup, match="TaskGroup"):
        await run([Group("both", [Steady()]), Failing()])


def test_a_span_goes_on_with_the_received_trace_and_correlation() -> None:
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with span("outer", parent=parent, correlation="c-1"):
        sent = traceparent()
        assert sent is not None
        assert sent.split("-")[1] == parent.split("-")[1]
        assert sent.split("-")[2] != parent.split("-")[2]
        assert correlation_id() == "c-1"
        with span("inner"):
            assert traceparent().split("-")[1] == parent.split("-")[1]
            assert correlation_id() == "c-1"
    assert (traceparent(), correlation_id()) == (None, None)
