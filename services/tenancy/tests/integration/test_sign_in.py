"""Accounts, sign-in, refresh and sessions over HTTP."""

import asyncio
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pyotp
import pytest
from common.ids import uuid7
from joserfc import jwt
from joserfc.jwk import KeySet
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import select
from tenancy.adapters.passwords import Argon2Passwords
from tenancy.persistence import tables
from tenancy.testing import PASSWORD, Tenancy

pytestmark = pytest.mark.integration


def claims(tenancy: Tenancy, token: str) -> dict[str, Any]:
    keys = KeySet.import_key_set(tenancy.tools.tokens.jwks())
    return jwt.decode(token, keys, algorithms=["EdDSA"]).claims


NO_SECOND_FACTOR = {"has_second_factor": False, "second_factor_at": None}


async def register(tenancy: Tenancy, email: str, **more: Any) -> Any:
    body = {"email": email, "password": PASSWORD, "full_name": "Awa Ndiaye"} | more
    return await tenancy.client(anonymous=True).post("/api/auth/register/", json=body)


async def login(tenancy: Tenancy, email: str, password: str = PASSWORD, **more: Any) -> Any:
    body = {"email": email, "password": password} | more
    return await tenancy.client(anonymous=True).post("/api/auth/login/", json=body)


async def refresh(tenancy: Tenancy, token: str, device: str = "") -> Any:
    headers = {"user-agent": device} if device else {}
    asking = tenancy.client(anonymous=True)
    return await asking.post("/api/auth/refresh/", json={"refresh_token": token}, headers=headers)


@pytest.mark.invariant("S56")
async def test_registering_a_known_address_looks_the_same_and_tells_its_owner(tenancy: Tenancy) -> None:
    email = f"{uuid7().hex}@exemple.cm"
    first, second = await register(tenancy, email.upper(), language="fr"), await register(tenancy, email)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json().keys() == second.json().keys() == {"id", "email"}
    assert first.json()["email"] == second.json()["email"] == email
    assert first.json()["id"] != second.json()["id"]
    assert await tenancy.count_people(email) == 1
    subjects = [mail.subject for mail in await tenancy.mails_to(email)]
    assert subjects == ["Confirmez votre adresse e-mail", "Vous avez déjà un compte"]


async def test_two_registrations_at_once_make_one_account(tenancy: Tenancy) -> None:
    email = f"{uuid7().hex}@exemple.cm"
    answers = await asyncio.gather(*(register(tenancy, email) for _ in range(5)))
    assert {answer.status_code for answer in answers} == {201}
    assert await tenancy.count_people(email) == 1


@pytest.mark.parametrize(
    ("password", "reason"),
    [
        ("court", "too_short"),
        ("password123", "common"),
        ("aaaaaaaaaaaa", "common"),
        ("x" * 300, "too_long"),
        ("{email}", "like_email"),
    ],
)
async def test_a_weak_password_is_refused_with_its_reason(tenancy: Tenancy, password: str, reason: str) -> None:
    email = f"{uuid7().hex}@exemple.cm"
    answer = await register(tenancy, email, password=password.format(email=email))
    assert (answer.status_code, answer.json()["code"], answer.json()["reason"]) == (422, "weak_password", reason)
    assert "_" not in answer.json()["detail"]


async def test_something_that_is_no_address_is_refused(tenancy: Tenancy) -> None:
    answer = await register(tenancy, "not an address")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_email")


async def test_unknown_fields_are_refused(tenancy: Tenancy) -> None:
    answer = await register(tenancy, f"{uuid7().hex}@exemple.cm", staff_roles=["admin"])
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


@pytest.mark.invariant("S57")
async def test_the_mailed_link_confirms_the_address_once(tenancy: Tenancy) -> None:
    email = f"{uuid7().hex}@exemple.cm"
    await register(tenancy, email)
    (mail,) = await tenancy.mails_to(email)
    (token,) = re.findall(r"token=([\w-]+)", mail.body_text)
    anybody = tenancy.client(anonymous=True)
    assert (await anybody.post("/api/auth/verify-email/", json={"token": token})).status_code == 204
    (confirmed,) = await confirmations(tenancy, email)
    tenancy.clock.advance(timedelta(hours=1))
    assert (await anybody.post("/api/auth/verify-email/", json={"token": token})).status_code == 204, "a second click"
    assert await confirmations(tenancy, email) == [confirmed]


