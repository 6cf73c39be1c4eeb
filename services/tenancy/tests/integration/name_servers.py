"""A name server on the loopback that answers as a test wants, and may change its mind (DNS rebinding)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset


@dataclass
class NameServer(asyncio.DatagramProtocol):
    """`names`: the answers of each name, used up one by one, the last one for ever; an empty one is never given."""

    names: dict[str, list[list[str]]]
    asked: list[str] = field(default_factory=list)
    address: str = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)
        host, port = transport.get_extra_info("sockname")
        self.address = f"{host}:{port}"

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        asked = query.question[0]
        name = asked.name.to_text(omit_final_dot=True)
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if name not in self.names:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif asked.rdtype in {dns.rdatatype.A, dns.rdatatype.AAAA}:
            self.asked.append(f"{name} {dns.rdatatype.to_text(asked.rdtype)}")
            turns = self.names[name]
            # Both families of one question get the same turn.
            turn = turns.pop(0) if len(turns) > 1 and asked.rdtype == dns.rdatatype.A else turns[0]
            if not turn:
                return
            version = 4 if asked.rdtype == dns.rdatatype.A else 6
            fitting = [one for one in turn if ip_address(one).version == version]
            if fitting:
                answer.answer.append(dns.rrset.from_text(asked.name, 1, asked.rdclass, asked.rdtype, *fitting))
        self.transport.sendto(answer.to_wire(), addr)


@asynccontextmanager
async def name_server(names: dict[str, list[list[str]]]) -> AsyncIterator[NameServer]:
    """A name server for as long as the block lasts."""
    server = NameServer(names)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: server, local_addr=("127.0.0.1", 0)
    )
    try:
        yield server
    finally:
        transport.close()
