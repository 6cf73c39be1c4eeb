"""Passwords, sealing, tokens and mails."""

import asyncio
import json
from datetime import timedelta
from importlib.resources import files

import pytest
from common.auth.internal_token import new_key
from common.ids import uuid7
from common.testing import FrozenClock
from cryptography.exceptions import InvalidTag
from pwdlib.hashers.argon2 import Argon2Hasher
from tenancy.adapters.letters import TemplateLetters
from tenancy.adapters.passwords import Argon2Passwords
from tenancy.adapters.sealing import AesSealer
from tenancy.adapters.tokens import EdDsaAccessTokens
from tenancy.domain.people import Language

pytestmark = pytest.mark.unit


async def test_hashing_leaves_the_loop_free() -> None:
    passwords = Argon2Passwords(1)
    hashing = asyncio.create_task(passwords.hash("une phrase de passe"))
    turns = 0
    while not hashing.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > 10
    assert (await hashing).startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    passwords.close()


async def test_a_hash_with_outdated_parameters_is_made_anew() -> None:
    old = Argon2Passwords(1, Argon2Hasher(time_cost=1, memory_cost=1024, parallelism=1))
    new = Argon2Passwords(1, Argon2Hasher(time_cost=2, memory_cost=1024, parallelism=1))
    stored = await old.hash("une phrase de passe")
    right, renewed = await new.verify("une phrase de passe", stored)
    assert right
    assert renewed is not None
    assert await new.verify("une phrase de passe", renewed) == (True, None)
    assert await new.verify("une autre phrase", stored) == (False, None)
    assert await new.verify("nobody has this password", None) == (False, None)
    old.close(), new.close()


def test_a_sealed_secret_opens_for_its_owner_alone() -> None:
    sealer, owner = AesSealer("k" * 32), uuid7()
    sealed = sealer.seal("JBSWY3DP", owner)
    assert b"JBSWY3DP" not in sealed
    assert sealer.open(sealed, owner) == "JBSWY3DP"
    with pytest.raises(InvalidTag):
        sealer.open(sealed, uuid7())
    with pytest.raises(InvalidTag):
        AesSealer("j" * 32).open(sealed, owner)


def test_both_keys_of_a_rotation_are_published_and_the_first_signs() -> None:
    keys = [new_key("new"), new_key("old")]
    tokens = EdDsaAccessTokens(
        json.dumps(keys), issuer="tenancy", audience="gateway", lifetime=timedelta(minutes=10), clock=FrozenClock()
    )
    assert [key["kid"] for key in tokens.jwks()["keys"]] == ["new", "old"]
    assert not any("d" in key for key in tokens.jwks()["keys"])


def test_a_key_without_kid_is_refused() -> None:
    key = new_key("x")
    del key["kid"]
    with pytest.raises(ValueError, match="kid"):
        EdDsaAccessTokens(json.dumps([key]), issuer="t", audience="g", lifetime=timedelta(1), clock=FrozenClock())


VALUES = {
    "levels": [{"resource": "machines", "limit": "10", "used": "30", "over": "20"}],
    "due": "2026-12-22",
    "minutes": 15,
    "reason": "R",
    "resource": "VM",
    "limit": "50",
    "used": "45",
    "organization": "O",
    "plan": "Silver",
    "until": "x",
    "inviter": "I",
    "role": "member",
    "token": "t",
    "person": "P",
    "cancelled": False,
    "disputed": False,
    "count": 2,
    "who": "Q",
    "new_email": "b@c.cm",
    "left": 9,
    "passkey": "Téléphone",
    "host": "hooks.exemple.cm",
    "gone": False,
    "since": "2026-11-22",
}


def test_every_mail_exists_in_both_languages_and_forms() -> None:
    folder = files("tenancy").joinpath("templates/mails")
    names = {entry.name.split(".")[0] for entry in folder.iterdir()} - {"layout"}
    assert {"verify_email", "already_registered", "welcome", "invitation", "reset_password"} <= names
    letters = TemplateLetters("https://app.exemple.cm")
    for name in names:
        for language in Language:
            mail = letters.write(name, to="a@b.cm", key="k", language=language, **VALUES)
            assert mail.subject
            assert mail.html is not None
            assert "https://app.exemple.cm/" in mail.text
            assert 'href="https://app.exemple.cm/' in mail.html


def test_values_are_escaped_in_html_and_stay_out_of_the_subject_line() -> None:
    letters = TemplateLetters("https://app.exemple.cm")
    values = VALUES | {"organization": "A\r\nBcc: x@y.z <script>"}
    mail = letters.write("welcome", to="a@b.cm", key="k", language=Language.EN, **values)
    assert "\n" not in mail.subject
    assert "\r" not in mail.subject
    assert mail.html is not None
    assert "<script>" not in mail.html
