"""The mail sink over real SMTP and HTTP."""

import smtplib
from collections.abc import AsyncIterator
from email.message import EmailMessage

import anyio.to_thread
import httpx
import pytest
from simulators.mail import MailConfig, RunningMail, start


@pytest.fixture
async def sink() -> AsyncIterator[RunningMail]:
    running = await start(MailConfig())
    yield running
    await running.stop()


def message(to: str, subject: str = "Reçu") -> EmailMessage:
    mail = EmailMessage()
    mail["From"] = "facturation@backup.example"
    mail["To"] = to
    mail["Subject"] = subject
    mail.set_content("Merci pour votre paiement.\n")
    mail.add_alternative("<p>Merci pour votre paiement.</p>", subtype="html")
    return mail


def send(sink: RunningMail, mail: EmailMessage, *also: str) -> None:
    with smtplib.SMTP(sink.smtp_host, sink.smtp_port) as client:
        client.send_message(mail, to_addrs=[mail["To"], *also])


async def test_a_message_is_found_by_its_recipient_with_both_bodies(sink: RunningMail) -> None:
    await anyio.to_thread.run_sync(send, sink, message("awa@client.example"))
    async with httpx.AsyncClient() as http:
        found = (await http.get(f"{sink.url}/messages", params={"to": "Awa@client.example"})).json()["results"]
        others = (await http.get(f"{sink.url}/messages", params={"to": "eve@client.example"})).json()["results"]
    assert [(one["to"], one["subject"], one["text"].strip(), one["html"].strip()) for one in found] == [
        ("awa@client.example", "Reçu", "Merci pour votre paiement.", "<p>Merci pour votre paiement.</p>")
    ]
    assert others == []


async def test_a_blind_copy_is_found_too(sink: RunningMail) -> None:
    await anyio.to_thread.run_sync(send, sink, message("awa@client.example"), "archive@backup.example")
    async with httpx.AsyncClient() as http:
        found = (await http.get(f"{sink.url}/messages", params={"to": "archive@backup.example"})).json()["results"]
    assert len(found) == 1


async def test_a_rule_makes_the_sink_refuse_once(sink: RunningMail) -> None:
    async with httpx.AsyncClient() as http:
        rules = {"rules": [{"target": "delivery", "status": 451, "times": 1}]}
        assert (await http.put(f"{sink.url}/_sim/faults", json=rules)).status_code == 200
        with pytest.raises(smtplib.SMTPDataError) as refused:
            await anyio.to_thread.run_sync(send, sink, message("awa@client.example"))
        await anyio.to_thread.run_sync(send, sink, message("awa@client.example"))
        found = (await http.get(f"{sink.url}/messages")).json()["results"]
    assert refused.value.smtp_code == 451
    assert len(found) == 1
