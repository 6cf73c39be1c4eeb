"""Single sign-on: through a provider of the organization's own, and past everything that it might claim."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import httpx
import pyotp
import pytest
from common.ids import uuid7
from simulators.oidc.app import Provider, start
from tenancy.adapters.oidc import OidcProviders
from tenancy.adapters.public_addresses import PublicAddressesOnly
from tenancy.domain.people import User
from tenancy.domain.roles import StaffRole
from tenancy.persistence.tables import memberships, sso_connections
from tenancy.testing import PASSWORD, Tenancy
from tenancy.usecases.create_staff import create_staff

from .identity import alive, claims, login, post, session, signed_in, with_totp

pytestmark = pytest.mark.integration


@dataclass
class Records:
    """DNS, as a test sets it."""

    found: dict[str, list[str]] = field(default_factory=dict)

    async def txt(self, name: str) -> list[str]:
        return self.found.get(name, [])


@dataclass
class Company:
    """An organization with a provider and a proven domain."""

    tenancy: Tenancy
    provider: Provider
    records: Records
    owner: User
    tenant: UUID
    domain: str

    @property
    def path(self) -> str:
        return f"/api/tenants/organizations/{self.tenant}"

    def admin(self, **more: Any) -> Any:
        return self.tenancy.client(user_id=self.owner.id, tenant_id=self.tenant, **more)

    def address(self, name: str = "") -> str:
        return f"{name or uuid7().hex}@{self.domain}"

    async def prove(self, domain: str) -> Any:
        noted = (await self.admin().post(f"{self.path}/sso/domains/", json={"domain": domain})).json()
        self.records.found[noted["record_name"]] = ["v=spf1 -all", noted["record_value"]]
        return await self.admin().post(f"{self.path}/sso/domains/{domain}/verify/")

    async def code(self, email: str, /, **person: Any) -> dict[str, Any]:
        """Go to the provider and come back; returns what the page sends to the callback."""
        self.provider.person = {"sub": email, "email": email, "email_verified": True, "name": "Awa Ndiaye"} | person
        begun = await post(self.tenancy, "sso", {"email": self.address("anybody")})
        assert begun.status_code == 200, begun.text
        async with httpx.AsyncClient() as browser:
            back = await browser.get(begun.json()["authorization_url"])
        assert back.status_code == 302, back.text
        returned = {name: values[0] for name, values in parse_qs(urlsplit(back.headers["location"]).query).items()}
        assert returned["state"] == begun.json()["state"]
        return returned | {"login_token": begun.json()["login_token"]}

    async def enter(self, email: str, /, **person: Any) -> Any:
        return await post(self.tenancy, "sso/callback", await self.code(email, **person))


async def company(tenancy: Tenancy, provider: Provider, records: Records) -> Company:
    owner = await tenancy.person()
    tenant = await tenancy.organization(owner)
    made = Company(tenancy, provider, records, owner, tenant, f"{uuid7().hex}.example")
    provider.redirect_uri = "https://app.exemple.cm/sso/callback"
    body = {"issuer": provider.url, "client_id": provider.client_id, "client_secret": provider.client_secret}
    assert (await made.admin().put(f"{made.path}/sso/", json=body)).status_code == 200
    assert (await made.prove(made.domain)).status_code == 200
    return made


def elsewhere() -> Provider:
    """A provider that nobody goes to."""
    made = Provider()
    made.url = "https://login.elsewhere.example"
    return made


@pytest.fixture
async def records() -> Records:
    return Records()


@pytest.fixture
async def open_tenancy(tenancy: Tenancy, records: Records) -> Tenancy:
    providers = OidcProviders(partial(PublicAddressesOnly, allow_loopback=True))
    return replace(tenancy, tools=replace(tenancy.tools, providers=providers, domain_records=records))


@pytest.fixture
async def provider() -> AsyncIterator[Provider]:
    made = Provider()
    running = await start(made)
    yield made
    await running.stop()


@pytest.fixture
async def acme(open_tenancy: Tenancy, provider: Provider, records: Records) -> Company:
    return await company(open_tenancy, provider, records)


async def test_a_person_of_the_domain_gets_an_account_a_membership_and_a_session(acme: Company) -> None:
    email = acme.address()
    answer = await acme.enter(email.upper())
    assert answer.status_code == 200, answer.text
    told = claims(acme.tenancy, answer.json()["access_token"])
    assert (told["tenant"], told["roles"]) == (str(acme.tenant), ["member"])
    again = claims(acme.tenancy, (await acme.enter(email)).json()["access_token"])
    assert again["sub"] == told["sub"]
    assert len(await acme.tenancy.rows(acme.tenant, memberships)) == 2
    assert (await login(acme.tenancy, email, "")).status_code == 401, "nobody knows its password"


async def test_a_verified_account_of_the_domain_is_linked_and_keeps_its_password(acme: Company) -> None:
    person = await acme.tenancy.person(acme.address())
    told = claims(acme.tenancy, (await acme.enter(person.email)).json()["access_token"])
    assert told["sub"] == str(person.id)
    assert (await login(acme.tenancy, person.email)).status_code == 200


async def test_an_account_that_somebody_opened_with_anothers_address_is_taken_from_them(acme: Company) -> None:
    squatter = await acme.tenancy.person(acme.address(), verified=False)
    theirs = await session(acme.tenancy, squatter)
    answer = await acme.enter(squatter.email)
    assert answer.status_code == 200
    assert (await login(acme.tenancy, squatter.email)).status_code == 401, "the squatter's password is gone"
    assert not await alive(acme.tenancy, theirs)


@pytest.mark.parametrize(
    "person",
    [{"email": "victim@elsewhere.example"}, {"email_verified": False}, {"email": None}, {"email_verified": "true"}],
    ids=["another domain", "address not verified", "no address", "verified in words"],
)
async def test_a_provider_is_not_believed_about_other_addresses(acme: Company, person: dict[str, Any]) -> None:
    answer = await acme.enter(acme.address(), **person)
    assert (answer.status_code, answer.json()["code"]) == (403, "sso_refused")


async def test_a_provider_cannot_take_over_an_account_of_another_organizations_domain(
    acme: Company, open_tenancy: Tenancy, provider: Provider, records: Records
) -> None:
    other = await company(open_tenancy, elsewhere(), records)
    victim = await open_tenancy.person(other.address())
    assert (await acme.enter(victim.email)).status_code == 403
    linked = await open_tenancy.person(acme.address())
    assert (await acme.enter(linked.email, sub="fixed")).status_code == 200
    assert (await acme.enter(victim.email, sub="fixed")).status_code == 403, "a linked subject takes no other address"


async def test_staff_do_not_come_through_a_customers_provider(acme: Company) -> None:
    email = acme.address()
    async with acme.tenancy.store.for_system("auth") as uow:
        await create_staff(
            uow,
            acme.tenancy.tools.sealer,
            email=email,
            roles=[StaffRole.ADMIN],
            password_hash=await acme.tenancy.tools.passwords.hash(PASSWORD),
            totp_secret=pyotp.random_base32(),
        )
    assert (await acme.enter(email)).status_code == 403


@pytest.mark.parametrize(
    "lies",
    [
        {"nonce": "another"},
        {"aud": "somebody else"},
        {"iss": "https://evil.example"},
        {"exp": 1},
        {"alg": "none"},
        {"foreign_key": True},
        {"sub": None},
    ],
    ids=lambda lies: next(iter(lies)),
)
async def test_an_id_token_that_is_not_the_providers_word_for_us_now_is_refused(
    acme: Company, lies: dict[str, Any]
) -> None:
    acme.provider.lies = lies
    answer = await acme.enter(acme.address())
    assert (answer.status_code, answer.json()["code"]) == (403, "sso_refused")


async def test_a_provider_that_calls_itself_another_is_not_spoken_to(acme: Company) -> None:
    acme.provider.lies = {"issuer": "https://accounts.example"}
    answer = await post(acme.tenancy, "sso", {"email": acme.address()})
    assert (answer.status_code, answer.json()["code"]) == (503, "identity_provider_unavailable")


async def test_a_state_comes_back_once_in_time_and_to_the_client_that_began(acme: Company) -> None:
    body = await acme.code(acme.address())
    stolen = body | {"login_token": (await acme.code(acme.address()))["login_token"]}
    assert (await post(acme.tenancy, "sso/callback", stolen)).status_code == 403
    assert (await post(acme.tenancy, "sso/callback", body)).status_code == 403, "it was used up by whoever tried"
    body = await acme.code(acme.address())
    assert (await post(acme.tenancy, "sso/callback", body)).status_code == 200
    assert (await post(acme.tenancy, "sso/callback", body)).status_code == 403
    late = await acme.code(acme.address())
    acme.tenancy.clock.advance(timedelta(minutes=10))
    assert (await post(acme.tenancy, "sso/callback", late)).status_code == 403


async def test_a_session_by_single_sign_on_is_good_for_that_organization_only(acme: Company) -> None:
    person = await acme.tenancy.person(acme.address())
    own = await acme.tenancy.organization(person)
    one = signed_in(acme.tenancy, person, (await acme.enter(person.email)).json())
    refused = await one.client.post("/api/auth/switch/", json={"organization_id": str(own)})
    assert (refused.status_code, refused.json()["code"]) == (403, "another_sign_in_needed")
    by_password = await session(acme.tenancy, person)
    assert (await by_password.client.post("/api/auth/switch/", json={"organization_id": str(own)})).status_code == 200


async def test_enforced_single_sign_on_leaves_a_door_to_owners_with_a_second_factor(acme: Company) -> None:
    person = await acme.tenancy.person(acme.address())
    assert (await acme.enter(person.email)).status_code == 200
    rules = {"second_factor_required": False, "sso_required": True}
    without = await acme.admin().put(f"{acme.path}/sign-in-rules/", json=rules)
    assert (without.status_code, without.json()["code"]) == (409, "second_factor_missing")
    owner, _otp, _codes = await with_totp(acme.tenancy, acme.owner)
    done = await acme.admin(session_id=owner.id).put(f"{acme.path}/sign-in-rules/", json=rules)
    assert done.json() == rules
    by_password = await session(acme.tenancy, person)
    assert "tenant" not in claims(acme.tenancy, by_password.access_token)
    refused = await by_password.client.post("/api/auth/switch/", json={"organization_id": str(acme.tenant)})
    assert (refused.status_code, refused.json()["code"]) == (403, "sso_demanded")
    assert claims(acme.tenancy, (await acme.enter(person.email)).json()["access_token"])["tenant"] == str(acme.tenant)
    assert (await owner.client.post("/api/auth/switch/", json={"organization_id": str(acme.tenant)})).status_code == 200


async def test_an_organization_that_demands_a_second_factor_admits_only_sessions_with_one(tenancy: Tenancy) -> None:
    owner, other = await tenancy.person(), await tenancy.person()
    tenant, theirs = await tenancy.organization(owner), await tenancy.organization(other)
    before = await session(tenancy, owner)
    one, otp, _codes = await with_totp(tenancy, owner)
    rules = {"second_factor_required": True, "sso_required": False}
    admin = tenancy.client(user_id=owner.id, tenant_id=tenant, session_id=one.id)
    path = f"/api/tenants/organizations/{tenant}/sign-in-rules/"
    assert (await admin.put(path, json=rules)).status_code == 200
    assert await alive(tenancy, before)
    state = (await tenancy.client(user_id=owner.id).get(f"/internal/sessions/{before.id}")).json()
    assert (state["tenant_id"], state["roles"]) == (None, []), "the older session has no second factor"
    tenancy.clock.advance(timedelta(seconds=30))
    proved = await login(tenancy, owner.email, totp_code=otp.at(tenancy.clock.now()))
    assert claims(tenancy, proved.json()["access_token"])["tenant"] == str(tenant)
    assert claims(tenancy, (await login(tenancy, other.email)).json()["access_token"])["tenant"] == str(theirs)


async def test_a_domain_is_proved_by_its_record_and_by_one_organization(
    acme: Company, open_tenancy: Tenancy, records: Records
) -> None:
    other = await company(open_tenancy, elsewhere(), records)
    noted = await other.admin().post(f"{other.path}/sso/domains/", json={"domain": "Unproved.Example."})
    assert noted.json()["domain"] == "unproved.example"
    missing = await other.admin().post(f"{other.path}/sso/domains/unproved.example/verify/")
    assert (missing.status_code, missing.json()["code"]) == (409, "domain_not_proved")
    assert (await post(open_tenancy, "sso", {"email": "a@unproved.example"})).status_code == 404
    taken = await other.prove(acme.domain)
    assert (taken.status_code, taken.json()["code"]) == (409, "domain_of_another")
    nonsense = await other.admin().post(f"{other.path}/sso/domains/", json={"domain": "no domain"})
    assert (nonsense.status_code, nonsense.json()["code"]) == (422, "domain_invalid")
    assert (await acme.admin().delete(f"{acme.path}/sso/domains/{acme.domain}/")).status_code == 204
    assert (await post(open_tenancy, "sso", {"email": acme.address()})).status_code == 404


async def test_an_organization_notes_no_more_domains_than_can_be_listed(
    acme: Company, open_tenancy: Tenancy, records: Records, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tenancy.usecases.sso_settings.MOST_DOMAINS", 2)
    other = await company(open_tenancy, elsewhere(), records)
    noted = len((await other.admin().get(f"{other.path}/sso/")).json()["domains"])
    wanted = [{"domain": f"n{number}.example"} for number in range(3 - noted)]
    answers = [await other.admin().post(f"{other.path}/sso/domains/", json=one) for one in (*wanted, wanted[0])]
    assert [answer.status_code for answer in answers] == [201] * (2 - noted) + [409, 201]
    assert answers[-2].json()["code"] == "too_many_domains"


@pytest.mark.invariant("S9")
async def test_single_sign_on_of_another_organization_is_answered_as_of_a_missing_one(
    acme: Company, tenancy: Tenancy
) -> None:
    other = await tenancy.person()
    tenant = await tenancy.organization(other)
    curious = tenancy.client(user_id=other.id, tenant_id=tenant)
    for method, tail in (("GET", "sso/"), ("DELETE", "sso/"), ("GET", "sign-in-rules/")):
        found = [
            await curious.request(method, f"/api/tenants/organizations/{i}/{tail}") for i in (acme.tenant, uuid7())
        ]
        assert [answer.status_code for answer in found] == [404, 404]
        unlike = {"request_id": "", "instance": ""}
        assert found[0].json() | unlike == found[1].json() | unlike
    assert (await acme.enter(acme.address())).status_code == 200


async def test_the_secret_is_sealed_and_never_shown_and_members_see_nothing(acme: Company) -> None:
    shown = (await acme.admin().get(f"{acme.path}/sso/")).json()
    assert shown["redirect_uri"] == "https://app.exemple.cm/sso/callback"
    assert acme.provider.client_secret not in str(shown)
    (row,) = await acme.tenancy.rows(acme.tenant, sso_connections)
    assert acme.provider.client_secret.encode() not in row["secret_sealed"]
    for role in ("member", "viewer"):
        assert (await acme.admin(roles=(role,)).get(f"{acme.path}/sso/")).status_code == 403


async def test_an_owner_who_has_not_confirmed_their_address_names_no_provider(tenancy: Tenancy) -> None:
    owner = await tenancy.person(verified=False)
    tenant = await tenancy.organization(owner)
    admin = tenancy.client(user_id=owner.id, tenant_id=tenant)
    body = {"issuer": "https://login.example", "client_id": "x", "client_secret": "y"}
    answer = await admin.put(f"/api/tenants/organizations/{tenant}/sso/", json=body)
    assert (answer.status_code, answer.json()["code"]) == (403, "email_not_verified")


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1",
        "https://localhost",
        "https://169.254.169.254",
        "https://[::1]",
        "https://10.0.0.1",
        "https://[::ffff:10.0.0.1]",
    ],
)
async def test_a_provider_inside_is_not_spoken_to(url: str) -> None:
    async with httpx.AsyncClient(transport=PublicAddressesOnly()) as client:
        with pytest.raises(httpx.ConnectError, match="public address|https"):
            await client.get(f"{url}/.well-known/openid-configuration")


async def test_a_disconnected_provider_lets_nobody_in_and_nothing_demands_it(acme: Company) -> None:
    person = await acme.tenancy.person(acme.address())
    await acme.enter(person.email)
    assert (await acme.admin().delete(f"{acme.path}/sso/")).status_code == 204
    assert (await post(acme.tenancy, "sso", {"email": person.email})).status_code == 404
    assert claims(acme.tenancy, (await session(acme.tenancy, person)).access_token)["tenant"] == str(acme.tenant)


async def test_look_ups_of_a_domain_are_counted_for_each_organization(acme: Company, provider: Provider) -> None:
    other = await company(acme.tenancy, provider, acme.records)
    asked = [await acme.admin().post(f"{acme.path}/sso/domains/{acme.domain}/verify/") for _ in range(20)]
    assert [answer.status_code for answer in asked] == [200] * 19 + [429], "one was asked when the domain was proved"
    assert asked[-1].json()["code"] == "too_many_tries"
    assert int(asked[-1].headers["retry-after"]) > 0
    assert (await other.admin().post(f"{other.path}/sso/domains/{other.domain}/verify/")).status_code == 200
    acme.tenancy.clock.advance(timedelta(hours=1))
    assert (await acme.admin().post(f"{acme.path}/sso/domains/{acme.domain}/verify/")).status_code == 200
