"""One-time codes and recovery codes: begun, switched on, asked for, used up, switched off."""

import asyncio
from datetime import timedelta

import pyotp
import pytest
from sqlalchemy import select
from tenancy.persistence.tables import credentials, recovery_codes
from tenancy.testing import PASSWORD, Tenancy

from .identity import alive, claims, login, post, session, signed_in, subjects, with_totp

pytestmark = pytest.mark.integration


async def test_a_second_factor_counts_from_its_first_right_code_on(tenancy: Tenancy) -> None:
    person = await tenancy.person()
    one = await session(tenancy, person)
    made = (await one.client.post("/api/auth/totp/", json={"password": PASSWORD})).json()
    assert made["otpauth_uri"].startswith("otpauth://totp/ESXi%20Backup%20Manager:")
    assert (await login(tenancy, person.email)).status_code == 200
    wrong = await one.client.post("/api/auth/totp/confirm/", json={"totp_code": "000000"})
    assert (wrong.status_code, wrong.json()["code"]) == (403, "wrong_code")
    code = pyotp.TOTP(made["secret"]).at(tenancy.clock.now())
    right = await one.client.post("/api/auth/totp/confirm/", json={"totp_code": code})
    assert len(set(right.json()["recovery_codes"])) == 10
    assert (await login(tenancy, person.email)).json()["code"] == "totp_required"
    shown = (await one.client.get("/api/auth/totp/")).json()
    assert shown == {"enabled": True, "obligatory": False, "recovery_codes_left": 10}
    assert (await one.client.get("/api/auth/user/")).json()["has_second_factor"] is True
    assert (await subjects(tenancy, person.email)) == ["Second facteur activé"]


@pytest.mark.invariant("S58")
async def test_signing_in_takes_two_steps_and_each_code_works_once(tenancy: Tenancy) -> None:
    person = await tenancy.person()
    _one, otp, _codes = await with_totp(tenancy, person)
    tenancy.clock.advance(timedelta(seconds=30))
    first = (await login(tenancy, person.email)).json()
    code = otp.at(tenancy.clock.now())
    step = {"challenge": first["challenge"], "totp_code": code}
    second = await post(tenancy, "login/second-factor", step)
    assert second.status_code == 200
    assert claims(tenancy, second.json()["access_token"])["sub"] == str(person.id)
    assert (await post(tenancy, "login/second-factor", step)).status_code == 401, "the challenge is used up"
    another = (await login(tenancy, person.email)).json()["challenge"]
    replayed = await post(tenancy, "login/second-factor", {"challenge": another, "totp_code": code})
    assert (replayed.status_code, replayed.json()["code"]) == (401, "wrong_credentials")
    tenancy.clock.advance(timedelta(minutes=5))
    late = {"challenge": another, "totp_code": otp.at(tenancy.clock.now())}
    assert (await post(tenancy, "login/second-factor", late)).status_code == 401


async def test_a_missing_code_is_asked_for_and_counted_as_no_guess(tenancy: Tenancy) -> None:
    person = await tenancy.person()
    one, otp, _codes = await with_totp(tenancy, person)
    challenge = (await login(tenancy, person.email)).json()["challenge"]
    for _ in range(12):
        answers = [
            await post(tenancy, "login/second-factor", {"challenge": challenge}),
            await one.client.post("/api/auth/second-factor/", json={}),
            await one.client.post("/api/auth/totp/disable/", json={"password": PASSWORD}),
        ]
        assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(422, "code_missing")] * 3
    tenancy.clock.advance(timedelta(seconds=30))
    code = otp.at(tenancy.clock.now())
    right = await post(tenancy, "login/second-factor", {"challenge": challenge, "totp_code": code})
    assert right.status_code == 200


@pytest.mark.invariant("S58")
async def test_one_code_in_fifty_second_steps_at_once_begins_one_session(tenancy: Tenancy) -> None:
    person = await tenancy.person()
    one, otp, _codes = await with_totp(tenancy, person)
    tenancy.clock.advance(timedelta(seconds=30))
    challenge = (await login(tenancy, person.email)).json()["challenge"]
    step = {"challenge": challenge, "totp_code": otp.at(tenancy.clock.now())}
    answers = await asyncio.gather(*(post(tenancy, "login/second-factor", step) for _ in range(50)))
    assert sum(answer.status_code == 200 for answer in answers) == 1
    listed = (await one.client.get("/api/auth/sessions/")).json()["results"]
    assert len(listed) == 2


@pytest.mark.invariant("S58")
async def test_a_challenge_of_one_person_takes_no_code_of_anothers(tenancy: Tenancy) -> None:
    person, other = await tenancy.person(), await tenancy.person()
    await with_totp(tenancy, person)
    _one, theirs, codes = await with_totp(tenancy, other)
    tenancy.clock.advance(timedelta(seconds=30))
    challenge = (await login(tenancy, person.email)).json()["challenge"]
    for wrong in ({"totp_code": theirs.at(tenancy.clock.now())}, {"recovery_code": codes[0]}):
        answer = await post(tenancy, "login/second-factor", {"challenge": challenge} | wrong)
        assert answer.status_code == 401


@pytest.mark.invariant("S58")
async def test_guesses_at_codes_are_counted_whatever_the_challenge(tenancy: Tenancy) -> None:
    person = await tenancy.person()
    _one, otp, _codes = await with_totp(tenancy, person)
    tenancy.clock.advance(timedelta(seconds=30))
    seen = []
    for n in range(7):
        challenge = (await login(tenancy, person.email, address="203.0.113.5")).json()["challenge"]
        guess = {"challenge": challenge, "totp_code": f"{n:06}"}
        seen.append((await post(tenancy, "login/second-factor", guess, address=f"203.0.113.{n}")).status_code)
    assert seen == [401] * 5 + [429] * 2
    challenge = (await login(tenancy, person.email)).json()["challenge"]
    right = {"challenge": challenge, "totp_code": otp.at(tenancy.clock.now())}
    assert (await post(tenancy, "login/second-factor", right)).status_code == 200, "from the owner's own address"


