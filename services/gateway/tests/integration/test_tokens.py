"""Which access tokens are believed, and where the tenant comes from."""

import base64
import json
import time
from datetime import timedelta

import httpx
import pytest
from common.auth import RequestBinding
from common.auth.errors import InvalidInternalToken
from common.auth.internal_token import new_key, public_part
from common.ids import uuid7
from common.testing import eventually
from joserfc import jwt
from joserfc.jwk import OctKey

pytestmark = pytest.mark.integration
JOBS = "/api/backup-jobs/"


def unsigned(token: str) -> str:
    head = base64.urlsafe_b64encode(b'{"alg":"none","kid":"one"}').rstrip(b"=").decode()
    return f"{head}.{token.split('.')[1]}."


async def status(stack, token: str) -> int:
    return (await stack.client.get(JOBS, headers={"authorization": f"Bearer {token}"})).status_code


@pytest.mark.invariant("S55")
async def test_forged_expired_and_foreign_tokens_are_refused(stack) -> None:
    make, tenant = stack.tenancy.token, str(uuid7())
    usual = {"tenant": tenant, "roles": ["owner"]}
    now, good = int(time.time()), make(**usual)
    public = public_part(stack.tenancy.keys[0])
    confused = jwt.encode(
        {"alg": "HS256", "kid": "one"},
        json.loads(base64.urlsafe_b64decode(good.split(".")[1] + "==")),
        OctKey.import_key(json.dumps(public)),
        algorithms=["HS256"],
    )
    bad = {
        "none": unsigned(good),
        "another key": make(key=new_key("one"), **usual),
        "unknown kid": make(key=new_key("nobody"), **usual),
        "kid traversal": make(header={"kid": "../../one"}, **usual),
        "key confusion": confused,
        "key in the header": make(key=(own := new_key("mine")), header={"jwk": public_part(own)}, **usual),
        "expired": make(exp=now - 1, **usual),
        "not yet": make(nbf=now + 60, **usual),
        "issuer": make(iss="somebody", **usual),
        "audience": make(aud="billing", **usual),
        "no subject": make(sub=None, **usual),
        "no session": make(sid=None, **usual),
        "no expiry": make(exp=None, **usual),
        "tenant is no id": make(tenant="x", roles=["owner"]),
        "cut": good[:-4],
        "altered": good[:-2] + ("AA" if not good.endswith("AA") else "BB"),
        "garbage": "a.b.c",
        "long": "x" * 5000,
    }
    answers = {reason: await status(stack, token) for reason, token in bad.items()}
    assert answers == dict.fromkeys(bad, 401)
    assert await status(stack, good) == 200
    assert len(stack.engine.seen) == 1


@pytest.mark.invariant("S55")
@pytest.mark.parametrize("overrides", [{"key_set_lifetime": timedelta(minutes=1)}], indirect=True)
async def test_a_rotated_key_works_at_once_and_a_retired_one_no_more(stack) -> None:
    usual = {"tenant": str(uuid7()), "roles": ["owner"]}
    old = stack.tenancy.keys[0]
    assert await status(stack, stack.tenancy.token(**usual)) == 200
    stack.tenancy.keys = [new_key("two"), old]

    async def believed() -> bool:
        return await status(stack, stack.tenancy.token(**usual)) == 200

    await eventually(believed, what="the new key is fetched")
    assert await status(stack, stack.tenancy.token(key=old, **usual)) == 200
    stack.tenancy.keys = [new_key("three")]
    await eventually(believed, what="the third key is fetched")
    assert await status(stack, stack.tenancy.token(key=old, **usual)) == 401


@pytest.mark.invariant("S55")
async def test_an_expired_token_is_refused_although_it_was_verified_before(stack) -> None:
    token = stack.tenancy.token(exp=int(time.time()) + 1, tenant=str(uuid7()), roles=["owner"])
    assert await status(stack, token) == 200

    async def refused() -> bool:
        return await status(stack, token) == 401

    await eventually(refused)


