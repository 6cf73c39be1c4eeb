"""A person's name, language and address, and a change of address that both addresses agree to."""

from datetime import timedelta

import pytest
from common.ids import uuid7
from tenancy.persistence.tables import memberships
from tenancy.testing import PASSWORD, Tenancy

from .identity import login, newest_token, post, session, subjects

pytestmark = pytest.mark.integration


def fresh() -> str:
    return f"{uuid7().hex}@exemple.cm"


async def test_an_address_changes_when_the_old_and_the_new_one_have_agreed(tenancy: Tenancy) -> None:
    person, new = await tenancy.person(), fresh()
    tenant = await tenancy.organization(person)
    one = await session(tenancy, person)
    wanted = {"email": new.upper(), "password": PASSWORD}
    assert (await one.client.post("/api/auth/email/", json=wanted)).status_code == 202
    leave, take = await newest_token(tenancy, person.email), await newest_token(tenancy, new)
    assert (await post(tenancy, "email/confirm", {"token": take})).status_code == 204
    assert (await login(tenancy, person.email)).status_code == 200, "the old one has not let go"
    assert (await post(tenancy, "email/confirm", {"token": leave})).status_code == 204
    assert (await login(tenancy, person.email)).status_code == 401
    assert (await login(tenancy, new)).status_code == 200
    assert (await one.client.get("/api/auth/user/")).json()["email"] == new
    assert [row["email"] for row in await tenancy.rows(tenant, memberships)] == [new]
    for address in (person.email, new):
        assert (await subjects(tenancy, address))[-1] == "L'adresse de votre compte a changé"
    assert (await post(tenancy, "email/confirm", {"token": take})).status_code == 404


async def test_an_address_that_was_never_confirmed_need_not_agree(tenancy: Tenancy) -> None:
    person, new = await tenancy.person(verified=False), fresh()
    one = await session(tenancy, person)
    await one.client.post("/api/auth/email/", json={"email": new, "password": PASSWORD})
    assert await tenancy.mails_to(person.email) == []
    await post(tenancy, "email/confirm", {"token": await newest_token(tenancy, new)})
    shown = (await one.client.get("/api/auth/user/")).json()
    assert (shown["email"], shown["email_verified"]) == (new, True)


async def test_links_of_an_older_wish_are_worth_nothing(tenancy: Tenancy) -> None:
    person, first, second = await tenancy.person(), fresh(), fresh()
    one = await session(tenancy, person)
    await one.client.post("/api/auth/email/", json={"email": first, "password": PASSWORD})
    old_leave, old_take = await newest_token(tenancy, person.email), await newest_token(tenancy, first)
    await one.client.post("/api/auth/email/", json={"email": second, "password": PASSWORD})
    for token in (old_leave, old_take):
        assert (await post(tenancy, "email/confirm", {"token": token})).status_code == 404
    tenancy.clock.advance(timedelta(days=1))
    late = await post(tenancy, "email/confirm", {"token": await newest_token(tenancy, second)})
    assert late.status_code == 410
    assert (await login(tenancy, person.email)).status_code == 200


@pytest.mark.invariant("S56")
async def test_wanting_anothers_address_is_answered_alike_and_changes_nothing(tenancy: Tenancy) -> None:
    person, other = await tenancy.person(), await tenancy.person()
    one = await session(tenancy, person)
    answers = [
        await one.client.post("/api/auth/email/", json={"email": email, "password": PASSWORD})
        for email in (other.email, fresh())
    ]
    assert {(answer.status_code, answer.content) for answer in answers} == {(202, b"")}
    assert await subjects(tenancy, other.email) == ["Vous avez déjà un compte"]


async def test_an_address_that_somebody_registered_meanwhile_is_not_taken_from_them(tenancy: Tenancy) -> None:
    person, new = await tenancy.person(), fresh()
    one = await session(tenancy, person)
    await one.client.post("/api/auth/email/", json={"email": new, "password": PASSWORD})
    leave, take = await newest_token(tenancy, person.email), await newest_token(tenancy, new)
    await tenancy.person(new)
    await post(tenancy, "email/confirm", {"token": take})
    refused = await post(tenancy, "email/confirm", {"token": leave})
    assert (refused.status_code, refused.json()["code"]) == (409, "email_taken")
    assert (await one.client.get("/api/auth/user/")).json()["email"] == person.email


async def test_another_address_wants_the_password(tenancy: Tenancy) -> None:
    one = await session(tenancy, await tenancy.person())
    answer = await one.client.post("/api/auth/email/", json={"email": fresh(), "password": "somebody's guess"})
    assert (answer.status_code, answer.json()["code"]) == (403, "wrong_password")


async def test_a_person_changes_name_and_language_and_fellow_members_see_it(tenancy: Tenancy) -> None:
    person, other = await tenancy.person(), await tenancy.person(name="Somebody Else")
    tenant, theirs = await tenancy.organization(person), await tenancy.organization(other)
    one = await session(tenancy, person)
    answer = await one.client.patch("/api/auth/user/", json={"full_name": "Awa Mbarga", "language": "en"})
    assert (answer.json()["full_name"], answer.json()["language"]) == ("Awa Mbarga", "en")
    assert [row["full_name"] for row in await tenancy.rows(tenant, memberships)] == ["Awa Mbarga"]
    assert [row["full_name"] for row in await tenancy.rows(theirs, memberships)] == ["Somebody Else"]
    await post(tenancy, "password-reset", {"email": person.email})
    assert (await subjects(tenancy, person.email))[-1] == "Choose a new password"
