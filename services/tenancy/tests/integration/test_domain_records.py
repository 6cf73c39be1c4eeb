"""TXT records from a real name server over UDP: what is found, what is not, and what never answers."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from tenancy.adapters import dns_records
from tenancy.adapters.dns_records import DnsRecords

NAME = "_ebm-verification.exemple.cm"


@dataclass
class NameServer(asyncio.DatagramProtocol):
    """Answers questions for TXT records on a port of the loopback; a name in `silent` gets no answer."""

    records: dict[str, list[str]] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    lies: bool = False
    asked: list[tuple[str, str]] = field(default_factory=list)

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, peer: Any) -> None:
        question = dns.message.from_wire(data)
        name, kind = question.question[0].name, question.question[0].rdtype
        text = name.to_text(omit_final_dot=True)
        self.asked.append((text, kind.name))
        if text in self.silent:
            return
        answer = dns.message.make_response(question)
        answer.flags |= dns.flags.AA
        if self.lies:
            answer.id ^= 1
        if text in self.records:
            quoted = self.records[text]
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", "TXT", *quoted))
        else:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        self._transport.sendto(answer.to_wire(), peer)


@dataclass
class Serving:
    server: NameServer
    records: DnsRecords


@pytest.fixture
async def serving() -> AsyncIterator[Serving]:
    server = NameServer()
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: server, local_addr=("127.0.0.1", 0)
    )
    port = transport.get_extra_info("sockname")[1]
    yield Serving(server, DnsRecords([f"127.0.0.1:{port}"]))
    transport.close()


async def test_every_txt_record_of_the_name_is_read(serving: Serving) -> None:
    serving.server.records[NAME] = ['"v=spf1 -all"', '"ebm-verification=abc"']
    assert sorted(await serving.records.txt(NAME)) == ["ebm-verification=abc", "v=spf1 -all"]
    assert serving.server.asked == [(NAME, "TXT")]


async def test_a_record_in_several_strings_is_one_text(serving: Serving) -> None:
    serving.server.records[NAME] = ['"ebm-verification=" "abc"']
    assert await serving.records.txt(NAME) == ["ebm-verification=abc"]


async def test_bytes_that_are_no_text_do_no_harm(serving: Serving) -> None:
    serving.server.records[NAME] = ['"\\255\\254"', '"ebm-verification=abc"']
    assert "ebm-verification=abc" in await serving.records.txt(NAME)


async def test_a_name_that_is_not_there_has_no_records(serving: Serving) -> None:
    assert await serving.records.txt(NAME) == []
    assert serving.server.asked, "it was asked for"


async def test_a_server_that_never_answers_is_left_in_time(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns_records, "SECONDS", 0.5)
    serving.server.silent.add(NAME)
    async with asyncio.timeout(5):
        assert await serving.records.txt(NAME) == []
    assert serving.server.asked


async def test_an_answer_to_another_question_is_not_believed(serving: Serving, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dns_records, "SECONDS", 0.5)
    serving.server.records[NAME] = ['"ebm-verification=abc"']
    serving.server.lies = True
    assert await serving.records.txt(NAME) == []
