"""Passwords: reset by mail, changed by their owner, guessed by others."""

import asyncio
import hashlib
import threading
import time
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from common.ids import uuid7
from common.testing import eventually, service_client, test_verifier
from sqlalchemy import Engine, event, select
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from tenancy.adapters import breaches
from tenancy.adapters.breaches import BreachedPasswordFile
from tenancy.api.app import make_app
from tenancy.errors import TokenNotFound
from tenancy.persistence.tables import one_time_links
from tenancy.settings import NAME
from tenancy.testing import PASSWORD, Tenancy
from tenancy.usecases.set_password import reset_password
from tenancy.workflows import keeping_account

from .identity import alive, facts_about, is_somebody_waiting, login, newest_token, post, session, subjects

pytestmark = pytest.mark.integration
NEW = "Une autre phrase de passe"


@pytest.mark.invariant("S57")
async def test_a_mailed_link_sets_a_new_password_once(tenancy: Tenancy) -> None:
    person, other = await tenancy.person(), await tenancy.person()
    assert (await post(tenancy, "password-reset", {"email": person.email.upper()})).status_code == 202
    token = await newest_token(tenancy, person.email)
    body = {"token": token, "password": NEW}
    assert (await post(tenancy, "password-reset/confirm", body)).status_code == 204
    assert (await login(tenancy, person.email)).status_code == 401
    assert (await login(tenancy, person.email, NEW)).status_code == 200
    assert (await login(tenancy, other.email)).status_code == 200
    again = await post(tenancy, "password-reset/confirm", body)
    assert (again.status_code, again.json()["code"]) == (404, "token_not_found")
    assert (await subjects(tenancy, person.email))[-1] == "Votre mot de passe a changé"


@pytest.mark.invariant("S57")
async def test_of_two_uses_of_a_reset_link_at_once_one_counts(tenancy: Tenancy) -> None:
    person = await tenancy.person()
    await post(tenancy, "password-reset", {"email": person.email})
    token = await newest_token(tenancy, person.email)
    bodies = [{"token": token, "password": f"{NEW} {n}"} for n in range(8)]
    answers = await asyncio.gather(*(post(tenancy, "password-reset/confirm", body) for body in bodies))
    assert sorted(answer.status_code for answer in answers) == [204] + [404] * 7


@pytest.mark.invariant("S57")
async def test_whoever_uses_a_reset_link_while_another_does_waits_and_finds_it_used(tenancy: Tenancy) -> None:
    """The first has used it up and not committed: only a lock tells the second, who would set his password too."""
    person = await tenancy.person()
    await post(tenancy, "password-reset", {"email": person.email})
    token = await newest_token(tenancy, person.email)
    first, second = [await tenancy.tools.passwords.hash(f"{NEW} {n}") for n in (1, 2)]

    async def late() -> None:
        async with tenancy.store.for_system("auth") as uow:
            await reset_password(uow, tenancy.tools.letters, token, second)

    async with tenancy.store.for_system("auth") as uow:
        await reset_password(uow, tenancy.tools.letters, token, first)
        waiting = asyncio.create_task(late())
        await eventually(partial(is_somebody_waiting, tenancy))
    with pytest.raises(TokenNotFound):
        await waiting
    assert (await login(tenancy, person.email, f"{NEW} 1")).status_code == 200


@pytest.mark.invariant("S57")
async def test_reset_links_expire_are_replaced_and_are_kept_as_hashes(tenancy: Tenancy) -> None:
    person = await tenancy.person()
    await post(tenancy, "password-reset", {"email": person.email})
    first = await newest_token(tenancy, person.email)
    await post(tenancy, "password-reset", {"email": person.email})
    second = await newest_token(tenancy, person.email)
    async with tenancy.store.for_system("auth") as uow:
        kept = list(await uow.session.scalars(select(one_time_links.c.token_hash)))
    assert hashlib.sha256(second.encode()).digest() in kept
    assert second.encode() not in kept
    replaced = await post(tenancy, "password-reset/confirm", {"token": first, "password": NEW})
    tenancy.clock.advance(timedelta(hours=2))
    late = await post(tenancy, "password-reset/confirm", {"token": second, "password": NEW})
    assert (replaced.status_code, late.status_code) == (404, 410)


@pytest.mark.invariant("S57")
async def test_a_link_of_one_purpose_opens_nothing_else(tenancy: Tenancy) -> None:
    person = await tenancy.person(verified=False)
    await post(tenancy, "verify-email/resend", {"email": person.email})
    token = await newest_token(tenancy, person.email)
    assert (await post(tenancy, "password-reset/confirm", {"token": token, "password": NEW})).status_code == 404
    assert (await post(tenancy, "email/confirm", {"token": token})).status_code == 404
    assert (await post(tenancy, "verify-email", {"token": token})).status_code == 204


