"""The HTTP kit: problems in two languages, unknown fields, tokens, pages, idempotent creation."""

import asyncio
import json
from typing import Annotated, Any
from uuid import UUID

import httpx
import pytest
from asyncpg.exceptions import InternalClientError
from common.auth import Principal, public, requires, requires_person, requires_staff
from common.errors import Forbidden, NotFound, TooMany
from common.idempotency import once
from common.ids import uuid7
from common.persistence.mechanisms import audit_log
from common.persistence.transaction import Transaction
from common.testing import service_client, test_verifier
from common.web import Answer, Body, Cursor, HttpPart, OpsPart, create_app
from common.web.pages import InvalidCursor
from fastapi import APIRouter, Header, Request
from hotel.persistence.tables import rooms
from sqlalchemy import func, insert, select, text


class Full(Forbidden):
    code = "hotel_full"
    en = "All {rooms} rooms are taken. Come back tomorrow."
    fr = "Les {rooms} chambres sont prises. Revenez demain."


class NoRoom(NotFound):
    code = "room_not_found"
    en = "There is no such room."
    fr = "Cette chambre n'existe pas."


class Busy(TooMany):
    code = "busy"
    en = "Wait."
    fr = "Patientez."


LOCK = text("select pg_advisory_xact_lock(42)")


class RoomIn(Body):
    name: str


class RoomOut(Answer):
    name: str


router = APIRouter()


@router.get("/rooms/")
async def all_rooms(who: Principal = requires("owner", "viewer"), cursor: str | None = None) -> dict[str, object]:
    found = Cursor.decode(cursor)
    return {"tenant": str(who.tenant_id), "position": list(found.position) if found else None}


@router.post("/rooms/", status_code=201)
async def add_room(
    request: Request,
    room: RoomIn,
    who: Principal = requires("owner"),
    idempotency_key: Annotated[str | None, Header()] = None,
) -> RoomOut:
    async with request.app.state.store.for_tenant(who.tenant_id) as uow:

        async def act() -> tuple[int, object]:
            await uow.session.execute(insert(rooms).values(tenant_id=who.tenant_id, id=uuid7(), name=room.name))
            return 201, {"name": room.name}

        _status, answer = await once(uow, who.tenant_id, "POST /rooms/", idempotency_key, await request.body(), act)
    return RoomOut.model_validate(answer)


@router.get("/full/")
async def full(_who: object = public()) -> None:
    raise Full(rooms=7)


@router.get("/busy/")
async def busy(_who: object = public()) -> None:
    raise Busy


@router.get("/rooms/{room_id}/")
async def one_room(room_id: str, _who: Principal = requires()) -> None:
    raise NoRoom


@router.get("/me/")
async def me(who: Principal = requires_person()) -> str:
    return str(who.user_id)


@router.get("/back-office/")
async def back_office(who: Principal = requires_staff("finance")) -> list[str]:
    return sorted(who.staff_roles)


@router.get("/locked/")
async def locked(request: Request, who: Principal = requires()) -> None:
    async with request.app.state.store.for_tenant(who.tenant_id) as uow:
        await uow.session.execute(text("set local lock_timeout = '50ms'"))
        await uow.session.execute(LOCK)


@router.get("/stopping/")
async def stopping(_who: object = public()) -> None:
    raise InternalClientError("cannot switch to state 11; another operation (2) is in progress")


@router.get("/bug/")
async def bug(_who: object = public()) -> None:
    raise ZeroDivisionError("secret detail")


@pytest.fixture
def app(store):
    return create_app(
        "hotel", title="Hotel", routers=[router], verifier=test_verifier("hotel"), state={"store": store}, store=store
    )


async def test_a_fact_is_a_problem_in_the_callers_language(app) -> None:
    for language, said in {
        "fr-CM,fr;q=0.9": "Les 7 chambres",
        "en": "All 7 rooms",
        "de, en;q=0.4, fr;q=0.2": "All 7",
        "": "Les 7",
    }.items():
        async with service_client(app, "hotel", language=language) as client:
            answer = await client.get("/full/")
        assert answer.status_code == 403
        assert answer.headers["content-type"] == "application/problem+json"
        body = answer.json()
        assert body["detail"].startswith(said)
        assert set(body) == {"type", "title", "status", "code", "detail", "request_id", "instance", "rooms"}
        assert (body["code"], body["status"], body["rooms"], body["instance"]) == ("hotel_full", 403, 7, "/full/")
        assert body["request_id"] == answer.headers["x-request-id"]


async def test_too_many_and_busy_say_when_to_come_back(app) -> None:
    async with service_client(app, "hotel") as client:
        assert (await client.get("/busy/")).headers["retry-after"] == "1"


