"""`python -m simulators.oidc` over real HTTP: who is let through, what an ID token says, and what the control side does.

Tokens are checked by a library, not by the simulator's own code.
"""

import asyncio
import hashlib
import json
import signal
import sys
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

BACK = "https://app.exemple.cm/sso/callback"
VERIFIER = "a verifier of at least forty-three characters, as RFC 7636 wants"
CHALLENGE = urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).rstrip(b"=").decode()
PERSON = {"sub": "42", "email": "awa@exemple.cm", "email_verified": True, "name": "Awa Ndiaye"}


@dataclass
class Program:
    """The running program as its client knows it."""

    http: httpx.AsyncClient
    url: str
    client_id: str
    client_secret: str
    asked: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.asked = {
            "client_id": self.client_id,
            "redirect_uri": BACK,
            "response_type": "code",
            "scope": "openid email",
            "state": "a state",
            "nonce": "a nonce",
            "code_challenge": CHALLENGE,
            "code_challenge_method": "S256",
        }

    async def authorize(self, **other: str) -> httpx.Response:
        return await self.http.get("/authorize", params=self.asked | other)

    async def code(self) -> str:
        answer = await self.authorize()
        assert answer.status_code == 302
        back = urlsplit(answer.headers["location"])
        assert back._replace(query="").geturl() == BACK
        returned = parse_qs(back.query)
        assert returned["state"] == ["a state"]
        return returned["code"][0]

    async def exchange(self, code: str, *, secret: str | None = None, **other: str) -> httpx.Response:
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": BACK, "code_verifier": VERIFIER}
        return await self.http.post("/token", data=form | other, auth=(self.client_id, secret or self.client_secret))

    async def keys(self) -> KeySet:
        return KeySet.import_key_set((await self.http.get("/jwks")).json())

    async def id_token(self) -> str:
        answer = await self.exchange(await self.code())
        assert answer.status_code == 200
        return str(answer.json()["id_token"])


@pytest.fixture
async def program(tmp_path: Path) -> AsyncIterator[Program]:
    announce = tmp_path / "announce.json"
    arguments = ("--announce", str(announce), "--redirect-uri", BACK, "--client-id", "us", "--client-secret", "known")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "simulators.oidc", *arguments, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(60):
            while not announce.exists():
                assert process.returncode is None
                await asyncio.sleep(0.05)
        facts = json.loads(announce.read_text())
        async with httpx.AsyncClient(base_url=facts["url"], trust_env=False) as http:
            made = Program(http, facts["url"], facts["client_id"], facts["client_secret"])
            assert (await http.put("/_sim/person", json=PERSON)).status_code == 204
            yield made
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")


async def test_discovery_names_endpoints_that_are_its_own(program: Program) -> None:
    found = (await program.http.get("/.well-known/openid-configuration")).json()
    assert found["issuer"] == program.url
    endpoints = [found[name] for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
    assert endpoints == [f"{program.url}{path}" for path in ("/authorize", "/token", "/jwks")]
    assert found["code_challenge_methods_supported"] == ["S256"]


async def test_an_id_token_is_signed_by_a_published_key_and_says_who_came_for_whom(program: Program) -> None:
    told = jwt.decode(await program.id_token(), await program.keys(), algorithms=["RS256"])
    assert told.header["kid"] == "current"
    assert {name: told.claims[name] for name in PERSON} == PERSON
    assert (told.claims["iss"], told.claims["aud"], told.claims["nonce"]) == (program.url, "us", "a nonce")
    assert told.claims["exp"] > told.claims["iat"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"client_id": "them"},
        {"redirect_uri": "https://elsewhere.example/"},
        {"response_type": "token"},
        {"scope": "email"},
        {"code_challenge_method": "plain"},
    ],
    ids=lambda wrong: next(iter(wrong)),
)
async def test_who_asks_wrongly_is_sent_nowhere(program: Program, wrong: dict[str, str]) -> None:
    answer = await program.authorize(**wrong)
    assert (answer.status_code, answer.json()) == (400, {"error": "invalid_request"})
    assert "location" not in answer.headers


async def test_a_code_is_good_once(program: Program) -> None:
    code = await program.code()
    assert (await program.exchange(code)).status_code == 200
    again = await program.exchange(code)
    assert (again.status_code, again.json()) == (400, {"error": "invalid_grant"})


@pytest.mark.parametrize(
    "wrong",
    [{"code_verifier": "another"}, {"redirect_uri": "https://elsewhere.example/"}, {"grant_type": "password"}],
    ids=lambda wrong: next(iter(wrong)),
)
async def test_a_code_without_its_proof_is_worth_nothing(program: Program, wrong: dict[str, str]) -> None:
    answer = await program.exchange(await program.code(), **wrong)
    assert (answer.status_code, answer.json()) == (400, {"error": "invalid_grant"})


async def test_another_secret_does_not_use_the_code_up(program: Program) -> None:
    code = await program.code()
    refused = await program.exchange(code, secret="guessed")
    assert (refused.status_code, refused.json()) == (401, {"error": "invalid_client"})
    assert (await program.exchange(code)).status_code == 200


@pytest.mark.parametrize("lie", [{"foreign_key": True}, {"alg": "none"}], ids=["foreign_key", "alg"])
async def test_a_lie_about_the_signature_is_seen_by_who_checks(program: Program, lie: dict[str, Any]) -> None:
    await program.http.put("/_sim/lies", json=lie)
    token, keys = await program.id_token(), await program.keys()
    with pytest.raises(JoseError):
        jwt.decode(token, keys, algorithms=["RS256"])


async def test_lies_are_told_until_they_are_taken_back(program: Program) -> None:
    await program.http.put("/_sim/lies", json={"aud": "them", "issuer": "https://elsewhere.example"})
    keys = await program.keys()
    assert jwt.decode(await program.id_token(), keys, algorithms=["RS256"]).claims["aud"] == "them"
    discovery = "/.well-known/openid-configuration"
    assert (await program.http.get(discovery)).json()["issuer"] == "https://elsewhere.example"
    await program.http.put("/_sim/lies", json={})
    assert jwt.decode(await program.id_token(), keys, algorithms=["RS256"]).claims["aud"] == "us"
    assert (await program.http.get(discovery)).json()["issuer"] == program.url


async def test_it_explains_itself_and_wants_to_know_where_it_sends_people(tmp_path: Path) -> None:
    async def said(*arguments: str) -> tuple[int | None, bytes]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "simulators.oidc", *arguments,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate()
        return process.returncode, output

    code, output = await said("--help")
    assert code == 0
    assert b"--redirect-uri" in output
    code, output = await said("--announce", str(tmp_path / "announce.json"))
    assert code == 2
    assert b"--redirect-uri" in output
