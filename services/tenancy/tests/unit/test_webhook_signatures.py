"""Signatures of webhooks against the vector of the specification's libraries and against its own verifier."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError
from tenancy.domain.webhook_signatures import new_secret, signature, signed_headers

pytestmark = pytest.mark.unit

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"test": 2432232314}'


@pytest.mark.invariant("S71")
def test_the_published_vector_is_signed_as_published() -> None:
    """From the tests of the specification's libraries:
    https://github.com/standard-webhooks/standard-webhooks/tree/main/libraries
    """
    signed = signature(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, BODY)
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(st.uuids(), st.text())
@pytest.mark.invariant("S71")
def test_the_specifications_own_verifier_takes_what_we_sign(message_id: object, text: str) -> None:
    secret, body = new_secret(), text.encode("utf-8", "replace")
    headers = signed_headers([secret], str(message_id), datetime.now(UTC), body)
    Webhook(secret).verify(body, headers, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body + b" ", headers, json_parse=False)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body, headers | {"webhook-id": "another"}, json_parse=False)


def test_a_message_of_long_ago_is_not_taken_for_a_new_one() -> None:
    headers = signed_headers([SECRET], "msg", datetime.now(UTC) - timedelta(minutes=6), BODY)
    with pytest.raises(WebhookVerificationError, match="too old"):
        Webhook(SECRET).verify(BODY, headers)


@pytest.mark.invariant("S71")
def test_while_a_rotation_overlaps_a_receiver_with_either_secret_takes_the_message() -> None:
    new, old, foreign = new_secret(), new_secret(), new_secret()
    headers = signed_headers([new, old], "msg", datetime.now(UTC), BODY)
    assert Webhook(new).verify(BODY, headers) == Webhook(old).verify(BODY, headers) == {"test": 2432232314}
    with pytest.raises(WebhookVerificationError):
        Webhook(foreign).verify(BODY, headers)


def test_secrets_are_as_long_as_the_hash_and_no_two_are_alike() -> None:
    made = {new_secret() for _ in range(100)}
    assert len(made) == 100
    assert {len(base64.b64decode(secret.removeprefix("whsec_"), validate=True)) for secret in made} == {32}