async def confirmations(tenancy: Tenancy, email: str) -> list[Any]:
    async with tenancy.store.for_system("auth") as uow:
        found = select(tables.users.c.email_verified_at).where(tables.users.c.email == email)
        return list((await uow.session.scalars(found)).all())


async def test_a_used_link_says_nothing_of_an_account_that_has_another_address_by_now(tenancy: Tenancy) -> None:
    email = f"{uuid7().hex}@exemple.cm"
    await register(tenancy, email)
    (mail,) = await tenancy.mails_to(email)
    (token,) = re.findall(r"token=([\w-]+)", mail.body_text)
    anybody = tenancy.client(anonymous=True)
    assert (await anybody.post("/api/auth/verify-email/", json={"token": token})).status_code == 204
    async with tenancy.store.for_system("auth") as uow:
        person = await uow.users.by_email(email)
        assert person is not None
        await uow.users.set(person.id, email=f"new-{email}")
    answer = await anybody.post("/api/auth/verify-email/", json={"token": token})
    assert (answer.status_code, answer.json()["code"]) == (404, "token_not_found")


async def test_an_old_link_has_expired(tenancy: Tenancy) -> None:
    email = f"{uuid7().hex}@exemple.cm"
    await register(tenancy, email)
    (mail,) = await tenancy.mails_to(email)
    (token,) = re.findall(r"token=([\w-]+)", mail.body_text)
    tenancy.clock.advance(timedelta(days=4))
    answer = await tenancy.client(anonymous=True).post("/api/auth/verify-email/", json={"token": token})
    assert (answer.status_code, answer.json()["code"]) == (410, "token_expired")


async def test_signing_in_without_an_organization_gives_a_token_that_names_none(tenancy: Tenancy) -> None:
    person = await tenancy.person()
    answer = await login(tenancy, person.email.upper())
    assert answer.status_code == 200
    assert answer.json().keys() == {"access_token", "refresh_token", "token_type", "expires_in"}
    assert answer.json()["token_type"] == "Bearer"
    assert answer.json()["expires_in"] == 600
    told = claims(tenancy, answer.json()["access_token"])
    assert (told["sub"], told["roles"], "tenant" in told) == (str(person.id), [], False)
    assert told["exp"] - told["iat"] == 600


async def test_signing_in_activates_the_only_organization(tenancy: Tenancy) -> None:
    person = await tenancy.person()
    tenant = await tenancy.organization(person)
    told = claims(tenancy, (await login(tenancy, person.email)).json()["access_token"])
    assert (told["tenant"], told["roles"]) == (str(tenant), ["owner"])


@pytest.mark.invariant("S56")
async def test_wrong_passwords_and_unknown_addresses_get_one_answer(tenancy: Tenancy) -> None:
    person = await tenancy.person()
    wrong = await login(tenancy, person.email, "Une autre phrase longue")
    unknown = await login(tenancy, f"{uuid7().hex}@exemple.cm")
    assert wrong.status_code == unknown.status_code == 401
    assert {**wrong.json(), "request_id": ""} == {**unknown.json(), "request_id": ""}


