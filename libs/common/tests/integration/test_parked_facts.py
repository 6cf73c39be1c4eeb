"""What an operator can see and do about facts that were put aside, and the gauges that say there are some."""

import asyncio
from pathlib import Path

import pytest
from common.cli import Program, main
from common.messaging import Envelope
from common.messaging.depths import Depths
from common.messaging.in_process import InProcessBroker
from common.persistence.mechanisms import audit_log
from common.settings import DatabaseSettings, ServiceSettings, service_config
from common.testing import ServiceDatabase
from hotel.line import Doors, Line, booking
from prometheus_client import generate_latest
from sqlalchemy import select


class Settings(ServiceSettings, DatabaseSettings):
    model_config = service_config("HOTEL_")


@pytest.fixture
def operator(own_database: ServiceDatabase, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Return a function that runs ``python -m hotel …`` and returns its status and what it printed."""
    monkeypatch.setenv("HOTEL_DATABASE_URL", own_database.settings.database_url)
    monkeypatch.setenv("HOTEL_DATABASE_PASSWORD", own_database.settings.database_password.get_secret_value())
    monkeypatch.setenv("LOG_LEVEL", "ERROR")

    async def build(_settings: object) -> None:
        raise NotImplementedError

    program = Program("hotel", "hotel", Path("hotel"), Settings, build, (), dict)

    async def run(*arguments: str) -> tuple[int, str]:
        def call() -> int:
            with pytest.raises(SystemExit) as left:
                main(program, arguments)
            return int(left.value.code or 0)

        status = await asyncio.to_thread(call)
        shown = capsys.readouterr()
        return status, shown.out + shown.err

    return run


async def line_with_parked(own_store: Doors, *guests: str) -> tuple[Line, list[Envelope]]:
    line = Line(own_store, InProcessBroker(), failures=dict.fromkeys(guests, 1))
    facts = [booking(guest) for guest in guests]
    for fact in facts:
        await line.inbox.receive(fact)
    await line.handle_all()
    return line, facts


@pytest.mark.invariant("S48")
async def test_an_operator_sees_what_is_parked_and_replays_one_or_all(own_store: Doors, operator) -> None:
    line, facts = await line_with_parked(own_store, "poison")
    (poison,) = facts
    nobodys = booking().model_copy(update={"tenantid": None})
    await line.inbox.receive(nobodys)
    await line.handle_all()
    status, shown = await operator("parked")
    lines = shown.splitlines()
    assert (status, len(lines)) == (0, 2)
    for told in (str(poison.id), "room.booked.v1", "hotel", str(poison.tenantid), "NoVacancy: No vacancy."):
        assert told in lines[0]
    assert "the fact names no tenant" in lines[1]
    assert await operator("replay", str(poison.id)) == (0, "1 replayed, 0 still refused.\n")
    await line.handle_all()
    assert await line.is_("done", poison.id)
    assert await operator("replay", "--all") == (0, "1 replayed, 0 still refused.\n")
    status, shown = await operator("replay", str(poison.id))
    assert (status, shown) == (1, f"No parked fact has the id {poison.id}.\n")


async def test_dropping_needs_a_reason_and_is_audited(own_store: Doors, own_database, operator) -> None:
    line, facts = await line_with_parked(own_store, "poison")
    nobodys = booking().model_copy(update={"tenantid": None})
    await line.inbox.receive(nobodys)
    await line.handle_all()
    assert (await operator("drop", str(facts[0].id), "--by", "Ana"))[0] == 2
    assert await line.is_("parked", facts[0].id)
    for fact in (facts[0], nobodys):
        assert (await operator("drop", str(fact.id), "--by", "Ana", "--reason", "a test"))[0] == 0
        assert await line.is_("dropped", fact.id)
    assert await operator("parked") == (0, "")
    async with own_store.for_tenant(facts[0].tenantid) as uow:
        (row,) = (await uow.session.execute(select(audit_log))).all()
    assert (row.actor, row.action, row.target, row.reason) == ("Ana", "fact.dropped", str(facts[0].id), "a test")
    assert row.details["parked_for"] == "NoVacancy: No vacancy."


async def test_metrics_tell_how_much_waits_and_how_much_is_parked(own_store: Doors) -> None:
    line, facts = await line_with_parked(own_store, "poison")
    await line.inbox.receive(booking())
    for _ in range(3):
        await line.book(facts[0].tenantid)
    await Depths(own_store).look()
    shown = dict(row.rsplit(" ", 1) for row in generate_latest().decode().splitlines() if 'service="hotel"' in row)
    assert shown['outbox_facts{service="hotel"}'] == "3.0"
    assert shown['inbox_facts{service="hotel"}'] == "1.0"
    assert shown['inbox_parked_facts{service="hotel"}'] == "1.0"
    assert float(shown['outbox_oldest_seconds{service="hotel"}']) > 0
    assert float(shown['inbox_oldest_seconds{service="hotel"}']) > 0