async def test_a_token_without_a_tenant_gets_its_sessions_organization_once_there_is_one(stack) -> None:
    user, session, tenant = str(uuid7()), str(uuid7()), str(uuid7())
    known = stack.tenancy.sessions[session] = {"user": user, "tenant": None, "roles": [], "revoked": False}
    headers = stack.tenancy.headers(sub=user, sid=session)
    before = await stack.client.get(JOBS, headers=headers)
    assert before.json()["tenant"] is None
    known.update(tenant=tenant, roles=["owner"])
    after = await stack.client.get(JOBS, headers=headers)
    assert (after.json()["tenant"], after.json()["roles"]) == (tenant, ["owner"])
    asked = stack.tenancy.session_questions
    await stack.client.get(JOBS, headers=headers)
    assert stack.tenancy.session_questions == asked


@pytest.mark.parametrize("overrides", [{"session_lifetime": 0.2}], indirect=True)
async def test_a_found_organization_is_forgotten_after_its_time(stack) -> None:
    user, session, tenant = str(uuid7()), str(uuid7()), str(uuid7())
    stack.tenancy.sessions[session] = {"user": user, "tenant": tenant, "roles": ["owner"], "revoked": False}
    headers = stack.tenancy.headers(sub=user, sid=session)
    assert (await stack.client.get(JOBS, headers=headers)).json()["tenant"] == tenant
    stack.tenancy.sessions[session]["revoked"] = True

    async def ended() -> bool:
        return (await stack.client.get(JOBS, headers=headers)).status_code == 401

    await eventually(ended)


async def test_a_session_of_somebody_else_or_a_revoked_one_is_refused(stack) -> None:
    session = str(uuid7())
    stack.tenancy.sessions[session] = {
        "user": str(uuid7()),
        "tenant": str(uuid7()),
        "roles": ["owner"],
        "revoked": False,
    }
    foreign = await stack.client.get(JOBS, headers=stack.tenancy.headers(sid=session))
    assert (foreign.status_code, foreign.json()["code"]) == (401, "session_ended")
    stack.tenancy.sessions[session].update(revoked=True)
    user = stack.tenancy.sessions[session]["user"]
    revoked = await stack.client.get(JOBS, headers=stack.tenancy.headers(sid=session, sub=user))
    assert (revoked.status_code, revoked.json()["code"]) == (401, "session_ended")
    assert not stack.engine.seen


async def test_when_tenancy_fails_a_token_without_a_tenant_is_not_let_through(stack) -> None:
    user, session = str(uuid7()), str(uuid7())
    stack.tenancy.sessions[session] = {"user": user, "tenant": None, "roles": [], "revoked": False}
    stack.tenancy.failing = True
    answer = await stack.client.get(JOBS, headers=stack.tenancy.headers(sub=user, sid=session))
    assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
    assert not stack.engine.seen


@pytest.mark.invariant("S64")
async def test_a_captured_internal_token_opens_nothing_else(stack) -> None:
    tenant = uuid7()
    await stack.client.get(JOBS, headers=stack.tenancy.headers(tenant=tenant))
    (seen,) = stack.engine.seen
    token = seen.values("authorization")[0].removeprefix("Bearer ")
    verify, right = stack.engine.verifier.verify, RequestBinding("GET", JOBS, "0")
    assert verify(token, right, str(tenant)).tenant_id == tenant
    for verifier, binding, named, at in (
        (stack.billing.verifier, right, tenant, None),
        (stack.engine.verifier, RequestBinding("POST", JOBS, "0"), tenant, None),
        (stack.engine.verifier, RequestBinding("GET", JOBS + "x/", "0"), tenant, None),
        (stack.engine.verifier, RequestBinding("GET", JOBS + "?a=1", "0"), tenant, None),
        (stack.engine.verifier, RequestBinding("GET", JOBS, "9"), tenant, None),
        (stack.engine.verifier, right, uuid7(), None),
        (stack.engine.verifier, right, tenant, time.time() + 61),
    ):
        with pytest.raises(InvalidInternalToken):
            verifier.verify(token, binding, str(named), now=at)


@pytest.mark.invariant("S63")
async def test_an_access_token_opens_no_service_directly(stack) -> None:
    headers = stack.tenancy.headers(tenant=uuid7())
    async with httpx.AsyncClient(base_url=stack.settings.backup_engine_url) as inside:
        assert (await inside.get(JOBS, headers=headers)).status_code == 401
        assert (await inside.get(JOBS, headers={"x-tenant-id": str(uuid7())})).status_code == 401