class Counting(Argon2Hasher):
    """A quick hasher that says whether it had to work."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=1024, parallelism=1)
        self.verified = 0

    def verify(self, password: str | bytes, hash: str | bytes) -> bool:  # noqa: A002  # the overridden name
        self.verified += 1
        return super().verify(password, hash)


@pytest.mark.invariant("S56")
async def test_an_unknown_address_costs_as_many_hashes_as_a_wrong_password(tenancy: Tenancy) -> None:
    """Hashing is what takes the time: whoever is told at once that he is wrong knows that there is no account."""
    person, gone = await tenancy.person(), await tenancy.person()
    async with tenancy.store.for_system("auth") as uow:
        await uow.users.set(gone.id, disabled_at=tenancy.clock.now())
    hasher = Counting()
    tenancy = replace(tenancy, tools=replace(tenancy.tools, passwords=Argon2Passwords(1, hasher)))
    for email in (person.email, gone.email, f"{uuid7().hex}@exemple.cm", "no address"):
        before = hasher.verified
        assert (await login(tenancy, email, "Une autre phrase longue")).status_code == 401
        assert hasher.verified == before + 1, email
    tenancy.tools.passwords.close()


async def test_a_refresh_token_rotates(tenancy: Tenancy) -> None:
    person = await tenancy.person()
    first = (await login(tenancy, person.email)).json()
    second = await refresh(tenancy, first["refresh_token"])
    assert second.status_code == 200
    assert second.json()["refresh_token"] != first["refresh_token"]
    told, before = claims(tenancy, second.json()["access_token"]), claims(tenancy, first["access_token"])
    assert (told["sid"], told["sub"]) == (before["sid"], before["sub"])


@pytest.mark.invariant("S53")
async def test_two_parallel_refreshes_within_the_grace_window_keep_the_session(tenancy: Tenancy) -> None:
    person = await tenancy.person()
    first = (await login(tenancy, person.email)).json()
    both = await asyncio.gather(*(refresh(tenancy, first["refresh_token"]) for _ in range(2)))
    assert [answer.status_code for answer in both] == [200, 200]
    after = [await refresh(tenancy, answer.json()["refresh_token"]) for answer in both]
    assert [answer.status_code for answer in after] == [200, 200]


@pytest.mark.invariant("S53")
async def test_a_refresh_token_that_turns_up_late_ends_the_session_for_everybody(tenancy: Tenancy) -> None:
    person, other = await tenancy.person(), await tenancy.person()
    first, others = (await login(tenancy, person.email)).json(), (await login(tenancy, other.email)).json()
    second = (await refresh(tenancy, first["refresh_token"])).json()
    tenancy.clock.advance(timedelta(seconds=11))
    stolen = await refresh(tenancy, first["refresh_token"])
    assert (stolen.status_code, stolen.json()["code"]) == (401, "invalid_refresh_token")
    assert (await refresh(tenancy, second["refresh_token"])).status_code == 401
    assert (await refresh(tenancy, others["refresh_token"])).status_code == 200


@pytest.mark.invariant("S53")
async def test_the_grace_window_is_only_for_the_client_that_refreshed(tenancy: Tenancy) -> None:
    person = await tenancy.person()
    first = (await login(tenancy, person.email)).json()
    second = (await refresh(tenancy, first["refresh_token"])).json()
    assert (await refresh(tenancy, first["refresh_token"], "another program")).status_code == 401
    assert (await refresh(tenancy, second["refresh_token"])).status_code == 401


@pytest.mark.invariant("S53")
async def test_fifty_refreshes_at_once_with_one_token_keep_the_session(tenancy: Tenancy) -> None:
    person = await tenancy.person()
    first = (await login(tenancy, person.email)).json()
    answers = await asyncio.gather(*(refresh(tenancy, first["refresh_token"]) for _ in range(50)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["refresh_token"] for answer in answers}) == 50


async def test_logging_out_ends_the_session(tenancy: Tenancy) -> None:
    person = await tenancy.person()
    pair = (await login(tenancy, person.email)).json()
    session = UUID(claims(tenancy, pair["access_token"])["sid"])
    assert (await tenancy.client(user_id=person.id, session_id=session).post("/api/auth/logout/")).status_code == 204
    assert (await refresh(tenancy, pair["refresh_token"])).status_code == 401
    state = await tenancy.client(user_id=person.id).get(f"/internal/sessions/{session}")
    assert state.json()["revoked"] is True


async def test_the_gateway_learns_the_organization_bought_after_signing_in(tenancy: Tenancy) -> None:
    person = await tenancy.person()
    session = claims(tenancy, (await login(tenancy, person.email)).json()["access_token"])["sid"]
    gateway = tenancy.client(user_id=person.id)
    before = (await gateway.get(f"/internal/sessions/{session}")).json()
    assert before == {"tenant_id": None, "roles": [], "staff_roles": [], "revoked": False} | NO_SECOND_FACTOR
    tenant = await tenancy.organization(person)
    after = (await gateway.get(f"/internal/sessions/{session}")).json()
    assert (after["tenant_id"], after["roles"]) == (str(tenant), ["owner"])


@pytest.mark.invariant("S9")
async def test_anothers_session_is_answered_as_a_missing_one(tenancy: Tenancy) -> None:
    person, other = await tenancy.person(), await tenancy.person()
    session = claims(tenancy, (await login(tenancy, person.email)).json()["access_token"])["sid"]
    curious = tenancy.client(user_id=other.id)
    foreign, missing = (
        await curious.get(f"/internal/sessions/{session}"),
        await curious.get(f"/internal/sessions/{uuid7()}"),
    )
    assert foreign.status_code == missing.status_code == 404
    unlike = {"request_id": "", "instance": ""}
    assert foreign.json() | unlike == missing.json() | unlike


async def test_switching_changes_the_active_organization_and_the_next_sign_in(tenancy: Tenancy) -> None:
    person = await tenancy.person()
    await tenancy.organization(person)
    second = await tenancy.organization(person)
    session = UUID(claims(tenancy, (await login(tenancy, person.email)).json()["access_token"])["sid"])
    me = tenancy.client(user_id=person.id, session_id=session)
    answer = await me.post("/api/auth/switch/", json={"organization_id": str(second)})
    assert answer.status_code == 200
    assert claims(tenancy, answer.json()["access_token"])["tenant"] == str(second)
    assert claims(tenancy, (await login(tenancy, person.email)).json()["access_token"])["tenant"] == str(second)


@pytest.mark.invariant("S9")
async def test_switching_to_anothers_organization_is_answered_as_to_a_missing_one(tenancy: Tenancy) -> None:
    person, other = await tenancy.person(), await tenancy.person()
    theirs = await tenancy.organization(other)
    session = UUID(claims(tenancy, (await login(tenancy, person.email)).json()["access_token"])["sid"])
    me = tenancy.client(user_id=person.id, session_id=session)
    answers = [await me.post("/api/auth/switch/", json={"organization_id": str(i)}) for i in (theirs, uuid7())]
    assert [answer.status_code for answer in answers] == [404, 404]
    first, second = ({**answer.json(), "request_id": ""} for answer in answers)
    assert first == second


async def test_the_caller_reads_himself(tenancy: Tenancy) -> None:
    person = await tenancy.person(name="Awa Ndiaye", verified=False)
    answer = (await tenancy.client(user_id=person.id).get("/api/auth/user/")).json()
    assert (answer["id"], answer["email"], answer["email_verified"]) == (str(person.id), person.email, False)
    assert (answer["organization"], answer["staff_roles"]) == (None, [])


@pytest.mark.invariant("S58")
async def test_staff_sign_in_with_a_one_time_code_that_works_once(tenancy: Tenancy) -> None:
    secret = pyotp.random_base32()
    staff = await tenancy.staff(secret)
    code = pyotp.TOTP(secret).at(tenancy.clock.now())
    without = await login(tenancy, staff.email)
    assert (without.status_code, without.json()["code"]) == (401, "totp_required")
    wrong = await login(tenancy, staff.email, totp_code=f"{(int(code) + 1) % 1_000_000:06}")
    assert (wrong.status_code, wrong.json()["code"]) == (401, "wrong_credentials")
    right = await login(tenancy, staff.email, totp_code=code)
    assert claims(tenancy, right.json()["access_token"])["staff"] == ["admin"]
    again = await login(tenancy, staff.email, totp_code=code)
    assert (again.status_code, again.json()["code"]) == (401, "wrong_credentials")


@pytest.mark.invariant("S58")
async def test_one_code_presented_twice_at_once_signs_in_once(tenancy: Tenancy) -> None:
    secret = pyotp.random_base32()
    staff = await tenancy.staff(secret)
    code = pyotp.TOTP(secret).at(tenancy.clock.now())
    answers = await asyncio.gather(*(login(tenancy, staff.email, totp_code=code) for _ in range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 401, 401, 401]


async def test_the_key_set_holds_no_private_part(tenancy: Tenancy) -> None:
    answer = (await tenancy.client(anonymous=True).get("/.well-known/jwks.json")).json()
    assert [(key["kty"], key["crv"], key["alg"], "d" in key) for key in answer["keys"]] == [
        ("OKP", "Ed25519", "EdDSA", False)
    ]


@pytest.mark.invariant("S63")
async def test_without_the_gateways_token_every_endpoint_answers_401(tenancy: Tenancy) -> None:
    client = tenancy.client(anonymous=True)
    client.auth = None
    for method, path in (
        ("GET", "/.well-known/jwks.json"),
        ("GET", "/api/auth/user/"),
        ("GET", f"/internal/sessions/{uuid7()}"),
        ("GET", "/api/tenants/organizations/"),
        ("GET", f"/api/tenants/organizations/{uuid7()}/usage/"),
        ("POST", "/api/auth/logout/"),
    ):
        answer = await client.request(method, path)
        assert (answer.status_code, answer.json()["code"]) == (401, "invalid_internal_token"), path