@pytest.mark.invariant("S54")
async def test_a_reset_ends_every_session_and_tells_the_gateway(tenancy: Tenancy) -> None:
    person, other = await tenancy.person(), await tenancy.person()
    mine, theirs = [await session(tenancy, person) for _ in range(2)], await session(tenancy, other)
    await post(tenancy, "password-reset", {"email": person.email})
    await post(tenancy, "password-reset/confirm", {"token": await newest_token(tenancy, person.email), "password": NEW})
    assert [await alive(tenancy, one) for one in [*mine, theirs]] == [False, False, True]
    told = await facts_about(tenancy, person, "session.revoked.v1")
    assert {fact["session_id"] for fact in told} == {str(one.id) for one in mine}


@pytest.mark.invariant("S54")
async def test_changing_ones_password_ends_every_other_session(tenancy: Tenancy) -> None:
    person = await tenancy.person()
    here, there = await session(tenancy, person), await session(tenancy, person)
    wrong = await here.client.post("/api/auth/password/", json={"current_password": "no", "password": NEW})
    assert (wrong.status_code, wrong.json()["code"]) == (403, "wrong_password")
    right = await here.client.post("/api/auth/password/", json={"current_password": PASSWORD, "password": NEW})
    assert right.status_code == 204
    assert (await alive(tenancy, here), await alive(tenancy, there)) == (True, False)
    assert (await subjects(tenancy, person.email))[-1] == "Votre mot de passe a changé"