async def test_who_waits_too_long_for_another_is_told_to_come_back(app, store) -> None:
    tenant = uuid7()
    async with service_client(app, "hotel", tenant_id=tenant, roles=["owner"]) as client:
        async with store.for_tenant(tenant) as uow:
            await uow.session.execute(LOCK)
            answer = await client.get("/locked/")
        assert (await client.get("/locked/")).status_code == 200
    assert (answer.status_code, answer.json()["code"]) == (503, "temporarily_unavailable")
    assert answer.headers["retry-after"] == "1"


async def test_a_database_that_stops_between_two_statements_is_no_defect(app) -> None:
    async with service_client(app, "hotel") as client:
        answer = await client.get("/stopping/")
    assert (answer.status_code, answer.json()["code"]) == (503, "temporarily_unavailable")


async def test_a_bug_tells_nothing_but_the_request_id(app) -> None:
    async with service_client(app, "hotel") as client:
        answer = await client.get("/bug/")
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/rooms/", {"name": "a", "price": 1}, "body.price"),
        ("/rooms/", {}, "body.name"),
        ("/rooms/?x=1", {"name": "a"}, "query.x"),
    ],
)
async def test_unknown_and_missing_fields_are_422_and_named(app, store, path: str, body: dict, field: str) -> None:
    tenant = uuid7()
    async with service_client(app, "hotel", tenant_id=tenant) as client:
        answer = await client.post(path, json=body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    async with store.for_tenant(tenant) as uow:
        assert await uow.session.scalar(select(func.count()).select_from(rooms)) == 0


@pytest.mark.parametrize(
    ("content", "content_type", "status", "code"),
    [
        (b"{", "application/json", 422, "invalid_request"),
        (b"[]", "application/json", 422, "invalid_request"),
        (b"", "application/json", 422, "invalid_request"),
        (rb'{"name": "a\u0000"}', "application/json", 422, "invalid_request"),
        (rb'{"na\u0000me": "a"}', "application/json", 422, "invalid_request"),
        (b"[" * 100_000, "application/json", 400, "malformed_body"),
        (b'{"name": ' + b"9" * 5000 + b"}", "application/json", 400, "malformed_body"),
        (b'{"name": "a"}', "text/plain", 415, "unsupported_media_type"),
        (b"name=a", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_a_body_that_cannot_be_read_is_refused_in_both_languages(
    app, store, content: bytes, content_type: str, status: int, code: str
) -> None:
    tenant, texts = uuid7(), set()
    for language in ("fr", "en"):
        async with service_client(app, "hotel", tenant_id=tenant, language=language) as client:
            answer = await client.post("/rooms/", content=content, headers={"content-type": content_type})
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        texts.add(answer.json()["detail"])
    assert len(texts) == 2
    async with store.for_tenant(tenant) as uow:
        assert await uow.session.scalar(select(func.count()).select_from(rooms)) == 0


async def test_json_that_cannot_be_read_is_the_bodys_fault_and_no_fields(app) -> None:
    async with service_client(app, "hotel", tenant_id=uuid7()) as client:
        answer = await client.post("/rooms/", content=b'{"na', headers={"content-type": "application/json"})
    assert [one["field"] for one in answer.json()["errors"]] == ["body"]


async def test_a_wrong_method_is_told_all_the_right_ones(app) -> None:
    async with service_client(app, "hotel", tenant_id=uuid7()) as client:
        answer = await client.delete("/rooms/")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, POST"


@pytest.mark.parametrize("position", [(), ("x",), (1,), (None,), (["a"],), ("a", "b"), ({"a": 1},), (10**40,)])
def test_a_cursor_of_another_list_is_refused(position: tuple[object, ...]) -> None:
    with pytest.raises(InvalidCursor):
        Cursor(position).row_id()


def test_a_cursor_finds_its_row_again() -> None:
    row_id = uuid7()
    found = Cursor.decode(Cursor((row_id,)).encode())
    assert found is not None
    assert found.row_id() == row_id


@pytest.mark.invariant("S63")
async def test_without_the_gateways_token_every_endpoint_answers_401(app) -> None:
    paths = ["/rooms/", "/full/", "/me/", "/back-office/", "/rooms/x/"]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        for headers in (
            {},
            {"authorization": "Bearer x.y.z"},
            {"authorization": "Basic eDp5"},
            {"x-tenant-id": str(uuid7())},
        ):
            for path in paths:
                answer = await client.get(path, headers=headers)
                assert (answer.status_code, answer.json()["code"]) == (401, "invalid_internal_token"), path


@pytest.mark.invariant("S63")
@pytest.mark.parametrize(
    ("method", "path", "content"),
    [
        ("GET", "/rooms/?x=1", b""),
        ("POST", "/rooms/", b"{"),
        ("POST", "/rooms/", b"[" * 100_000),
        ("POST", "/rooms/", b'{"price": 1}'),
        ("DELETE", "/rooms/", b""),
        ("GET", "/no-such-path/", b""),
        ("GET", "/openapi.json", b""),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_without_the_gateways_token_nothing_else_about_a_request_is_told(
    app, method: str, path: str, content: bytes
) -> None:
    headers = {"content-type": "application/json"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        answer = await client.request(method, path, content=content, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_internal_token")
    assert answer.headers["x-request-id"] == answer.json()["request_id"]


@pytest.mark.invariant("S64")
async def test_another_tenant_in_the_header_than_in_the_token_is_401(app) -> None:
    async with service_client(app, "hotel", tenant_id=uuid7()) as client:
        good = client.build_request("GET", "/rooms/")
        assert (await client.send(good)).status_code == 200
        signed = {"authorization": good.headers["authorization"], "x-tenant-id": str(uuid7())}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        assert (await client.get("/rooms/", headers=signed)).status_code == 401


@pytest.mark.invariant("S64")
async def test_a_token_opens_no_other_request_than_its_own(app) -> None:
    tenant = uuid7()
    first, second = (f"cursor={Cursor((page,)).encode()}" for page in (1, 2))
    async with service_client(app, "hotel", tenant_id=tenant) as client:
        mine = client.build_request("GET", f"/rooms/?{first}")
        assert (await client.send(mine)).status_code == 200
    headers = {"authorization": mine.headers["authorization"], "x-tenant-id": str(tenant)}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as thief:
        assert (await thief.get(f"/rooms/?{first}", headers=headers)).status_code == 200
        for other in (
            thief.build_request("GET", f"/rooms/?{second}", headers=headers),
            thief.build_request("GET", "/rooms/", headers=headers),
            thief.build_request("GET", f"/rooms/?{first}", headers=headers, content=b"a body"),
        ):
            assert (await thief.send(other)).status_code == 401, (other.method, other.url, other.content)


async def test_roles_and_an_active_organization_are_demanded(app) -> None:
    tenant = uuid7()
    async with service_client(app, "hotel", tenant_id=tenant, roles=["member"]) as client:
        answer = await client.get("/rooms/")
        assert (answer.status_code, answer.json()["code"]) == (403, "role_required")
        assert (await client.get("/me/")).status_code == 200
    async with service_client(app, "hotel") as client:
        answer = await client.get("/rooms/")
        assert (answer.status_code, answer.json()["code"]) == (403, "no_active_organization")
        assert (await client.get("/back-office/")).json()["code"] == "staff_only"
    async with service_client(app, "hotel", staff=["finance"]) as client:
        assert (await client.get("/back-office/")).json() == ["finance"]


async def test_every_route_declares_its_access_in_the_openapi_document(app) -> None:
    paths = app.openapi()["paths"]
    assert paths["/rooms/"]["post"]["x-access"] == {"level": "organization", "roles": ["owner"]}
    assert paths["/full/"]["get"]["x-access"] == {"level": "public", "roles": []}
    assert paths["/back-office/"]["get"]["x-access"] == {"level": "staff", "roles": ["finance"]}


async def test_a_cursor_comes_back_as_it_went_and_a_forged_one_is_refused(app) -> None:
    encoded = Cursor(("2026-11-22", 5)).encode()
    async with service_client(app, "hotel", tenant_id=uuid7()) as client:
        assert (await client.get("/rooms/", params={"cursor": encoded})).json()["position"] == ["2026-11-22", 5]
        for forged in ("%%%", "bm9uc2Vuc2U", json.dumps([1])):
            answer = await client.get("/rooms/", params={"cursor": forged})
            assert (answer.status_code, answer.json()["code"]) == (422, "invalid_cursor")


@pytest.mark.invariant("S43")
async def test_an_idempotency_key_executes_once_and_answers_the_same(app, store) -> None:
    tenant, other = uuid7(), uuid7()
    key = {"idempotency-key": "k-1"}
    async with service_client(app, "hotel", tenant_id=tenant) as client:
        answers = await asyncio.gather(*(client.post("/rooms/", json={"name": "a"}, headers=key) for _ in range(50)))
        assert {(a.status_code, a.text) for a in answers} == {(201, '{"name":"a"}')}
        changed = await client.post("/rooms/", json={"name": "b"}, headers=key)
        assert (changed.status_code, changed.json()["code"]) == (422, "idempotency_key_reused")
        empty = await client.post("/rooms/", json={"name": "b"}, headers={"idempotency-key": "x" * 201})
        assert empty.json()["code"] == "idempotency_key_malformed"
    async with service_client(app, "hotel", tenant_id=other) as client:
        assert (await client.post("/rooms/", json={"name": "c"}, headers=key)).json() == {"name": "c"}
    for who in (tenant, other):
        async with store.for_tenant(who) as uow:
            assert await uow.session.scalar(select(func.count()).select_from(rooms)) == 1


async def test_the_ops_port_tells_which_dependency_is_missing() -> None:
    state = {"broker": "not connected"}

    async def database() -> str | None:
        return None

    async def broker() -> str | None:
        return state["broker"]

    async def hanging() -> str | None:
        raise ConnectionRefusedError("nobody")

    ops = OpsPart({"database": database, "broker": broker, "store": hanging}, "127.0.0.1", 0)
    stop, ready = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(ops.run(stop, ready.set))
    await ready.wait()
    async with httpx.AsyncClient(base_url=ops.url, trust_env=False) as client:
        unready = await client.get("/readyz")
        assert unready.status_code == 503
        assert unready.json()["missing"] == {"broker": "not connected", "store": "ConnectionRefusedError: nobody"}
        assert (await client.get("/healthz")).status_code == 200
        assert "http_requests_total" in (await client.get("/metrics")).text
    stop.set()
    await running


@pytest.mark.invariant("S50")
async def test_a_stopping_server_finishes_the_request_in_hand() -> None:
    entered, leave = asyncio.Event(), asyncio.Event()
    slow_router = APIRouter()

    @slow_router.get("/slow/")
    async def slow() -> str:
        entered.set()
        await leave.wait()
        return "done"

    app = create_app("hotel", title="Hotel", routers=[slow_router], verifier=None, state={})
    part = HttpPart("api", app, "127.0.0.1", 0)
    stop, ready = asyncio.Event(), asyncio.Event()
    running = asyncio.create_task(part.run(stop, ready.set))
    await ready.wait()
    async with httpx.AsyncClient(base_url=part.url, trust_env=False) as client:
        asking = asyncio.create_task(client.get("/slow/"))
        await entered.wait()
        stop.set()
        leave.set()
        assert (await asking).json() == "done"
    await running


async def witnessed(store, tenant: UUID) -> list[Any]:
    async with store.for_tenant(tenant) as uow:
        rows = await uow.session.execute(select(audit_log).order_by(audit_log.c.at, audit_log.c.id))
        return list(rows.mappings())


@pytest.mark.invariant("S86")
async def test_what_staff_asks_for_in_an_organizations_name_is_in_its_audit_log(app, store) -> None:
    tenant, other, owner, staff, began = (uuid7() for _ in range(5))
    who = {"tenant_id": tenant, "user_id": owner, "session_id": began, "roles": ("viewer",)}
    asked = [("GET", "/rooms/?cursor=%21", 422), ("GET", "/rooms/7/", 404), ("GET", "/bug/", 500), ("GET", "/%00", 404),
             ("POST", "/rooms/", 403), ("GET", "/me/", 403), ("GET", f"/{'x' * 300}", 404)]  # fmt: skip
    async with service_client(app, "hotel", actor_id=staff, **who) as acting:
        answers = [(await acting.request(method, path)).status_code for method, path, _ in asked]
    async with service_client(app, "hotel", **who) as themselves:
        assert (await themselves.get("/rooms/")).status_code == 200
    assert answers == [status for *_, status in asked]
    rows = await witnessed(store, tenant)
    paths = [f"{method} {path.partition('?')[0]}"[:200] for method, path, _ in asked]
    assert [(row["action"], row["target"]) for row in rows] == [("impersonation.used", path) for path in paths]
    for row in rows:
        assert row["actor"] == str(owner)
        assert row["details"] == {"impersonation": str(began), "impersonator": str(staff)}
    assert await witnessed(store, other) == []


@pytest.mark.invariant("S86")
async def test_what_cannot_be_written_down_is_not_read(app, store, monkeypatch: pytest.MonkeyPatch) -> None:
    tenant, reached = uuid7(), []

    async def full_disk(*_everything: object, **_more: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(Transaction, "audit", full_disk)
    monkeypatch.setattr(Cursor, "decode", reached.append)
    who = {"tenant_id": tenant, "roles": ("viewer",), "actor_id": uuid7()}
    async with service_client(app, "hotel", **who) as acting:
        assert (await acting.get("/rooms/")).status_code == 500
    assert reached == []


@pytest.mark.invariant("S86")
@pytest.mark.parametrize("missing", ["organization", "log"])
async def test_nobody_is_impersonated_where_there_is_no_log_to_write_it_into(store, missing: str) -> None:
    tenant = None if missing == "organization" else uuid7()
    doors = None if missing == "log" else store
    app = create_app("hotel", title="Hotel", routers=[router], verifier=test_verifier("hotel"), state={}, store=doors)
    async with service_client(app, "hotel", tenant_id=tenant, actor_id=uuid7()) as acting:
        answer = await acting.get("/full/")
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_internal_token")