@pytest.mark.invariant("S58")
async def test_a_recovery_code_signs_in_once_and_its_owner_is_told(tenancy: Tenancy) -> None:
    person = await tenancy.person()
    _one, _otp, codes = await with_totp(tenancy, person)
    typed = codes[3].upper().replace("-", " ")
    first = await login(tenancy, person.email, recovery_code=typed)
    assert first.status_code == 200
    assert (await login(tenancy, person.email, recovery_code=typed)).status_code == 401
    async with tenancy.store.for_system("auth") as uow:
        kept = list(await uow.session.scalars(select(recovery_codes.c.code_hash)))
    assert all(code.encode() not in one for code in codes for one in kept)
    assert (await subjects(tenancy, person.email))[-1] == "Un code de secours a servi"
    me = signed_in(tenancy, person, first.json()).client
    assert (await me.get("/api/auth/totp/")).json()["recovery_codes_left"] == 9


async def test_new_recovery_codes_replace_the_old_ones(tenancy: Tenancy) -> None:
    person = await tenancy.person()
    one, otp, codes = await with_totp(tenancy, person)
    tenancy.clock.advance(timedelta(seconds=30))
    body = {"totp_code": otp.at(tenancy.clock.now())}
    made = (await one.client.post("/api/auth/totp/recovery-codes/", json=body)).json()["recovery_codes"]
    assert not set(made) & set(codes)
    assert (await login(tenancy, person.email, recovery_code=codes[0])).status_code == 401
    assert (await login(tenancy, person.email, recovery_code=made[0])).status_code == 200


async def test_switching_off_wants_password_and_code(tenancy: Tenancy) -> None:
    person = await tenancy.person()
    one, otp, codes = await with_totp(tenancy, person)
    tenancy.clock.advance(timedelta(seconds=30))
    code = otp.at(tenancy.clock.now())
    for wrong in ({"password": "no such password", "totp_code": code}, {"password": PASSWORD, "totp_code": "000000"}):
        assert (await one.client.post("/api/auth/totp/disable/", json=wrong)).status_code == 403
    right = {"password": PASSWORD, "totp_code": code}
    assert (await one.client.post("/api/auth/totp/disable/", json=right)).status_code == 204
    assert (await login(tenancy, person.email)).status_code == 200
    shown = (await one.client.get("/api/auth/totp/")).json()
    assert shown == {"enabled": False, "obligatory": False, "recovery_codes_left": 0}
    assert codes
    assert (await subjects(tenancy, person.email))[-1] == "Second facteur désactivé"


async def test_staff_cannot_be_without(tenancy: Tenancy) -> None:
    secret = pyotp.random_base32()
    staff = await tenancy.staff(secret)
    code = pyotp.TOTP(secret).at(tenancy.clock.now())
    one = signed_in(tenancy, staff, (await login(tenancy, staff.email, totp_code=code)).json())
    tenancy.clock.advance(timedelta(seconds=30))
    body = {"password": PASSWORD, "totp_code": pyotp.TOTP(secret).at(tenancy.clock.now())}
    answer = await one.client.post("/api/auth/totp/disable/", json=body)
    assert (answer.status_code, answer.json()["code"]) == (403, "second_factor_obligatory")


async def test_proving_it_again_is_noted_in_the_session(tenancy: Tenancy) -> None:
    person = await tenancy.person()
    one, otp, _codes = await with_totp(tenancy, person)
    gateway = tenancy.client(user_id=person.id)
    before = (await gateway.get(f"/internal/sessions/{one.id}")).json()
    tenancy.clock.advance(timedelta(hours=1))
    body = {"totp_code": otp.at(tenancy.clock.now())}
    assert (await one.client.post("/api/auth/second-factor/", json=body)).status_code == 204
    after = (await gateway.get(f"/internal/sessions/{one.id}")).json()
    assert (before["has_second_factor"], after["has_second_factor"]) == (True, True)
    assert after["second_factor_at"] > before["second_factor_at"]
    assert (await one.client.post("/api/auth/second-factor/", json=body)).status_code == 403, "each code once"


async def test_a_reset_password_does_not_take_the_second_factor_away(tenancy: Tenancy) -> None:
    from .identity import newest_token

    person = await tenancy.person()
    one, _otp, _codes = await with_totp(tenancy, person)
    await post(tenancy, "password-reset", {"email": person.email})
    token = await newest_token(tenancy, person.email)
    body = {"token": token, "password": "Une autre phrase de passe"}
    assert (await post(tenancy, "password-reset/confirm", body)).status_code == 204
    assert (await login(tenancy, person.email, body["password"])).json()["code"] == "totp_required"
    assert not await alive(tenancy, one)


async def test_the_secret_is_sealed_at_rest_for_one_person(tenancy: Tenancy) -> None:
    person = await tenancy.person()
    one = await session(tenancy, person)
    secret = (await one.client.post("/api/auth/totp/", json={"password": PASSWORD})).json()["secret"]
    async with tenancy.store.for_system("auth") as uow:
        found = select(credentials.c.totp_pending).where(credentials.c.user_id == person.id)
        kept = await uow.session.scalar(found)
    assert kept is not None
    assert secret.encode() not in kept
    assert tenancy.tools.sealer.open(kept, person.id) == secret
