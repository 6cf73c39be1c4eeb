"""Passkeys: added, named, removed, signed in with; and everything that must not pass for one."""

from datetime import timedelta
from typing import Any

import pyotp
import pytest
from common.ids import uuid7
from sqlalchemy import func, select
from tenancy.bootstrap import create_staff
from tenancy.domain.people import User
from tenancy.domain.totp import new_secret
from tenancy.persistence.tables import one_time_links
from tenancy.testing import PASSWORD, Tenancy
from tenancy.usecases.dismiss_staff import dismiss_staff

from .authenticator import PRESENT, VERIFIED, Authenticator, encoded
from .identity import SignedIn, alive, claims, login, post, session, subjects

pytestmark = pytest.mark.integration


async def options(one: SignedIn) -> dict[str, Any]:
    answer = await one.client.post("/api/auth/passkeys/options/", json={"password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def add(one: SignedIn, device: Authenticator, name: str = "Téléphone", **more: Any) -> Any:
    begun = await options(one)
    body = {"challenge_id": begun["challenge_id"], "name": name, "credential": device.create(begun["options"])}
    return await one.client.post("/api/auth/passkeys/", json=body | more)


async def with_passkey(tenancy: Tenancy, **device: Any) -> tuple[User, SignedIn, Authenticator]:
    person = await tenancy.person()
    one, made = await session(tenancy, person), Authenticator(**device)
    answer = await add(one, made)
    assert answer.status_code == 201, answer.text
    return person, one, made


async def enter(tenancy: Tenancy, device: Authenticator) -> Any:
    begun = (await post(tenancy, "passkeys/login/options", {})).json()
    body = {"challenge_id": begun["challenge_id"], "credential": device.get(begun["options"])}
    return await post(tenancy, "passkeys/login", body)


@pytest.mark.invariant("S58")
@pytest.mark.parametrize("dismissed", [False, True])
async def test_staff_that_is_given_new_credentials_has_no_others(tenancy: Tenancy, dismissed: bool) -> None:
    secret = new_secret()
    person, (other, _theirs, others_device) = await tenancy.staff(secret), await with_passkey(tenancy)
    tenancy.clock.advance(timedelta(seconds=30))
    one = await session(tenancy, person, totp_code=pyotp.TOTP(secret).at(tenancy.clock.now()))
    device = Authenticator()
    assert (await add(one, device)).status_code == 201
    begun, late = await options(one), Authenticator()
    tenancy.clock.advance(timedelta(seconds=30))
    again = pyotp.TOTP(secret).at(tenancy.clock.now())
    codes = (await one.client.post("/api/auth/totp/recovery-codes/", json={"totp_code": again})).json()[
        "recovery_codes"
    ]
    await post(tenancy, "password-reset", {"email": person.email})
    if dismissed:
        async with tenancy.store.for_system("auth") as uow:
            await dismiss_staff(uow, person.email)
    renewed = await create_staff(tenancy.tools.settings, email=person.email, role="support")
    assert (await enter(tenancy, device)).status_code == 401
    assert (await enter(tenancy, others_device)).status_code == 200, other.email
    assert not await alive(tenancy, one)
    body = {"challenge_id": begun["challenge_id"], "name": "late", "credential": late.create(begun["options"])}
    assert (await one.client.post("/api/auth/passkeys/", json=body)).status_code >= 400
    for proof in ({"recovery_code": codes[0]}, {"totp_code": pyotp.TOTP(secret).at(tenancy.clock.now())}):
        assert (await login(tenancy, person.email, renewed.password, **proof)).status_code == 401
    assert (await login(tenancy, person.email)).status_code == 401, "the old password"
    right = pyotp.TOTP(renewed.totp_secret).at(tenancy.clock.now())
    assert (await login(tenancy, person.email, renewed.password, totp_code=right)).status_code == 200
    async with tenancy.store.for_system("auth") as uow:
        user = await uow.users.by_email(person.email)
        left = await uow.session.scalar(
            select(func.count()).where(one_time_links.c.user_id == person.id, one_time_links.c.used_at.is_(None))
        )
    assert user is not None
    assert (user.id, user.staff_roles, user.staff_dismissed_at, left) == (person.id, {"support"}, None, 0)


@pytest.mark.parametrize("ed25519", [False, True])
async def test_a_passkey_signs_its_holder_in_without_anything_else(tenancy: Tenancy, ed25519: bool) -> None:
    person, _one, device = await with_passkey(tenancy, ed25519=ed25519)
    answer = await enter(tenancy, device)
    assert answer.status_code == 200
    told = claims(tenancy, answer.json()["access_token"])
    assert told["sub"] == str(person.id)
    state = (await tenancy.client(user_id=person.id).get(f"/internal/sessions/{told['sid']}")).json()
    assert state["second_factor_at"] is not None, "its device has verified its holder"
    assert (await enter(tenancy, device)).status_code == 200


async def test_passkeys_are_listed_named_and_removed_by_their_holder(tenancy: Tenancy) -> None:
    person, one, device = await with_passkey(tenancy)
    (listed,) = (await one.client.get("/api/auth/passkeys/")).json()["results"]
    assert (listed["name"], listed["last_used_at"]) == ("Téléphone", None)
    path = f"/api/auth/passkeys/{listed['id']}/"
    assert (await one.client.patch(path, json={"name": "Clé USB"})).json()["name"] == "Clé USB"
    assert (await one.client.delete(path)).status_code == 204
    assert (await enter(tenancy, device)).status_code == 401
    assert await subjects(tenancy, person.email) == ["Clé d'accès ajoutée", "Clé d'accès retirée"]


@pytest.mark.invariant("S9")
async def test_anothers_passkey_is_answered_as_a_missing_one(tenancy: Tenancy) -> None:
    _person, one, device = await with_passkey(tenancy)
    (listed,) = (await one.client.get("/api/auth/passkeys/")).json()["results"]
    other = await session(tenancy, await tenancy.person())
    assert (await other.client.get("/api/auth/passkeys/")).json()["results"] == []
    unlike = {"request_id": "", "instance": ""}
    for method, body in (("PATCH", {"name": "Mine"}), ("DELETE", None)):
        answers = [
            await other.client.request(method, f"/api/auth/passkeys/{i}/", json=body) for i in (listed["id"], uuid7())
        ]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert answers[0].json() | unlike == answers[1].json() | unlike
    assert (await enter(tenancy, device)).status_code == 200


@pytest.mark.parametrize(
    "lie",
    [
        {"origin": "https://app.exemple.cm.evil.example"},
        {"origin": "http://app.exemple.cm"},
        {"rp_id": "evil.example"},
        {"flags": PRESENT},
        {"flags": VERIFIED},
    ],
    ids=["another page", "without tls", "another domain", "holder not verified", "nobody there"],
)
async def test_what_another_page_or_device_made_is_no_passkey(tenancy: Tenancy, lie: dict[str, Any]) -> None:
    one = await session(tenancy, await tenancy.person())
    answer = await add(one, Authenticator(**lie))
    assert (answer.status_code, answer.json()["code"]) == (403, "passkey_refused")
    _person, _one, device = await with_passkey(tenancy)
    for name, value in lie.items():
        setattr(device, name, value)
    refused = await enter(tenancy, device)
    assert (refused.status_code, refused.json()["code"]) == (401, "wrong_credentials")


async def test_another_key_with_the_same_id_does_not_sign_in(tenancy: Tenancy) -> None:
    _person, _one, device = await with_passkey(tenancy)
    forged = Authenticator(credential_id=device.credential_id, user_handle=device.user_handle)
    assert (await enter(tenancy, forged)).status_code == 401
    assert (await enter(tenancy, device)).status_code == 200


async def test_a_passkey_that_says_it_is_anothers_does_not_sign_in(tenancy: Tenancy) -> None:
    other = await tenancy.person()
    _person, _one, device = await with_passkey(tenancy)
    device.user_handle = other.id.bytes
    assert (await enter(tenancy, device)).status_code == 401


async def test_a_copied_passkey_whose_count_does_not_grow_is_refused(tenancy: Tenancy) -> None:
    _person, _one, device = await with_passkey(tenancy)
    assert [(await enter(tenancy, device)).status_code for _ in range(3)] == [200, 200, 200]
    device.count = 1
    assert (await enter(tenancy, device)).status_code == 401


async def test_a_challenge_is_good_once_for_five_minutes_and_for_whom_it_was_made(tenancy: Tenancy) -> None:
    _person, one, device = await with_passkey(tenancy)
    begun = (await post(tenancy, "passkeys/login/options", {})).json()
    body = {"challenge_id": begun["challenge_id"], "credential": device.get(begun["options"])}
    assert (await post(tenancy, "passkeys/login", body)).status_code == 200
    assert (await post(tenancy, "passkeys/login", body)).status_code == 401
    late = (await post(tenancy, "passkeys/login/options", {})).json()
    tenancy.clock.advance(timedelta(minutes=5))
    body = {"challenge_id": late["challenge_id"], "credential": device.get(late["options"])}
    assert (await post(tenancy, "passkeys/login", body)).status_code == 401
    theirs = await options(await session(tenancy, await tenancy.person()))
    made = Authenticator().create(theirs["options"])
    stolen = {"challenge_id": theirs["challenge_id"], "name": "Mine", "credential": made}
    assert (await one.client.post("/api/auth/passkeys/", json=stolen)).status_code == 403


async def test_one_passkey_belongs_to_one_account(tenancy: Tenancy) -> None:
    _person, one, device = await with_passkey(tenancy)
    other = await session(tenancy, await tenancy.person())
    for somebody in (one, other):
        answer = await add(somebody, device)
        assert (answer.status_code, answer.json()["code"]) == (409, "passkey_exists")


async def test_a_passkey_of_a_signed_in_person_wants_their_password(tenancy: Tenancy) -> None:
    one = await session(tenancy, await tenancy.person())
    answer = await one.client.post("/api/auth/passkeys/options/", json={"password": "not this one"})
    assert (answer.status_code, answer.json()["code"]) == (403, "wrong_password")


@pytest.mark.parametrize(
    "nonsense",
    [
        {},
        {"rawId": 7},
        {"rawId": "!!", "response": "x"},
        {"id": "AA", "rawId": "AA", "type": "public-key", "response": {}},
    ],
)
async def test_nonsense_is_refused_and_breaks_nothing(tenancy: Tenancy, nonsense: dict[str, Any]) -> None:
    begun = (await post(tenancy, "passkeys/login/options", {})).json()
    answer = await post(tenancy, "passkeys/login", {"challenge_id": begun["challenge_id"], "credential": nonsense})
    assert answer.status_code == 401
    one = await session(tenancy, await tenancy.person())
    mine = await options(one)
    body = {"challenge_id": mine["challenge_id"], "name": "x", "credential": nonsense}
    assert (await one.client.post("/api/auth/passkeys/", json=body)).status_code == 403
    device = Authenticator()
    begun = await options(one)
    broken = device.create(begun["options"])
    broken["response"]["attestationObject"] = encoded(b"\xa1" * 40)
    body = {"challenge_id": begun["challenge_id"], "name": "x", "credential": broken}
    assert (await one.client.post("/api/auth/passkeys/", json=body)).status_code == 403