async def statements_before_the_answer(tenancy: Tenancy, path: str, email: str) -> list[str]:
    """What the database is asked until the last byte of the answer is sent."""
    asked: list[str] = []
    counted: list[int] = []

    def note(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        asked.append(statement)

    class Watch:
        def __init__(self, app: ASGIApp) -> None:
            self._app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            async def watched(message: Message) -> None:
                if message["type"] == "http.response.body" and not message.get("more_body"):
                    counted.append(len(asked))
                await send(message)

            await self._app(scope, receive, watched)

    app = make_app(tenancy.tools, test_verifier(NAME))
    app.add_middleware(Watch)
    event.listen(Engine, "before_cursor_execute", note)
    try:
        client = service_client(app, NAME, anonymous=True)
        answer = await client.post(f"/api/auth/{path}/", json={"email": email})
    finally:
        event.remove(Engine, "before_cursor_execute", note)
    assert (answer.status_code, answer.content, len(counted)) == (202, b"", 1)
    return asked[: counted[0]]


@pytest.mark.invariant("S56")
@pytest.mark.parametrize("path", ["password-reset", "verify-email/resend"])
async def test_asking_for_a_mail_tells_nobody_whether_an_address_has_an_account(tenancy: Tenancy, path: str) -> None:
    """The work until the answer is the same, whatever the machine does besides: nobody has looked for the address."""
    known, unknown = (await tenancy.person(verified=False)).email, f"{uuid7().hex}@exemple.cm"
    for_known, for_unknown = [await statements_before_the_answer(tenancy, path, email) for email in (known, unknown)]
    assert for_known == for_unknown
    assert not any(" users" in statement for statement in for_known)
    assert [len(await tenancy.mails_to(email)) for email in (known, unknown)] == [1, 0]


@pytest.mark.invariant("S56")
async def test_opening_an_account_takes_a_fixed_time(tenancy: Tenancy) -> None:
    lasting = timedelta(milliseconds=400)
    settings = tenancy.tools.settings.model_copy(update={"even_answer": lasting})
    tenancy = replace(tenancy, tools=replace(tenancy.tools, settings=settings))
    known = (await tenancy.person()).email
    for email in (known, f"{uuid7().hex}@exemple.cm"):
        began = time.perf_counter()
        wanted = {"email": email, "password": NEW, "full_name": "Awa Ndiaye"}
        assert (await post(tenancy, "register", wanted)).status_code == 201
        assert time.perf_counter() - began >= lasting.total_seconds()


@pytest.mark.parametrize(("work", "slots"), [(0.0, 1), (0.05, 1), (0.15, 2)])
async def test_what_takes_longer_takes_a_whole_number_of_times_as_long(
    work: float, slots: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    times = iter([10.0, 10.0 + work])

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    class Loop:
        def time(self) -> float:
            return next(times)

    monkeypatch.setattr(keeping_account.asyncio, "get_running_loop", Loop)
    monkeypatch.setattr(keeping_account.asyncio, "sleep", sleep)
    async with keeping_account.even_answer(timedelta(milliseconds=100)):
        pass
    monkeypatch.undo()
    assert work + slept[0] == pytest.approx(slots * 0.1)


async def test_nobodys_mailbox_is_filled_and_a_later_hour_is_another(tenancy: Tenancy) -> None:
    person = await tenancy.person()
    for _ in range(6):
        assert (await post(tenancy, "password-reset", {"email": person.email})).status_code == 202
    assert len(await tenancy.mails_to(person.email)) == 3
    tenancy.clock.advance(timedelta(hours=1))
    await post(tenancy, "password-reset", {"email": person.email})
    assert len(await tenancy.mails_to(person.email)) == 4


async def test_a_confirmed_address_gets_no_second_verification(tenancy: Tenancy) -> None:
    person = await tenancy.person()
    assert (await post(tenancy, "verify-email/resend", {"email": person.email})).status_code == 202
    assert await tenancy.mails_to(person.email) == []


async def test_strangers_guesses_end_without_locking_the_owner_out(tenancy: Tenancy) -> None:
    person, other = await tenancy.person(), await tenancy.person()
    await session(tenancy, person)
    guesses = await asyncio.gather(
        *(login(tenancy, person.email, f"guess number {n}", address=f"198.51.100.{n}") for n in range(50))
    )
    assert sorted({answer.status_code for answer in guesses}) == [401, 429]
    assert sum(answer.status_code == 401 for answer in guesses) == 10
    refused = await login(tenancy, person.email, address="203.0.113.9")
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_tries")
    assert int(refused.headers["retry-after"]) <= 15 * 60
    assert (await login(tenancy, person.email)).status_code == 200, "from where the owner signed in before"
    assert (await login(tenancy, other.email, address="203.0.113.9")).status_code == 200
    tenancy.clock.advance(timedelta(minutes=15))
    assert (await login(tenancy, person.email, address="203.0.113.9")).status_code == 200


@pytest.mark.invariant("S56")
async def test_guesses_at_an_unknown_address_are_counted_alike(tenancy: Tenancy) -> None:
    email = f"{uuid7().hex}@exemple.cm"
    answers = [(await login(tenancy, email, f"guess {n}")).status_code for n in range(12)]
    assert answers == [401] * 10 + [429] * 2


async def test_one_address_may_try_only_so_many_accounts(tenancy: Tenancy) -> None:
    settings = tenancy.tools.settings.model_copy(update={"wrong_passwords_per_address": 20})
    strict = replace(tenancy, tools=replace(tenancy.tools, settings=settings))
    people = [f"{uuid7().hex}@exemple.cm" for _ in range(25)]
    answers = [(await login(strict, email, "Printemps2026!", address="203.0.113.77")).status_code for email in people]
    assert answers == [401] * 20 + [429] * 5
    assert (await login(strict, people[0], "Printemps2026!", address="203.0.113.78")).status_code == 401


async def test_right_passwords_use_nothing_up(tenancy: Tenancy) -> None:
    person = await tenancy.person()
    assert {(await login(tenancy, person.email)).status_code for _ in range(12)} == {200}


async def test_a_password_from_a_breach_is_refused_wherever_one_is_chosen(tenancy: Tenancy, tmp_path: Path) -> None:
    breached = ["Correct horse battery", "Un mot de passe perdu"]
    hashes = sorted(hashlib.sha1(word.encode()).hexdigest().upper() for word in [*breached, *map(str, range(200))])
    file = tmp_path / "pwned.txt"
    file.write_text("".join(f"{one}:{n}\r\n" for n, one in enumerate(hashes)))
    careful = replace(tenancy, tools=replace(tenancy.tools, breached=BreachedPasswordFile(file)))
    body = {"email": f"{uuid7().hex}@exemple.cm", "password": breached[0], "full_name": "Awa"}
    registered = await post(careful, "register", body)
    assert (registered.status_code, registered.json()["reason"]) == (422, "breached")
    person = await tenancy.person()
    one = await session(careful, person)
    changed = await one.client.post("/api/auth/password/", json={"current_password": PASSWORD, "password": breached[1]})
    assert (changed.status_code, changed.json()["reason"]) == (422, "breached")
    await post(careful, "password-reset", {"email": person.email})
    token = await newest_token(tenancy, person.email)
    reset = await post(careful, "password-reset/confirm", {"token": token, "password": breached[1]})
    assert (reset.status_code, reset.json()["reason"]) == (422, "breached")
    kept = await post(careful, "password-reset/confirm", {"token": token, "password": NEW})
    assert kept.status_code == 204, "a refused password leaves the link as it was"


async def test_a_slow_file_of_breached_passwords_keeps_nobody_else_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "pwned.txt"
    file.write_text("0" * 40 + ":1\r\n")
    turn = threading.Event()

    def cold_disk(lines: object, wanted: bytes) -> bool:
        return turn.wait(10)

    monkeypatch.setattr(breaches, "_bisect", cold_disk)
    looking = asyncio.create_task(BreachedPasswordFile(file).knows(PASSWORD))
    await asyncio.sleep(0)
    turn.set()
    assert await looking, "the loop went on while the file was read"
