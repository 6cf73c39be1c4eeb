"""What tests of accounts do over HTTP."""

import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
import pyotp
from common.persistence.mechanisms import outbox
from common.testing import ServiceClient
from joserfc import jwt
from joserfc.jwk import KeySet
from sqlalchemy import select
from tenancy.domain.people import User
from tenancy.testing import PASSWORD, Tenancy

HOME = "192.0.2.1"
WAITING = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"


@dataclass
class SignedIn:
    """A session of one person, and a client that the gateway would have vouched for."""

    client: ServiceClient
    id: UUID
    access_token: str
    refresh_token: str


def claims(tenancy: Tenancy, token: str) -> dict[str, Any]:
    keys = KeySet.import_key_set(tenancy.tools.tokens.jwks())
    return jwt.decode(token, keys, algorithms=["EdDSA"]).claims


async def post(tenancy: Tenancy, path: str, body: dict[str, Any], *, address: str = HOME) -> Any:
    """Ask as nobody."""
    headers = {"x-forwarded-for": address, "user-agent": "Firefox"}
    return await tenancy.client(anonymous=True).post(f"/api/auth/{path}/", json=body, headers=headers)


async def login(tenancy: Tenancy, email: str, password: str = PASSWORD, *, address: str = HOME, **more: Any) -> Any:
    return await post(tenancy, "login", {"email": email, "password": password} | more, address=address)


def signed_in(tenancy: Tenancy, person: User, pair: dict[str, Any]) -> SignedIn:
    session = UUID(claims(tenancy, pair["access_token"])["sid"])
    return SignedIn(
        tenancy.client(user_id=person.id, session_id=session), session, pair["access_token"], pair["refresh_token"]
    )


async def session(tenancy: Tenancy, person: User, **more: Any) -> SignedIn:
    answer = await login(tenancy, person.email, **more)
    assert answer.status_code == 200, answer.text
    return signed_in(tenancy, person, answer.json())


async def alive(tenancy: Tenancy, one: SignedIn) -> bool:
    """Whether the session's refresh token still works; it is exchanged on the way."""
    answer = await post(tenancy, "refresh", {"refresh_token": one.refresh_token})
    if answer.status_code == 200:
        one.refresh_token = answer.json()["refresh_token"]
    return bool(answer.status_code == 200)


async def newest_token(tenancy: Tenancy, address: str) -> str:
    """The token of the newest link that was mailed to an address."""
    mails = [mail for mail in await tenancy.mails_to(address) if "token=" in mail.body_text]
    (token,) = re.findall(r"token=([\w-]+)", mails[-1].body_text)
    return str(token)


async def subjects(tenancy: Tenancy, address: str) -> list[str]:
    return [mail.subject for mail in await tenancy.mails_to(address)]


async def with_totp(tenancy: Tenancy, person: User) -> tuple[SignedIn, pyotp.TOTP, list[str]]:
    """Switch a person's second factor on; returns the session, what makes codes, and the recovery codes."""
    one = await session(tenancy, person)
    made = (await one.client.post("/api/auth/totp/", json={"password": PASSWORD})).json()
    otp = pyotp.TOTP(made["secret"])
    answer = await one.client.post("/api/auth/totp/confirm/", json={"totp_code": otp.at(tenancy.clock.now())})
    assert answer.status_code == 200, answer.text
    return one, otp, answer.json()["recovery_codes"]


async def facts_about(tenancy: Tenancy, person: User, kind: str) -> list[dict[str, Any]]:
    """Payloads of a fact about one person."""
    async with tenancy.store.for_system("relay") as uow:
        rows = await uow.session.scalars(select(outbox.c.envelope).where(outbox.c.type == kind))
        return [row["data"] for row in rows if row["data"]["user_id"] == str(person.id)]


async def is_somebody_waiting(tenancy: Tenancy) -> bool:
    """Whether a transaction waits for another's lock, by the eyes of the server's superuser: roles see only their own."""
    admin = await asyncpg.connect(tenancy.database.admin_url)
    try:
        return bool(await admin.fetchval(WAITING))
    finally:
        await admin.close()
