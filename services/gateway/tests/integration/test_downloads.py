"""Downloads by link: over real sockets, without an Authorization field, in ranges, until access ends."""

import asyncio
import hashlib
import json
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import httpx
import pytest
from common.auth.internal_token import Claims
from common.ids import uuid7
from common.testing import eventually
from gateway.bootstrap import build
from gateway.testing import Upstream, a_key, told
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

pytestmark = pytest.mark.integration
CONTENT = bytes(range(256)) * 4096
ALLOWED = {"owner", "viewer"}


class Files(Upstream):
    """A service with a file for each organization, which honours ranges as backup-engine does."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.files: dict[str, tuple[UUID, str]] = {}

    def holds(self, tenant: UUID, etag: str = '"1"') -> str:
        name = str(uuid7())
        self.files[name] = (tenant, etag)
        return name

    async def file(self, request: Request) -> Response:
        seen = await self.note(request)
        claims: Claims | None = seen.claims
        name = request.path_params["name"]
        owner, etag = self.files.get(name, (None, ""))
        if claims is None:
            return Response(status_code=401)
        if not claims.roles & ALLOWED:
            return self.problem(request, 403, "role_required")
        if owner is None or claims.tenant_id != owner:
            return self.problem(request, 404, "invoice_not_found")
        headers = {"etag": etag, "accept-ranges": "bytes", "cache-control": "public, max-age=3600"}
        headers |= {"content-disposition": f'attachment; filename="{name}.bin"'}
        begin, end = 0, len(CONTENT)
        wanted = request.headers.get("range")
        if wanted and request.headers.get("if-range", etag) == etag:
            first, _, last = wanted.removeprefix("bytes=").partition("-")
            begin, end = int(first), int(last) + 1 if last else end
            headers["content-range"] = f"bytes {begin}-{end - 1}/{len(CONTENT)}"
        part = CONTENT[begin:end]
        return Response(part, 206 if "content-range" in headers else 200, headers | {"content-length": str(len(part))})

    @staticmethod
    def problem(request: Request, status: int, code: str) -> Response:
        body = {"code": code, "status": status, "instance": request.url.path}
        return JSONResponse(body, status, media_type="application/problem+json")

    async def drip(self, request: Request) -> Response:
        """Ten pieces, a tenth of a second apart; then silence, where the disk is the second."""

        async def pieces():
            for number in range(10):
                yield bytes([number])
                await asyncio.sleep(0.1)
            if request.path_params["disk"] == "2":
                await self.release.wait()

        await self.note(request)
        return StreamingResponse(pieces(), headers={"etag": '"d"'})

    def app(self, *more: Route):
        return super().app(
            Route("/api/tenants/invoices/{name}/download/", self.file),
            Route("/api/restore/jobs/{name}/disks/{disk}/content", self.drip),
            *more,
        )


@pytest.fixture
def upstream_class() -> type[Upstream]:
    return Files


class Person:
    """Somebody with a session that tenancy knows, and a file of his organization."""

    def __init__(self, stack, **known: Any) -> None:
        self.stack, self.user, self.session, self.tenant = stack, uuid7(), uuid7(), uuid7()
        self.known = {"user": str(self.user), "tenant": str(self.tenant), "roles": ["owner"], "revoked": False}
        self.known |= {"has_second_factor": False} | known
        stack.tenancy.sessions[str(self.session)] = self.known
        self.headers = stack.tenancy.headers(tenant=self.tenant, sub=str(self.user), sid=str(self.session))
        self.file = stack.billing.holds(self.tenant)

    async def asks(self, file: str | None = None, **request: Any) -> httpx.Response:
        path = f"/api/tenants/invoices/{file or self.file}/download-links/"
        return await self.stack.client.post(path, **({"headers": self.headers} | request))

    async def link(self) -> str:
        """The path of a new link."""
        answer = await self.asks()
        assert answer.status_code == 201, answer.text
        return urlsplit(answer.json()["url"]).path

    async def begun(self) -> str:
        """The path at which a begun download goes on."""
        answer = await self.stack.client.get(await self.link())
        assert (answer.status_code, answer.content) == (307, b"")
        return answer.headers["location"]


def refusal(answer: httpx.Response) -> tuple[int, str | None]:
    return answer.status_code, answer.json().get("code")


OVER = (410, "download_link_over")


@pytest.mark.invariant("S79")
async def test_a_link_downloads_what_its_maker_may_read_without_a_token(stack) -> None:
    person = Person(stack)
    made = await person.asks()
    assert made.status_code == 201
    assert made.json().keys() == {"url", "starts_before"}
    assert made.headers["location"] == made.json()["url"]
    # An ordinary client that follows redirects and knows nothing of us.
    answer = await stack.client.get(urlsplit(made.json()["url"]).path, follow_redirects=True)
    assert (answer.status_code, answer.content) == (200, CONTENT)
    assert answer.headers["content-disposition"] == f'attachment; filename="{person.file}.bin"'
    assert [one.status_code for one in answer.history] == [307]
    for one in (made, answer, *answer.history):
        assert one.headers["cache-control"] == "private, no-store"
        assert one.headers["referrer-policy"] == "no-referrer"
        assert one.headers["x-content-type-options"] == "nosniff"
    for seen in stack.billing.seen:
        assert (seen.method, seen.target) == ("GET", f"/api/tenants/invoices/{person.file}/download/")
        assert seen.claims is not None
        assert (seen.claims.user_id, seen.claims.tenant_id) == (person.user, person.tenant)
        assert (seen.claims.session_id, seen.claims.roles) == (person.session, {"owner"})


@pytest.mark.invariant("S79")
async def test_a_link_is_refused_to_whom_the_download_is_refused_and_alike(stack) -> None:
    person, stranger = Person(stack), Person(stack)
    missing = str(uuid7())
    foreign, nothing = [await stranger.asks(file, headers=stranger.headers) for file in (person.file, missing)]
    assert refusal(foreign) == refusal(nothing) == (404, "invoice_not_found")
    assert foreign.text.replace(person.file, missing) == nothing.text
    varying = {"x-request-id", "date", "ratelimit"}
    heads = [{n: v for n, v in one.headers.items() if n not in varying} for one in (foreign, nothing)]
    assert heads[0] == heads[1]
    direct = await stack.client.get(f"/api/tenants/invoices/{person.file}/download/", headers=stranger.headers)
    assert (direct.status_code, direct.text) == (foreign.status_code, foreign.text)
    person.known["roles"] = ["member"]
    tokens = stack.tenancy.token(
        sub=str(person.user), sid=str(person.session), tenant=str(person.tenant), roles=["member"]
    )
    assert refusal(await person.asks(headers={"authorization": f"Bearer {tokens}"})) == (403, "role_required")
    assert refusal(await person.asks(headers={})) == (401, "token_missing")


@pytest.mark.invariant("S79")
async def test_who_impersonates_gets_no_link(stack) -> None:
    person = Person(stack)
    named = {"tenant": str(person.tenant), "roles": ["viewer"], "act": {"sub": str(uuid7())}}
    token = stack.tenancy.token(sub=str(person.user), sid=str(person.session), **named)
    answer = await person.asks(headers={"authorization": f"Bearer {token}"})
    assert refusal(answer) == (403, "read_only_impersonation")
    assert not stack.billing.seen


async def test_a_download_is_resumed_in_ranges(stack) -> None:
    person = Person(stack)
    path = await person.begun()
    got, half = b"", len(CONTENT) // 2
    first = await stack.client.get(path, headers={"range": f"bytes=0-{half - 1}"})
    assert (first.status_code, first.headers["content-range"]) == (206, f"bytes 0-{half - 1}/{len(CONTENT)}")
    got += first.content
    rest = await stack.client.get(path, headers={"range": f"bytes={half}-", "if-range": first.headers["etag"]})
    assert rest.status_code == 206
    assert hashlib.sha256(got + rest.content).digest() == hashlib.sha256(CONTENT).digest()
    other = await stack.client.get(path, headers={"range": f"bytes={half}-", "if-range": '"another"'})
    assert (other.status_code, other.content) == (200, CONTENT)


@pytest.mark.invariant("S81")
async def test_what_has_changed_since_the_download_began_is_not_mixed_into_it(stack) -> None:
    person = Person(stack)
    path, unbegun = await person.begun(), await person.link()
    assert (await stack.client.get(path, headers={"range": "bytes=0-9"})).content == CONTENT[:10]
    stack.billing.files[person.file] = (person.tenant, '"2"')
    for headers in ({}, {"range": "bytes=10-"}, {"range": "bytes=10-", "if-range": '"1"'}):
        answer = await stack.client.get(path, headers=headers)
        assert refusal(answer) == (409, "download_changed")
    # What had not begun gets what there is when it begins.
    assert (await stack.client.get(unbegun, follow_redirects=True)).status_code == 200


async def changed(person: Person, how: str) -> None:
    """End somebody's access; tenancy's facts are lost, so that only asking tells."""
    if how == "signed out":
        person.known["revoked"] = True
    elif how == "forgotten":
        del person.stack.tenancy.sessions[str(person.session)]
    elif how == "removed":
        person.known |= {"tenant": None, "roles": []}
    elif how == "works elsewhere":
        person.known["tenant"] = str(uuid7())
    else:
        session = {"session_id": person.session, "user_id": person.user, "reason": "logout"}
        await person.stack.broker.publish(told("session.revoked", **session))


@pytest.mark.invariant("S81")
@pytest.mark.parametrize("how", ["signed out", "forgotten", "removed", "works elsewhere", "heard of"])
async def test_a_link_ends_with_the_access_of_who_made_it(stack, how: str) -> None:
    person, other = Person(stack), Person(stack)
    paths = [await person.begun(), await person.link()]
    lasting = await other.begun()
    assert (await stack.client.get(paths[0], headers={"range": "bytes=0-9"})).status_code == 206
    reached = len(stack.billing.seen)
    await changed(person, how)
    for path in paths:
        assert refusal(await stack.client.get(path)) == OVER
    assert len(stack.billing.seen) == reached
    assert (await stack.client.get(lasting)).content == CONTENT


@pytest.mark.invariant("S81")
async def test_a_lower_role_counts_from_the_next_range_on(stack) -> None:
    person = Person(stack)
    path = await person.begun()
    person.known["roles"] = ["viewer"]
    assert (await stack.client.get(path)).status_code == 200
    assert stack.billing.seen[-1].claims.roles == {"viewer"}
    person.known["roles"] = ["member"]
    assert refusal(await stack.client.get(path)) == (403, "role_required")


async def test_a_second_factor_of_long_ago_does_not_stop_what_has_begun(stack) -> None:
    person = Person(stack, has_second_factor=True, second_factor_at="2020-01-01T00:00:00+00:00")
    assert (await stack.client.get(await person.begun())).content == CONTENT


async def test_while_tenancy_does_not_answer_no_link_opens(stack) -> None:
    person = Person(stack)
    path = await person.begun()
    stack.tenancy.failing = True
    assert refusal(await stack.client.get(path)) == (503, "service_unavailable")


@pytest.mark.invariant("S81")
@pytest.mark.parametrize(
    "ended",
    [
        None,
        {"expires_at": "2020-01-01T00:00:00+00:00"},
        {"has_api_access": False},
        {"allowed_networks": ["192.0.2.0/24"]},
        {"scopes": ["backups:write"]},
    ],
)
async def test_a_programs_link_ends_with_its_key(stack, ended: dict[str, Any] | None) -> None:
    key, tenant = a_key(), uuid7()
    digest = hashlib.sha256(key.encode()).hexdigest()
    known = {"id": str(uuid7()), "tenant_id": str(tenant), "roles": ["viewer"], "scopes": ["billing:read"]}
    known |= {"allowed_networks": [], "expires_at": None, "has_api_access": True}
    stack.tenancy.api_keys[digest] = known
    path = f"/api/tenants/invoices/{stack.billing.holds(tenant)}/download-links/"
    made = await stack.client.post(path, headers={"authorization": f"Bearer {key}"})
    assert made.status_code == 201
    assert key not in made.text
    assert digest not in made.text
    begun = await stack.client.get(urlsplit(made.json()["url"]).path)
    follow = begun.headers["location"]
    assert (await stack.client.get(follow)).content == CONTENT
    if ended is None:
        del stack.tenancy.api_keys[digest]
    else:
        known.update(ended)
    assert refusal(await stack.client.get(follow)) == OVER


@pytest.mark.invariant("S80")
async def test_a_link_is_no_access_token_and_an_access_token_is_no_link(stack) -> None:
    person = Person(stack)
    for path in (await person.link(), await person.begun()):
        token = path.rpartition("/")[2]
        for method, target in (("GET", f"/api/tenants/invoices/{person.file}/download/"), ("GET", "/api/backup-jobs/")):
            answer = await stack.client.request(method, target, headers={"authorization": f"Bearer {token}"})
            assert refusal(answer) == (401, "token_invalid")
        for method in ("POST", "PUT", "PATCH", "DELETE", "HEAD"):
            assert (await stack.client.request(method, path)).status_code == 405
    access = person.headers["authorization"].removeprefix("Bearer ")
    internal = stack.billing.seen[-1].values("authorization")[0].removeprefix("Bearer ")
    reached = len(stack.billing.seen)
    for token in (access, internal, "s" + access, "f" + internal, "x"):
        answer = await stack.client.get(f"/api/downloads/{token}")
        assert refusal(answer) == OVER
        assert answer.json()["instance"] == "/api/downloads/[redacted]"
        assert "www-authenticate" not in answer.headers
    assert len(stack.billing.seen) == reached


async def test_two_gateways_open_each_others_links(stack) -> None:
    person, stop, ready = Person(stack), asyncio.Event(), asyncio.Event()
    second = await build(stack.settings.model_copy(update={"http_port": 0}), stack.broker)
    part = second.parts["api"]
    async with asyncio.TaskGroup() as running:
        running.create_task(part.run(stop, ready.set))
        await ready.wait()
        async with httpx.AsyncClient(base_url=part.url) as there:
            begun = await there.get(await person.link())
            assert begun.status_code == 307
            answers = [await one.get(begun.headers["location"]) for one in (stack.client, there)]
            assert [one.content for one in answers] == [CONTENT] * 2
            # Neither holds anything of the other's: an end of access counts at both.
            person.known["revoked"] = True
            assert [refusal(await one.get(begun.headers["location"])) for one in (stack.client, there)] == [OVER] * 2
        stop.set()
    await second.close()


async def test_a_link_is_in_no_log(stack, log_lines) -> None:
    person = Person(stack)
    link = await person.link()
    begun = (await stack.client.get(link)).headers["location"]
    await stack.client.get(begun)
    await changed(person, "signed out")
    await stack.client.get(begun)
    await eventually(lambda: log_lines().count('"route": "/api/downloads/{token}"') == 3)
    for path in (link, begun):
        assert path.rpartition("/")[2][:40] not in log_lines()
    lines = [json.loads(line) for line in log_lines().splitlines()]
    assert [one["tenant_id"] for one in lines if one.get("status") in {200, 307}] == [str(person.tenant)] * 2


@pytest.mark.parametrize("overrides", [{"downloads_per_minute": 5}], indirect=True)
async def test_an_organizations_links_are_counted_and_nobody_elses(stack) -> None:
    person, other = Person(stack), Person(stack)
    path = await person.begun()
    statuses = [(await stack.client.get(path, headers={"range": "bytes=0-9"})).status_code for _ in range(5)]
    assert statuses == [206] * 3 + [429] * 2
    assert (await person.asks()).status_code == 429
    assert (await stack.client.get("/api/backup-jobs/", headers=person.headers)).status_code == 200
    assert (await stack.client.get(await other.begun())).status_code == 200


@pytest.mark.parametrize("overrides", [{"idle_seconds": 0.4}], indirect=True)
async def test_a_stream_has_all_the_time_it_takes_and_none_to_be_silent(stack) -> None:
    person = Person(stack)
    path = f"/api/restore/jobs/{uuid7()}/disks/{{disk}}/content"
    whole = await stack.client.get(path.format(disk=1), headers=person.headers)
    assert whole.content == bytes(range(10))
    assert whole.elapsed.total_seconds() > 0.9
    with pytest.raises(httpx.RemoteProtocolError):
        await stack.client.get(path.format(disk=2), headers=person.headers)
